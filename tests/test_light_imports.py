"""What must start fast loads nothing heavy. Each case is a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch", "numpy", "zarr", "pydantic", "diffusers", "transformers", "scipy", "PIL", "xformers",
)  # fmt: skip

REPORT = f"""
import sys
loaded = {{name.partition(".")[0] for name in sys.modules}}
sys.stderr.write("HEAVY:" + ",".join(sorted(loaded & set({HEAVY!r}))) + "\\n")
"""

COMMANDS = [["--help"], ["--version"], ["sr", "--help"], ["run", "--help"], ["stages"], ["models"]]


def heavy_after(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    reports = [line for line in result.stderr.splitlines() if line.startswith("HEAVY:")]
    assert reports, result.stderr
    return reports[-1].removeprefix("HEAVY:")


@pytest.mark.parametrize(
    "module",
    ["api", "registry", "pipeline", "params", "stages", "batch", "hookspecs", "engine.events"],
)
def test_module_is_light(module: str) -> None:
    assert heavy_after(f"import imgtool.{module}\n{REPORT}") == ""


def test_loading_the_registry_is_light() -> None:
    code = f"from imgtool.registry import Registry\nRegistry.load().components('stage')\n{REPORT}"
    assert heavy_after(code) == ""


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_command_is_light(arguments: list[str]) -> None:
    code = f"""
import sys
sys.argv = ["imgtool", *{arguments!r}]
from imgtool.cli.main import main
try:
    main()
except SystemExit:
    pass
{REPORT}
"""
    assert heavy_after(code) == ""
