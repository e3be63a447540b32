"""How torch's threads wait is settled before torch is loaded; our own take turns."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from imgtool.runtime.context import Runtime
from imgtool.runtime.turns import Turns

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
CODE = "import os, sys; from imgtool.runtime.context import Runtime; Runtime(); " + (
    f"sys.stdout.write(' '.join(os.environ.get(name, '-') for name in {NAMES}))"
)


def waiting(**settings: str) -> str:
    """What a fresh process has set after making a runtime."""
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=clean | settings,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_threads_spin_for_a_short_while_only() -> None:
    assert waiting() == "ACTIVE 10000"


def test_the_user_decides_first() -> None:
    assert waiting(GOMP_SPINCOUNT="7") == "- 7"
    assert waiting(OMP_WAIT_POLICY="PASSIVE") == "PASSIVE -"


def wait_for(turns: Turns, count: int) -> None:
    """Until `count` threads wait for their turn."""
    while len(turns._waiting) < count:
        time.sleep(0.001)


def test_turns_come_in_the_order_they_were_asked_for() -> None:
    turns, order = Turns(), []

    def take(name: int) -> None:
        with turns.turn():
            order.append(name)

    threads = [threading.Thread(target=take, args=(name,)) for name in range(5)]
    with turns.turn():
        for at, thread in enumerate(threads):
            thread.start()
            wait_for(turns, at + 1)
        with turns.turn():
            assert order == []
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]


def test_an_error_gives_the_turn_back() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.turn():
        _ = 1 / 0
    thread = threading.Thread(target=lambda: turns._enter(1))
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_stages_of_a_process_compute_one_at_a_time_on_the_cpu() -> None:
    at_work: list[int] = []
    seen: list[int] = []

    def compute(part: list[int]) -> list[int]:
        at_work.append(1)
        time.sleep(0.002)
        seen.append(len(at_work))
        at_work.pop()
        return part

    runtime = Runtime(device="cpu")
    lanes = [
        threading.Thread(target=lambda: runtime.for_stage().halving(compute, [1, 2, 3], size=1))
        for _ in range(3)
    ]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    assert seen == [1] * 9


TEAM = """
import os, threading
from imgtool.runtime.context import Runtime
from imgtool.runtime.openmp import dismiss_team
Runtime()
import torch
torch.set_num_threads(3)

def threads():
    return len(os.listdir("/proc/self/task"))

def work():
    before = threads()
    torch.randn(1 << 20).exp()
    during = threads()
    dismiss_team()
    print(during - before, threads() - before)

worker = threading.Thread(target=work)
worker.start()
worker.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="torch has GCC's OpenMP on Linux alone")
def test_a_dismissed_team_is_gone() -> None:
    done = subprocess.run([sys.executable, "-c", TEAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "0"]
