"""The long form of the torture: runs it, and writes what was measured as a page with one table.

Usage: python tests/faults/long_form.py [SHARE]: of the slow tries, 0 to 1; 1 takes an hour.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "faults.md"
LIMIT_S = "86400"
HEAD = """# What faults do

A run may be killed, lose its power, fill the disk, share its store with other runs, find bytes
changed under it, and be given files made to do harm. What must hold then:

- a batch is in the store whole or not at all, and one that was committed stays and is not redone;
- the same command goes on from there, and ends with the bytes of a run that nothing befell;
- changed bytes are noticed when they are read, and by `imgtool store verify`; never shown as right;
- whatever is wrong is one line and a status, without a traceback and in bounded memory.

`tests/faults/` tries all of this, with few tries in every run of the tests. The long form draws
the same tries many times over:

<!-- not run: it takes an hour -->
```sh
make torture
```

`make torture SHARE=0.1` makes a tenth of the tries that take long. It writes this page; nothing
below is written by hand. Every try ended as it must: one that does not ends the run without a page.

"""
WHAT = {
    "random SIGKILL": "A run of four stages, killed without warning at random moments",
    "power cut: fill": "A writer of a store loses its power at each of its steps",
    "power cut: withdraw": "The same, while a batch is withdrawn and made again",
    "power cut: forget": "The same, while what no run reaches is removed",
    "power cut: four-stage run": "A run of four stages loses its power at random steps",
    "damaged bytes": "One file of a finished store is damaged, then read and verified",
    "damaged bytes, runs": "The same; then a run, `store verify`, and a run again",
    "damaged bytes, real command": "The same, with processes, `export` and `store gc`",
    "full disk, n-th write": "No space from the n-th write of a run on, then space again",
    "full disk, tmpfs by size": "A small file system of each size, page by page, then a larger one",
    "full disk, tmpfs by nr_inodes": "The same by the number of files",
    "32 processes on one store": "32 processes at once, one store and one output pattern",
    "audit: finished run of the real model": (
        "A finished run of the embedded model and commands on its store, watched by Python's audit"
    ),
    "hostile pictures": "Pictures that claim a huge size, unpack to one, or never end",
    "hostile arrays": "NumPy files that claim a huge size, or hold objects or code",
    "hostile rows and pipelines": "JSON Lines, CSV, text, TOML: deep, long, endless, huge numbers",
    "hostile weights": "safetensors files with a lying header",
    "hostile recipes": "Pictures whose recipe names hub models, files, modules or nonsense",
    "odd metadata": "Pictures whose metadata is nonsense or slow to read",
    "escapes on a terminal": "Prompts, names and files with terminal escapes, on a terminal",
}


def main() -> int:
    """Run all, then write the page; the status of the tests."""
    share = sys.argv[1] if len(sys.argv) > 1 else "1"
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.jsonl"
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-qx",
                "--tb=short",
                "--timeout",
                LIMIT_S,
                "tests/faults",
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "IMGTOOL_TORTURE": "1",
                "IMGTOOL_TORTURE_SHARE": share,
                "IMGTOOL_TORTURE_RESULTS": str(results),
            },
            check=False,
        )
        if done.returncode:
            return done.returncode
        lines = [json.loads(line) for line in results.read_text().splitlines()]
    PAGE.write_text(HEAD + table(lines) + foot(share))
    return 0


def table(lines: list[dict[str, Any]]) -> str:
    """One row a case, in the order in which they are explained above."""
    order = list(WHAT)
    rows = ["| fault | tries | what came of them | seed | s |", "| --- | ---: | --- | --- | ---: |"]
    for line in sorted(lines, key=lambda line: order.index(line["case"])):
        came = "; ".join(f"{name}: {n}" for name, n in sorted(line["outcomes"].items()))
        cells = (WHAT[line["case"]], line["tried"], came, line["seed"] or "–", line["seconds"])
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows) + "\n"


def foot(share: str) -> str:
    """Where and how it was measured."""
    return (
        f"\nMeasured with `SHARE={share}` on {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}. "
        "Seconds are those of a clock, whatever else the machine did.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
