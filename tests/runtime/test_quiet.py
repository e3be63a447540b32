"""Libraries are kept off the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

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
