"""Killed runs go on, finished ones do nothing, and two at once share the work."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Imgtool

PIPELINE = """
[slow]
[[slow.stage]]
use = "upper.toy"
pause_s = 0.01
[[slow.stage]]
use = "draw.toy"
n = 2
[[slow.stage]]
use = "score.red"
[[slow.stage]]
use = "select.best"
by = "score.red"
"""
RUN = (
    "run",
    "slow",
    "prompts.txt",
    "--store",
    "s.zarr",
    "-o",
    "out/{id}.png",
    "--batch",
    "4",
    "--json",
)


def files_of(folder: Path) -> dict[str, str]:
    """Relative path to digest, of every file."""
    return {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def lay_out(folder: Path) -> Path:
    """A four-stage pipeline and sixty prompts."""
    (folder / "pipelines.toml").write_text(PIPELINE)
    (folder / "prompts.txt").write_text("".join(f"prompt {i}\n" for i in range(60)))
    return folder


@pytest.fixture
def slow(world: Path) -> Path:
    """A folder with a four-stage pipeline and sixty prompts."""
    return lay_out(world)


@pytest.fixture(scope="module")
def unbroken(toy_site: Path, light_bin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the pipeline was run; to be copied."""
    folder, home = lay_out(tmp_path_factory.mktemp("unbroken")), tmp_path_factory.mktemp("home")
    own = {
        "HOME": str(home), "IMGTOOL_CACHE": str(home / "cache"),
        "IMGTOOL_CONFIG": str(home / "config"), "IMGTOOL_PLUGINS": "toy-stages",
        "PYTHONPATH": str(toy_site),
    }  # fmt: skip
    command = [light_bin / "python", "-m", "imgtool", *RUN]
    subprocess.run(
        command, cwd=folder, env={**os.environ, **own}, stdout=subprocess.DEVNULL, check=True
    )
    return folder


@pytest.fixture
def finished(world: Path, unbroken: Path) -> Path:
    """A folder with a pipeline that was run."""
    return shutil.copytree(unbroken, world, dirs_exist_ok=True)


def batches_begun(progress: str) -> list[str]:
    """Names of the batches that a run's JSON progress says were begun; the last line may be cut."""
    lines = [line for line in progress.splitlines() if line.endswith("}")]
    events = [json.loads(line) for line in lines]
    return [event["name"] for event in events if event["event"] == "BatchStarted"]


def killed_after(seconds: float, python: Path, *arguments: str) -> list[str]:
    """Run, kill without warning, and say which batches were begun."""
    process = subprocess.Popen(
        [python, "-m", "imgtool", *arguments, "--progress", "json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    return batches_begun(process.communicate()[1])


def test_run_killed_twenty_times_ends_with_the_bytes_of_an_unbroken_one(
    slow: Path, imgtool: Imgtool, light_bin: Path
) -> None:
    began = time.monotonic()
    assert imgtool(*RUN).status == 0
    longest = time.monotonic() - began
    whole = files_of(slow / "s.zarr"), files_of(slow / "out")
    for path in ("s.zarr", "s.zarr.d", "out"):
        (slow / path).rename(slow / f"unbroken-{path}")
    rng = random.Random(4)
    delays, python = (rng.uniform(0.1, longest / 3) for _ in range(20)), light_bin / "python"
    begun = [name for delay in delays for name in killed_after(delay, python, *RUN)]
    last = imgtool(*RUN, "--progress", "json")
    begun += batches_begun(last.err)
    assert last.status == 0
    assert imgtool("store", "verify", "s.zarr").status == 0
    assert (files_of(slow / "s.zarr"), files_of(slow / "out")) == whole
    redone = len(begun) - len(set(begun))
    assert redone <= 20 * 4 * 2  # at most two batches of each stage for each kill


@pytest.mark.usefixtures("finished")
def test_finished_run_computes_nothing(imgtool: Imgtool) -> None:
    again = imgtool(*RUN, "--progress", "json")
    events = [json.loads(line) for line in again.err.splitlines() if line.startswith("{")]
    assert again.status == 0
    assert not [e for e in events if e["event"] in ("StageOpened", "BatchStarted")]
    assert len(again.lines) == 60


@pytest.mark.usefixtures("finished")
def test_changed_parameter_runs_that_stage_and_later_ones(imgtool: Imgtool) -> None:
    again = imgtool(*RUN, "--set", "score.red.x=1")
    assert again.status == 2
    again = imgtool(*RUN, "--set", "draw.toy.tint=red", "--progress", "json")
    opened = [json.loads(line)["label"] for line in again.err.splitlines() if "StageOpened" in line]
    assert sorted(opened) == ["draw.toy", "score.red", "select.best"]


def test_prompts_added_at_the_end_reuse_all_full_batches(finished: Path, imgtool: Imgtool) -> None:
    with (finished / "prompts.txt").open("a") as file:
        file.write("one more\n")
    again = imgtool(*RUN, "--progress", "json")
    computed = [e for e in again.err.splitlines() if '"BatchStarted"' in e]
    assert len(computed) == 4


@pytest.mark.usefixtures("slow")
def test_two_runs_at_once_share_the_work(light_bin: Path) -> None:
    arguments = [a for a in RUN if a not in ("-o", "out/{id}.png")]
    processes = [
        subprocess.Popen(
            [light_bin / "python", "-m", "imgtool", *arguments, "--progress", "json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    errors = [process.communicate(timeout=100)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    started_ = [
        (event["label"], event["name"])
        for text in errors
        for line in text.splitlines()
        if (event := json.loads(line))["event"] == "BatchStarted"
    ]
    assert len(started_) == len(set(started_)) == 4 * 15


def test_row_alone_gives_the_bytes_it_gave_in_the_run(finished: Path, imgtool: Imgtool) -> None:
    kept = sorted(path.name for path in (finished / "out").iterdir())[7]
    row = kept.removesuffix(".png")
    arguments = [a if a != "out/{id}.png" else "alone/{id}.png" for a in RUN]
    assert imgtool(*arguments, "--row", row).status == 0
    assert (finished / "alone" / kept).read_bytes() == (finished / "out" / kept).read_bytes()
