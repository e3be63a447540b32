"""Test-time search: new words for the blamed span, drawn, judged, clustered and learned from.

The second phase of GenPilot, arXiv 2510.07217. Candidates of a round are drawn from the seeds of
the first picture; those of the group that is believed in are drawn again from another seed, which
no group was chosen by, and compared over all their seeds with the prompt and between rounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from imgtool.api import derive_seed
from imgtool_rewrite.genpilot import words
from imgtool_rewrite.genpilot.agent import ASPECTS
from imgtool_rewrite.genpilot.analysis import wrong
from imgtool_rewrite.genpilot.belief import Belief
from imgtool_rewrite.genpilot.meter import Spent

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from imgtool_rewrite.genpilot.agent import Answer
    from imgtool_rewrite.genpilot.analysis import Fault
    from imgtool_rewrite.genpilot.asking import Session
    from imgtool_rewrite.genpilot.painting import Painter
    from imgtool_rewrite.spans import Protected

MEMORY, ALWAYS = 20, 3
"""Tries that are remembered: the newest, and the best whenever they were made."""


@dataclass(frozen=True)
class Plan:
    """How to search.

    Attributes
    ----------
    rounds, candidates, clusters : T, C and K of the method.
    images : g, pictures of each candidate.
    stop : mean rating that ends the search.
    tau : 0: belief by mean scores; else by their softmax at this temperature.
    carry : whether a round begins with the belief of the one before.
    memory : whether the agent is told what was tried.
    compound : whether a round rewrites the best words so far, not those of the prompt.
    one_by_one : whether each question is a call of its own, which the cost depends on.
    """

    rounds: int = 3
    candidates: int = 6
    clusters: int = 3
    images: int = 1
    stop: float = 4.7
    tau: float = 0.0
    carry: bool = True
    memory: bool = True
    compound: bool = False
    one_by_one: bool = False


@dataclass(frozen=True, eq=False)
class Look:
    """One picture, judged.

    Attributes
    ----------
    answers : to the fault's questions; empty: none could be read.
    rating : by aspect, 1 to 5; None: missing.
    """

    seed: int
    image: np.ndarray | None
    answers: tuple[Answer, ...] = ()
    rating: dict[str, int] | None = None
    reasons: str = ""


def score_of(looks: Sequence[Look]) -> float | None:
    """Sum over aspects of the mean over pictures, 3 to 15; None where no picture was rated."""
    rated = [look.rating for look in looks if look.rating is not None]
    return sum(sum(rating.values()) for rating in rated) / len(rated) if rated else None


@dataclass(eq=False)
class Try:
    """A candidate.

    Attributes
    ----------
    sentence : new words for the span.
    prompt : the whole prompt with them, opaque parts behind signs.
    looks : pictures of the round; `again` : of the second look.
    label, belief : its group and the belief in it; -1: no group.
    remembered : tries that the agent was told of.
    """

    round: int
    sentence: str
    prompt: str
    looks: list[Look] = field(default_factory=list)
    again: list[Look] = field(default_factory=list)
    label: int = -1
    belief: float = 0.0
    remembered: int = 0

    @property
    def score(self) -> float | None:
        """Of the round's pictures."""
        return score_of(self.looks)

    @property
    def checked(self) -> float | None:
        """Over all its pictures; None where there was no second look."""
        return score_of([*self.looks, *self.again]) if score_of(self.again) is not None else None


@dataclass(frozen=True)
class Seeds:
    """Of pictures: those of the round, shared by all candidates, and that of the second look."""

    first: tuple[int, ...]
    second: int

    @classmethod
    def of(cls, seed: int, images: int) -> Seeds:
        """Seeds of a row: the round's begin with its own."""
        return cls(tuple(seed + at for at in range(images)), derive_seed(seed, "second look"))

    @property
    def every(self) -> tuple[int, ...]:
        """All of them, once each."""
        return tuple(dict.fromkeys((*self.first, self.second)))


@dataclass
class Judging:
    """Draws prompts, asks the fault's questions and has the pictures rated, each once."""

    session: Session
    painter: Painter
    hidden: Protected
    _looks: dict[tuple[str, int, Fault], Look] = field(default_factory=dict)

    def look(self, fault: Fault, prompts: Sequence[str], seeds: Sequence[int]) -> list[list[Look]]:
        """Looks at each prompt from each seed.

        Raises
        ------
        Spent, EndpointDown : as the names say.
        """
        keys = [(prompt, seed, fault) for prompt in prompts for seed in seeds]
        new = [key for key in dict.fromkeys(keys) if key not in self._looks]
        images = self.painter.paint([(self.hidden.restore(p), seed) for p, seed, _ in new])
        self._looks |= zip(new, self._judged(fault, new, images), strict=True)
        return [[self._looks[prompt, seed, fault] for seed in seeds] for prompt in prompts]

    def _judged(
        self,
        fault: Fault,
        keys: Sequence[tuple[str, int, Fault]],
        images: Sequence[np.ndarray | None],
    ) -> list[Look]:
        agent, source = self.session.agent, self.hidden.text
        there = [(at, image) for at, image in enumerate(images) if image is not None]
        asked = there if fault.questions else []
        given = self.session.each(
            [partial(agent.answers, fault.questions, fault.statement, image) for _, image in asked]
        )
        answers = {at: tuple(a or ()) for (at, _), a in zip(asked, given, strict=True)}
        rated = self.session.each(
            [
                partial(agent.judge, source, keys[at][0], fault.errors,
                        wrong(fault.questions, answers.get(at, ())), image)
                for at, image in there
            ]
        )  # fmt: skip
        ratings: dict[int, Any] = {at: r or {} for (at, _), r in zip(there, rated, strict=True)}
        return [
            Look(
                seed,
                images[at],
                answers.get(at, ()),
                {name: ratings[at][name] for name in ASPECTS} if ratings.get(at) else None,
                str(ratings.get(at, {}).get("reasons", "")),
            )
            for at, (_, seed, _) in enumerate(keys)
        ]


