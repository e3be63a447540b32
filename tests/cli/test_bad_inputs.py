"""Every bad input, walked through the real command.

Each case: how the folder is prepared, the command, its status, and words that the line must hold.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from conftest import Imgtool


def nothing(folder: Path) -> None:
    """The folder is as it is."""


def text(name: str, content: str | bytes) -> Callable[[Path], None]:
    """A file."""
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: void((folder / name).write_bytes(data))


def picture(folder: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), "red").save(folder / "red.png")


def truncated_picture(folder: Path) -> None:
    picture(folder)
    whole = (folder / "red.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])


def store_of_next_year(folder: Path) -> None:
    run(folder, "draw.toy", "a", "--store", "s.zarr")
    meta = folder / "s.zarr" / "zarr.json"
    document = json.loads(meta.read_text())
    document["attributes"]["imgtool"]["format"] = 999
    meta.write_text(json.dumps(document))


def model_without_weights(folder: Path) -> None:
    (folder / "model").mkdir()
    index = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
    }
    (folder / "model" / "model_index.json").write_text(json.dumps(index))


def pickled_model(folder: Path) -> None:
    model_without_weights(folder)
    (folder / "model" / "unet").mkdir()
    (folder / "model" / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04N.")


@pytest.fixture(autouse=True)
def on_path(light_bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `imgtool` of `run`."""
    monkeypatch.setenv("PATH", f"{light_bin}{os.pathsep}{os.environ['PATH']}")


