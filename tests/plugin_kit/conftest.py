"""The real command for tests of the plugin authors' kit, in a folder with no plugin installed."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-a-stage.md"
SEPIA = re.compile(r"<!-- file: sepia.py -->\n```python\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Lines of stdout."""
        return self.out.splitlines()


class Imgtool(Protocol):
    """Runs `imgtool` as a process and waits for it."""

    def __call__(self, *arguments: str, env: Mapping[str, str] | None = None) -> Answer: ...


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in. `IMGTOOL_PLUGINS=none`: only imgtool's own stages are there."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("IMGTOOL_PLUGINS", "none")
    return folder


@pytest.fixture
def imgtool(world: Path, light_bin: Path) -> Imgtool:
    """The real command, run in the test's folder by a process without torch."""

    def call(*arguments: str, env: Mapping[str, str] | None = None) -> Answer:
        done = subprocess.run(
            [light_bin / "python", "-m", "imgtool", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, **(env or {})},
            timeout=240,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def sepia(world: Path) -> Path:
    """The stage of docs/how-to/write-a-stage.md, as a file in the test's folder."""
    (text,) = SEPIA.findall(PAGE.read_text())
    file = world / "sepia.py"
    file.write_text(text)
    return file


@pytest.fixture
def picture(world: Path) -> Path:
    """A small picture in the test's folder."""
    from PIL import Image

    file = world / "photo.png"
    Image.new("RGB", (12, 8), (10, 120, 250)).save(file)
    return file
