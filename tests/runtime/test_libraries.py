"""Libraries are kept off the terminal, and what they raise is one line that names the model."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from imgtool.api import BadParams, ModelUnusable, loading

if TYPE_CHECKING:
    from pathlib import Path

LOADS = """
from imgtool.api import quiet_libraries
{quiet}
from transformers import CLIPTextConfig, CLIPTextModel
CLIPTextModel(CLIPTextConfig(vocab_size=8, hidden_size=8, intermediate_size=8,
    num_hidden_layers=1, num_attention_heads=1)).save_pretrained({folder!r})
CLIPTextModel.from_pretrained({folder!r}, num_hidden_layers=2)
"""


def test_what_libraries_say_while_loading_is_not_said(tmp_path: Path) -> None:
    # Tests of the same process may have quieted the libraries, which programs inherit.
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_VERBOSITY")}
    loud, quiet = (
        subprocess.run(
            [sys.executable, "-c", LOADS.format(quiet=line, folder=str(tmp_path))],
            capture_output=True, text=True, check=True, env=environment,
        )
        for line in ("", 'quiet_libraries("transformers", "diffusers")')
    )  # fmt: skip

    assert "MISSING" in loud.stderr
    assert quiet.stderr == ""


def test_what_a_library_raises_names_the_model_in_one_line() -> None:
    with pytest.raises(ModelUnusable) as caught, loading("slim"):
        raise OSError("no such layer\nand more")
    assert caught.value.message == "'slim' cannot be loaded: no such layer"


def test_errors_of_our_own_and_faults_of_a_program_pass() -> None:
    with pytest.raises(BadParams), loading("slim"):
        raise BadParams("a size of 0")
    with pytest.raises(AssertionError), loading("slim"):
        raise AssertionError
