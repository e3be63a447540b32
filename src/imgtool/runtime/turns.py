"""Computing stages of a process take turns on the CPU."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imgtool.runtime.openmp import dismiss_team

if TYPE_CHECKING:
    from collections.abc import Iterator


class Turns:
    """A lock given in the order it was asked for, and again to the thread that already has it.

    Each thread that computes has a team of torch's threads of its own, as many as there are cores.
    Two teams at once wait for each other at every barrier: beside a sampler, a decode of 0.07 s
    took 1 s and cost the sampler 0.5 s. A turn therefore ends with its team.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._owner: int | None = None
        self._depth = 0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the lock for the time of the block."""
        self._enter(threading.get_ident())
        try:
            yield
        finally:
            self._leave()

    def _enter(self, thread: int) -> None:
        with self._changed:
            if self._owner != thread:
                ticket = object()
                self._waiting.append(ticket)
                try:
                    self._changed.wait_for(
                        lambda: self._owner is None and self._waiting[0] is ticket
                    )
                    self._owner = thread
                finally:
                    self._waiting.remove(ticket)
            self._depth += 1

    def _leave(self) -> None:
        if self._depth == 1:
            dismiss_team()
        with self._changed:
            self._depth -= 1
            if not self._depth:
                self._owner = None
                self._changed.notify_all()
