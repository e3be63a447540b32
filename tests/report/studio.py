"""Runs of the toy plugin, made once, and the pages about them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from warm.client import read_at_start

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "</script><img src=x onerror=\"alert('no')\"> it's {{title}} & $HOME `id` \u2028 \\"
PIPELINES = """
[search]
seed = 5
[[search.stage]]
use = "upper.toy"
[[search.stage]]
use = "draw"
n = 3
[[search.stage]]
use = "score.red"
[[search.stage]]
use = "select.best"
by = "score.red"

[plain]
seed = 5
[[plain.stage]]
use = "draw"
[[plain.stage]]
use = "score.red"
"""


@dataclass(frozen=True)
class Studio:
    """A folder with a store of runs.

    Attributes
    ----------
    folder : holds `s.zarr` with runs `search`, `plain-tint=none` and `plain-tint=red`.
    search, sweep : the page about the first run, and about the two others.
    """

    folder: Path
    env: dict[str, str]

    @property
    def store(self) -> Path:
        return self.folder / "s.zarr"

    @property
    def search(self) -> Path:
        return self.folder / "search.html"

    @property
    def sweep(self) -> Path:
        return self.folder / "sweep.html"

    def imgtool(self, *arguments: str, status: int = 0) -> str:
        """Run the command; what it wrote to stderr."""
        done = subprocess.run(
            [self.folder / "bin" / "imgtool", *arguments], cwd=self.folder, env=self.env,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        return done.stderr


@pytest.fixture(scope="session")
def studio(toy_site: Path, tmp_path_factory: pytest.TempPathFactory, light_bin: Path) -> Studio:
    """Runs and pages that tests read and never write."""
    folder = tmp_path_factory.mktemp("studio")
    (folder / "bin").symlink_to(light_bin)
    env = {
        **read_at_start(os.environ), "PATH": f"{folder / 'bin'}:/usr/bin:/bin", "HOME": str(folder),
        "IMGTOOL_CACHE": str(folder / "cache"), "IMGTOOL_CONFIG": str(folder / "config"),
        "PYTHONPATH": str(toy_site), "IMGTOOL_PLUGINS": "toy-stages",
    }  # fmt: skip
    made = Studio(folder, env)
    (folder / "pipelines.toml").write_text(PIPELINES)
    rows = [{"prompt": text} for text in (HOSTILE, "a cube", "a ball")]
    (folder / "search.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "plain.txt").write_text("a cube\nplease fail\na ball\na cone\n")
    to = ("--store", "s.zarr", "--progress", "none", "-o", "out/{id}.png")
    made.imgtool("run", "search", "search.jsonl", "--name", "search", *to)
    sweep = ("--sweep", "draw.tint=none,red", "--batch", "2")
    made.imgtool("run", "plain", "plain.txt", "--name", "plain", *sweep, *to, status=1)
    made.imgtool("report", "s.zarr", "--run", "search", "-o", "search.html")
    made.imgtool("report", "s.zarr", "--run", "plain-*", "-o", "sweep.html")
    return made


def data_of(page: Path) -> Any:
    """What a page's script reads."""
    text = page.read_text(encoding="utf-8")
    return json.loads(text.partition('id="data">')[2].partition("</script>")[0])
