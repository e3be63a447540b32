"""Running a maker as a command does, without one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from imgtool.api import Runtime

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imgtool_prune.makers import ModelParams


def make(maker: type[Any], params: ModelParams, folder: Path) -> Mapping[str, Any]:
    """The report of what was made in `folder`."""
    runtime = Runtime(device="cpu")
    runtime.journal = folder.with_name(folder.name + ".journal")
    folder.mkdir()
    maker().make(params, {}, folder, runtime)
    report: Mapping[str, Any] = json.loads((folder / "prune_report.json").read_text())
    return report
