"""A forked command is to its caller what a process of its own is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux")

ECHO = """
import os, sys
print(sys.argv, sys.stdin.read(), os.getcwd(), os.environ["MINE"])
print("quietly", file=sys.stderr)
sys.exit(7)
"""
KNOWN = "import sys; print([n for n in sys.modules if n.startswith(('imgtool', 'warm'))])"
WAITS = "import signal; print('on', flush=True); signal.pause()"


def test_it_has_the_caller_s_streams_folder_environment_and_its_own_status(
    warm_bin: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [warm_bin / "python", "-c", ECHO, "a", "b"],
        input="words", cwd=tmp_path, env={**os.environ, "MINE": "x"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == f"['-c', 'a', 'b'] words {tmp_path} x\n"
    assert (done.returncode, done.stderr) == (7, "quietly\n")


def test_it_knows_nothing_of_ours(warm_bin: Path) -> None:
    assert subprocess.check_output([warm_bin / "python", "-c", KNOWN]) == b"[]\n"


def test_modules_and_files_run_as_python_runs_them(warm_bin: Path, tmp_path: Path) -> None:
    (tmp_path / "near.py").write_text("NAME = 'near'\n")
    (tmp_path / "it.py").write_text("import sys, near\nprint(__name__, near.NAME, sys.argv[1:])\n")
    for how in (["it.py"], ["-m", "it"]):
        said = [
            subprocess.check_output([python, *how, "x"], cwd=tmp_path)
            for python in (warm_bin / "python", sys.executable)
        ]
        assert said[0] == said[1] == b"__main__ near ['x']\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_reaches_it_and_closes_its_pipes(warm_bin: Path, number: int) -> None:
    process = subprocess.Popen([warm_bin / "python", "-c", WAITS], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        process.send_signal(number)
        assert process.stdout.read() == b""
    assert process.returncode == -number


def test_libraries_that_would_be_imported_otherwise_are_imported_anew(warm_bin: Path) -> None:
    threads = str(int(os.environ.get("OMP_NUM_THREADS", "1")) + 1)
    heavy = subprocess.check_output(
        [warm_bin / "python", "-c", "import sys; print('torch' in sys.modules)"],
        env={**os.environ, "OMP_NUM_THREADS": threads},
    )
    assert heavy == b"False\n"
