"""Rows as columns: the immutable value that stages take and give. Light to import."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from imgtool.errors import MissingField

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import torch

    Array: TypeAlias = np.ndarray
    Value: TypeAlias = str | int | float | bool | list[object] | dict[str, object] | Array | None


def derive_seed(*parts: object) -> int:
    """A 32-bit seed from the text of `parts`; equal parts give equal seeds on every machine."""
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big")


@dataclass(frozen=True)
class Failure:
    """Why a row failed.

    Attributes
    ----------
    stage : label of the stage in which it failed.
    code : name of the error class.
    reason : one line.
    """

    stage: str
    code: str
    reason: str


@dataclass(frozen=True)
class Row:
    """One picture in the making, seen alone.

    Attributes
    ----------
    id : its lineage: `42` from the input, `42.1` the second child made of it.
    values : field name to value.
    """

    id: str
    values: Mapping[str, Value]

    def __getitem__(self, name: str) -> Value:
        return self.values[name]

    @property
    def seed(self) -> int:
        """Seed of all randomness of this row."""
        value = self.values["seed"]
        assert isinstance(value, int)
        return value

    def random(self, salt: str) -> random.Random:
        """A torch-free random source that depends on the row's seed and `salt` alone."""
        return random.Random(derive_seed(self.seed, salt))  # noqa: S311 - not for secrets

    def generator(self, salt: str = "") -> torch.Generator:
        """A CPU generator that depends on the row's seed and `salt` alone.

        An empty salt seeds with the row's seed itself, as diffusers users expect.
        """
        import torch

        seed = derive_seed(self.seed, salt) if salt else self.seed
        return torch.Generator("cpu").manual_seed(seed)


@dataclass(frozen=True)
class Batch:
    """Some rows as columns. Immutable: every method returns a new batch.

    Attributes
    ----------
    ids : row ids, unique.
    columns : field name to one value a row; arrays are numpy, shapes may differ between rows.
    parents : for each row the id of the row it came from in the batch that the stage was given.
    failures : row id to failure; a failed row is among `ids` only where it was let pass.
    number : place of the batch in its source; kept through the pipeline.
    """

    ids: tuple[str, ...]
    columns: Mapping[str, Sequence[Value]]
    parents: tuple[str, ...] = ()
    failures: Mapping[str, Failure] = field(default_factory=dict)
    number: int = 0

    def __post_init__(self) -> None:
        if not self.parents:
            object.__setattr__(self, "parents", self.ids)
        if len(set(self.ids)) != len(self.ids):
            raise ValueError("row ids repeat in one batch")
        for name, values in self.columns.items():
            if len(values) != len(self.ids):
                raise ValueError(
                    f"column {name!r} has {len(values)} values for {len(self.ids)} rows"
                )

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Row]:
        for index, row_id in enumerate(self.ids):
            yield Row(row_id, {name: values[index] for name, values in self.columns.items()})

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Sequence[Value]:
        """The column `name`.

        Raises
        ------
        MissingField : the batch has no such column.
        """
        try:
            return self.columns[name]
        except KeyError:
            raise MissingField(f"the batch has no field {name!r}") from None

    def texts(self, name: str) -> list[str]:
        """A text column; a missing column or value reads as an empty string."""
        values = self.columns.get(name) or [""] * len(self)
        return [str(value) if value is not None else "" for value in values]

    def numbers(self, name: str) -> list[float]:
        """A numeric column as floats; a missing value is NaN."""
        return [float("nan") if value is None else float(value) for value in self[name]]  # type: ignore[arg-type]

    def arrays(self, name: str) -> list[Array]:
        """An array column, one numpy array a row."""
        return list(self[name])  # type: ignore[arg-type]

    def with_columns(self, **columns: Sequence[Value]) -> Batch:
        """The same rows with columns added or replaced. `score__clip` means `score.clip`."""
        named = {name.replace("__", "."): list(values) for name, values in columns.items()}
        return replace(self, columns={**self.columns, **named})

    def repeat(self, n: int) -> Batch:
        """Each row as `n` children: see `expand`."""
        return self.expand([n] * len(self))

    def expand(self, counts: Sequence[int]) -> Batch:
        """Row `i` as `counts[i]` children; the k-th has id `id.k` and seed `seed + k`.

        One child is the row itself, id and seed unchanged, whatever becomes of its neighbours.
        """
        picks = [(index, k) for index, count in enumerate(counts) for k in range(count)]
        columns = {name: [values[i] for i, _ in picks] for name, values in self.columns.items()}
        if "seed" in columns:
            columns["seed"] = [
                (seed + k) % 2**63 if isinstance(seed, int) else seed
                for seed, (_, k) in zip(columns["seed"], picks, strict=True)
            ]
        return replace(
            self,
            ids=tuple(self.ids[i] if counts[i] == 1 else f"{self.ids[i]}.{k}" for i, k in picks),
            parents=tuple(self.parents[i] for i, _ in picks),
            columns=columns,
        )

    def keep(self, indices: Sequence[int]) -> Batch:
        """Only the rows at `indices`, in that order."""
        return replace(
            self,
            ids=tuple(self.ids[i] for i in indices),
            parents=tuple(self.parents[i] for i in indices),
            columns={name: [values[i] for i in indices] for name, values in self.columns.items()},
        )

    def fail(self, failures: Mapping[str, Failure]) -> Batch:
        """Take the rows named in `failures` out, and record why."""
        alive = [index for index, row_id in enumerate(self.ids) if row_id not in failures]
        return replace(self.keep(alive), failures={**self.failures, **failures})


def concatenate(batches: Sequence[Batch]) -> Batch:
    """The rows of all `batches` after one another; a column missing in some is None there."""
    names = list(dict.fromkeys(name for batch in batches for name in batch.columns))
    return Batch(
        ids=tuple(row_id for batch in batches for row_id in batch.ids),
        parents=tuple(parent for batch in batches for parent in batch.parents),
        columns={
            name: [v for b in batches for v in b.columns.get(name, [None] * len(b))]
            for name in names
        },
        failures={row_id: why for batch in batches for row_id, why in batch.failures.items()},
        number=batches[0].number if batches else 0,
    )
