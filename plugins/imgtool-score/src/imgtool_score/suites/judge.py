"""What a judge says: any stage that scores pictures, its answers to questions where it has some.

A stage answers a suite's questions when its record, `score_info.NAME`, has `questions`: a list of
`{"text": …, "kind": …, "value": 0..1}`, as `score.vqa --decompose given` writes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.api import BadParams, InputUnreadable, run_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from imgtool_score.suites.model import Suite
    from imgtool_score.suites.running import Places


@dataclass(frozen=True)
class JudgeFields:
    """Names of the fields in which a judge leaves its score and its record."""

    score: str
    record: str


def judge_fields(spec: Any) -> JudgeFields:
    """The fields of the stage that a spec declares.

    Raises
    ------
    BadParams : it scores nothing.
    """
    names = [item.name for item in spec.produces]
    scores = [name for name in names if name.startswith("score.")]
    if not scores:
        raise BadParams(
            f"{spec.id} gives no score, so it cannot judge", "imgtool stages score lists some"
        )
    record = scores[0].replace("score.", "score_info.", 1)
    return JudgeFields(scores[0], record if record in names else "")


def outcomes_of(row: Any, fields: JudgeFields) -> tuple[list[dict[str, Any]], str]:
    """Outcomes of one judged row, none where the judge gave no number; and its fingerprint."""
    record = (row[fields.record] if fields.record else None) or {}
    mark = str(record.get("fingerprint", ""))
    score = row[fields.score]
    if not _is_number(score):
        return [], mark
    asked = record.get("questions")
    if not asked:
        return [{"kind": "score", "text": fields.score, "value": float(score)}], mark
    outcomes = [
        {"kind": str(q.get("kind", "")), "text": str(q.get("text", "")), "value": q.get("value")}
        for q in asked
    ]
    return (outcomes if all(_is_number(o["value"]) for o in outcomes) else []), mark


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


@dataclass(frozen=True)
class Accuracy:
    """How well a judge answers where the answers are known.

    Attributes
    ----------
    yes, no : share answered right of questions to be answered yes, and no; None: none of them.
    """

    yes: float | None
    no: float | None
    questions: int

    @property
    def balanced(self) -> float:
        """Mean over both answers: a judge that always says yes gets a half."""
        known = [share for share in (self.yes, self.no) if share is not None]
        return sum(known) / len(known)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {**vars(self), "balanced": self.balanced}


def accuracy_of(marks: Sequence[tuple[bool, bool]]) -> Accuracy:
    """From pairs of what is expected and what was answered; at least one."""
    shares: list[float | None] = []
    for wanted in (True, False):
        right = [answered == wanted for expected, answered in marks if expected == wanted]
        shares.append(sum(right) / len(right) if right else None)
    return Accuracy(shares[0], shares[1], len(marks))


@dataclass(frozen=True)
class Known:
    """A judge on pictures whose truth is known.

    Attributes
    ----------
    whole, kinds : its accuracy, over all questions and by kind of question.
    features : [N, D] float, the judge's features of those pictures; None: it gives none.
    """

    whole: Accuracy
    kinds: Mapping[str, Accuracy]
    features: np.ndarray | None

    def as_json(self) -> dict[str, Any]:
        """Accuracies as JSON values."""
        kinds = {kind: accuracy.as_json() for kind, accuracy in self.kinds.items()}
        return {**self.whole.as_json(), "kinds": kinds}


def try_judge(
    suite: Suite, fields: JudgeFields, overrides: Mapping[str, object], places: Places
) -> Known | None:
    """The suite's judge on the suite's truth, through the engine; None where there is no truth.

    Raises
    ------
    InputUnreadable : the judge answers another number of questions than were asked.
    ImgtoolError : as the engine says.
    """
    if suite.truth is None:
        return None
    label = suite.judge.stage
    run = run_rows(
        ({"id": f"truth-{at}", **row} for at, row in enumerate(suite.truth.rows)),
        then=[(suite.truth.use.stage, suite.truth.use.params), (label, suite.judge.params)],
        overrides={k: v for k, v in overrides.items() if k.startswith(f"{label}.")},
        store=places.store,
        name=f"bench-{suite.name}-truth".replace("/", "-"),
        **places.settings,
    )
    marks: dict[str, list[tuple[bool, bool]]] = {}
    for row in run.rows:
        outcomes, _ = outcomes_of(row, fields)
        if len(outcomes) != len(row["expected"]):
            raise InputUnreadable(
                f"{label} gave {len(outcomes)} answers to {len(row['expected'])} questions",
                "Its own accuracy can be measured only where it answers the suite's questions",
            )
        for outcome, expected in zip(outcomes, row["expected"], strict=True):
            answered = outcome["value"] >= suite.rule.pass_at
            marks.setdefault(outcome["kind"], []).append((bool(expected), answered))
    every = [mark for part in marks.values() for mark in part]
    return Known(
        accuracy_of(every),
        {kind: accuracy_of(part) for kind, part in marks.items()},
        features_of(run, suite.features),
    )


def features_of(run: Any, field: str) -> np.ndarray | None:
    """[N, D] float64 features of the last stage's rows; None where the suite names no field."""
    import numpy as np

    if not field:
        return None
    return np.stack([np.asarray(value, np.float64) for value in run.rows.values(field)])
