"""Asks one plugin for its declarations in a process of its own, with a time limit."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Dump:
    """A running `python -m imgtool.specdump`. Owns the process and the file it writes."""

    process: subprocess.Popen[bytes]
    folder: tempfile.TemporaryDirectory[str]
    started: float

    @classmethod
    def start(cls, module: str, dist: str) -> Dump:
        """Start it, with this process's import path and nothing on its standard streams."""
        folder = tempfile.TemporaryDirectory(prefix="imgtool-specs-")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        process = subprocess.Popen(  # noqa: S603 - our own module, arguments from metadata
            [sys.executable, "-P", "-m", "imgtool.specdump", module, dist, _out(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        return cls(process, folder, time.monotonic())

    def finish(self, limit_s: float) -> dict[str, Any]:
        """What it found; `broken` says why the plugin as a whole cannot be used."""
        timed_out = False
        try:
            self.process.wait(max(0.0, self.started + limit_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            # the group, not the child alone: a plugin may have started processes that hang
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        status = self.process.wait()
        found = _read(Path(_out(self.folder)))
        self.folder.cleanup()
        if found.pop("ended"):
            return found
        reason = f"it did not end in {limit_s:g} s" if timed_out else f"it ended with {status}"
        if found["trying"]:
            found["unusable"].append({**found["trying"], "reason": reason})
        else:
            found["broken"] = reason
        return {**found, "timed_out": timed_out}


def _out(folder: tempfile.TemporaryDirectory[str]) -> str:
    return str(Path(folder.name) / "declared.jsonl")


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = {
        "components": [], "specs": [], "hooks": [], "unusable": [], "broken": "",
        "trying": None, "ended": False,
    }  # fmt: skip
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            _take(found, json.loads(line))
    return found


def _take(found: dict[str, Any], line: dict[str, Any]) -> None:
    if "component" in line:
        found["components"].append(line["component"])
    elif "spec" in line:
        found["specs"].append(line["spec"])
    elif "unusable" in line:
        found["unusable"].append(line["unusable"])
    elif "hooks" in line:
        found["hooks"] = line["hooks"]
    elif "broken" in line:
        found["broken"] = line["broken"]
    elif "trying" in line:
        found["trying"] = line["trying"]
    elif "end" in line:
        found["ended"] = True
