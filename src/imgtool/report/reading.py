"""Stages of a run as tables of rows, read out of a store batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imgtool import fields
from imgtool.store.verify import reachable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from imgtool.batch import Batch, Failure, Value
    from imgtool.report.pictures import Album
    from imgtool.store import Store

# Fields that can be looked at, the first that a stage makes is shown.
SHOWN = ("image", "depth", "coc", "mask")


@dataclass(frozen=True)
class Made:
    """One row as a stage gave it.

    Attributes
    ----------
    values : its scalars, and none of its arrays.
    parent : id of the row that it came from, in the stage before.
    batch : name of its batch.
    picture : place in the album of the picture that this stage made, or None.
    """

    values: Mapping[str, Value]
    parent: str
    batch: str
    picture: int | None = None


@dataclass
class Table:
    """One stage of one run.

    Attributes
    ----------
    key : name of the instance in the store.
    upstream : key of the stage before; None for the source.
    made : array fields that the stage made itself.
    numbers : numbers of the batches that are there.
    """

    label: str
    key: str
    use: str
    params: Mapping[str, object]
    upstream: str | None
    rows: dict[str, Made] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)

    @property
    def family(self) -> str:
        """The part of the stage's id before the first dot."""
        return self.use.partition(".")[0]


class Reader:
    """Reads runs of one store; a batch that several runs share is read once."""

    def __init__(self, store: Store, album: Album) -> None:
        self.store, self.album = store, album
        self._parts: dict[tuple[str, str], Table] = {}

    def tables(self, record: Mapping[str, Any]) -> list[Table]:
        """Stages of a run, its source rows first. Batches that are not there yet are left out.

        Raises
        ------
        StoreDamaged : a batch cannot be read.
        """
        names = reachable(self.store, record)
        source = str(record["source"])
        found = list(self._above(source, names[source]))
        for stage in record["stages"]:
            table = Table(
                stage["label"],
                stage["instance"],
                stage["stage"],
                stage["params"],
                stage["upstream"],
            )
            found.append(self._filled(table, names[stage["instance"]]))
        return found

    def _above(self, key: str, names: Iterable[str]) -> Iterator[Table]:
        """The source of a run and, where an upstream command made it, the stages before it."""
        present = set(names) & self.store.names(key)
        above = [found for name in present if (found := self.store.upstream(key, name))]
        if above:
            yield from self._above(above[0][0], [name for _, name in above])
        about = self.store.instance(key)
        label = about["stage"].partition(".")[0]
        upstream = above[0][0] if above else None
        yield self._filled(Table(label, key, about["stage"], about["params"], upstream), present)

    def _filled(self, table: Table, names: Iterable[str]) -> Table:
        for name in sorted(set(names) & self.store.names(table.key)):
            part = self._part(table.key, name)
            table.rows |= part.rows
            table.failures |= part.failures
            table.made |= part.made
            table.numbers |= part.numbers
        return table

    def _part(self, key: str, name: str) -> Table:
        if (key, name) not in self._parts:
            made = set(self.store.made_in(key, name))
            seen = shown_of(made)
            batch = self.store.read(key, name, (seen,) if seen else ())
            self._parts[key, name] = Table(
                "", key, "", {}, None, self._rows(batch, name, seen),
                dict(batch.failures), made, {batch.number},
            )  # fmt: skip
        return self._parts[key, name]

    def _rows(self, batch: Batch, name: str, seen: str) -> dict[str, Made]:
        found = {}
        for row, parent in zip(batch, batch.parents, strict=True):
            values = dict(row.values)
            array: Any = values.pop(seen, None)
            picture = None if array is None or not _is_picture(array) else self.album.add(array)
            found[row.id] = Made(values, parent, name, picture)
        return found


def shown_of(made: Collection[str]) -> str:
    """Which of the fields that a stage made is looked at; empty when none can be."""
    return next((shown for shown in SHOWN if shown in made), "")


def count_pictures(store: Store, names: Iterable[str]) -> int:
    """How many pictures a report of the runs `names` has, give or take failed rows.

    Raises
    ------
    StoreDamaged : a batch cannot be read.
    """
    batches = {
        (key, batch)
        for name in names
        for key, reached in reachable(store, store.run(name) or {}).items()
        for batch in reached & store.names(key)
    }
    return sum(len(store.read(*at)) for at in batches if shown_of(store.made_in(*at)))


def _is_picture(array: Any) -> bool:
    if array.ndim == 2:
        return bool(array.size)
    dims = len(fields.IMAGE.dims)
    return bool(array.ndim == dims and array.shape[-1] == 3 and array.dtype == "uint8")
