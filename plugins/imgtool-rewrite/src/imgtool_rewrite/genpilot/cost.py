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
    """Of one fault: `rounds` of C candidates, `again` second looks in all, and one at the prompt.

    A round is C calls to refine, and `questions` + 1 for each of its C g pictures and second looks.
    """
    pictures = rounds * plan.candidates * plan.images + again + 1
    return Cost(rounds * plan.candidates + pictures * (questions + 1), pictures)


def most(plan: Plan, questions: Sequence[int]) -> Cost:
    """The most that can follow an analysis: every round in full, every candidate seen again.

    questions : of each fault.
    """
    asked = [count if plan.one_by_one else 1 for count in questions]
    total = Cost(0, 0)
    for count in asked:
        total += search(plan, plan.rounds, plan.rounds * plan.candidates, count)
    checks = 2 * (plan.images + 1)
    whole = sum(asked) if plan.one_by_one else 1
    return total + Cost(checks * (whole + 1), checks)
