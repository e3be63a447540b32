"""Makes docs/report.png: a report of a real sweep, two of its pictures side by side.

    python docs/report_picture.py

The pictures are made by the embedded model in a folder of their own; Chromium must be installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "tests" / "report"))

from browser import CHROMIUM, browser  # noqa: E402

PIPELINES = """
[cubes]
model = "tabletop"
[[cubes.stage]]
use = "rewrite.template"
[[cubes.stage]]
use = "generate"
n = 4
[[cubes.stage]]
use = "score.clip"
model = "tabletop/clip"
[[cubes.stage]]
use = "select.best"
by = "score.clip"
"""
PROMPT = "a {red|blue} cube left of a yellow cone"
COMMANDS = (
    ["run", "cubes", PROMPT, "--sweep", "generate.guidance=1,4", "--store", "s.zarr",
     "--name", "cubes", "--json"],
    ["report", "s.zarr", "--run", "cubes-*", "-o", "report.html"],
)  # fmt: skip
COLOURS = 256


def main() -> None:
    """Run the commands, open the page, compare two pictures, and photograph it."""
    if not CHROMIUM:
        raise SystemExit("Chromium is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "pipelines.toml").write_text(PIPELINES)
        env = {**os.environ, "IMGTOOL_CACHE": str(folder / "cache")}
        for arguments in COMMANDS:
            command = [sys.executable, "-m", "imgtool", *arguments]
            subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
        with browser(folder / "profile") as tab:
            tab.resize(1280, 800)
            tab.open(folder / "report.html")
            tab.press("j", "j", "Enter", "s")
            tab.wait("[...document.querySelectorAll('.leaf img')].some((n) => n.naturalWidth)")
            tab.photograph(folder / "report.png")
        picture = Image.open(folder / "report.png").convert("RGB")
        picture.quantize(COLOURS).save(DOCS / "report.png", optimize=True)


if __name__ == "__main__":
    main()
