"""How torch's threads wait is settled before torch is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = "import os; from imgtool.runtime.context import Runtime; Runtime(); " + (
    "import sys; sys.stdout.write(os.environ.get('OMP_WAIT_POLICY', ''))"
)


def policy(**settings: str) -> str:
    """What a fresh process has set after making a runtime."""
    clean = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=clean | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_threads_wait_without_spinning() -> None:
    assert policy() == "PASSIVE"


def test_the_user_decides_first() -> None:
    assert policy(OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"
