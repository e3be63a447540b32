"""A store on a local disk: instances, committed batches, runs, claims and journals.

`STORE.zarr/` is plain Zarr v3. Locks, journals and models made live in `STORE.zarr.d/`, where
Zarr readers are not bothered by them.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from imgtool.batch import Batch, Failure
from imgtool.errors import StoreDamaged, StoreNotFound, StoreReadOnly, StoreTooNew
from imgtool.store import arrays, layout
from imgtool.store.atomic import (
    MARK,
    committed_folder,
    explained,
    make_folder,
    remove_folder,
    remove_leftovers,
    write_file,
    write_synced,
)
from imgtool.store.keys import FORMAT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path


# The files that every store has; what is in them never changes.
ROOT = layout.group({"imgtool": {"format": FORMAT}})
RUNS = layout.group({})
SOURCE_BATCH = re.compile(r"/source-[0-9a-f]{16}/[0-9]{6,}-[0-9a-f]{16}$")


class Store:
    """A store opened for reading (`r`) or also for adding (`a`). Nothing in it is overwritten
    but run records, which are replaced whole."""

    def __init__(self, path: Path, mode: str) -> None:
        self.path, self.mode = path, mode
        self.beside = beside(path)

    @classmethod
    def open(cls, path: Path, mode: str = "r") -> Store:
        """Open a store; with mode `a` a missing one is made.

        Raises
        ------
        StoreNotFound, StoreTooNew, StoreReadOnly : as the names say.
        """
        root = path / layout.META
        if not root.exists():
            if path.exists() and not _is_empty(path) and not root.exists():
                _refuse_damaged(path)
                raise StoreNotFound(f"{str(path)!r} is no imgtool store", "Give another --store")
            if mode == "r":
                raise StoreNotFound(
                    f"no store at {str(path)!r}", "Run something with --store first"
                )
            write_file(root, ROOT)
        found = _format(root)
        if found is None:
            _refuse_damaged(path)
            raise StoreNotFound(f"{str(path)!r} is a Zarr group, but no imgtool store")
        if found > FORMAT:
            raise StoreTooNew(
                f"store {str(path)!r} has format {found}, newer than {FORMAT}",
                "Update imgtool, or give another --store",
            )
        return cls(path, mode)

    def require_writable(self) -> None:
        """Raises StoreReadOnly where nothing can be added."""
        if self.mode == "r" or not os.access(self.path, os.W_OK):
            raise StoreReadOnly(
                f"store {str(self.path)!r} cannot be written", "Give another --store"
            )

    # Listing

    def instances(self) -> list[str]:
        """Names of all instances."""
        return sorted(
            p.name
            for p in self.path.iterdir()
            if p.is_dir() and p.name != "runs" and not p.name.startswith(".")
        )

    def names(self, instance: str) -> set[str]:
        """Names of the committed batches of an instance; one listing."""
        try:
            # Names alone: a Path for each of a hundred thousand batches would cost seconds.
            return {n for n in os.listdir(self.path / instance) if n[0].isdigit()}  # noqa: PTH208
        except FileNotFoundError:
            return set()

    def has(self, instance: str, name: str) -> bool:
        """Whether a batch is committed."""
        return (self.path / instance / name / layout.META).exists()

    def instance(self, key: str) -> dict[str, Any]:
        """What an instance is, in clear.

        Raises
        ------
        StoreDamaged : it is missing or was changed.
        """
        return self._record(self.path / key / layout.META, f"instance {key}")

    def runs(self) -> list[str]:
        """Names of all runs."""
        return sorted(path.parent.name for path in self.path.glob(f"runs/*/{layout.META}"))

    def run(self, name: str) -> dict[str, Any] | None:
        """The record of a run, or None.

        Raises
        ------
        StoreDamaged : it was changed.
        """
        path = self.path / "runs" / name / layout.META
        return self._record(path, f"the record of run {name!r}") if path.exists() else None

    def _record(self, path: Path, what: str) -> dict[str, Any]:
        try:
            found = layout.unsealed(path)
        except (OSError, ValueError) as err:
            wrong = "is missing or damaged"
            if layout.is_unsealed(path):
                wrong = "has no checksum: an older imgtool wrote it"
            raise StoreDamaged(
                f"{what} in {str(self.path)!r} {wrong}",
                f"imgtool store verify {self.path} takes it out; the next run writes it anew",
            ) from err
        return {name: value for name, value in found.items() if name != "checksum"}

    # Writing

    def write_instance(self, key: str, attributes: Mapping[str, object]) -> None:
        """Say what an instance is; once."""
        path = self.path / key / layout.META
        if not path.exists():
            self.require_writable()
            write_file(path, layout.sealed(attributes))

    def write_run(self, name: str, attributes: Mapping[str, object]) -> None:
        """Replace the record of a run."""
        data = layout.sealed(attributes)
        path = self.path / "runs" / name / layout.META
        if path.exists() and path.read_bytes() == data:
            return
        self.require_writable()
        runs = self.path / "runs" / layout.META
        if not runs.exists():
            write_file(runs, RUNS)
        write_file(path, data)

    def write(
        self,
        instance: str,
        name: str,
        batch: Batch,
        upstream: tuple[str, str] | None,
        new_arrays: Collection[str],
    ) -> None:
        """Commit a batch: scalars into attributes, the fields `new_arrays` into Zarr arrays.

        Raises
        ------
        StorageFull, StoreReadOnly, OutputUnwritable : nothing is left behind.
        """
        self.require_writable()
        with committed_folder(self.path / instance / name) as folder:
            scalars: dict[str, list[object]] = {}
            groups: dict[str, list[int]] = {}
            for field, values in batch.columns.items():
                if field in new_arrays:
                    groups |= arrays.write_field(folder, field, values)
                elif not any(layout.is_array(value) for value in values):
                    scalars[field] = [layout.plain(value) for value in values]
            digests = {array: layout.file_digest(folder / array / layout.META) for array in groups}
            make_folder(self.beside / "failed")
            if batch.failures:
                write_file(self.beside / "failed" / instance, b"")
            attributes = layout.batch_attributes(batch, scalars, groups, upstream, digests)
            write_synced(folder / layout.META, layout.sealed(attributes))

    # Reading

    def read(self, instance: str, name: str, wanted: Collection[str] | None = ()) -> Batch:
        """A committed batch with all its scalars and the array fields `wanted` (None: all).

        Arrays that the batch does not hold itself come from the batches it was made of.

        Raises
        ------
        StoreDamaged : the batch, or one it was made of, is missing or changed.
        """
        attributes = self._batch_attributes(instance, name)
        batch = layout.batch_from(attributes)
        columns = dict(batch.columns)
        missing = None if wanted is None else set(wanted) - set(columns)
        lineage, at, step = list(batch.ids), (instance, name), attributes
        while True:
            for field in arrays.fields_of(step["arrays"]):
                if field not in columns and (missing is None or field in missing):
                    columns[field] = self._array_column(at, step, field, lineage)
            upstream = step.get("upstream")
            if upstream is None or (missing is not None and missing <= set(columns)):
                break
            parent_of = dict(zip(step["ids"], step["parents"], strict=True))
            lineage = [parent_of[row_id] for row_id in lineage]
            at = (upstream[0], upstream[1])
            step = self._batch_attributes(*at)
        return Batch(batch.ids, columns, batch.parents, batch.failures, batch.number)

    def upstream(self, instance: str, name: str) -> tuple[str, str] | None:
        """Instance and name of the batch that a batch was made of; None for source batches.

        Raises
        ------
        StoreDamaged : the batch is missing or damaged.
        """
        above = self._batch_attributes(instance, name).get("upstream")
        return (above[0], above[1]) if above else None

    def has_failures(self, instance: str) -> bool:
        """Whether a batch of an instance may have recorded a failed row."""
        marks = self.beside / "failed"
        # A store that was copied alone has lost its marks.
        return not marks.is_dir() or (marks / instance).exists()

    def made_in(self, instance: str, name: str) -> list[str]:
        """Array fields that a batch holds itself, rather than those it was made of.

        Raises
        ------
        StoreDamaged : the batch is missing or damaged.
        """
        return arrays.fields_of(self._batch_attributes(instance, name)["arrays"])

    def failures(self, instance: str, name: str) -> dict[str, Failure]:
        """Rows that failed in a batch."""
        return dict(layout.batch_from(self._batch_attributes(instance, name)).failures)

    def committed_at(self, instance: str, name: str) -> float:
        """When a batch was committed, in seconds since the epoch, by the file system's clock."""
        return (self.path / instance / name / layout.META).stat().st_mtime

    def _batch_attributes(self, instance: str, name: str) -> dict[str, Any]:
        try:
            return layout.unsealed(self.path / instance / name / layout.META)
        except (FileNotFoundError, ValueError) as err:
            raise StoreDamaged(
                f"batch {instance}/{name} of {str(self.path)!r} is missing or damaged",
                f"imgtool store verify {self.path} withdraws it; the next run redoes it",
            ) from err

    def _array_column(
        self, at: tuple[str, str], step: Mapping[str, Any], field: str, lineage: list[str]
    ) -> list[Any]:
        row_of = {row_id: i for i, row_id in enumerate(step["ids"])}
        rows = [row_of[row_id] for row_id in lineage]
        folder = self.path / at[0] / at[1]
        try:
            return arrays.read_field(folder, field, step["arrays"], step["arrays_digest"], rows)
        except StoreDamaged:
            raise
        except Exception as err:  # zarr raises many kinds for damaged bytes
            raise StoreDamaged(
                f"field {field!r} of batch {at[0]}/{at[1]} cannot be read: {err}",
                f"imgtool store verify {self.path} withdraws it; the next run redoes it",
            ) from err

    # Claims, journals, withdrawal

    def claim(self, name: str) -> Any:
        """A context that holds the right to make `name`, or None while another process has it."""
        folder = self.beside / "claims"
        with explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        # The holder unlinks its file: one that was opened before and locked after is stale.
        try:
            stale = os.fstat(handle).st_ino != path.stat().st_ino
        except FileNotFoundError:
            stale = True
        if stale:
            os.close(handle)
            return None
        return _held(handle, path)

    def journal(self, instance: str, name: str) -> Path:
        """Folder for work inside a batch that must survive a kill; made when first used."""
        return self.beside / "journals" / instance / name

    def drop_journal(self, instance: str, name: str) -> None:
        """Forget the journal of a committed batch."""
        shutil.rmtree(self.journal(instance, name), ignore_errors=True)

    def drop_journals(self, kept: Collection[str]) -> None:
        """Forget the journals of all instances but those `kept`."""
        for folder in (self.beside / "journals").glob("*"):
            if folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def withdraw(self, instance: str, name: str) -> None:
        """Take a batch out, so that the next run redoes it."""
        self.require_writable()
        remove_folder(self.path / instance / name)

    def tidy(self) -> None:
        """Remove what killed writers left, wherever they write."""
        beside = (self.beside / "failed", self.beside / "models")
        runs = self.path / "runs"
        instances = (self.path / name for name in self.instances())
        for folder in (self.path, runs, *runs.glob("*"), *instances, *beside):
            remove_leftovers(folder)


def beside(store: Path) -> Path:
    """The folder `s.zarr.d` beside a store `s.zarr`, which may be named as `.` or `..` too."""
    named = store.resolve() if store.name in ("", "..") else store
    return named.with_name(f"{named.name}.d")


def looks_like_store(path: Path) -> bool:
    """Whether a folder whose own `zarr.json` is damaged holds what only a store does."""
    return any(SOURCE_BATCH.search(str(p)) for p in path.glob("source-*/*"))


def _format(root: Path) -> int | None:
    try:
        found = layout.attributes(root).get("imgtool")
    except (OSError, ValueError):
        return None
    number = found.get("format") if isinstance(found, dict) else None
    return number if type(number) is int else None


def _refuse_damaged(path: Path) -> None:
    if looks_like_store(path):
        raise StoreDamaged(
            f"{str(path / layout.META)!r}, which says that this is a store, is missing or damaged",
            f"imgtool store verify {path} writes it anew",
        )


def _is_empty(path: Path) -> bool:
    # Another process may be making the store now: its temporary file is no content.
    return path.is_dir() and all(p.name.startswith(MARK) for p in path.iterdir())


@contextmanager
def _held(handle: int, path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)
