"""Which row descends from which, and how each ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.report.model import Fate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from imgtool.report.reading import Table


class Kinship:
    """Which row descends from which, over all runs."""

    def __init__(self, runs: Sequence[Sequence[Table]]) -> None:
        self.parents: dict[str, str] = {}
        self.roots = list(dict.fromkeys(i for tables in runs for i in tables[0].rows))
        self._known = dict.fromkeys(self.roots)
        for table in (table for tables in runs for table in tables):
            for row_id, row in table.rows.items():
                self._known[row_id] = None
                if row.parent != row_id:
                    self.parents.setdefault(row_id, row.parent)
            for row_id in table.failures:
                self._known[row_id] = None

    def lineage(self, row_id: str) -> tuple[str, ...]:
        """Ids from the source row to the row itself."""
        chain = [row_id]
        while (above := self.parents.get(chain[0])) and above not in chain:
            chain.insert(0, above)
        return tuple(chain)

    def families(self) -> Iterator[tuple[str, list[str]]]:
        """Source rows with those of their descendants that have none themselves."""
        chains = {row_id: self.lineage(row_id) for row_id in self._known}
        inner = {above for chain in chains.values() for above in chain[:-1]}
        members: dict[str, list[str]] = {root: [] for root in self.roots}
        for row_id, chain in chains.items():
            if row_id not in inner:
                members.setdefault(chain[0], []).append(row_id)
        for root, ids in members.items():
            yield root, sorted(ids, key=_natural)


def _natural(row_id: str) -> list[tuple[int, int, str]]:
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in row_id.split(".")]


def fate_of(chain: Sequence[str], tables: Sequence[Table]) -> Fate:
    """How the row at the end of `chain` ended in a run; kept once is kept."""
    above = {table.key: table for table in tables}
    inner = {table.upstream for table in tables}
    ends = [_fate_at(tip, chain, above) for tip in tables if tip.key not in inner]
    kept = next((fate for fate in ends if fate.state == "kept"), None)
    return kept or _failure(chain, tables) or ends[0]


def _failure(chain: Sequence[str], tables: Sequence[Table]) -> Fate | None:
    for table in tables:
        for row_id in chain:
            if row_id in table.failures:
                return Fate("failed", table.label, table.failures[row_id].reason)
    return None


def _fate_at(tip: Table, chain: Sequence[str], above: Mapping[str, Table]) -> Fate:
    """Whether a row has come through to `tip`, or the stage where it stopped."""
    after: Table | None = None
    table: Table | None = tip
    while table is not None:
        found = next((table.rows[name] for name in reversed(chain) if name in table.rows), None)
        if found is not None:
            if after is None:
                return Fate("kept")
            is_done = int(found.batch.split("-", 1)[0]) in after.numbers
            return Fate("dropped" if is_done else "waiting", after.label)
        after, table = table, above.get(table.upstream or "")
    return Fate("waiting")
