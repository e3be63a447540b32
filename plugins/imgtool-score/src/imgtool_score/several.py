"""`score.all`: several scores over one decoded batch, sharing the models that they all use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import (
    IMAGE,
    PROMPT,
    SOURCE_PROMPT,
    BadParams,
    Help,
    Stage,
    StageRef,
    optional,
    score,
)
from imgtool_score.asking import QUESTIONS
from imgtool_score.compare import REFERENCE
from imgtool_score.record import info

if TYPE_CHECKING:
    from imgtool.api import Batch, Runtime

SCORES = (score("*"), info("*"))
PREFIXES = tuple(field.name.rstrip("*") for field in SCORES)


@dataclass(frozen=True)
class AllParams:
    """Parameters of `score.all`."""

    metrics: Annotated[
        tuple[str, ...],
        Help("Stages that score, each as NAME or NAME:key=value,key=value."),
        StageRef(),
    ] = ("score.tit", "score.clip", "score.aesthetic")


class All(Stage[AllParams]):
    """Several stages that score, one after another; a row that one fails goes on no further.

    Each adds the scores that it adds alone, so `score.clip` is `score.clip`, and nothing else.
    """

    id, version = "score.all", 2
    summary = "Score by several metrics at once, decoding pictures and running shared models once."
    consumes = (
        IMAGE,
        optional(PROMPT),
        optional(SOURCE_PROMPT),
        optional(REFERENCE),
        optional(QUESTIONS),
    )
    produces = SCORES

    stages: list[Stage[Any]]

    def open(self, params: AllParams, runtime: Runtime) -> None:
        """Open every metric.

        Raises
        ------
        BadParams : no metric is named, or one is not for here: see `_check`.
        UnknownComponent, ModelUnusable, NeedsConsent : see the stages.
        """
        self.params, self.runtime, self.stages = params, runtime, []
        if not params.metrics:
            raise BadParams("score.all: no metric is named", "imgtool stages score lists some")
        try:
            for name in params.metrics:
                self.stages.append(runtime.stage(name))
                self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        """Refuse the last stage if it scores nothing, needs more than a row has, or comes twice."""
        *others, stage = self.stages
        scores, read = _scores(stage), {field.name for field in self.consumes}
        if not scores:
            raise BadParams(
                f"score.all: {stage.id} gives no score", "imgtool stages score lists some that do"
            )
        if stage.scope != "row":
            raise BadParams(
                f"score.all: {stage.id} looks at several rows", f"Put {stage.id} behind score.all"
            )
        for field in stage.consumes:
            if field.is_array and not field.optional and field.name not in read:
                raise BadParams(
                    f"score.all: {stage.id} wants {field.name!r}, which is not read here",
                    f"Put {stage.id} behind score.all",
                )
        for other in others:
            if _scores(other) & scores:
                raise BadParams(f"score.all: {other.id} and {stage.id} give the same score")

    def process(self, batch: Batch) -> Batch:
        """The rows with the scores of every metric."""
        for at, stage in enumerate(self.stages):
            stage.runtime.journal = self.runtime.journal / f"{at}-{stage.id}"
            if len(batch):
                batch = _with_scores_of(stage.process(batch), batch)
        return batch

    def close(self) -> None:
        """Close every metric."""
        for stage in self.stages:
            stage.close()
        self.runtime.release()


def _scores(stage: Stage[Any]) -> set[str]:
    return {field.name for field in stage.produces if _is_score(field.name)}


def _is_score(name: str) -> bool:
    return name.startswith(PREFIXES)


def _with_scores_of(done: Batch, before: Batch) -> Batch:
    """`done` without the columns that a stage added and that are no scores."""
    kept = {
        name: values
        for name, values in done.columns.items()
        if name in before.columns or _is_score(name)
    }
    return replace(done, columns=kept)
