"""Every error class can be met: each is provoked through the real command, as a user would.

`--progress json` and `--debug` say which class it was; where neither can, rows or the status do.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sour import place, sour_site

from imgtool import errors
from imgtool.errors import ImgtoolError, Status

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["place", "sour_site"]  # fixtures

CLASSES = {
    name: cls
    for name, cls in vars(errors).items()
    if inspect.isclass(cls) and issubclass(cls, ImgtoolError)
}
EVENTS = ("--progress", "json")


@dataclass(frozen=True)
class Said:
    """What a command that met an error left: its status and what it printed."""

    status: int
    out: str
    err: str

    @property
    def event(self) -> dict[str, Any]:
        """The error as `--progress json` writes it."""
        lines = [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]
        return next((line for line in lines if line["event"] == "Error"), {})

    @property
    def code(self) -> str:
        """The class, by whichever way this command says it."""
        trace = re.findall(r"^imgtool\.errors\.(\w+)", self.err, re.MULTILINE)
        return str(self.event.get("code", "")) or (trace[-1] if trace else "")

    @property
    def hint(self) -> str:
        """What the user is told to do."""
        human = re.search(r"^error: .*\n  (.*)", self.err, re.MULTILINE)
        return str(self.event.get("hint", "")) or (human[1] if human else "")


OWN_PROCESS = (sys.executable, "-m", "imgtool")


@pytest.fixture(autouse=True)
def on_path(light_bin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `imgtool` of commands that need no process of their own."""
    monkeypatch.setenv("PATH", f"{light_bin}{os.pathsep}{os.environ['PATH']}")


def start(
    *arguments: str, command: tuple[str, ...] = OWN_PROCESS, **options: Any
) -> subprocess.Popen[bytes]:
    """The real command in the current folder."""
    given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, **options}
    return subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, **given)


def run(*arguments: str, text: str | None = None, **options: Any) -> Said:
    """The same, waited for."""
    given = {"command": ("imgtool",), **options}
    if text is not None:
        given["stdin"] = subprocess.PIPE
    process = start(*arguments, **given)
    out, err = process.communicate(None if text is None else text.encode(), timeout=120)
    return Said(process.returncode, (out or b"").decode(), err.decode())


def command(*arguments: str, file: tuple[str, str | bytes] | None = None) -> Callable[[], Said]:
    """A command that meets the error at once, beside a file if it needs one."""

    def provoke() -> Said:
        if file is not None:
            content = file[1]
            Path(file[0]).write_bytes(content if isinstance(content, bytes) else content.encode())
        return run(*arguments)

    return provoke


def store_too_new() -> Said:
    run("draw.toy", "a", "--store", "s.zarr")
    meta = Path("s.zarr/zarr.json")
    document = json.loads(meta.read_text())
    document["attributes"]["imgtool"]["format"] += 1
    meta.write_text(json.dumps(document))
    return run("draw.toy", "a", "--store", "s.zarr", *EVENTS)


def store_damaged() -> Said:
    run("draw.toy", "a", "--store", "s.zarr")
    (chunk,) = (p for p in Path("s.zarr").glob("draw-*/*/image*/c/**/*") if p.is_file())
    chunk.unlink()
    return run("export", "s.zarr", "-o", "out/", *EVENTS)


def without_override() -> None:
    """Make file modes hold for root too: drop CAP_DAC_OVERRIDE before the command begins."""
    drop_bounding, dac_override = 24, 1
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(drop_bounding, dac_override, 0, 0, 0):
        raise OSError("cannot give up the right to write everywhere")


def store_read_only() -> Said:
    run("draw.toy", "a", "--store", "s.zarr")
    Path("s.zarr").chmod(0o555)
    command = ("draw.toy", "b", "--store", "s.zarr", *EVENTS)
    try:
        return run(*command, command=OWN_PROCESS, preexec_fn=without_override)
    finally:
        Path("s.zarr").chmod(0o755)


def storage_full() -> Said:
    with Path("/dev/full").open("wb") as full:
        return run("draw.toy", "a", "--json", *EVENTS, stdout=full)


def stream_cut() -> Said:
    whole = run("upper.toy", "a", "b", "--batch", "1").out.splitlines(keepends=True)
    return run("draw.toy", "--json", *EVENTS, text="".join(whole[:3]))


def needs_consent() -> Said:
    Path("note.txt").write_text("mine")
    run("keep.toy", "a", "--note", "note.txt", "-o", "a.png", "--json")
    return run("run", "--from", "a.png", "-o", "again.png", *EVENTS)


def interrupted() -> Said:
    words = [f"word{n}" for n in range(50)]
    process = start("upper.toy", *words, "--batch", "1", "--pause-s", "0.1", "--json", *EVENTS)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return Said(process.returncode, out.decode(), err.decode())


def store_busy() -> Said:
    words = [f"word{n}" for n in range(50)]
    process = start(
        "upper.toy", *words, "--batch", "1", "--pause-s", "0.1", "--json", "--store", "s.zarr"
    )
    assert process.stdout is not None
    process.stdout.readline()
    said = run("--debug", "store", "gc", "s.zarr")
    process.kill()
    process.communicate(timeout=60)
    return said


