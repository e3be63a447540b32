"""LoRAs and their weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from imgtool.api import Batch, ModelUnusable
from imgtool_generate.decode import DecodeVae
from imgtool_generate.decode import Params as DecodeParams
from imgtool_generate.stage import Diffusers, Params

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE = Batch(("a",), {"prompt": ["a red cube"], "seed": [3]})


@pytest.fixture
def draw(
    tiny_folder: Callable[[str], Path], opened: Callable[..., Any]
) -> Callable[..., np.ndarray]:
    """Latents of one row by the tiny SD model with some LoRAs."""

    def latents(*lora: str) -> np.ndarray:
        params = Params(model=str(tiny_folder("sd")), steps=2, lora=lora)
        return opened(Diffusers, params).process(ONE)["latents"][0]

    return latents


@pytest.fixture
def lora(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A LoRA on disk."""
    pytest.importorskip("peft")
    import tiny

    return tiny.save_lora(tiny_folder("sd"), tmp_path / "style.safetensors")


def test_weight_decides_how_much_a_lora_acts(draw: Callable[..., np.ndarray], lora: Path) -> None:
    none, zero, half, full = draw(), draw(f"{lora}:0"), draw(f"{lora}:0.5"), draw(str(lora))
    assert np.array_equal(none, zero)
    assert 0 < np.abs(half - none).mean() < np.abs(full - none).mean()


def test_a_lora_stays_out_of_other_stages(draw: Callable[..., np.ndarray], lora: Path) -> None:
    before = draw()
    draw(str(lora))
    assert np.array_equal(before, draw())


def test_loras_add_up(draw: Callable[..., np.ndarray], lora: Path) -> None:
    twice, double = draw(f"{lora}:0.25", f"{lora}:0.25"), draw(f"{lora}:0.5")
    np.testing.assert_allclose(twice, double, atol=1e-3)


def test_a_lora_that_names_its_base_is_a_model_with_a_scheduler_of_its_own(
    tiny_folder: Callable[[str], Path],
    opened: Callable[..., Any],
    lora: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    snapshots = tmp_path / "hub" / "models--owner--sd" / "snapshots"
    snapshots.mkdir(parents=True)
    (snapshots / "main").symlink_to(tiny_folder("sd"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    turbo = tmp_path / "turbo"
    (turbo / "scheduler").mkdir(parents=True)
    lora.rename(turbo / "pytorch_lora_weights.safetensors")
    own = json.loads((tiny_folder("sd") / "scheduler" / "scheduler_config.json").read_text())
    own |= {"_class_name": "LCMScheduler", "original_inference_steps": 4}
    (turbo / "scheduler" / "scheduler_config.json").write_text(json.dumps(own))
    advice = {"base": "owner/sd", "steps": 4, "guidance": 1}
    (turbo / "imgtool.json").write_text(json.dumps(advice))

    fast = opened(Diffusers, Params(model=str(turbo))).process(ONE)
    by_hand = Params(
        model=str(tiny_folder("sd")), lora=(str(turbo / "pytorch_lora_weights.safetensors"),),
        steps=4, guidance=1, scheduler="lcm",
    )  # fmt: skip
    slow = opened(Diffusers, by_hand).process(ONE)
    picture = opened(DecodeVae, DecodeParams(model=str(turbo))).process(fast)

    assert (fast["sampler"][0], fast["steps"][0]) == ("LCMScheduler", 4)
    assert not np.array_equal(fast["latents"][0], slow["latents"][0])
    (turbo / "scheduler" / "scheduler_config.json").unlink()
    (turbo / "scheduler").rmdir()
    same = opened(Diffusers, Params(model=str(turbo), scheduler="lcm")).process(ONE)
    np.testing.assert_allclose(same["latents"][0], slow["latents"][0], atol=1e-5)
    assert picture["image"][0].ndim == 3


def test_a_lora_of_another_family_is_refused(
    draw: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    layer = "transformer.single_transformer_blocks.0.attn.to_q"
    parts = {"lora_A": (2, 8), "lora_B": (8, 2)}
    file = tmp_path / "flux.safetensors"
    save_file({f"{layer}.{part}.weight": torch.ones(size) for part, size in parts.items()}, file)

    with pytest.raises(ModelUnusable, match="has no weights for StableDiffusionPipeline"):
        draw(str(file))


def test_pickled_lora_is_refused(draw: Callable[..., np.ndarray], tmp_path: Path) -> None:
    (tmp_path / "style.bin").write_bytes(b"x")
    with pytest.raises(ModelUnusable, match="pickle"):
        draw(f"{tmp_path / 'style.bin'}:0.5")
