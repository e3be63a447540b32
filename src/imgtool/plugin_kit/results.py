"""Rules about what a stage gives: fields, ids, numbers, and the batch that it was given."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from imgtool.fields import Kind
from imgtool.plugin_kit.trial import Broken, NotApplicable, copied

if TYPE_CHECKING:
    from imgtool.batch import Batch
    from imgtool.fields import Field
    from imgtool.plugin_kit.trial import Trial

PLAIN: dict[Kind, tuple[type, ...]] = {
    Kind.TEXT: (str,),
    Kind.INTEGER: (int,),
    Kind.NUMBER: (int, float),
    Kind.RECORD: (dict, list),
}
FIXED_DIMS = {"RGB": 3}


def runs(trial: Trial) -> str:
    """It makes something of the sample rows."""
    made = trial.result
    given = f"{len(trial.batch)} rows of {', '.join(trial.batch.columns)}"
    return f"{given}: {len(made)} rows"


def gives_declared_fields(trial: Trial) -> str:
    """What comes out is what `produces` says, and nothing else changed."""
    made = trial.result
    for field in trial.produced:
        if field.optional and field.name not in made:
            continue
        if len(made) and field.name not in made:
            raise Broken(
                f"produces {field.name!r}, but does not give it",
                "add the column in process, or take the field out of produces",
            )
        for row in made:
            _check_value(field, row[field.name], row.id)
    _check_others(trial, {field.name for field in trial.produced})
    return ""


def _check_others(trial: Trial, declared: set[str]) -> None:
    given, made = trial.batch, trial.result
    extra = sorted(set(made.columns) - set(given.columns) - declared)
    if extra:
        raise Broken(
            f"gives {extra[0]!r}, which produces does not name", "declare the field in produces"
        )
    if "source_prompt" in declared:
        raise Broken("changes 'source_prompt', what the user asked", "write 'prompt' instead")
    lost = sorted(set(given.columns) - set(made.columns))
    if lost:
        raise Broken(f"loses the field {lost[0]!r}", "start from the batch: batch.with_columns(…)")
    before = {row.id: row for row in given}
    for row, parent in zip(made, made.parents, strict=True):
        for name in set(given.columns) - declared - {"seed"}:
            if parent in before and _print(row[name]) != _print(before[parent][name]):
                raise Broken(
                    f"changes {name!r} of row {row.id!r}, which produces does not name",
                    "declare the field in produces, or leave it as it is",
                )


def _check_value(field: Field, value: Any, row_id: str) -> None:
    where = f"{field.name!r} of row {row_id!r}"
    if value is None and field.optional:
        return
    if not field.is_array:
        wrong = not isinstance(value, PLAIN[field.kind]) or (
            isinstance(value, bool) and field.kind is not Kind.RECORD
        )
        if value is not None and wrong:
            raise Broken(
                f"{where} is {type(value).__module__}.{type(value).__name__}, not {field.kind}",
                "give plain Python values",
            )
        return
    if not hasattr(value, "dtype") or not hasattr(value, "tobytes"):
        raise Broken(f"{where} is {type(value).__name__}, not a numpy array", "give one a row")
    wanted = " × ".join(field.dims)
    fits = len(value.shape) == len(field.dims) and all(
        size == FIXED_DIMS.get(dim, size) for dim, size in zip(field.dims, value.shape, strict=True)
    )
    if field.dims and not fits:
        raise Broken(
            f"{where} has shape {list(value.shape)}, not {wanted}", "one row, no batch axis"
        )
    if field.dtype and str(value.dtype) != field.dtype:
        raise Broken(
            f"{where} is {value.dtype}, not {field.dtype}", f"convert it: .astype({field.dtype!r})"
        )


def keeps_lineage(trial: Trial) -> str:
    """Ids and seeds of rows are those of their parents, or of numbered children."""
    _check_lineage(trial, trial.batch, trial.result)
    param = trial.spec.param("n")
    if param is None or param.type != "int":
        return ""
    two = trial.once_more(n=2)
    _check_lineage(trial, trial.batch, two)
    most = max((two.parents.count(parent) for parent in two.parents), default=0)
    if most > 2:
        raise Broken(f"n = 2 makes {most} rows of one", "n says how many children a row has")
    return "n = 2 too"


def _check_lineage(trial: Trial, given: Batch, made: Batch) -> None:
    rows = {row.id: row for row in given}
    hint = "make rows with batch.repeat, batch.expand and batch.keep"
    for row, parent in zip(made, made.parents, strict=True):
        if parent not in rows:
            raise Broken(f"row {row.id!r} comes of {parent!r}, which it was not given", hint)
        child = row.id.removeprefix(f"{parent}.")
        if row.id != parent and (child == row.id or not child.isdigit()):
            raise Broken(f"row {row.id!r} is no id for a child of {parent!r}", hint)
        if row.id == parent and made.parents.count(parent) > 1:
            raise Broken(f"row {row.id!r} is its own parent beside other children", hint)
        step = int(child) if row.id != parent else 0
        expected = (rows[parent].seed + step) % 2**63
        if "seed" not in trial.names and row["seed"] != expected:
            raise Broken(f"row {row.id!r} has seed {row['seed']}, not {expected}", hint)


def leaves_inputs(trial: Trial) -> str:
    """The batch that it was given is as it was."""
    batch = copied(trial.batch)
    before = {name: [_print(v) for v in values] for name, values in batch.columns.items()}
    trial.process_itself(batch)
    for name, values in batch.columns.items():
        if [_print(value) for value in values] != before.get(name):
            raise Broken(
                f"changes {name!r} of the batch that it was given",
                "work on a copy: other stages read the same values",
            )
    return ""


def scores_are_numbers(trial: Trial) -> str:
    """No NaN in scores, numbers and arrays; no infinity in scores."""
    numbers = [f for f in trial.produced if f.kind is Kind.NUMBER]
    arrays = [f for f in trial.produced if f.is_array]
    if not numbers and not arrays:
        raise NotApplicable("gives no numbers")
    for row in trial.result:
        for field in numbers:
            value: Any = row[field.name]
            if value is not None and not math.isfinite(value):
                raise Broken(
                    f"{field.name!r} of row {row.id!r} is {value}",
                    "give None for a missing score, or raise RowError",
                )
        for field in arrays:
            array: Any = row.values.get(field.name)
            if array is None:
                continue
            if array.dtype.kind == "f" and bool((array != array).any()):
                raise Broken(
                    f"{field.name!r} of row {row.id!r} holds NaN",
                    "see Runtime.retry_broken, or raise RowError",
                )
    return ""


def _print(value: Any) -> object:
    if hasattr(value, "tobytes"):
        return (str(value.dtype), value.shape, value.tobytes())
    return repr(value)
