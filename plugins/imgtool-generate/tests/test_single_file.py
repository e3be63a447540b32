"""Checkpoints of one file."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from imgtool.api import Batch, ModelUnusable
from imgtool_generate.decode import DecodeVae
from imgtool_generate.decode import Params as DecodeParams
from imgtool_generate.stage import Diffusers, Params

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ONE = Batch(("a",), {"prompt": ["a red cube"], "seed": [3]})


@pytest.fixture
def checkpoint(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """The tiny SD model as one file, its configuration in the folder of the same name."""
    import ldm

    path = ldm.save_single_file(tiny_folder("sd"), tmp_path / "one.safetensors")
    ignored = shutil.ignore_patterns("*.safetensors")
    shutil.copytree(tiny_folder("sd"), tmp_path / "one", ignore=ignored)
    return path


def picture(opened: Callable[..., Any], model: Path) -> np.ndarray:
    """What a model draws."""
    drawn = opened(Diffusers, Params(model=str(model), steps=2, scheduler="ddim")).process(ONE)
    return opened(DecodeVae, DecodeParams(model=str(model))).process(drawn)["image"][0]


def test_one_file_draws_what_the_folder_draws(
    checkpoint: Path, tiny_folder: Callable[[str], Path], opened: Callable[..., Any]
) -> None:
    one = picture(opened, checkpoint).astype(int)
    assert np.abs(one - picture(opened, tiny_folder("sd"))).max() <= 1


def test_one_file_without_configuration_is_refused_offline(
    checkpoint: Path, opened: Callable[..., Any]
) -> None:
    shutil.rmtree(checkpoint.with_suffix(""))
    with pytest.raises(ModelUnusable, match="cannot be loaded"):
        picture(opened, checkpoint)
