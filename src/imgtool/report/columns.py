"""Columns of the grid: what each stage made of its rows, runs that share a stage together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from imgtool.recipe import SETTINGS
from imgtool.report.model import Cell, Plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool.report.reading import Made, Table

# Texts that say how a row was drawn, not what it shows.
SETTING_TEXTS = {*SETTINGS, "path", "path_digest", "depth_kind"}


@dataclass
class Draft:
    """A column in the making: one stage, as one or several runs have it.

    Attributes
    ----------
    stages : the stage's own table, then that of the decoder of its latents.
    cells : row id to what the stage made of it.
    """

    stages: list[Table]
    runs: list[int]
    cells: dict[str, Cell] = field(default_factory=dict)

    @property
    def has_pictures(self) -> bool:
        """Whether any cell has one."""
        return any(cell.picture is not None for cell in self.cells.values())

    @property
    def is_shown(self) -> bool:
        """Whether there is anything to see."""
        return self.gives_latents or any(
            cell.picture is not None or cell.texts or cell.scores or "search" in cell.facts
            for cell in self.cells.values()
        )

    @property
    def gives_latents(self) -> bool:
        """Whether the stage made latents."""
        return "latents" in self.stages[0].made

    def is_same(self, table: Table) -> bool:
        """Whether `table` is this column's stage over the same rows."""
        mine = self.stages[0]
        return mine.key == table.key and all(
            mine.rows[row_id].batch == row.batch
            for row_id, row in table.rows.items()
            if row_id in mine.rows
        )


def find_columns(runs: Sequence[Sequence[Table]]) -> list[Draft]:
    """A draft for each stage of each run, shared where runs share it, decoders folded in.

    Columns of one label stand side by side, in the order of the runs.
    """
    drafts: list[Draft] = []
    for at, tables in enumerate(runs):
        above = {table.key: table for table in tables}
        of_run: dict[str, Draft] = {}
        for table in tables:
            upstream = above.get(table.upstream or "")
            target = _latents_above(table, above, of_run)
            known = next((d for d in drafts if d.is_same(table)), None)
            draft = target or known or Draft([table], [])
            if known is None and target is None:
                drafts.append(draft)
            if target is not None and table.key not in {stage.key for stage in target.stages}:
                target.stages.append(table)
            if at not in draft.runs:
                draft.runs.append(at)
            _add_cells(draft, table, upstream)
            of_run[table.key] = draft
    labels = list(dict.fromkeys(table.label for tables in runs for table in tables))
    return sorted(drafts, key=lambda draft: labels.index(draft.stages[0].label))


def _latents_above(
    table: Table, above: Mapping[str, Table], drafts: Mapping[str, Draft]
) -> Draft | None:
    """The column of the latents that a decoder makes visible, unless another did so."""
    if table.family != "decode":
        return None
    key = table.upstream
    while key is not None and key in drafts:
        draft = drafts[key]
        if draft.gives_latents:
            decoders = {stage.key for stage in draft.stages[1:]}
            is_free = not decoders or decoders == {table.key}
            fits = table.rows.keys() <= draft.cells.keys()
            return draft if is_free and fits and "image" not in draft.stages[0].made else None
        key = above[key].upstream
    return None


def _add_cells(draft: Draft, table: Table, upstream: Table | None) -> None:
    for row_id, row in table.rows.items():
        before = upstream.rows.get(row.parent) if upstream else row
        cell = _cell(row_id, row, before)
        old = draft.cells.get(row_id)
        draft.cells[row_id] = cell if old is None else _merged(old, cell)


def _merged(old: Cell, new: Cell) -> Cell:
    return replace(
        old,
        picture=old.picture if new.picture is None else new.picture,
        texts={**old.texts, **new.texts},
        scores={**old.scores, **new.scores},
        facts={**old.facts, **new.facts},
    )


def _cell(row_id: str, row: Made, before: Made | None) -> Cell:
    old = before.values if before else {}
    changed = {n: v for n, v in row.values.items() if n not in old or not _is_same(old[n], v)}
    texts, scores, facts = {}, {}, {}
    for name, value in changed.items():
        if name.startswith("score."):
            scores[name] = _number(value)
        elif isinstance(value, str) and name not in SETTING_TEXTS:
            if value or old.get(name):
                texts[name] = value
        elif value is not None and value != "":
            facts[name] = plain(value)
    return Cell(row_id, row.picture, texts, scores, facts)


def _is_same(old: object, new: object) -> bool:
    """Equal, or numbers that are none both."""
    return old == new or (old != old and new != new)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def plain(value: Any) -> Plain:
    """A scalar as JSON; numbers that JSON lacks become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | None) else str(value)
