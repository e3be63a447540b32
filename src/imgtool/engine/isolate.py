"""One bad row must not take its batch along, nor a batch too large for memory the run."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imgtool.batch import Batch, Failure, concatenate
from imgtool.errors import ImgtoolError, OutOfMemory, RowError, StageFailed
from imgtool.runtime.memory import is_out_of_memory
from imgtool.stages import Scope

if TYPE_CHECKING:
    from imgtool.stages import Stage

log = logging.getLogger("imgtool.engine")


def process_isolated(stage: Stage[Any], label: str, batch: Batch) -> Batch:
    """`stage.process(batch)`, with rows that cannot be done recorded as failures.

    A stage of scope `row` that raises is given its rows one by one; one that runs out of memory
    is given half as many at once.

    Raises
    ------
    StageFailed : a stage that looks at several rows at once raised.
    OutOfMemory : one row alone does not fit.
    ImgtoolError : whatever the stage raised that concerns no single row.
    """
    while len(batch):
        try:
            result = _checked(stage.process(batch), batch, label)
        except RowError as err:
            if err.row_id not in batch.ids:
                raise StageFailed(f"{label}: {err.reason} (row {err.row_id!r})") from err
            batch = batch.fail({err.row_id: Failure(label, err.code, err.reason)})
            continue
        except ImgtoolError:
            raise
        except Exception as err:  # noqa: BLE001 - the border where a plugin's fault becomes a failed row
            result = _after_fault(stage, label, batch, err)
        return replace(result, failures={**batch.failures, **result.failures})
    return batch


def _after_fault(stage: Stage[Any], label: str, batch: Batch, err: Exception) -> Batch:
    log.debug("stage %s raised", label, exc_info=err)
    reason = f"{type(err).__name__}: {str(err).strip().splitlines()[0] if str(err).strip() else ''}"
    if stage.scope != Scope.ROW:
        raise StageFailed(f"stage {label!r}: {reason}") from err
    out_of_memory = is_out_of_memory(err)
    if len(batch) == 1:
        if out_of_memory:
            raise OutOfMemory(
                f"stage {label!r}: row {batch.ids[0]} alone does not fit in memory",
                "Try a smaller picture, --dtype bfloat16 or --device cpu",
            ) from err
        return batch.fail({batch.ids[0]: Failure(label, type(err).__name__, reason)})
    size = (len(batch) + 1) // 2 if out_of_memory else 1
    parts = [batch.keep(range(at, min(at + size, len(batch)))) for at in range(0, len(batch), size)]
    done = [process_isolated(stage, label, replace(part, failures={})) for part in parts]
    return replace(concatenate(done), number=batch.number)


def _checked(result: Batch, given: Batch, label: str) -> Batch:
    strangers = set(result.parents) - set(given.ids)
    if strangers:
        raise StageFailed(
            f"stage {label!r} returned a row that descends from {sorted(strangers)[0]!r}, "
            "which it was not given",
            "Stages make rows with batch.repeat, batch.expand and batch.keep",
        )
    return replace(result, number=given.number)


def passed_through(result: Batch, given: Batch) -> Batch:
    """`result` with its failed rows put back as they came, for `--on-error pass`."""
    back = given.keep([i for i, row_id in enumerate(given.ids) if row_id in result.failures])
    merged = concatenate([result, back])
    return replace(merged, number=result.number, failures=result.failures)
