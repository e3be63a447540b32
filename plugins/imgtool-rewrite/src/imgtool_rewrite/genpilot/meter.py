"""Counts calls and pictures of one row's search, and ends it when a budget is used up."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


class Spent(Exception):
    """A budget is used up: what is found so far is what there is."""


@dataclass
class Meter:
    """What a search has cost so far.

    Attributes
    ----------
    most_calls, most_images : budgets; 0: none.
    answers : of language models, by `call_key`.
    """

    most_calls: int = 0
    most_images: int = 0
    calls: int = 0
    images: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def spend(self) -> None:
        """Count one call of a model, before it is made.

        Raises
        ------
        Spent : there is none left.
        """
        with self._lock:
            if self.most_calls and self.calls >= self.most_calls:
                raise Spent(f"{self.most_calls} calls are made")
            self.calls += 1

    def spend_images(self, count: int) -> None:
        """Count pictures, before they are drawn.

        Raises
        ------
        Spent : there are fewer left.
        """
        if self.most_images and self.images + count > self.most_images:
            raise Spent(f"{count} more pictures are more than {self.most_images}")
        self.images += count

    def note(self, key: str, answer: str) -> None:
        """Keep what was answered."""
        with self._lock:
            self.answers[key] = answer
