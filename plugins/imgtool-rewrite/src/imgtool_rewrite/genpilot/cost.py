"""What a search costs at most, by the cost model of GenPilot without its repeated judgements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgtool_rewrite.genpilot.search import Plan


@dataclass(frozen=True)
class Cost:
    """Calls of models, repairs of unreadable answers apart, and pictures."""

    calls: int
    images: int

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.calls + other.calls, self.images + other.images)


def analysis(statements: int, broken: int, questions: Sequence[int] = ()) -> Cost:
    """Of the first phase: n statements, those broken, and questions of each where asked one by one.

    1 + n + 2 broken calls about texts, 1 + n + n about the picture.
    """
    answering = sum(questions) if questions else statements
    return Cost(2 + 2 * statements + 2 * broken + answering, 1)


def search(plan: Plan, rounds: int, again: int, questions: int = 1) -> Cost:
    """Of one fault: `rounds` of C candidates, and `again` second looks in all.

    A round is C calls to refine, and `questions` + 1 for each of its C g pictures; the prompt is
    judged on g + 1 pictures, which all faults share: see `source`.
    """
    drawn = rounds * plan.candidates * plan.images + again
    judged = drawn + plan.images + 1
    return Cost(rounds * plan.candidates + judged * (questions + 1), drawn)


def source(plan: Plan) -> Cost:
    """Pictures of the prompt itself beside the first, which the analysis has drawn."""
    return Cost(0, plan.images)


def most(plan: Plan, questions: Sequence[int]) -> Cost:
    """The most that can follow an analysis: every round in full, every candidate seen again.

    Several edits are compared together with the prompt, over all seeds; one has been already.

    questions : of each fault.
    """
    asked = [count if plan.one_by_one else 1 for count in questions]
    total = source(plan)
    for count in asked:
        total += search(plan, plan.rounds, plan.rounds * plan.candidates, count)
    if len(asked) == 1:
        return total
    seeds = plan.images + 1
    whole = sum(asked) if plan.one_by_one else 1
    return total + Cost(2 * seeds * (whole + 1), seeds)