def void(_: object) -> None:
    """Forget a result."""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["imgtool", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@dataclass(frozen=True)
class Case:
    """One way to go wrong."""

    prepare: Callable[[Path], None]
    command: tuple[str, ...]
    status: int
    says: str


BAD_TOML = '[p]\n[[p.stage]]\nuse = "draw.toy\n'
MISTYPED_STAGE = '[p]\n[[p.stage]]\nuse = "drow.toy"\n'
MISTYPED_KEY = '[p]\n[[p.stage]]\nuse = "draw.toy"\nsise = 4\n'
TWICE = '{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}\n'
HOSTILE = '{"id": "../x", "prompt": "x"}\n'
HALVED = '{"prompt": "x \\ud83d"}\n'

CASES = {
    "missing file": Case(nothing, ("draw.toy", "none.txt"), 2, "none.txt"),
    "empty prompt file": Case(text("p.txt", ""), ("draw.toy", "p.txt"), 2, "no rows"),
    "truncated picture": Case(truncated_picture, ("score.red", "cut.png"), 2, "cut.png"),
    "text named as a picture": Case(
        text("not.png", "hello"), ("score.red", "not.png"), 2, "not.png"
    ),
    "bad TOML": Case(text("pipelines.toml", BAD_TOML), ("run", "p", "a"), 2, "pipelines.toml:3"),
    "unknown stage": Case(text("pipelines.toml", MISTYPED_STAGE), ("run", "p", "a"), 2, "draw.toy"),
    "unknown key": Case(text("pipelines.toml", MISTYPED_KEY), ("run", "p", "a"), 2, "size"),
    "unknown command": Case(nothing, ("drow", "a"), 2, "draw"),
    "unknown option": Case(nothing, ("draw.toy", "a", "--sise", "4"), 2, "--size"),
    "value below its limit": Case(nothing, ("draw.toy", "a", "-n", "-1"), 2, "-1"),
    "argument that is not UTF-8": Case(
        nothing, ("draw.toy", os.fsdecode(b"\xff cube")), 2, r"\xff cube"
    ),
    "prompts that are no UTF-8": Case(
        text("p.txt", b"fine\n\xff\xfe\n"), ("draw.toy", "p.txt"), 2, "p.txt"
    ),
    "id twice": Case(text("p.jsonl", TWICE), ("draw.toy", "p.jsonl"), 2, "'a'"),
    "id that climbs out": Case(text("p.jsonl", HOSTILE), ("draw.toy", "p.jsonl"), 2, "../x"),
    "prompt cut within a character": Case(
        text("p.jsonl", HALVED), ("draw.toy", "p.jsonl", "-o", "out/"), 2, "row '0': prompt holds"
    ),
    "output under a file": Case(
        text("taken", ""), ("draw.toy", "a", "-o", "taken/{id}.png"), 2, "taken"
    ),
    "output pattern of one name for all": Case(
        nothing, ("draw.toy", "a", "b", "-o", "same.png"), 2, "same.png"
    ),
    "output pattern in a form of whole numbers": Case(
        picture, ("score.red", "red.png", "-o", "{score.red:03d}.png"), 2, "{score.red:03d}"
    ),
    "store of a newer format": Case(
        store_of_next_year, ("draw.toy", "a", "--store", "s.zarr"), 2, "newer"
    ),
    "store that is a plain folder": Case(
        lambda folder: (folder / "s.zarr").mkdir(), ("store", "ls", "s.zarr"), 2, "s.zarr"
    ),
    "trace under a file": Case(
        text("taken", ""), ("draw.toy", "a", "--trace", "taken/t.json"), 2, "taken"
    ),
}
MODELS = {
    "no such model": Case(nothing, ("generate", "a", "--model", "./none/"), 2, "none"),
    "model without weights": Case(
        model_without_weights, ("generate", "a", "--model", "./model"), 2, "model"
    ),
    "pickled weights": Case(pickled_model, ("generate", "a", "--model", "./model"), 2, "pickle"),
    "negative steps": Case(nothing, ("generate", "a", "--steps", "-4"), 2, "steps"),
}


def check(case: Case, folder: Path) -> None:
    case.prepare(folder)
    done = run(folder, *case.command)
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in done.stderr
    assert len(said) == 1, done.stderr
    assert re.search(re.escape(case.says), done.stderr), done.stderr
    assert done.returncode == case.status, done.stderr
    assert len(done.stderr.splitlines()) <= 2


@pytest.mark.parametrize("name", CASES)
def test_one_line_and_the_right_status(name: str, world: Path) -> None:
    check(CASES[name], world)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_cannot_be_used_is_one_line(
    name: str, world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMGTOOL_PLUGINS")
    check(MODELS[name], world)


def test_a_prompt_of_ten_thousand_characters_is_drawn(imgtool: Imgtool, world: Path) -> None:
    (world / "p.txt").write_text("x" * 10_000 + "\n")
    answer = imgtool("draw.toy", "p.txt", "-o", "out/{id}.png", "--json")
    assert (answer.status, (world / "out" / "0.png").exists()) == (0, True)


def test_a_column_of_words_named_as_a_setting_is_kept(imgtool: Imgtool, world: Path) -> None:
    (world / "p.csv").write_text("prompt,guidance,steps\na cube,high,many\n")

    answer = imgtool("draw.toy", "p.csv", "-o", "out/{id}.png", "--json")

    assert (answer.status, (world / "out" / "0.png").exists()) == (0, True), answer.err
    assert json.loads(answer.out)["guidance"] == "high"


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A small file system at `folder`."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode:
        pytest.skip("mounting a small file system needs rights that this user lacks")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_nothing_and_the_same_command_goes_on(
    imgtool: Imgtool, world: Path
) -> None:
    command = ("draw.toy", "p.txt", "--size", "128", "--batch", "1", "--store", "small/s.zarr")
    (world / "p.txt").write_text("".join(f"prompt {i}\n" for i in range(12)))
    with mounted(world / "small", "size=300k"):
        answer = imgtool(*command)
        assert answer.status == 3, answer.err
        assert "no space left" in answer.err
        assert "Traceback" not in answer.err
        subprocess.run(["mount", "-o", "remount,size=8m", str(world / "small")], check=True)
        assert imgtool(*command).status == 0
        assert imgtool("store", "verify", "small/s.zarr").status == 0


def test_a_read_only_store_can_be_shown_but_not_written(imgtool: Imgtool, world: Path) -> None:
    command = ("draw.toy", "a", "--store", "place/s.zarr")
    with mounted(world / "place", "size=8m"):
        assert imgtool(*command).status == 0
        subprocess.run(["mount", "-o", "remount,ro", str(world / "place")], check=True)
        again = imgtool("draw.toy", "b", "--store", "place/s.zarr")
        assert (again.status, "Traceback" in again.err) == (2, False), again.err
        assert "'place/s.zarr' cannot be written" in again.err
        assert imgtool("show", "place/s.zarr").status == 0


PLUGIN = {
    "raises": ("raise RuntimeError('no luck')", "no luck"),
    "exits": ("raise SystemExit(3)", "exit"),
    "hangs": ("import time; time.sleep(600)", "3 s"),
}


@pytest.mark.parametrize("how", PLUGIN)
def test_a_plugin_broken_at_import_stops_nothing_else(
    how: str, imgtool: Imgtool, world: Path, toy_site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, says = PLUGIN[how]
    site = world / "site"
    (site / "bad_stages-1.0.dist-info").mkdir(parents=True)
    info = site / "bad_stages-1.0.dist-info"
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-stages\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[imgtool]\nbad = bad_stages\n")
    (site / "bad_stages.py").write_text(source + "\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(site), str(toy_site))))
    monkeypatch.setenv("IMGTOOL_PLUGINS", "toy-stages,bad-stages")
    monkeypatch.setenv("IMGTOOL_PLUGIN_TIMEOUT", "3")
    answer = imgtool("draw.toy", "a", "--json")
    assert answer.status == 0, answer.err
    assert "Traceback" not in answer.err
    doctor = imgtool("doctor")
    assert doctor.status == 1
    assert re.search(rf"bad-stages.*{says}", doctor.out), doctor.out
