"""How a plan is shown: what would run and why, with rows, time and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.ui.text import counted

if TYPE_CHECKING:
    from imgtool.cli.output import Output
    from imgtool.engine.planned import Plan

SCHEMA = "imgtool.plan/1"


def show_plan(plan: Plan, output: Output) -> None:
    """Print a plan: one row a stage, or one JSON document."""
    if output.mode == "json":
        output.json({"schema": SCHEMA, **plan.as_json()})
        return
    rows, batches = counted(plan.rows, "row"), counted(plan.batches, "batch")
    output.line(f"run {plan.run} in {plan.store}: {rows} in {batches}")
    for name in plan.makers:
        output.line(f"makes @{name} first")
    output.rows(
        ("stage", "id", "rows", "done", "missing", "time", "memory", "why"),
        [
            (
                f"{item.label} (inserted)" if item.inserted else item.label,
                item.spec.id,
                item.rows,
                item.done,
                item.missing_batches,
                duration(item.est_seconds),
                size(item.est_bytes),
                item.reason,
            )
            for item in plan.instances
        ],
    )


def duration(seconds: float | None) -> str:
    """Seconds as a person says them; empty when not known."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float | None) -> str:
    """Bytes as a person says them; empty when not known."""
    if not count:
        return ""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1000 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.{3 if count >= 1 else 2}g} {unit}"
