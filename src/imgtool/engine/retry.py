"""Which committed batches are computed again because rows failed in them.

What was made of such a batch lacks the rows that failed, and is named as what will be made of the
new one: it is withdrawn first, so that no kill leaves it to be found beside a mended batch.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from imgtool.errors import StoreDamaged

if TYPE_CHECKING:
    from imgtool.store import Store


class Retry:
    """Withdraws batches of one store. Lanes share it; the claim on a batch is its caller's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._began = time.time()
        self._lock = threading.Lock()
        self._gone: set[tuple[str, str]] = set()
        self._children: dict[str, list[str]] | None = None
        self._upstreams: dict[str, dict[str, tuple[str, str] | None]] = {}

    def is_due(self, instance: str, name: str, upstream: set[tuple[str, str]]) -> bool:
        """Whether a committed batch must be computed again.

        Rows failed in it before this run, not in another process meanwhile; or it was made of a
        batch of `upstream` that was withdrawn, by a process that had read that one before.
        """
        if not self._gone.isdisjoint(upstream):
            return True
        try:
            return (
                self._store.has_failures(instance)
                and self._store.committed_at(instance, name) <= self._began
                and bool(self._store.failures(instance, name))
            )
        except (FileNotFoundError, StoreDamaged):  # another process has withdrawn it just now
            return True

    def withdraw(self, instance: str, name: str) -> None:
        """Take a batch out, and before it all that was made of it, by whatever pipeline."""
        with self._lock:
            self._withdraw(instance, name)

    def _withdraw(self, instance: str, name: str) -> None:
        for child in self._made_of(instance):
            for made in self._named_after(child, (instance, name)):
                self._withdraw(child, made)
        self._store.withdraw(instance, name)
        self._gone.add((instance, name))

    def _made_of(self, instance: str) -> list[str]:
        if self._children is None:
            self._children = {}
            for key in self._store.instances():
                with suppress(StoreDamaged):  # that of another run; `store verify` tells
                    above = self._store.instance(key)["upstream"]
                    self._children.setdefault(above, []).append(key)
        return self._children.get(instance, [])

    def _named_after(self, child: str, upstream: tuple[str, str]) -> list[str]:
        known = self._upstreams.setdefault(child, {})
        names = self._store.names(child)
        for name in names - known.keys():
            known[name] = None
            with suppress(StoreDamaged):
                known[name] = self._store.upstream(child, name)
        return [name for name in names if known[name] == upstream]
