"""The embedded model through the real command: killed and gone on, and one row alone."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROMPTS = "".join(f"a {colour} cube\n" for colour in ("red", "blue", "green", "white", "black"))
RUN = ("generate", "prompts.txt", "--steps", "2", "--batch", "1", "--deterministic")
PLACES = ("--store", "s.zarr", "--name", "run", "-o", "out/{id}.png", "--progress", "none")


def started(folder: Path, python: Path, *arguments: str) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    (folder / "prompts.txt").write_text(PROMPTS)
    return subprocess.Popen(
        [python, "-m", "imgtool", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def files_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for top in ("s.zarr", "out")
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, warm_bin: Path) -> Path:
    """A folder in which the run was left alone."""
    folder = tmp_path_factory.mktemp("unbroken")
    assert started(folder, warm_bin / "python", *RUN, *PLACES).wait(120) == 0
    return folder


def test_killed_run_goes_on_to_the_same_bytes(
    unbroken: Path, tmp_path: Path, warm_bin: Path
) -> None:
    process = started(tmp_path, Path(sys.executable), *RUN, *PLACES)
    while process.poll() is None and not list(tmp_path.glob("s.zarr/generate-*/0*")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert started(tmp_path, warm_bin / "python", *RUN, *PLACES).wait(120) == 0
    assert files_of(tmp_path) == files_of(unbroken)


def test_row_alone_gives_the_picture_it_gave_in_the_run(
    unbroken: Path, tmp_path: Path, warm_bin: Path
) -> None:
    assert started(tmp_path, warm_bin / "python", *RUN, *PLACES, "--row", "3").wait(120) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["3.png"]
    alone, whole = (folder / "out" / "3.png" for folder in (tmp_path, unbroken))
    assert alone.read_bytes() == whole.read_bytes()
