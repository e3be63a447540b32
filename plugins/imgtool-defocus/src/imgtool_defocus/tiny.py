"""Random nets of a few thousand weights, one for each class of depth model, as saved folders.

`imgtool plugin check` and tests try `depth.auto` on them. What they estimate means nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from imgtool.api import quiet_libraries

if TYPE_CHECKING:
    from pathlib import Path

EDGE = 32
"""Side of the square that the nets look at, pixels."""
SIZE = {"height": EDGE, "width": EDGE}
SPREAD, DEGREES = 1.5, 50.0
MARKS = {"model_max_length": 8, "pad_token": "[PAD]"}
VIT: dict[str, Any] = {
    "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "mlp_ratio": 2,
}  # fmt: skip


def save_depth(name: str, folder: Path, **config: Any) -> Path:
    """Save the net `name`, a type of transformers or `marigold`; equal every time."""
    torch.manual_seed(3)
    if name == "marigold":
        quiet_libraries("diffusers")
        _marigold(**config).save_pretrained(folder)
        return folder
    quiet_libraries("transformers")
    net, processor = NETS[name](**config)
    with torch.no_grad():
        for weight in net.parameters():
            if weight.ndim > 1:
                # Nets at the start of their training give the same depth for every picture.
                weight.normal_(0.0, SPREAD / weight[0].numel() ** 0.5)
        if name == "depth_pro" and net.use_fov_model:
            net.fov_model.head.layers[-1].bias.fill_(DEGREES)
    net.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def save_ppd(folder: Path) -> Path:
    """Save a Pixel-Perfect Depth and the GLPN of its prompts; equal every time."""
    from imgtool_defocus.ppd.checkpoint import save_ppd as save
    from imgtool_defocus.ppd.config import SIZES
    from imgtool_defocus.ppd.net import CascadeTransformer
    from imgtool_defocus.ppd.semantics import fingerprint

    encoder = fingerprint(save_depth("glpn", folder / "semantics"))
    torch.manual_seed(3)
    save(CascadeTransformer(replace(SIZES["tiny"], semantics=32, encoder=encoder)), folder)
    return folder


def _dpt_processor(**settings: Any) -> Any:
    from transformers.models.dpt.image_processing_pil_dpt import DPTImageProcessorPil

    return DPTImageProcessorPil(size=SIZE, keep_aspect_ratio=False, **settings)


def _dinov2(**config: Any) -> Any:
    from transformers import Dinov2Config

    given = VIT | {"image_size": EDGE, "patch_size": 8} | config
    return Dinov2Config(**given, reshape_hidden_states=False)


def _depth_anything(**config: Any) -> tuple[Any, Any]:
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

    backbone = _dinov2(out_indices=[1, 2, 3, 4], apply_layernorm=True)
    net = DepthAnythingForDepthEstimation(
        DepthAnythingConfig(
            backbone_config=backbone, patch_size=8, reassemble_hidden_size=16,
            neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, head_hidden_size=8, **config,
        )
    )  # fmt: skip
    return net, _dpt_processor(ensure_multiple_of=8)


def _dpt(**config: Any) -> tuple[Any, Any]:
    from transformers import DPTConfig, DPTForDepthEstimation

    net = DPTForDepthEstimation(
        DPTConfig(
            hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
            image_size=EDGE, patch_size=8, backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, use_auxiliary_head=False,
            **config,
        )
    )  # fmt: skip
    return net, _dpt_processor()


def _zoedepth(**config: Any) -> tuple[Any, Any]:
    from transformers import (
        BeitConfig,
        ZoeDepthConfig,
        ZoeDepthForDepthEstimation,
    )
    from transformers.models.zoedepth.image_processing_pil_zoedepth import (
        ZoeDepthImageProcessorPil,
    )

    backbone = BeitConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32,
        image_size=EDGE, patch_size=8, out_indices=[1, 2, 3, 4], reshape_hidden_states=False,
        use_relative_position_bias=True,
    )  # fmt: skip
    net = ZoeDepthForDepthEstimation(
        ZoeDepthConfig(
            backbone_config=backbone, backbone_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8],
            fusion_hidden_size=8, bottleneck_features=8, num_relative_features=8,
            bin_embedding_dim=8, num_attractors=[4, 2, 2, 1], readout_type="project", **config,
        )
    )  # fmt: skip
    return net, ZoeDepthImageProcessorPil(size=SIZE, keep_aspect_ratio=False, ensure_multiple_of=8)


def _depth_pro(**config: Any) -> tuple[Any, Any]:
    from transformers import DepthProConfig, DepthProForDepthEstimation

    backbone = _dinov2(image_size=16, patch_size=4, num_hidden_layers=2)
    net = DepthProForDepthEstimation(
        DepthProConfig(
            image_model_config=backbone.to_dict(), patch_model_config=backbone.to_dict(),
            fov_model_config=backbone.to_dict(), patch_size=16, fusion_hidden_size=8,
            scaled_images_ratios=[0.5, 1.0], scaled_images_overlap_ratios=[0.0, 0.25],
            scaled_images_feature_dims=[8, 8], intermediate_hook_ids=[1, 0],
            intermediate_feature_dims=[8, 8], **{"use_fov_model": True} | config,
        )
    )  # fmt: skip
    return net, _dpt_processor()


def _glpn(**config: Any) -> tuple[Any, Any]:
    from transformers import GLPNConfig, GLPNForDepthEstimation

    net = GLPNForDepthEstimation(
        GLPNConfig(
            hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], sr_ratios=[4, 2, 1, 1],
            num_attention_heads=[1, 1, 1, 1], mlp_ratios=[2, 2, 2, 2], decoder_hidden_size=8,
            max_depth=4, **config,
        )
    )  # fmt: skip
    return net, _dpt_processor()


NETS = {
    "depth_anything": _depth_anything, "dpt": _dpt, "zoedepth": _zoedepth,
    "depth_pro": _depth_pro, "glpn": _glpn,
}  # fmt: skip


def _marigold(prediction_type: str = "depth") -> Any:
    """Marigold over an autoencoder whose cells are 4×4 pixels."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from diffusers.pipelines.marigold.pipeline_marigold_depth import MarigoldDepthPipeline
    from tokenizers import Tokenizer, models
    from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

    vae = AutoencoderKL(
        block_out_channels=(8, 8, 16), latent_channels=4, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1, sample_size=EDGE,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=8, out_channels=4, block_out_channels=(8, 16),
        layers_per_block=1, norm_num_groups=4, cross_attention_dim=16, attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    text = CLIPTextConfig(
        vocab_size=4, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=8, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, projection_dim=16,
    )  # fmt: skip
    words = {"[PAD]": 0, "[BOS]": 1, "[EOS]": 2, "[UNK]": 3}
    core = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106 - no password
    core.post_processor = _bounded()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **MARKS)
    return MarigoldDepthPipeline(
        unet=unet.eval(), vae=vae.eval(), text_encoder=CLIPTextModel(text).eval(),
        scheduler=DDIMScheduler(clip_sample=False, prediction_type="v_prediction"),
        tokenizer=tokenizer, prediction_type=prediction_type, default_denoising_steps=2,
        default_processing_resolution=EDGE,
    )  # fmt: skip