@dataclass
class Outcome:
    """What came of the search for one fault.

    Attributes
    ----------
    source : pictures of the prompt itself, one from every seed.
    best : the try that beats the prompt, or None.
    why : how the search ended.
    whole : whether it ran to an end of its own, not into a budget or missing ratings.
    """

    fault: Fault
    tries: list[Try] = field(default_factory=list)
    source: list[Look] = field(default_factory=list)
    best: Try | None = None
    why: str = "all rounds are done"
    whole: bool = True

    @property
    def before(self) -> float | None:
        """Score of the prompt itself."""
        return score_of(self.source)

    @property
    def after(self) -> float | None:
        """Score of the best, which may be the prompt itself."""
        return self.best.checked if self.best else self.before


@dataclass
class Search:
    """A search for better words for one fault."""

    judging: Judging
    fault: Fault
    plan: Plan
    seeds: Seeds
    row_seed: int

    def run(self) -> Outcome:
        """Rounds until one is good enough; what a budget cuts short gives what it has.

        Raises
        ------
        EndpointDown : nobody answers.
        """
        plan, found = self.plan, Outcome(self.fault)
        belief = Belief(plan.clusters, plan.tau, plan.carry)
        try:
            source = [self.judging.hidden.text]
            found.source = self.judging.look(self.fault, source, self.seeds.every)[0]
            for number in range(plan.rounds):
                found.why = self._round(number, found, belief)
                if found.why:
                    return found
            found.why = "all rounds are done"
        except Spent as err:
            found.why, found.whole = f"the budget is spent: {err}", False
        return found

    def _round(self, number: int, found: Outcome, belief: Belief) -> str:
        """One round; why the search ends with it, or an empty text."""
        tries = self._candidates(number, found)
        if tries is None:
            return "most answers propose nothing"
        if not tries:
            return ""
        looks = self.judging.look(self.fault, [one.prompt for one in tries], self.seeds.first)
        found.tries += tries
        for one, seen in zip(tries, looks, strict=True):
            one.looks = seen
        rated = [one for one in tries if one.score is not None]
        missing = 1 - sum(look.rating is not None for seen in looks for look in seen) / (
            len(tries) * len(self.seeds.first)
        )
        if missing > 0.5:
            found.whole = False
            return "more than half of the ratings are missing"
        chosen = self._chosen(rated, belief)
        prompts = [one.prompt for one in chosen]
        again = self.judging.look(self.fault, prompts, [self.seeds.second])
        for one, seen in zip(chosen, again, strict=True):
            one.again = seen
        return self._kept(chosen, found)

    def _candidates(self, number: int, found: Outcome) -> list[Try] | None:
        """New tries; None where most answers propose nothing."""
        hidden, session = self.judging.hidden, self.judging.session
        best = found.best if self.plan.compound else None
        span = best.sentence if best else self.fault.span
        prompt = best.prompt if best else hidden.text
        memory = self.memory(found.tries) if self.plan.memory else []
        count = self.plan.candidates
        given = session.each(
            [
                partial(session.agent.refine, prompt, span, self.fault.errors, memory,
                        derive_seed(self.row_seed, self.fault.span, number, at) % 2**31)
                for at in range(count)
            ]
        )  # fmt: skip
        if sum(sentence is None for sentence in given) * 2 > count:
            return None
        pairs = dict.fromkeys(
            (sentence, words.replaced(prompt, span, sentence)) for sentence in given if sentence
        )
        kept = [pair for pair in pairs if not hidden.lost(pair[1]) and pair[1] != hidden.text]
        if len(kept) < len(pairs):
            session.warn("proposals that lose opaque parts of the prompt, or change nothing, go")
        return [Try(number, *pair, remembered=len(memory)) for pair in kept]

    @staticmethod
    def memory(tries: Sequence[Try]) -> list[dict[str, Any]]:
        """What the agent is told of them: the newest, and the best of all; oldest first."""
        rated = [one for one in tries if one.score is not None]
        best = sorted(rated, key=lambda one: -(one.score or 0.0))[:ALWAYS]
        kept = [one for one in rated if one in rated[-MEMORY:] or one in best]
        return [
            {
                "sentence": one.sentence,
                "score": one.score,
                "reasons": " ".join(look.reasons for look in one.looks if look.reasons),
            }
            for one in kept
        ]

    def _chosen(self, rated: Sequence[Try], belief: Belief) -> list[Try]:
        """Members of the group that is believed in."""
        update = belief.update([one.prompt for one in rated], [one.score or 0.0 for one in rated])
        for one, label in zip(rated, update.labels, strict=True):
            one.label, one.belief = label, update.posterior[label]
        return [one for one in rated if one.label == update.best]

    def _kept(self, chosen: Sequence[Try], found: Outcome) -> str:
        for one in chosen:
            if one.checked is not None and one.checked > (found.after or 0.0):
                found.best = one
        top = max((one.checked or 0.0 for one in chosen), default=0.0)
        return "the ratings are good enough" if top / len(ASPECTS) >= self.plan.stop else ""
