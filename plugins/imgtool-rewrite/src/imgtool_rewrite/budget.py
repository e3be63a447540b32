"""How many requests one command may make of a service."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from imgtool.api import BudgetEnded


@dataclass
class Budget:
    """Counts requests; several threads may spend.

    Attributes
    ----------
    most : requests in all.
    spent : those that are made.
    """

    most: int
    spent: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def spend(self) -> None:
        """Count one request, before it is made.

        Raises
        ------
        BudgetEnded : there is none left.
        """
        with self._lock:
            if self.spent >= self.most:
                raise BudgetEnded(
                    f"the budget of {self.most} requests is used up",
                    "Give the same command again: it goes on from there, with as many more",
                )
            self.spent += 1
