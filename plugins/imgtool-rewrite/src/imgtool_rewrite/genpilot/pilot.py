"""One prompt from its first picture to the words that serve it best; see `analysis`, `search`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgtool_rewrite.genpilot import cost, words
from imgtool_rewrite.genpilot.analysis import Analysis, analyse, joined
from imgtool_rewrite.genpilot.meter import Spent
from imgtool_rewrite.genpilot.search import Judging, Outcome, Plan, Search, Seeds, score_of
from imgtool_rewrite.spans import protect

if TYPE_CHECKING:
    import numpy as np

    from imgtool_rewrite.genpilot.asking import Session
    from imgtool_rewrite.genpilot.cost import Cost
    from imgtool_rewrite.genpilot.painting import Painter
    from imgtool_rewrite.spans import Protected


@dataclass
class Piloted:
    """A prompt's way.

    Attributes
    ----------
    prompt : the new one; the old one where nothing beat it.
    status : `ok`, `unchanged`, `partial` where a budget or missing ratings ended the search, or
        `failed`.
    before, after : scores of both prompts over the same pictures, 3 to 15.
    most : what the search could have cost after the analysis.
    hidden : the prompt with its opaque parts behind signs, in which words of the rest are written.
    """

    hidden: Protected
    prompt: str
    status: str = "unchanged"
    why: str = ""
    first: np.ndarray | None = None
    analysis: Analysis = field(default_factory=Analysis)
    outcomes: list[Outcome] = field(default_factory=list)
    before: float | None = None
    after: float | None = None
    most: Cost | None = None


@dataclass
class Pilot:
    """Improves one prompt."""

    session: Session
    painter: Painter
    plan: Plan
    seed: int

    def improve(self, prompt: str) -> Piloted:
        """The prompt, or one that the agent scores higher over the same seeds.

        Raises
        ------
        EndpointDown : nobody answers.
        """
        done = Piloted(protect(prompt), prompt)
        try:
            self._improve(done)
        except Spent as err:
            done.status, done.why = "partial", f"the budget is spent: {err}"
        return done

    def _improve(self, done: Piloted) -> None:
        hidden, seeds = done.hidden, Seeds.of(self.seed, self.plan.images)
        done.first = self.painter.paint([(done.prompt, seeds.first[0])])[0]
        if done.first is None:
            done.status, done.why = "failed", "the prompt's own picture cannot be drawn"
            return
        done.analysis = analyse(self.session, hidden.text, done.first)
        faults = done.analysis.faults
        if not faults:
            done.why = "no errors are found"
            return
        done.most = cost.most(self.plan, [len(fault.questions) for fault in faults])
        judging = Judging(self.session, self.painter, hidden)
        for fault in faults:
            search = Search(judging, fault, self.plan, seeds, self.seed)
            done.outcomes.append(search.run())
            if not done.outcomes[-1].whole:
                break
        self._accept(done, judging, seeds)

    def _accept(self, done: Piloted, judging: Judging, seeds: Seeds) -> None:
        """Fold the edits into the prompt; the result stays if it is better over all seeds."""
        found = [outcome for outcome in done.outcomes if outcome.best is not None]
        cut = next((outcome.why for outcome in done.outcomes if not outcome.whole), "")
        if cut:
            done.status, done.why = "partial", cut
        if not found:
            done.why = done.why or "nothing beat the prompt"
            return
        try:
            self._compare(done, judging, seeds, self._folded(done.hidden.text, found))
        except Spent as err:
            # One edit alone has been compared with the prompt already.
            best = max(found, key=lambda o: (o.after or 0.0) - (o.before or 0.0))
            self._take(done, best.best.prompt if best.best else "", best.before, best.after)
            done.status, done.why = "partial", f"the budget is spent: {err}"

    def _compare(self, done: Piloted, judging: Judging, seeds: Seeds, text: str) -> None:
        faults = [outcome.fault for outcome in done.outcomes]
        fault = faults[0] if len(faults) == 1 else joined(faults, done.hidden.text)
        old, new = judging.look(fault, [done.hidden.text, text], seeds.every)
        before, after = score_of(old), score_of(new)
        if after is None or (before is not None and after <= before):
            done.before = done.after = before
            done.why = done.why or "nothing beat the prompt over all seeds"
            return
        self._take(done, text, before, after)

    @staticmethod
    def _take(done: Piloted, text: str, before: float | None, after: float | None) -> None:
        done.prompt = done.hidden.restore(text)
        done.before, done.after = before, after
        if done.status == "unchanged":
            done.status = "ok"

    def _folded(self, prompt: str, found: list[Outcome]) -> str:
        """The prompt with every edit in it that still has its place, the best first."""
        if len(found) == 1 and found[0].best is not None:
            return found[0].best.prompt
        for outcome in sorted(found, key=lambda o: -(o.after or 0.0)):
            span, best = outcome.fault.span, outcome.best
            if best is None or span not in prompt:
                self.session.warn(f"an edit of {span!r} has no place any more")
                continue
            prompt = words.replaced(prompt, span, best.sentence)
        return prompt