def _bounded() -> Any:
    from tokenizers import processors

    marks = [("[BOS]", 1), ("[EOS]", 2)]
    return processors.TemplateProcessing(single="[BOS] $A [EOS]", special_tokens=marks)


def save_finder(name: str, folder: Path) -> Path:
    """Save a finder of what is named, `clip` or `clipseg`; equal every time."""
    from tokenizers import Tokenizer, models
    from transformers import (
        CLIPConfig,
        CLIPModel,
        CLIPSegConfig,
        CLIPSegForImageSegmentation,
        PreTrainedTokenizerFast,
    )
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    torch.manual_seed(3)
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
    text = tower | {"vocab_size": 6, "num_hidden_layers": 1, "max_position_embeddings": 8,
                    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
    vision = tower | {"num_hidden_layers": 2, "image_size": EDGE, "patch_size": 8}
    shape: dict[str, Any] = {"text_config": text, "vision_config": vision, "projection_dim": 16}
    if name == "clip":
        CLIPModel(CLIPConfig(**shape)).save_pretrained(folder)
    else:
        decoder = {"extract_layers": [0, 1], "reduce_dim": 8, "decoder_num_attention_heads": 2,
                   "decoder_intermediate_size": 16}  # fmt: skip
        CLIPSegForImageSegmentation(CLIPSegConfig(**shape, **decoder)).eval().save_pretrained(
            folder
        )
    words = {"[PAD]": 0, "[BOS]": 1, "[EOS]": 2, "[UNK]": 3, "red": 4, "cube": 5}
    core = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))  # noqa: S106 - no password
    core.post_processor = _bounded()
    PreTrainedTokenizerFast(tokenizer_object=core, **MARKS).save_pretrained(folder)
    ViTImageProcessorPil(size=SIZE).save_pretrained(folder)
    return folder
