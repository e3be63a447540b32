"""Rows to try a stage on, made from the fields that it says it consumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool.batch import Batch, derive_seed
from imgtool.fields import Kind
from imgtool.stages import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from imgtool.fields import Field
    from imgtool.specs import Spec

ROWS = 4
CHILDREN = 3
PROMPTS = (
    "a red cube",
    "two {blue|green} cones on a table, soft light",
    "a café at night, über-detailed, 35 mm",
    "a yellow sphere to the left of a small purple cylinder",
)
# Height and width differ, so that a stage that swaps them is seen.
SIZES = {"H": 24, "W": 36, "RGB": 3, "C": 4, "h": 8, "w": 12, "T": 7, "D": 16}


def sample_rows(spec: Spec, stage_class: Any, folder: Path) -> list[dict[str, Any]]:
    """Rows with `id`, `seed` and what the stage consumes: its own `check_rows`, or made up.

    A stage of scope `siblings` gets families of three.
    """
    own = [dict(row) for row in stage_class.check_rows(folder)]
    parents = ROWS - 1 if spec.scope == Scope.SIBLINGS else ROWS
    ids = [str(i) for i in range(parents)]
    if spec.scope == Scope.SIBLINGS:
        ids = [f"{parent}.{k}" for parent in ids for k in range(CHILDREN)]
    made = own or [_row(spec, number) for number in range(len(ids))]
    return [
        {"id": ids[at] if at < len(ids) else str(at), "seed": derive_seed("check", at), **row}
        for at, row in enumerate(made)
    ]


def batch_of(rows: Sequence[Mapping[str, Any]]) -> Batch:
    """The rows as one batch."""
    names = dict.fromkeys(name for row in rows for name in row if name != "id")
    return Batch(
        ids=tuple(str(row["id"]) for row in rows),
        columns={name: [row.get(name) for row in rows] for name in names},
    )


def units(spec: Spec, batch: Batch) -> list[Batch]:
    """The least that a stage may be given: single rows, or whole families of siblings."""
    if spec.scope == Scope.RUN:
        return [batch]
    members: dict[str, list[int]] = {}
    for index, row_id in enumerate(batch.ids):
        owner = row_id.rpartition(".")[0] if spec.scope == Scope.SIBLINGS else row_id
        members.setdefault(owner or row_id, []).append(index)
    return [batch.keep(indices) for indices in members.values()]


def disguised(batch: Batch, prefix: str) -> Batch:
    """The same rows under other ids and seeds, as mates for others."""
    ids = tuple(f"{prefix}{row_id}" for row_id in batch.ids)
    seeds = [derive_seed(prefix, row.seed) for row in batch]
    return Batch(ids=ids, columns={**batch.columns, "seed": seeds})


def _row(spec: Spec, number: int) -> dict[str, Any]:
    prompt = PROMPTS[number % len(PROMPTS)]
    row: dict[str, Any] = {"prompt": prompt, "source_prompt": prompt}
    for field in spec.consumes:
        if not field.optional and field.name not in ("seed", *row):
            row[field.name] = _value(field, number)
    return row


def _value(field: Field, number: int) -> Any:
    if field.is_array:
        return _array(field, number)
    plain: dict[Kind, Any] = {
        Kind.INTEGER: number,
        Kind.NUMBER: 0.1 + 0.7 * ((number * 5) % 9) / 9,
        Kind.RECORD: {"number": number},
        Kind.TEXT: "metric" if field.name == "depth_kind" else f"{field.name} {number}",
    }
    return plain[field.kind]


def _array(field: Field, number: int) -> np.ndarray:
    import numpy as np

    rng = np.random.default_rng([number, *field.name.encode()])
    shape = tuple(SIZES.get(dim, 5) for dim in field.dims)
    dtype = np.dtype(field.dtype or "float32")
    if dtype.kind in "iu":
        # Smooth with grain, as pictures are, with black and white in them.
        ramp = np.linspace(0, 235, int(np.prod(shape))).reshape(shape)
        return (ramp + rng.uniform(0, 20, shape)).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    if field.name in ("mask", "coc"):
        return rng.random(shape).astype(dtype)
    if field.name == "depth":
        return rng.uniform(1, 10, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)
