"""Pipelines whose stages branch: each branch keeps to the stages that it comes from."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from worlds import install

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from conftest import Imgtool

LATENT = {
    "plugin.py": """
        from imgtool.api import Component, hookimpl

        @hookimpl
        def imgtool_components():
            where = "latent_stages.stages"
            yield Component("stage", "dream.toy", f"{where}:Dream", "Make latents.")
            yield Component("stage", "decode.toy", f"{where}:Decode", "Make pictures of latents.")
    """,
    "stages.py": """
        from dataclasses import dataclass
        from typing import Annotated

        from imgtool.api import IMAGE, LATENTS, PROMPT, Help, Stage

        @dataclass(frozen=True)
        class Params:
            model: Annotated[str, Help("Whose latents.")] = "plain"

        class Dream(Stage[Params]):
            id, version, summary = "dream.toy", 1, "Make latents."
            consumes, produces = (PROMPT,), (LATENTS,)

        class Decode(Stage[Params]):
            id, version, summary = "decode.toy", 1, "Make pictures of latents."
            consumes, produces = (LATENTS,), (IMAGE,)
            default_of_family = True
    """,
}
PIPELINE = """
[two]
[[two.stage]]
name = "r"
use = "upper.toy"
[[two.stage]]
name = "a"
use = "dream.toy"
model = "mine"
[[two.stage]]
name = "z"
use = "dream.toy"
from = "r"
model = "other"
[[two.stage]]
use = "upper.toy"
from = "a"
"""


def test_latents_of_a_branch_are_decoded_by_the_model_that_made_them(
    imgtool: Imgtool, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "latent-stages", LATENT)
    monkeypatch.setenv("PYTHONPATH", f"{os.environ['PYTHONPATH']}{os.pathsep}{tmp_path}")
    monkeypatch.setenv("IMGTOOL_PLUGINS", "toy-stages,latent-stages")
    (world / "pipelines.toml").write_text(PIPELINE)

    answer = imgtool("run", "two", "a cube", "-o", "out/", "--plan", "--json")

    assert answer.status == 0, answer.err
    last = json.loads(answer.out)["stages"][-1]
    assert (last["stage"], last["params"]["model"]) == ("decode.toy", "mine")
