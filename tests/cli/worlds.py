"""The command line for tests, as a real process with the toy plugin; conftests import it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest
from toy import FILES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


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

    def __call__(
        self,
        *arguments: str,
        stdin: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Answer: ...


@pytest.fixture(scope="session")
def toy_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the toy plugin is installed; its specs are computed once."""
    site = tmp_path_factory.mktemp("site")
    install(site, "toy-stages", FILES)
    return site


def install(site: Path, dist: str, files: Mapping[str, str]) -> None:
    """Put a distribution into `site`: a package of `files`, `plugin.py` among them."""
    import textwrap

    package = dist.replace("-", "_")
    root, info = site / package, site / f"{package}-1.0.dist-info"
    root.mkdir()
    for name, text in {"__init__.py": "", **files}.items():
        (root / name).write_text(textwrap.dedent(text), encoding="utf-8")
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[imgtool]\n{package} = {package}.plugin\n")


@pytest.fixture
def world(toy_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, the toy plugin as the only one."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(toy_site))
    monkeypatch.setenv("IMGTOOL_PLUGINS", "toy-stages")
    return folder


@pytest.fixture
def imgtool(world: Path, light_bin: Path) -> Imgtool:
    """The real command, run in the test's folder by a process without torch."""

    def call(
        *arguments: str, stdin: str | bytes | None = None, env: Mapping[str, str] | None = None
    ) -> Answer:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [light_bin / "python", "-m", "imgtool", *arguments],
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            env={**os.environ, **(env or {})},
            timeout=120,
            check=False,
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    return call
