"""Many rows of a trivial stage: rows a second, peak memory as rows grow, and a finished run again.

python benchmarks/rows.py [--rows 100000] [--batch 16]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHILD = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def measured(folder: Path, rows: int, batch: int) -> tuple[float, float]:
    """Seconds and peak MiB of `imgtool rewrite` over the first `rows` prompts."""
    prompts = folder / f"{rows}.txt"
    prompts.write_text("".join(f"prompt number {i}\n" for i in range(rows)))
    command = [sys.executable, "-m", "imgtool", "rewrite", str(prompts), "--json"]
    command += ["--progress", "none", "--batch", str(batch)]
    command += ["--store", str(folder / f"{rows}.zarr")]
    start = time.perf_counter()
    out = subprocess.run(
        [sys.executable, "-c", CHILD, *command], capture_output=True, text=True, check=True
    )
    status, peak = out.stdout.split()
    if status != "0":
        raise SystemExit(f"imgtool ended with {status}")
    return time.perf_counter() - start, int(peak) / 1024


def main() -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for rows in (options.rows // 10, options.rows):
            fresh, peak = measured(folder, rows, options.batch)
            again, peak_again = measured(folder, rows, options.batch)
            sys.stdout.write(
                f"{rows:7} rows  first {fresh:6.1f} s {rows / fresh:7.0f} rows/s {peak:6.0f} MiB   "
                f"finished {again:5.1f} s {peak_again:6.0f} MiB\n"
            )


if __name__ == "__main__":
    main()
