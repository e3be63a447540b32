"""Makefile users: real make, the example's Makefile and dependency files, without torch."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sour import place, sour_site

if TYPE_CHECKING:
    from conftest import Imgtool

__all__ = ["place", "sour_site"]  # fixtures

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "make" / "Makefile"
OWN_PROCESSES = f"IMGTOOL={sys.executable} -m imgtool"  # which die at once when they are killed
PIPELINE = '[flat]\n[[flat.stage]]\nuse = "weigh.toy"\n[[flat.stage]]\nuse = "draw.toy"\n'


@pytest.fixture(autouse=True)
def on_path(light_bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `imgtool` that make finds."""
    monkeypatch.setenv("PATH", f"{light_bin}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def garden(world: Path) -> Path:
    """A folder with the example's Makefile and no prompts yet."""
    shutil.copy(EXAMPLE, world)
    (world / "prompts").mkdir()
    return world


def plant(garden: Path, count: int) -> list[str]:
    """Prompt files; names of the pictures that they become."""
    names = [f"n{number:03}" for number in range(count)]
    for name in names:
        (garden / "prompts" / f"{name}.txt").write_text(f"prompt {name}\n")
    return [f"{name}.png" for name in names]


def command(*options: str, draw: str = "draw.toy --size 64") -> list[str]:
    return ["make", *options, f"DRAW={draw}"]


def make(*options: str, draw: str = "draw.toy --size 64") -> subprocess.CompletedProcess[str]:
    """Run make and wait; stdout holds the recipes that it ran."""
    return subprocess.run(
        command(*options, draw=draw), capture_output=True, text=True, timeout=280, check=False
    )


def recipes(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Names of the pictures whose recipe ran."""
    assert done.returncode == 0, done.stderr
    words = [line.split() for line in done.stdout.splitlines() if " -o " in line]
    return sorted(line[line.index("-o") + 1].removeprefix("out/") for line in words)


def pictures(garden: Path) -> dict[str, bytes]:
    """What stands under a picture's name."""
    return {path.name: path.read_bytes() for path in sorted((garden / "out").glob("*.png"))}


def age(garden: Path) -> None:
    """Make pictures one hour old and what they were made of two: all is well, but long ago."""
    now = time.time()
    for path in (p for p in garden.rglob("*") if p.is_file()):
        hours = 1 if path.parent.name == "out" else 2
        os.utime(path, (now - hours * 3600, now - hours * 3600))


def started(path: Path) -> None:
    """Wait until a few pictures are there."""
    for _ in range(3000):
        if path.is_dir() and len(list(path.glob("*.png"))) >= 4:
            return
        time.sleep(0.02)
    pytest.fail("make draws nothing")


def rules(path: str) -> dict[str, list[str]]:
    """Targets and prerequisites of a dependency file without strange names."""
    lines = [line for line in Path(path).read_text().splitlines() if line]
    pairs = (line.partition(":") for line in lines)
    return {target: files.split() for target, _, files in pairs}


def test_the_page_shows_the_example() -> None:
    page = (ROOT / "docs" / "how-to" / "use-a-makefile.md").read_text()
    assert f"```make\n{EXAMPLE.read_text()}```" in page


def test_eight_at_once_draw_a_hundred_pictures_and_the_next_make_does_nothing(garden: Path) -> None:
    names = plant(garden, 100)
    assert recipes(make("-j8")) == names
    assert list(pictures(garden)) == names
    assert recipes(make("-j8")) == []
    assert [p.name for p in (garden / "out").iterdir() if p.name.startswith(".")] == []


def test_a_touched_prompt_file_redoes_its_picture_alone_and_make_is_content(garden: Path) -> None:
    plant(garden, 6)
    make("-j2")
    before = pictures(garden)
    age(garden)
    (garden / "prompts" / "n003.txt").touch()
    assert recipes(make()) == ["n003.png"]  # found in the store, equal byte for byte
    assert pictures(garden) == before
    assert make("-q").returncode == 0


def test_a_changed_prompt_file_redoes_its_picture_alone(garden: Path) -> None:
    plant(garden, 6)
    make("-j2")
    before = pictures(garden)
    age(garden)
    (garden / "prompts" / "n003.txt").write_text("something longer\n")
    assert recipes(make()) == ["n003.png"]
    now = pictures(garden)
    assert [name for name in before if now[name] != before[name]] == ["n003.png"]
    assert make("-q").returncode == 0


def test_killed_make_leaves_whole_pictures_and_the_next_one_finishes(garden: Path) -> None:
    from PIL import Image

    names = plant(garden, 24)
    process = subprocess.Popen(
        command("-j8", OWN_PROCESSES),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    started(garden / "out")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    left = pictures(garden)
    for name in left:
        Image.open(garden / "out" / name).load()
    assert 0 < len(left) < 24
    finished = {path.stem for path in (garden / "out").glob("*.d")}
    assert {f"{stem}.png" for stem in finished} <= set(left)
    assert recipes(make("-j8")) == [name for name in names if name[:-4] not in finished]
    assert list(pictures(garden)) == names
    assert left.items() <= pictures(garden).items()
    assert make("-q").returncode == 0


def test_a_picture_without_its_dependency_file_is_made_again(garden: Path) -> None:
    plant(garden, 3)
    make()
    (garden / "out" / "n001.d").unlink()  # as a kill between the two files leaves it
    assert recipes(make()) == ["n001.png"]
    assert make("-q").returncode == 0


def test_pipelines_file_model_and_note_are_prerequisites(place: Path) -> None:
    shutil.copy(EXAMPLE, place)
    (place / "prompts").mkdir()
    plant(place, 2)
    header = json.dumps({"w": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    stone = place / "stone.safetensors"
    stone.write_bytes(len(header).to_bytes(8, "little") + header + b"x")
    (place / "pipelines.toml").write_text(PIPELINE)
    draw = "run flat --set weigh.toy.model=stone.safetensors"
    assert len(recipes(make(draw=draw))) == 2
    assert rules("out/n000.d") == {
        "out/n000.png": ["prompts/n000.txt", "pipelines.toml", "stone.safetensors"],
        "prompts/n000.txt": [],
        "pipelines.toml": [],
        "stone.safetensors": [],
    }
    for changed in ("pipelines.toml", "stone.safetensors"):
        age(place)
        assert make("-q", draw=draw).returncode == 0
        (place / changed).touch()
        assert len(recipes(make(draw=draw))) == 2


def test_every_picture_and_the_sheet_of_a_command_have_a_rule(
    imgtool: Imgtool, world: Path
) -> None:
    (world / "two words.txt").write_text("a\nb\n")
    (world / "note#1.md").write_text("mine")
    answer = imgtool(
        "keep.toy", "two words.txt", "--note", "note#1.md", "-n", "2",
        "-o", "out/{id}.png", "--sheet", "all.png", "--deps", "x.d", "--json",
    )  # fmt: skip
    assert answer.status == 0, answer.err
    files = "two\\ words.txt note\\#1.md"
    assert (world / "x.d").read_text() == (
        f"out/0.0.png: {files}\nout/0.1.png: {files}\nout/1.0.png: {files}\nout/1.1.png: {files}\n"
        f"all.png: {files}\n\ntwo\\ words.txt:\n\nnote\\#1.md:\n"
    )


def test_all_variants_of_a_sweep_share_the_dependency_file(imgtool: Imgtool, world: Path) -> None:
    (world / "pipelines.toml").write_text('[flat]\n[[flat.stage]]\nuse = "draw.toy"\n')
    sweep = ("--sweep", "draw.toy.size=4,8", "-o", "out/{id}.png", "--deps", "x.d", "--json")
    assert imgtool("run", "flat", "a", *sweep).status == 0
    targets = [line for line in (world / "x.d").read_text().splitlines() if line.startswith("out")]
    assert targets == [f"out/size$(or =){size}/0.png: pipelines.toml" for size in (4, 8)]


def test_pictures_out_of_a_store_depend_on_its_run(imgtool: Imgtool, world: Path) -> None:
    imgtool("draw.toy", "a", "--store", "s.zarr", "--name", "mine")
    assert imgtool("export", "s.zarr", "-o", "out/", "--deps", "x.d").status == 0
    assert rules("x.d")["out/0.png"] == ["s.zarr/runs/mine/zarr.json"]


def test_a_file_that_is_read_is_never_a_dependency_file(imgtool: Imgtool, world: Path) -> None:
    (world / "p.txt").write_text("a\n")
    answer = imgtool("draw.toy", "p.txt", "-o", "out/", "--deps", "./p.txt")
    assert answer.status == 2
    assert "'p.txt', which is read" in answer.err
    assert (world / "p.txt").read_text() == "a\n"


def test_no_dependency_file_where_nothing_is_written_or_rows_failed(
    imgtool: Imgtool, world: Path
) -> None:
    refused = imgtool("draw.toy", "a", "--deps", "x.d")
    (world / "x.d").write_text("old: words\n")
    failed = imgtool("draw.toy", "a", "please fail", "-o", "out/", "--deps", "x.d")
    assert (refused.status, failed.status) == (2, 1)
    assert "none is written" in refused.err
    assert not (world / "x.d").exists()
