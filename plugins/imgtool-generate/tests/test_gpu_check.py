"""The table of `make gpu-check`: complete on every machine, honest about what was not run."""

from __future__ import annotations

import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "gpu_check.py"


def test_table_has_a_line_for_every_setting(warm_bin: Path) -> None:
    arguments = ["--device", "cpu", "--only", "sd", "--rows", "2", "--steps", "2"]
    done = subprocess.run(
        [warm_bin / "python", SCRIPT, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, last = done.stdout.splitlines()
    assert len(lines) == 9
    assert sum("not run: needs CUDA" in line for line in lines) == 7
    assert "off by" in next(line for line in lines if " bfloat16 " in line)
    assert last == "device cpu: 0 failed"
