"""CPU time of `imgtool --help` with fifty more plugins installed, as a ratio to without.

    python benchmarks/plugins.py [--runs 20]

Ten of the fifty raise, exit or sleep while they are imported. Specs are computed once before.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

GOOD, BROKEN = 40, 10
LIMIT = 1.25
# An import leaves its name in a file, so that a test can see which there were.
STARTS = """
import os
if "PLUGIN_LOG" in os.environ:
    with open(os.environ["PLUGIN_LOG"], "a") as log:
        log.write(__name__ + "\\n")
"""
STAGE = """
from imgtool.api import PROMPT, Component, Stage, hookimpl

class Plain(Stage[None]):
    id, summary = "{name}.toy", "Leave prompts as they are."
    consumes, produces = (PROMPT,), (PROMPT,)

    def process(self, batch):
        return batch

@hookimpl
def imgtool_components():
    yield Component("stage", "{name}.toy", "{name}:Plain")
"""
ENDS = (
    "raise RuntimeError('no colours today')",
    "raise SystemExit(7)",
    "import time; time.sleep(600)",
)


def install(site: Path) -> tuple[list[str], list[str]]:
    """Fifty distributions of one module in `site`: names of the good ones, and of the broken."""
    good, broken = [f"good{i}" for i in range(GOOD)], [f"broken{i}" for i in range(BROKEN)]
    for number, name in enumerate([*broken, *good]):
        end = ENDS[number % len(ENDS)] if name in broken else STAGE.format(name=name)
        (site / f"{name}.py").write_text(STARTS + end)
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[imgtool]\n{name} = {name}\n")
    return good, broken


def help_seconds(env: dict[str, str]) -> float:
    """CPU time, user and system, of one `imgtool --help`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "imgtool", "--help"]
    subprocess.run(command, env=env, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    """Status 1 when the ratio is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder, "site")
        site.mkdir()
        install(site)
        common = {**os.environ, "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
        common.pop("PYTHONDONTWRITEBYTECODE", None)
        # A cache each: what is installed is part of what specs were computed for.
        envs = {
            "without": {**common, "IMGTOOL_CACHE": f"{folder}/without"},
            "with": {**common, "IMGTOOL_CACHE": f"{folder}/with", "PYTHONPATH": str(site)},
        }
        envs["with"]["IMGTOOL_PLUGIN_TIMEOUT"] = "10"
        spent: dict[str, list[float]] = {name: [] for name in envs}
        for name in [*envs] * (runs + 1):
            spent[name].append(help_seconds(envs[name]))
        medians = {name: statistics.median(values[1:]) for name, values in spent.items()}
    ratio = medians["with"] / medians["without"]
    for name, value in medians.items():
        print(f"imgtool --help, {name:<8} fifty plugins {value * 1e3:7.1f} ms")
    print(f"with / without {ratio:5.2f} x, limit {LIMIT}")
    return 0 if ratio <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
