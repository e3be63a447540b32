"""What the stages of a process share: loaded models, and the CPU."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar, cast

from imgtool.runtime.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


@dataclass
class _Entry:
    value: object = None
    loaded: bool = False
    holders: int = 0


class Shared:
    """Objects by key, each loaded once and dropped when its last holder lets go.

    Safe to use from several threads: two that want one key load it once. Loaders run one at a time,
    since transformers and accelerate change classes of torch while they load.

    Attributes
    ----------
    turns : for computing on the CPU.
    """

    def __init__(self) -> None:
        self.turns = Turns()
        self._entries: dict[Hashable, _Entry] = {}
        self._lock = threading.Lock()
        self._loading = threading.RLock()

    def acquire(self, key: Hashable, loader: Callable[[], T]) -> T:
        """The object of `key`, loaded if nobody holds it yet. Pair it with `release`."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            entry.holders += 1
        try:
            with self._loading:
                if not entry.loaded:
                    entry.value = loader()
                    entry.loaded = True
        except BaseException:
            self.release(key)
            raise
        return cast("T", entry.value)

    def release(self, key: Hashable) -> None:
        """Let go of `key` once."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return
            entry.holders -= 1
            if entry.holders <= 0:
                del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)


@lru_cache(maxsize=1)
def process_shared() -> Shared:
    """What all stages of this process share."""
    return Shared()
