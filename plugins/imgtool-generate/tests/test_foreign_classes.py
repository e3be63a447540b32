"""Model folders that ask for classes from outside diffusers."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from imgtool.api import ModelUnusable
from imgtool_generate.stage import Diffusers, Params

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_module_that_no_plugin_answers_for_is_not_imported(
    tiny_folder: Callable[[str], Path], opened: Callable[..., Any], tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(tiny_folder("sd"), own)
    index = json.loads((own / "model_index.json").read_text())
    index["unet"] = ["antigravity", "UNet2DConditionModel"]
    (own / "model_index.json").write_text(json.dumps(index))

    with pytest.raises(ModelUnusable, match=r"antigravity .*has not been imported"):
        opened(Diffusers, Params(model=str(own)))
    assert "antigravity" not in sys.modules
