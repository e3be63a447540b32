"""The stages that a search needs, open: rows in, drawn and judged rows out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from imgtool.api import IMAGE, LATENTS, BadParams, Batch, Failure, RowError, concatenate
from imgtool_search.notes import noted

if TYPE_CHECKING:
    from imgtool.api import Runtime, Stage
    from imgtool_search.stage import BestOfNParams

# Rows that are drawn and judged between two notes.
PART = 16


@dataclass
class Studio:
    """Draws, judges and compares.

    Attributes
    ----------
    by : the score that is compared.
    """

    params: BestOfNParams
    runtime: Runtime
    by: str = ""
    _decode: Stage[Any] | None = None
    _until: Stage[Any] | None = None
    _drawers: dict[int, Stage[Any]] = field(default_factory=dict)
    _choosers: dict[int, Stage[Any]] = field(default_factory=dict)
    _stages: list[Stage[Any]] = field(default_factory=list)

    @classmethod
    def open(cls, params: BestOfNParams, runtime: Runtime) -> Studio:
        """Open every stage, or none.

        Raises
        ------
        BadParams : the judge gives no score of its own, and none is named.
        UnknownComponent, ModelUnusable, NeedsConsent : see the stages.
        """
        studio = cls(params, runtime)
        try:
            studio._open()
        except BaseException:
            studio.close()
            raise
        return studio

    def _open(self) -> None:
        params = self.params
        for steps in dict.fromkeys((*params.looks, params.steps)):
            given = {"steps": steps} if steps else {}
            self._drawers[steps] = self._stage(params.draw, model=params.model, **given)
        draws = {field.name for field in self._drawers[params.steps].produces}
        if IMAGE.name not in draws:
            self._decode = self._stage("decode", model=params.model)
        self._judge = self._stage(params.judge)
        self.by = params.by or score_of(self._judge)
        if params.until:
            self._until = self._stage("select.where", condition=params.until)

    def _stage(self, name: str, **params: object) -> Stage[Any]:
        stage = self.runtime.stage(name, **params)
        self._stages.append(stage)
        return stage

    def close(self) -> None:
        """Close every stage that is open."""
        while self._stages:
            self._stages.pop().close()
        self.runtime.release()

    def look(self, rows: Batch, steps: int, keep_images: bool = True) -> Batch:
        """The rows drawn in `steps` steps and judged; those that cannot be are failures.

        What a killed run had noted in the journal is not drawn again.
        """
        seen = []
        for at in range(0, len(rows), PART):
            part = rows.keep(range(at, min(at + PART, len(rows))))
            key = f"{steps}|{keep_images}|{' '.join(part.ids)}"
            seen.append(
                noted(self.runtime.journal, key, lambda p=part: self._seen(p, steps, keep_images))  # type: ignore[misc]
            )
        return concatenate(seen)

    def _seen(self, rows: Batch, steps: int, keep_images: bool) -> Batch:
        drawn = self._done(self._drawers[steps], rows)
        if self._decode is not None:
            drawn = self._done(self._decode, drawn)
        judged = self._done(self._judge, drawn)
        dropped = {LATENTS.name} if keep_images else {LATENTS.name, IMAGE.name}
        kept = {name: values for name, values in judged.columns.items() if name not in dropped}
        return replace(judged, columns=kept)

    def _done(self, stage: Stage[Any], rows: Batch) -> Batch:
        """What a stage makes of the rows, without those that it cannot do."""
        if not len(rows):
            return rows
        stage.runtime.journal = self.runtime.journal / stage.id
        try:
            return stage.process(rows)
        except RowError as err:
            if err.row_id not in rows.ids:
                raise
            failed = {err.row_id: Failure(stage.id, err.code, err.reason)}
            return self._done(stage, rows.fail(failed))

    def best(self, rows: Batch, k: int) -> Batch:
        """The `k` best of each parent's children."""
        if k not in self._choosers:
            self._choosers[k] = self._stage("select.best", by=self.by, k=k)
        return self._done(self._choosers[k], rows)

    def enough(self, rows: Batch) -> set[str]:
        """Ids of the parents of whose children one meets the condition."""
        return set(self._done(self._until, rows).parents) if self._until else set()


def score_of(judge: Stage[Any]) -> str:
    """The score that a stage gives.

    Raises
    ------
    BadParams : it gives none, or parameters say which.
    """
    names = [field.name for field in judge.produces if field.name.startswith("score.")]
    if not names or names[0].endswith("*"):
        raise BadParams(
            f"{judge.id} has no score of its own to compare", "Name one with --by, as score.NAME"
        )
    return names[0]
