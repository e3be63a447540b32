"""What a run left in its store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgtool.engine.source import SOURCE_KEY
from imgtool.errors import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from imgtool.batch import Batch, Failure, Row
    from imgtool.engine.plan import Instance
    from imgtool.store import Store


@dataclass(frozen=True)
class RunResult:
    """The stages of a run, their batches, and what failed.

    Attributes
    ----------
    store : the store, open.
    run_name : name of the run's record.
    instances : the stages, in order.
    batches : label to the names of its committed batches, in order of their number.
    failures : row id to why it failed, over all stages.
    source_fields : fields that the source rows have.
    """

    store: Store
    run_name: str
    instances: tuple[Instance, ...]
    batches: Mapping[str, tuple[str, ...]]
    failures: Mapping[str, Failure]
    source: str = SOURCE_KEY
    source_fields: tuple[str, ...] = ()

    @property
    def store_path(self) -> Path:
        """Folder of the store."""
        return self.store.path

    @property
    def status(self) -> Status:
        """Exit status of a command that ended with this."""
        return Status.ROWS_FAILED if self.failures else Status.DONE

    @property
    def last(self) -> str:
        """Label of the last stage."""
        return self.instances[-1].label if self.instances else "source"

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that rows of the last stage have."""
        names = dict.fromkeys(self.source_fields)
        index: int | None = len(self.instances) - 1 if self.instances else None
        while index is not None:
            names |= dict.fromkeys(f.name for f in self.instances[index].spec.produces)
            index = self.instances[index].upstream
        return tuple(names)

    def instance_name(self, label: str) -> str:
        """Store name of the instance with this label."""
        return next((i.key for i in self.instances if i.label == label), self.source)

    def read(self, label: str, arrays: Sequence[str] | None = ()) -> Iterator[Batch]:
        """Committed batches of a stage, one at a time."""
        key = self.instance_name(label)
        for name in self.batches[label]:
            yield self.store.read(key, name, arrays)

    def rows(self, arrays: Sequence[str] | None = ()) -> Iterator[Row]:
        """Rows of the last stage, one batch in memory at a time."""
        for batch in self.read(self.last, arrays):
            yield from batch
