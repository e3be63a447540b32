"""What drawn plans are worth, group by group, and a watch that hard prompts keep theirs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from imgtool.api import StageFailed
from imgtool_rewrite.shortcot.choosing import MISSING, Candidate, normal, valued
from imgtool_rewrite.shortcot.plans import prompt_of, read_plan
from imgtool_rewrite.shortcot.rewards import ease
from imgtool_rewrite.spans import protect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool.api import Row
    from imgtool_rewrite.shortcot.choosing import Asking
    from imgtool_rewrite.shortcot.judging import Jury

WINDOW = 16
"""Groups of hard prompts that a mean is taken of."""
STEP = 10
"""Words in a bar of the histogram of lengths."""


@dataclass
class Watch:
    """How easy prompts are, how they fare, and how long their plans get.

    A prompt is hard if its first group scored below the median of all first groups so far.

    Attributes
    ----------
    fall : share of their first score that hard prompts may lose; 0: any.
    """

    fall: float = 0.1
    _first: list[float] = field(default_factory=list)
    _kinds: dict[str, str] = field(default_factory=dict)
    _scores: dict[str, list[float]] = field(default_factory=lambda: {"easy": [], "hard": []})
    _lengths: dict[str, list[int]] = field(default_factory=lambda: {"easy": [], "hard": []})

    def saw(self, row_id: str, score: float, lengths: Sequence[int]) -> None:
        """Take note of a group: its mean normalised score, and the lengths of its plans.

        Raises
        ------
        StageFailed : hard prompts have lost more than they may.
        """
        if row_id not in self._kinds:
            self._first.append(score)
            self._kinds[row_id] = "hard" if score < median(self._first) else "easy"
        kind = self._kinds[row_id]
        self._scores[kind].append(score)
        self._lengths[kind] += lengths
        before, now = self.scores()["hard"]
        many = len(self._scores["hard"]) >= 2 * WINDOW
        if kind == "hard" and self.fall and many and now < before * (1 - self.fall):
            raise StageFailed(
                f"the score of hard prompts fell from {before:.3f} to {now:.3f}",
                "Give a smaller --alpha, a higher --gate or --target, or --scale none",
            )

    def scores(self) -> dict[str, tuple[float, float]]:
        """Mean normalised score of easy and hard prompts, first and last."""
        return {kind: (_mean(all_[:WINDOW]), _mean(all_[-WINDOW:]))
                for kind, all_ in self._scores.items()}  # fmt: skip

    def lengths(self) -> dict[str, dict[str, int]]:
        """How many plans of easy and hard prompts have 0 to 9 words, 10 to 19, and so on."""
        found = {}
        for kind, lengths in self._lengths.items():
            bars = Counter(length // STEP * STEP for length in lengths)
            found[kind] = {str(least): bars[least] for least in sorted(bars)}
        return found


@dataclass
class Rewards:
    """Draws the plans of a prompt, has the pictures scored, and lets length cost."""

    jury: Jury
    rows: Sequence[Row]
    asking: Asking
    watch: Watch = field(default_factory=Watch)

    def of(self, at: Sequence[int], plans: Sequence[str]) -> list[float | None]:
        """What each plan is worth; None where nothing can be said of its group.

        Parameters
        ----------
        at : index of each plan's row; plans of one row are a group.
        """
        worth: list[float | None] = [None] * len(plans)
        for index in dict.fromkeys(at):
            places = [place for place, own in enumerate(at) if own == index]
            group = self._group(self.rows[index], [plans[place] for place in places])
            for place, value in zip(places, group, strict=True):
                worth[place] = value
        return worth

    def _group(self, row: Row, texts: Sequence[str]) -> list[float | None]:
        asking, hidden = self.asking, protect(str(row["prompt"]))
        plans = [read_plan(text, hidden, asking.form) for text in texts]
        will_do = [plan for plan in plans if not plan.why_not]
        candidates = [
            Candidate(
                plan,
                prompt_of(hidden, plan.text, asking.form),
                asking.count(hidden.without_marks(plan.text)),
            )
            for plan in will_do
        ]
        looks = self.jury.look(row, [one.prompt for one in candidates])
        for one, seen in zip(candidates, looks, strict=True):
            one.seen = seen
        values = valued(candidates, asking)
        there = [value for value in values if value is not None]
        if there:
            reached = ease([normal(one.seen) for one in candidates])
            self.watch.saw(row.id, reached, [one.length for one in candidates])
        # A plan that cannot be used is worse than the worst that can.
        unusable = min(there) - MISSING if there else None
        found = iter(values)
        return [unusable if plan.why_not else next(found) for plan in plans]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def as_texts(completions: Sequence[str | Sequence[Mapping[str, str]]]) -> list[str]:
    """The texts of completions, which of conversations are lists of messages."""
    return [one if isinstance(one, str) else "".join(part["content"] for part in one)
            for one in completions]  # fmt: skip