def closed_pipe() -> Said:
    words = [f"word{n}" for n in range(50)]
    process = start("upper.toy", *words, "--batch", "1", "--pause-s", "0.02", "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    return Said(process.wait(timeout=60), "", err)


TWICE = '{"id": "a", "prompt": "x"}\n{"id": "a", "prompt": "y"}\n'
FINE = '[p]\n[[p.stage]]\nuse = "draw.toy"\n'
PROVOKE: dict[str, Callable[[], Said]] = {
    "AmbiguousComponent": command("--debug", "pair", "a"),
    "BadParams": command(
        "run", "p", "a", "--set", "blur.n=2", *EVENTS, file=("pipelines.toml", FINE)
    ),
    "BadPipeline": command("run", "p", "a", *EVENTS, file=("pipelines.toml", "[p]\nstage = 4\n")),
    "BadRowId": command("draw.toy", "p.jsonl", *EVENTS, file=("p.jsonl", TWICE)),
    "BrokenPlugin": command("lost.toy", "a", *EVENTS),
    "BudgetEnded": command("sour.toy", "a", "--what", "BudgetEnded", *EVENTS),
    "ClosedPipe": closed_pipe,
    "EndpointDown": command("sour.toy", "a", "--what", "EndpointDown", *EVENTS),
    "ImgtoolError": command("sour.toy", "a", "--what", "ImgtoolError", *EVENTS),
    "InputEmpty": command("draw.toy", "p.txt", *EVENTS, file=("p.txt", "\n\n")),
    "InputMissing": command("draw.toy", "none.txt", *EVENTS),
    "InputUnreadable": command("draw.toy", "p.txt", *EVENTS, file=("p.txt", b"fine\n\xff\n")),
    "Interrupted": interrupted,
    "MissingField": command("score.red", "a", *EVENTS),
    "ModelUnusable": command("weigh.toy", "a", "--model", "./none/", *EVENTS),
    "NeedsConsent": needs_consent,
    "OutOfMemory": command("sour.toy", "a", "--what", "MemoryError", *EVENTS),
    "OutputUnwritable": command(
        "draw.toy", "a", "-o", "taken/{id}.png", *EVENTS, file=("taken", "")
    ),
    "RowError": command("draw.toy", "please fail", "--json", *EVENTS),
    "StageFailed": command("draw.toy", "please fail", "--on-error", "stop", *EVENTS),
    "StorageFull": storage_full,
    "StoreBusy": store_busy,
    "StoreDamaged": store_damaged,
    "StoreNotFound": command("--debug", "store", "ls", "none.zarr"),
    "StoreReadOnly": store_read_only,
    "StoreTooNew": store_too_new,
    "StreamCut": stream_cut,
    "Unexpected": command("sour.toy", "a", "--what", "a bug", *EVENTS),
    "UnknownComponent": command("drow.toy", "a", *EVENTS),
    "UsageError": command("draw.toy", "a", "--deps", "a.d", *EVENTS),
}


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_is_met_through_the_real_command(name: str, place: Path) -> None:
    assert name in PROVOKE, f"{name} has no command that provokes it: remove it, or add one"
    said = PROVOKE[name]()
    assert said.status == CLASSES[name].status, said.err
    if name == "ClosedPipe":  # the one that is not reported, and the one with this status
        assert (said.status, said.err) == (Status.CLOSED_PIPE, "")
    elif name == "RowError":  # a row's own: recorded with it, while the others go on
        assert json.loads(said.out)["failure"]["code"] == "RowError"
    else:
        assert said.code == name, said.err
        assert said.hint, said.err


def test_every_error_says_what_it_means_and_what_to_do() -> None:
    remedies = {name: cls.remedy for name, cls in CLASSES.items() if "remedy" in vars(cls)}
    assert set(remedies) == set(CLASSES)
    assert all(remedies.values())
    assert all(inspect.getdoc(cls) for cls in CLASSES.values())
    assert not [name for name, text in remedies.items() if text.endswith(".")]


def test_an_error_without_hint_gets_its_remedy() -> None:
    assert errors.InputEmpty("nothing").hint == errors.InputEmpty.remedy
    assert errors.InputEmpty("nothing", "look again").hint == "look again"


def test_json_progress_stays_json_when_the_command_is_refused(place: Path) -> None:
    said = run("draw.toy", "none.txt", *EVENTS)
    (line,) = said.err.splitlines()
    assert json.loads(line) == {
        "schema": "imgtool.progress/1",
        "event": "Error",
        "code": "InputMissing",
        "status": 2,
        "message": "no such file: 'none.txt'",
        "hint": "To use it as prompt text, put -- before it",
    }


def test_debug_ends_with_the_same_line_and_status(place: Path) -> None:
    plain = run("draw.toy", "none.txt")
    debug = run("--debug", "draw.toy", "none.txt")
    assert debug.status == plain.status == 2
    assert "Traceback" in debug.err
    assert debug.err.endswith(plain.err)
    assert "InputMissing" not in plain.err
