"""`sr.diffusers` on tiny random pipelines of each class that diffusers ships."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from imgtool.api import Batch, ModelUnusable, Runtime
from imgtool_sr.diffusion import Diffusers, DiffusersParams
from imgtool_sr.tiny import save_ldm
from imgtool_sr.upscalers import SCALES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def clip(width: int) -> dict[str, Any]:
    """A text tower of one layer, and a tokenizer of three words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

    vocab = {word: at for at, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", "red", "cube"])}
    core = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", model_max_length=8,
    )  # fmt: skip
    config = CLIPTextConfig(
        hidden_size=width, intermediate_size=width, num_attention_heads=2, num_hidden_layers=1,
        vocab_size=8, max_position_embeddings=8, bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    return {"text_encoder": CLIPTextModel(config).eval(), "tokenizer": tokenizer}


def vae(blocks: int, **config: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(4,) * blocks, latent_channels=4, norm_num_groups=2, layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks, **config,
    ).eval()  # fmt: skip


def upscale(folder: Path) -> None:
    from diffusers import (
        DDIMScheduler,
        DDPMScheduler,
        StableDiffusionUpscalePipeline,
        UNet2DConditionModel,
    )

    unet = UNet2DConditionModel(
        in_channels=7, out_channels=4, block_out_channels=(8, 8), layers_per_block=1,
        norm_num_groups=4, cross_attention_dim=8, attention_head_dim=4, num_class_embeds=1000,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    StableDiffusionUpscalePipeline(
        vae=vae(3, scaling_factor=0.08333), unet=unet, scheduler=DDIMScheduler(),
        low_res_scheduler=DDPMScheduler(), **clip(8),
    ).save_pretrained(folder)  # fmt: skip


def latent(folder: Path) -> None:
    from diffusers import (
        EulerDiscreteScheduler,
        StableDiffusionLatentUpscalePipeline,
        UNet2DConditionModel,
    )

    unet = UNet2DConditionModel(
        in_channels=8, out_channels=5, block_out_channels=(32, 32, 64, 64), norm_num_groups=None,
        cross_attention_dim=8, attention_head_dim=8, act_fn="gelu", time_cond_proj_dim=136,
        time_embedding_type="fourier", timestep_post_act="gelu", conv_in_kernel=1,
        conv_out_kernel=1, resnet_time_scale_shift="scale_shift", mid_block_type=None,
        only_cross_attention=False,
        down_block_types=("KDownBlock2D", *("KCrossAttnDownBlock2D",) * 3),
        up_block_types=(*("KCrossAttnUpBlock2D",) * 3, "KUpBlock2D"),
    )  # fmt: skip
    StableDiffusionLatentUpscalePipeline(
        vae=vae(4), unet=unet, scheduler=EulerDiscreteScheduler(prediction_type="sample"),
        **clip(8),
    ).save_pretrained(folder)  # fmt: skip


# Euler's schedule asks NumPy to convert a tensor, by a protocol that torch does not speak whole.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
MAKERS: dict[str, Callable[[Path], Any]] = dict(
    zip(SCALES, (upscale, latent, save_ldm), strict=True)
)


@pytest.fixture(scope="module", params=SCALES)
def stage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Diffusers]:
    folder = tmp_path_factory.mktemp("upscaler")
    torch.manual_seed(0)
    MAKERS[request.param](folder)
    stage = Diffusers()
    params = DiffusersParams(
        model=str(folder), steps=2, tile=64, overlap=16, tile_batch=3, noise_level=5
    )
    stage.open(params, Runtime(device="cpu", dtype="float32"))
    yield stage
    stage.close()


def batch(*sizes: tuple[int, int], seed: int = 3) -> Batch:
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    ids = tuple(str(at) for at in range(len(sizes)))
    return Batch(
        ids, {"image": images, "seed": [seed] * len(ids), "prompt": ["red cube"] * len(ids)}
    )


def test_every_side_is_that_many_times_as_long(stage: Diffusers) -> None:
    made = stage.process(batch((37, 90), (1, 1)))
    scale = stage.native

    assert [image.shape for image in made.arrays("image")] == [
        (37 * scale, 90 * scale, 3),
        (scale, scale, 3),
    ]
    assert made["sr"][0]["pipeline"] in SCALES  # type: ignore[index,call-overload]


def test_noise_is_the_rows_own(stage: Diffusers) -> None:
    together = stage.process(batch((40, 90), (20, 20))).arrays("image")[0]
    alone = stage.process(batch((40, 90))).arrays("image")[0]
    other = stage.process(batch((40, 90), seed=4)).arrays("image")[0]

    assert np.abs(together.astype(int) - alone).max() <= 1
    assert (other != alone).any()


@pytest.mark.parametrize("name", SCALES)
def test_half_precision_gives_pictures_too(name: str, tmp_path: Path) -> None:
    MAKERS[name](tmp_path)
    stage = Diffusers()
    params = DiffusersParams(model=str(tmp_path), steps=1, tile=64, noise_level=5)
    stage.open(params, Runtime(device="cpu", dtype="bfloat16"))
    made = stage.process(batch((20, 20)))
    stage.close()

    assert dict(made.failures) == {}
    assert made.arrays("image")[0].shape == (20 * stage.native, 20 * stage.native, 3)


def test_other_pipelines_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "DDPMPipeline"}')
    stage = Diffusers()
    with pytest.raises(ModelUnusable, match="DDPMPipeline, which does not enlarge"):
        stage.open(DiffusersParams(model=str(tmp_path)), Runtime(device="cpu"))
    with pytest.raises(ModelUnusable, match="no pipeline is named"):
        stage.open(DiffusersParams(), Runtime(device="cpu"))
