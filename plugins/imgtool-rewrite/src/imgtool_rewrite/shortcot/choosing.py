"""The plan of a row that is worth its length: drawn, judged, compared with no plan at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from imgtool_rewrite.asking import call_key
from imgtool_rewrite.genpilot.trace import thumbnail
from imgtool_rewrite.shortcot import plans
from imgtool_rewrite.shortcot.judging import Seen
from imgtool_rewrite.shortcot.lengths import cut, word_count
from imgtool_rewrite.shortcot.plans import Plan
from imgtool_rewrite.shortcot.rewards import (
    Penalty,
    best_of,
    scaled_to_one,
    short_coti,
    target_length,
)
from imgtool_rewrite.spans import protect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imgtool.api import Row
    from imgtool_rewrite.asking import Chat
    from imgtool_rewrite.shortcot.judging import Jury
    from imgtool_rewrite.shortcot.plans import Form
    from imgtool_rewrite.spans import Protected

MISSING = 0.2
"""What each content word of the prompt costs that a plan lacks."""


@dataclass(frozen=True)
class Asking:
    """How plans are drawn and compared.

    Attributes
    ----------
    rule : `shortcoti`, `target`, or `cap`, which cuts plans and penalises none.
    near : of values that are so near to the best, the shortest plan wins.
    count : length of a plan.
    """

    draws: int = 8
    system: str = plans.INSTRUCTION
    most_tokens: int = 512
    form: Form = "source-plan"
    rule: str = "shortcoti"
    penalty: Penalty = field(default_factory=Penalty)
    near: float = 0.005
    count: Callable[[str], int] = word_count


@dataclass
class Candidate:
    """A plan and what became of it; the first of a row is the prompt without a plan."""

    plan: Plan
    prompt: str
    length: int = 0
    seen: Seen = field(default_factory=Seen)
    value: float | None = None


@dataclass
class Chosen:
    """What a row becomes.

    Attributes
    ----------
    at : index of the candidate that won; None: nothing could be judged.
    dropped : plans that will not do, with why.
    calls : what was asked, by `call_key`, and the answer.
    """

    candidates: list[Candidate]
    at: int | None = None
    dropped: list[str] = field(default_factory=list)
    calls: list[dict[str, str]] = field(default_factory=list)
    why: str = ""

    @property
    def source(self) -> Candidate:
        """The prompt without a plan."""
        return self.candidates[0]

    @property
    def best(self) -> Candidate:
        """The winner, or the prompt without a plan."""
        return self.candidates[self.at or 0]

    @property
    def status(self) -> str:
        """`ok`, `unchanged` or `failed`, as in the row's record."""
        if self.at is None:
            return "failed"
        return "ok" if self.at else "unchanged"

    def table(self) -> list[dict[str, Any]]:
        """Every candidate, for the report."""
        return [
            {
                "picture": thumbnail(one.seen.image),
                "plan": one.plan.text,
                "length": one.length,
                "score": one.seen.score,
                "value": one.value,
                "kept": one is self.best,
                "missing": " ".join(one.plan.missing),
            }
            for one in self.candidates
        ]


def choose(chat: Chat, jury: Jury, row: Row, asking: Asking) -> Chosen:
    """The best of the prompt and its plans.

    Raises
    ------
    EndpointDown : nobody answers.
    """
    hidden = protect(str(row["prompt"]))
    found = Chosen([Candidate(Plan(""), str(row["prompt"]))])
    drawn = _drawn(chat, hidden, row, asking, found)
    if not drawn:
        found.at, found.why = (0 if found.calls else None), "no plan will do"
        if not found.calls and found.dropped:
            found.why = found.dropped[0]
        return found
    for plan in drawn:
        length = asking.count(hidden.without_marks(plan.text))
        prompt = plans.prompt_of(hidden, plan.text, asking.form)
        found.candidates.append(Candidate(plan, prompt, length))
    looks = jury.look(row, [one.prompt for one in found.candidates])
    for one, seen in zip(found.candidates, looks, strict=True):
        one.seen = seen
    values = valued(found.candidates, asking)
    for one, value in zip(found.candidates, values, strict=True):
        one.value = value
    found.at = best_of(values, [one.length for one in found.candidates], asking.near)
    if found.source.value is None:
        # Nothing can be said to be better than what cannot be judged.
        found.at, found.why = None, "the prompt's own picture cannot be drawn or judged"
    elif found.at == 0:
        found.why = "no plan is worth its length"
    return found


def valued(candidates: Sequence[Candidate], asking: Asking) -> list[float | None]:
    """The reward of each candidate: its score without what its length and gaps cost."""
    scores = [one.seen.score for one in candidates]
    lengths = [one.length for one in candidates]
    made = list(scores)
    if asking.rule == "target":
        made = target_length(scores, lengths, asking.penalty)
    elif asking.rule == "shortcoti":
        made = short_coti(scores, lengths, asking.penalty, [normal(one.seen) for one in candidates])
    return [
        None if value is None else value - MISSING * len(one.plan.missing)
        for value, one in zip(made, candidates, strict=True)
    ]


def normal(seen: Seen) -> float | None:
    """A score as a share of its range; one without a range is taken to be of 0 to 1."""
    if seen.score is None:
        return None
    low = 0.0 if seen.low is None else seen.low
    high = 1.0 if seen.high is None else seen.high
    return scaled_to_one(seen.score, low, high)


def _drawn(chat: Chat, hidden: Protected, row: Row, asking: Asking, found: Chosen) -> list[Plan]:
    """Plans that will do, each once; answers and reasons are noted in `found`."""
    text = plans.question(hidden, asking.form)
    most = int(asking.penalty.target)
    cap = partial(cut, most=most, count=asking.count) if asking.rule == "cap" else None
    seeds = plans.seeds_of(row.seed, asking.draws)

    def ask(seed: int) -> tuple[str | None, str]:
        try:
            return chat.say(text, asking.system, asking.most_tokens, seed), ""
        except ValueError as err:
            return None, str(err)

    with ThreadPoolExecutor(chat.at_once) as pool:
        answers = list(pool.map(ask, seeds))
    kept: dict[str, Plan] = {}
    for seed, (answer, why) in zip(seeds, answers, strict=True):
        if answer is None:
            found.dropped.append(why)
            continue
        found.calls.append({"key": call_key(asking.system, text, seed), "answer": answer})
        plan = plans.read_plan(answer, hidden, asking.form, cap)
        if plan.why_not:
            found.dropped.append(plan.why_not)
        else:
            kept.setdefault(plan.text, plan)
    return list(kept.values())
