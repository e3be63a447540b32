"""Best of n: draw candidates from consecutive seeds, judge each, keep the best.

Previews are successive halving, Karnin et al. (2013): every candidate is drawn in few steps, the
better half goes on. A candidate depends on its row's seed and its own number alone, so the best of
more candidates is never worse.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from imgtool.api import Batch, Failure, concatenate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Entry = dict[str, object]


class Judge(Protocol):
    """What draws and compares: see `imgtool_search.studio.Studio`."""

    by: str

    def look(self, rows: Batch, steps: int, keep_images: bool = True) -> Batch:
        """The rows drawn in `steps` steps and judged."""

    def best(self, rows: Batch, k: int) -> Batch:
        """The `k` best of each parent's children."""

    def enough(self, rows: Batch) -> set[str]:
        """Ids of the parents of whose children one is good enough."""


@dataclass
class Trace:
    """What was tried for each row, in order."""

    by: str
    entries: dict[str, list[Entry]] = field(default_factory=dict)

    def add(self, tried: Batch, seen: Batch, kept: Batch, steps: int) -> None:
        """Note a look at the rows `tried`: what was `seen` of them, and which were `kept`."""
        rows = {row.id: row for row in seen}
        for row_id, parent in zip(tried.ids, tried.parents, strict=True):
            entry: Entry = {"candidate": row_id, "kept": row_id in kept.ids}
            if row_id in rows:
                values = rows[row_id].values
                entry |= {"seed": values.get("seed"), "steps": values.get("steps", steps)}
                entry |= {n: values[n] for n in sorted(values) if n.startswith("score.")}
            elif row_id in seen.failures:
                entry["failed"] = seen.failures[row_id].reason
            else:
                continue
            self.entries.setdefault(parent, []).append(entry)

    def record(self, parent: str) -> dict[str, object]:
        """What the row says of its search."""
        return {"by": self.by, "candidates": self.entries[parent]}


@dataclass(frozen=True)
class Search:
    """How to search.

    Attributes
    ----------
    n, k : candidates of each row, and how many of them to keep.
    looks : steps of each preview.
    steps : steps of a finished picture; 0: the model's own.
    wave : candidates of a row to draw before asking whether one is good enough; 0: all.
    """

    n: int
    k: int = 1
    looks: tuple[int, ...] = ()
    steps: int = 0
    wave: int = 0

    def run(self, batch: Batch, judge: Judge) -> Batch:
        """The best candidates of each row, with `search`; rows that have none are failures."""
        trace = Trace(judge.by)
        reasons: dict[str, Failure] = {}
        left = batch.repeat(self.n)
        owner = dict(zip(left.ids, left.parents, strict=True))
        count = self.n
        for steps in self.looks:
            count = max(self.k, (count + 1) // 2)
            seen = judge.look(left, steps, keep_images=False)
            kept = judge.best(seen, count)
            trace.add(left, seen, kept, steps)
            reasons |= {owner[row_id]: why for row_id, why in seen.failures.items()}
            left = among(left, kept.ids)
        seen = self._draw(left, judge)
        kept = judge.best(seen, self.k)
        trace.add(left, seen, kept, self.steps)
        reasons |= {owner[row_id]: why for row_id, why in seen.failures.items()}
        found = kept.with_columns(search=[trace.record(parent) for parent in kept.parents])
        without = set(batch.ids) - set(kept.parents)
        return replace(found, failures={i: why for i, why in reasons.items() if i in without})

    def _draw(self, rows: Batch, judge: Judge) -> Batch:
        """The rows drawn in full, wave by wave, without those of parents that have enough."""
        seen: list[Batch] = []
        done: set[str] = set()
        for wave in waves(rows, self.wave or self.n):
            wanted = [row_id for row_id, parent in wave if parent not in done]
            if wanted:
                seen.append(judge.look(among(rows, wanted), self.steps))
                done |= judge.enough(seen[-1])
        whole = concatenate(seen) if seen else rows
        return replace(among(whole, rows.ids), failures=whole.failures)


def waves(rows: Batch, size: int) -> Iterator[list[tuple[str, str]]]:
    """(id, parent) of the rows: the first `size` of each parent, then the next."""
    members: dict[str, list[str]] = {}
    for row_id, parent in zip(rows.ids, rows.parents, strict=True):
        members.setdefault(parent, []).append(row_id)
    most = max(map(len, members.values()), default=0)
    for at in range(0, most, size):
        yield [(row_id, p) for p, ids in members.items() for row_id in ids[at : at + size]]


def among(rows: Batch, ids: Sequence[str]) -> Batch:
    """The rows that have one of `ids`, in the order of `ids`."""
    place = {row_id: at for at, row_id in enumerate(rows.ids)}
    return rows.keep([place[row_id] for row_id in ids if row_id in place])
