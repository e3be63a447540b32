"""Tiny pipelines with random weights, one for each family, as folders that diffusers saved.

Real classes and real files; only the sizes are toys. Widths are chosen so that a picture of 32 or
64 pixels takes milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORDS = (
    "a red blue green cube sphere cone to the left right of on dark picture wooden table".split()
)


def tokenizer(length: int) -> Any:
    """A tokenizer of whole words, with the marks that CLIP and T5 use."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    marks = ["<pad>", "<s>", "</s>", "<unk>"]
    vocab = {word: at for at, word in enumerate(marks + WORDS)}
    core = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", model_max_length=length,
    )  # fmt: skip


def clip_text(width: int, projection: bool = False) -> Any:
    """A CLIP text tower of two layers."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        hidden_size=width, intermediate_size=2 * width, num_attention_heads=2, num_hidden_layers=2,
        vocab_size=32, max_position_embeddings=16, projection_dim=width, bos_token_id=1,
        eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projection else CLIPTextModel)(config).eval()


def t5(width: int) -> Any:
    """A T5 encoder of one layer."""
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2, vocab_size=32)
    ).eval()


def vae(channels: int, **config: Any) -> Any:
    """An autoencoder that halves twice, so one cell is 4x4 pixels."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8, 16), latent_channels=channels, norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1, sample_size=32, **config,
    ).eval()  # fmt: skip


def sd() -> Any:
    """Stable Diffusion."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(16, 32),
        layers_per_block=1, norm_num_groups=4, cross_attention_dim=16, attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    return StableDiffusionPipeline(
        vae=vae(4, scaling_factor=0.7), text_encoder=clip_text(16), tokenizer=tokenizer(16),
        unet=unet, scheduler=DDIMScheduler(clip_sample=False, steps_offset=1), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def sdxl() -> Any:
    """Stable Diffusion XL; its autoencoder has means and deviations of its own."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(16, 32),
        layers_per_block=1, norm_num_groups=4, cross_attention_dim=32, attention_head_dim=(2, 4),
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=64, transformer_layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    statistics = {"latents_mean": [0.1, -0.2, 0.3, 0.0], "latents_std": [0.9, 1.1, 1.2, 0.8]}
    return StableDiffusionXLPipeline(
        vae=vae(4, scaling_factor=0.5, **statistics), text_encoder=clip_text(16),
        text_encoder_2=clip_text(16, projection=True), tokenizer=tokenizer(16),
        tokenizer_2=tokenizer(16), unet=unet, scheduler=EulerDiscreteScheduler(),
        add_watermarker=False,
    )  # fmt: skip


def sd3() -> Any:
    """Stable Diffusion 3."""
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    transformer = SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_layers=1, attention_head_dim=8,
        num_attention_heads=4, joint_attention_dim=32, caption_projection_dim=32,
        pooled_projection_dim=32, out_channels=4,
    )  # fmt: skip
    return StableDiffusion3Pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae(4, scaling_factor=1.5, shift_factor=0.06, use_quant_conv=False,
                use_post_quant_conv=False),
        text_encoder=clip_text(16, True), tokenizer=tokenizer(16),
        text_encoder_2=clip_text(16, True), tokenizer_2=tokenizer(16),
        text_encoder_3=t5(32), tokenizer_3=tokenizer(16),
    )  # fmt: skip


def flux() -> Any:
    """FLUX, whose latents are packed."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=16,
        axes_dims_rope=(4, 4, 8), guidance_embeds=True,
    )  # fmt: skip
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(), transformer=transformer,
        vae=vae(4, scaling_factor=0.36, shift_factor=0.12), text_encoder=clip_text(16),
        tokenizer=tokenizer(16), text_encoder_2=t5(32), tokenizer_2=tokenizer(16),
    )  # fmt: skip


def pixart() -> Any:
    """PixArt, whose transformer also predicts a variance."""
    from diffusers import DPMSolverMultistepScheduler, PixArtAlphaPipeline, PixArtTransformer2DModel

    transformer = PixArtTransformer2DModel(
        sample_size=8, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=4,
        caption_channels=32, cross_attention_dim=32, in_channels=4, out_channels=8,
        use_additional_conditions=False,
    )  # fmt: skip
    return PixArtAlphaPipeline(
        tokenizer=tokenizer(16), text_encoder=t5(32), vae=vae(4, scaling_factor=0.4),
        transformer=transformer, scheduler=DPMSolverMultistepScheduler(),
    )  # fmt: skip


def sana() -> Any:
    """Sana, with a deep-compression autoencoder."""
    from diffusers import (
        AutoencoderDC,
        FlowMatchEulerDiscreteScheduler,
        SanaPipeline,
        SanaTransformer2DModel,
    )
    from transformers import Gemma2Config, Gemma2Model

    blocks = {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in (
            ("block_out_channels", (8, 8)), ("layers_per_block", (1, 1)),
            ("qkv_multiscales", ((), (5,))), ("block_types", ("ResBlock", "EfficientViTBlock")),
        )
    }  # fmt: skip
    encoder = Gemma2Config(
        head_dim=8, hidden_size=16, intermediate_size=32, num_attention_heads=2,
        num_hidden_layers=1, num_key_value_heads=2, vocab_size=32, max_position_embeddings=64,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    transformer = SanaTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2,
        attention_head_dim=4, num_cross_attention_heads=2, cross_attention_head_dim=4,
        cross_attention_dim=8, caption_channels=16, sample_size=32,
    )  # fmt: skip
    return SanaPipeline(
        tokenizer=tokenizer(16), text_encoder=Gemma2Model(encoder).eval(),
        vae=AutoencoderDC(latent_channels=4, attention_head_dim=2, scaling_factor=0.41, **blocks),
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
    )  # fmt: skip


FAMILIES: dict[str, Callable[[], Any]] = {
    "sd": sd, "sdxl": sdxl, "sd3": sd3, "flux": flux, "pixart": pixart, "sana": sana,
}  # fmt: skip


def save(family: str, folder: Path) -> Path:
    """Build the tiny pipeline of a family and save it; equal every time."""
    torch.manual_seed(7)
    pipe = FAMILIES[family]()
    pipe.save_pretrained(folder)
    return folder


def save_lora(model: Path, path: Path) -> Path:
    """A LoRA for the denoiser of a saved SD model, with random weights that act."""
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(8)
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet")
    unet.add_adapter(LoraConfig(r=2, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    StableDiffusionPipeline.save_lora_weights(
        path.parent, unet_lora_layers=get_peft_model_state_dict(unet), weight_name=path.name
    )
    return path
