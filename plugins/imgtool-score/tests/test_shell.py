"""Scores through the real command: rows on stdout, one clear line and the exit status."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from chat_server import ChatServer
from PIL import Image
from tiny_scorers import pictures

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three pictures and rows that name them."""
    (tmp_path / "in").mkdir()
    lines = []
    for at, image in enumerate(pictures(3)):
        Image.fromarray(image).save(tmp_path / "in" / f"p{at}.png")
        lines.append({"id": f"p{at}", "path": f"in/p{at}.png", "prompt": f"picture {at}"})
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return tmp_path


class Imgtool(Protocol):
    """Runs `imgtool` in a folder: exit status, rows, and what was said on stderr."""

    def __call__(self, folder: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], str]: ...


@pytest.fixture
def imgtool(warm_bin: Path) -> Imgtool:
    """The real command."""

    def call(folder: Path, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        done = subprocess.run(
            [warm_bin / "imgtool", *arguments, "--json", "--progress", "none"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return call


def test_equal_picture_is_infinitely_near_and_its_record_says_so(
    imgtool: Imgtool, folder: Path
) -> None:
    status, rows, err = imgtool(folder, "score.psnr", "in/", "--reference", "in/p1.png")
    assert status == 0, err
    assert [row["score.psnr"] is None for row in rows] == [False, True, False]
    assert rows[1]["score_info.psnr"]["value"] == "infinite"


def test_row_of_another_size_fails_alone_with_status_1(imgtool: Imgtool, folder: Path) -> None:
    Image.new("RGB", (9, 9)).save(folder / "in" / "p2.png")
    status, rows, err = imgtool(folder, "score.psnr", "in/", "--reference", "in/p1.png")
    assert status == 1
    done = {row["id"]: row for row in rows}
    assert "score.psnr" in done["p0"]
    assert "--align crop" in err


def test_nothing_to_compare_with_is_a_wrong_command(imgtool: Imgtool, folder: Path) -> None:
    status, rows, err = imgtool(folder, "score.psnr", "in/")
    assert (status, rows) == (2, [])
    assert err.splitlines()[0] == "error: score.psnr: there is nothing to compare with"


def test_missing_weights_are_a_wrong_command(imgtool: Imgtool, folder: Path) -> None:
    status, rows, err = imgtool(folder, "score.lpips", "in/", "--reference", "in/")
    assert (status, rows) == (2, [])
    assert err.splitlines()[0] == "error: score.lpips: no net is named"
    assert "Traceback" not in err


def test_service_is_asked_by_the_real_command_and_nothing_twice(
    warm_bin: Path, folder: Path
) -> None:
    asked = ("--model", "", "--served", "eye", "--decompose", "given")
    lines = (folder / "rows.jsonl").read_text().splitlines()
    given = [{**json.loads(line), "questions": ["is it a picture?"]} for line in lines]
    (folder / "asked.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in given))
    read = subprocess.run(
        [warm_bin / "imgtool", "image.read", "asked.jsonl", "--store", "s.zarr"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=200,
        check=True,
    )
    (folder / "read.txt").write_bytes(read.stdout)
    with ChatServer(lambda text, picture: {"Yes": -0.1, "No": -3.0}) as server:
        for _ in range(2):
            with (folder / "read.txt").open("rb") as stream:
                done = subprocess.run(
                    [warm_bin / "imgtool", "score.vqa", *asked, "--endpoint", server.url, "--json"],
                    cwd=folder, stdin=stream, capture_output=True, text=True, timeout=200,
                    check=False,
                )  # fmt: skip
            assert done.returncode == 0, done.stderr
            rows = [json.loads(line) for line in done.stdout.splitlines()]
            assert [row["score.vqa_pass"] for row in rows] == [1.0, 1.0, 1.0]
    assert len(server.requests) == 3


def test_silent_service_stops_the_run_with_status_3(imgtool: Imgtool, folder: Path) -> None:
    with ChatServer(lambda text, picture: (404, "nobody")) as server:
        status, rows, err = imgtool(
            folder, "score.vqa", "in/", "--prompt", "a cube", "--model", "",
            "--endpoint", server.url,
        )  # fmt: skip
    assert (status, rows) == (3, [])
    assert err.splitlines()[0].endswith("answered with status 404")
