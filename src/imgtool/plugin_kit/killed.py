"""A run of one stage in a process of its own, killed on purpose inside a batch if asked to.

`main` is the process, `run_job` starts it: what `FOLDER/job.json` says is run into STORE; with
SECONDS, it dies by SIGKILL so long after the job's fatal batch began.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.engine import events

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool.plugin_kit.processes import Processes


@dataclass(frozen=True)
class Job:
    """What to run, as JSON values.

    Attributes
    ----------
    files : Python files given as plugins.
    stage : name of the stage, with its owner.
    batch : rows a source batch.
    fatal : which batch to be killed in, counted from 1.
    rows : rows of scalars; those of arrays are in `rows.npz` as `NUMBER/FIELD`.
    """

    files: tuple[str, ...]
    stage: str
    params: dict[str, object]
    batch: int
    fatal: int
    rows: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Outcome:
    """What a run that was not killed left.

    Attributes
    ----------
    seconds : how long each batch of the stage took.
    failures : reasons of rows that failed.
    """

    instance: str
    batches: tuple[str, ...]
    seconds: tuple[float, ...]
    failures: tuple[str, ...]


def write_job(folder: Path, job: Job) -> None:
    """Write a job for `run_job`, arrays of its rows included."""
    import numpy as np

    arrays: dict[str, Any] = {}
    rows = []
    for number, row in enumerate(job.rows):
        held = {name for name, value in row.items() if hasattr(value, "dtype")}
        arrays |= {f"{number}/{name}": row[name] for name in held}
        rows.append({name: value for name, value in row.items() if name not in held})
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "rows.npz", **arrays)
    data = {**asdict(job), "rows": rows}
    (folder / "job.json").write_text(json.dumps(data), encoding="utf-8")


def run_job(
    processes: Processes, folder: Path, store: Path, kill_after_s: float | None = None
) -> tuple[int, Outcome | None, str]:
    """Run a job in a process of its own: exit status, outcome if it ended well, last error line."""
    delay = () if kill_after_s is None else (repr(kill_after_s),)
    done = processes.run(f"{__name__}:main", str(folder), str(store), *delay)
    error = done.err.strip().splitlines()[-1:] or [""]
    if done.status != 0:
        return done.status, None, error[0]
    values = json.loads(done.out.splitlines()[-1])
    lists = (tuple(values[name]) for name in ("batches", "seconds", "failures"))
    return 0, Outcome(values["instance"], *lists), ""


def run_here(folder: Path, store: Path, kill_after_s: float | None = None) -> Outcome:
    """Run a job in this process."""
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    return _run(job, _rows(folder, job["rows"]), store, _Clock(kill_after_s, job["fatal"]))


def main(argv: Sequence[str]) -> int:
    """The process."""
    outcome = run_here(Path(argv[0]), Path(argv[1]), float(argv[2]) if len(argv) > 2 else None)
    sys.stdout.write(json.dumps(asdict(outcome)) + "\n")
    return 0


def _rows(folder: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    import numpy as np

    with np.load(folder / "rows.npz") as arrays:
        for key in arrays:
            number, _, name = key.partition("/")
            rows[int(number)][name] = arrays[key]
    return rows


def _run(job: Mapping[str, Any], rows: list[dict[str, Any]], store: Path, clock: _Clock) -> Outcome:
    from imgtool.engine.facade import execute
    from imgtool.engine.request import RunRequest
    from imgtool.pipeline import StageUse
    from imgtool.registry import Registry

    request = RunRequest(
        stages=(StageUse(job["stage"], "checked", job["params"]),),
        rows=rows,
        store=store,
        batch=job["batch"],
        dtype="float32",
        deterministic=True,
    )
    result = execute(request, Registry.load(job["files"]), (clock,))
    return Outcome(
        result.instance_name("checked"),
        result.batches["checked"],
        tuple(clock.seconds),
        tuple(failure.reason for failure in result.failures.values()),
    )


class _Clock:
    """Measures batches, and kills this process once the fatal one began and those before it are
    committed: a batch is written while the next one is computed."""

    def __init__(self, kill_after_s: float | None, fatal: int) -> None:
        self.kill_after_s, self.fatal = kill_after_s, fatal
        self.seconds: list[float] = []
        self._began: dict[str, float] = {}

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.BatchStarted):
            self._began[event.name] = event.at
        elif isinstance(event, events.BatchDone) and event.name in self._began:
            self.seconds.append(event.at - self._began[event.name])
        else:
            return
        in_fatal = len(self._began) >= self.fatal and len(self.seconds) >= self.fatal - 1
        if self.kill_after_s is not None and in_fatal:
            _die(self.kill_after_s)


def _die(after_s: float) -> None:
    if after_s <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
    timer = threading.Timer(after_s, os.kill, (os.getpid(), signal.SIGKILL))
    timer.daemon = True
    timer.start()
