"""LoRAs and their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from imgtool.api import Batch, ModelUnusable
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


def test_pickled_lora_is_refused(draw: Callable[..., np.ndarray], tmp_path: Path) -> None:
    (tmp_path / "style.bin").write_bytes(b"x")
    with pytest.raises(ModelUnusable, match="pickle"):
        draw(f"{tmp_path / 'style.bin'}:0.5")
