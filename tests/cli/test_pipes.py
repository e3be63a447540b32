"""Commands in pipes, as real processes: streams, cuts, closed pipes, signals, statuses."""

from __future__ import annotations

import array
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
import time
from typing import IO, TYPE_CHECKING

import pytest
from PIL import Image

from imgtool.unnamed import unnamed_store

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Imgtool

FULL_PIPE = 60_000  # bytes, of 65536: what comes next may be too long for the rest
COMMAND = [sys.executable, "-m", "imgtool"]


def start(
    *arguments: str, stdin: int | IO[bytes] | None = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """A command with both outputs piped."""
    return subprocess.Popen(
        [*COMMAND, *arguments], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def waiting(pipe: IO[bytes]) -> int:
    """Bytes in a pipe that nobody has read yet."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def test_a_pipe_carries_rows_to_the_next_stage(imgtool: Imgtool) -> None:
    first = imgtool("upper", "a", "b")

    second = imgtool("draw", "-n", "2", "--json", stdin=first.out)

    assert (first.status, second.status) == (0, 0)
    rows = [json.loads(line) for line in second.lines]
    assert [(row["id"], row["prompt"]) for row in rows] == [
        ("0.0", "A"), ("0.1", "A"), ("1.0", "B"), ("1.1", "B"),
    ]  # fmt: skip


def test_a_bound_field_goes_to_every_row_of_a_pipe(imgtool: Imgtool, world: Path) -> None:
    Image.new("RGB", (4, 4)).save(world / "p.png")

    for given in ("a\nb\n", imgtool("upper", "a", "b").out):
        answer = imgtool("draw", "--image", "p.png", "--json", stdin=given)
        rows = [json.loads(line) for line in answer.lines]
        assert [row["prompt"].upper() for row in rows] == ["A", "B"], answer.err


def test_what_is_bound_is_a_row_where_a_pipe_brings_none(imgtool: Imgtool, world: Path) -> None:
    (world / "empty").touch()
    command = ["upper", "--prompt", "a cat", "--json"]

    outs = [imgtool(*command, stdin=given).out for given in (None, "", "\n \n")]
    with (world / "empty").open("rb") as file:
        outs.append(subprocess.check_output([*COMMAND, *command], stdin=file, text=True))

    assert [json.loads(out)["prompt"] for out in outs] == ["A CAT"] * 4


def test_a_pipe_is_left_alone_where_all_that_is_needed_is_bound(world: Path) -> None:
    reads, writes = os.pipe()  # whose end nobody closes, as that of some shells afar
    said = subprocess.check_output(
        [*COMMAND, "upper", "--prompt", "a cat", "--json"], stdin=reads, text=True, timeout=60
    )
    for end in (reads, writes):
        os.close(end)

    assert json.loads(said)["prompt"] == "A CAT"


def test_a_stream_has_header_rows_batches_and_trailer(imgtool: Imgtool) -> None:
    lines = [json.loads(line) for line in imgtool("upper", "a", "b", "c", "--batch", "2").lines]

    assert (lines[0]["imgtool"], lines[0]["version"]) == ("stream", 1)
    assert lines[0]["fields"] == ["prompt", "seed", "source_prompt"]
    assert [line["rows"] for line in lines if "batch" in line] == [2, 1]
    assert lines[-1] == {"end": {"rows": 3, "failed": 0}}


def test_columns_named_as_the_streams_own_words_go_through_a_pipe(imgtool: Imgtool) -> None:
    rows = [{"prompt": text, "batch": "spring", "end": {"rows": 0}} for text in "ab"]
    first = imgtool("upper", "-", stdin="".join(json.dumps(row) + "\n" for row in rows))

    second = imgtool("upper", "--json", stdin=first.out)

    assert (first.status, second.status) == (0, 0)
    found = [json.loads(line) for line in second.lines]
    assert [(row["prompt"], row["batch"], row["end"]) for row in found] == [
        ("A", "spring", {"rows": 0}), ("B", "spring", {"rows": 0}),
    ]  # fmt: skip


def test_rows_appear_while_the_command_still_runs(world: Path) -> None:
    process = start("upper", "a", "b", "--batch", "1", "--pause-s", "0.3")
    assert process.stdout is not None

    header = json.loads(process.stdout.readline())
    row = json.loads(process.stdout.readline())
    was_running = process.poll() is None
    rest, _ = process.communicate(timeout=60)

    assert header["imgtool"] == "stream"
    assert row["prompt"] == "A"
    assert was_running
    assert b'"end"' in rest


def test_a_cut_stream_is_finished_and_gives_status_3(imgtool: Imgtool) -> None:
    whole = imgtool("upper", "a", "b", "--batch", "1").out.splitlines(keepends=True)

    answer = imgtool("draw", "--json", stdin="".join(whole[:3]))

    assert answer.status == 3
    assert [json.loads(line)["id"] for line in answer.lines] == ["0"]
    assert "ended early" in answer.err


def test_a_stopped_command_leaves_its_stream_without_trailer(imgtool: Imgtool) -> None:
    first = imgtool("draw", "fine", "please fail", "--batch", "1", "--on-error", "stop")

    assert first.status == 3
    assert '"end"' not in first.out
    assert imgtool("score.red", "--json", stdin=first.out).status == 3


def test_a_closed_pipe_is_quiet_and_141(world: Path) -> None:
    (world / "many.txt").write_text("word\n" * 400)
    process = start("upper", "many.txt", "--batch", "1", "--json")
    assert process.stdout is not None
    assert process.stderr is not None

    process.stdout.readline()
    process.stdout.close()
    status = process.wait(timeout=60)

    assert status == 141
    assert process.stderr.read() == b""
    process.stderr.close()


def test_ctrl_c_is_130_and_the_same_command_goes_on(imgtool: Imgtool, world: Path) -> None:
    (world / "some.txt").write_text("\n".join(f"word {n}" for n in range(40)))
    command = ["upper", "some.txt", "--batch", "1", "--pause-s", "0.05", "--store", "s.zarr"]
    process = start(*command)
    assert process.stdout is not None

    for _ in range(3):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    again = imgtool(*command, "--json")

    assert process.returncode == 130
    assert b"Traceback" not in err
    assert err.startswith(b"error: interrupted")
    assert (again.status, len(again.lines)) == (0, 40)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("lines", [1000, 20_000])  # the run is over, or waits for the reader too
def test_a_reader_that_reads_no_more_does_not_keep_a_command_from_being_stopped(
    world: Path, lines: int, how: signal.Signals
) -> None:
    (world / "many.txt").write_text("".join(f"word {n}\n" for n in range(lines)))
    process = start("upper", "many.txt", "--batch", "40", "--json")
    assert process.stdout is not None
    assert process.stderr is not None

    while waiting(process.stdout) < FULL_PIPE and process.poll() is None:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(how)

    assert process.wait(timeout=20) == 130
    assert process.stderr.read().startswith(b"error: interrupted")
    process.stdout.close()
    process.stderr.close()


def test_a_stream_goes_into_another_store_when_one_is_named(imgtool: Imgtool, world: Path) -> None:
    first = imgtool("draw", "a", "--store", "one.zarr")

    second = imgtool("score.red", "--store", "two.zarr", "--json", stdin=first.out)

    assert second.status == 0
    assert "score.red" in json.loads(second.lines[0])
    assert (world / "two.zarr").is_dir()


def test_export_writes_what_comes_through_a_pipe(imgtool: Imgtool, world: Path) -> None:
    first = imgtool("draw", "a", "b")

    answer = imgtool("export", "-o", "out/", stdin=first.out)

    assert answer.status == 0
    assert sorted(p.name for p in (world / "out").iterdir()) == ["0.png", "1.png"]
    assert (answer.out, answer.err) == ("", "wrote 2 pictures to out\n")


def test_two_stages_in_a_pipe_work_at_the_same_time(world: Path) -> None:
    words = [f"w{n}" for n in range(200)]
    first = start("upper", *words, "--batch", "1", "--pause-s", "0.2")
    second = start("draw", "--json", stdin=first.stdout)
    assert first.stdout is not None
    assert second.stdout is not None
    first.stdout.close()

    assert json.loads(second.stdout.readline())["prompt"] == "W0"
    was_running = first.poll() is None
    for process in (first, second):
        process.send_signal(signal.SIGINT)
    second.communicate(timeout=60)
    _, said = first.communicate(timeout=60)

    assert was_running, said.decode()


def test_rows_of_a_stream_in_a_file_outlive_what_the_same_command_does_later(
    imgtool: Imgtool, world: Path
) -> None:
    for name, text in (("first", b"one"), ("second", b"two")):
        with (world / name).open("wb") as out:
            subprocess.run([*COMMAND, "upper"], input=text, stdout=out, check=True, timeout=60)
    imgtool("upper", stdin="two")
    (world / "third").write_text(imgtool("upper", "three").out)

    checked = unnamed_store().with_name("runs.zarr.d") / "checked"
    checked.unlink()
    imgtool("upper", "four", env={"IMGTOOL_CACHE_LIMIT": "1"})

    shown = [imgtool("show", "-", stdin=(world / name).read_text()) for name in ("first", "second")]
    assert [answer.status for answer in shown] == [0, 0]
    assert imgtool("show", "-", stdin=(world / "third").read_text()).status == 3


def test_a_stopped_command_does_not_wait_for_rows_to_come(world: Path) -> None:
    command = [*COMMAND, "draw", "-", "--batch", "1", "--on-error", "stop"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(b"please fail\n")
    process.stdin.flush()

    assert process.wait(timeout=60) == 3
    assert process.stderr.read().startswith(b"error: stage 'draw': row 0: asked to fail")
    process.stdin.close()
    process.stderr.close()


def test_output_to_the_null_device_is_no_stream(world: Path) -> None:
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a file
        done = subprocess.run([*COMMAND, "upper", "a"], stdout=nowhere, check=False, timeout=60)

    assert done.returncode == 0


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_works_with_its_streams_closed(world: Path, closed: str) -> None:
    script = f'exec "$0" "$@" {closed}'
    command = ["sh", "-c", script, *COMMAND, "draw", "a", "-o", "a.png", "--store", "s.zarr"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert (world / "a.png").is_file()
