"""Rows that meet a condition."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from imgtool.api import Batch, Help, Stage
from imgtool.builtin.conditions import holds, parse_condition


@dataclass(frozen=True)
class WhereParams:
    """Parameters of `select.where`."""

    condition: Annotated[str, Help("Such as: score.clip > 0.3 and not 'dog' in prompt.")]


class Where(Stage[WhereParams]):
    """Rows for which a condition over their fields holds."""

    id = "select.where"
    summary = "Keep the rows that meet a condition."
    check_params = MappingProxyType({"condition": "'red' in prompt"})

    def process(self, batch: Batch) -> Batch:
        """Each row alone."""
        tree = parse_condition(self.params.condition)
        rows = [{"id": row.id, **row.values} for row in batch]
        return batch.keep([i for i, values in enumerate(rows) if holds(tree, values)])
