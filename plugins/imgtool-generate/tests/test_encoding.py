"""The text encoder by itself gives what the pipeline gives, and is known by its files."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import torch

from imgtool.api import ModelUnusable
from imgtool.runtime.context import Runtime
from imgtool_generate.encoding import load_text_encoder, text_encoder_mark
from imgtool_generate.loading import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Folder = Callable[[str], Path]


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """A runtime that lets go of its models."""
    made = Runtime(device="cpu").for_stage()
    yield made
    made.release()


def change_weights(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-64] + bytes(range(64)))


@pytest.mark.parametrize("prompt", ["a red cube", "", "a red cube on a table " * 8])
def test_vectors_are_those_of_the_pipeline(
    prompt: str, tiny_folder: Folder, runtime: Runtime
) -> None:
    ref = str(tiny_folder("sd"))
    encoder = load_text_encoder(runtime, ref)
    pipe = load_pipeline(ref, (), "none", runtime)
    want = pipe.encode_prompt(prompt, "cpu", 1, False)[0][0].detach()
    found = encoder.encode(encoder.padded(encoder.tokens(prompt)))
    torch.testing.assert_close(found, want)


def test_mark_follows_the_text_encoder_and_nothing_else(
    tiny_folder: Folder, runtime: Runtime, tmp_path: Path
) -> None:
    one = shutil.copytree(tiny_folder("sd"), tmp_path / "one")
    two = shutil.copytree(tiny_folder("sd"), tmp_path / "two")
    change_weights(one / "unet" / "diffusion_pytorch_model.safetensors")
    marks = [text_encoder_mark(str(path), runtime) for path in (one, two)]
    assert marks[0] == marks[1]
    change_weights(two / "text_encoder" / "model.safetensors")
    assert text_encoder_mark(str(two), runtime) != marks[1]


def test_model_of_two_text_encoders_is_refused(tiny_folder: Folder, runtime: Runtime) -> None:
    with pytest.raises(ModelUnusable, match="one CLIP text encoder alone"):
        load_text_encoder(runtime, str(tiny_folder("sdxl")))
