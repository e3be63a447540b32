"""Error analysis: which statements of a prompt its first picture breaks, and by which words.

The first phase of GenPilot, arXiv 2510.07217: the prompt is taken apart, the picture captioned,
and each statement checked twice, against the caption and by questions about the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from imgtool_rewrite.genpilot import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from imgtool_rewrite.genpilot.agent import Answer
    from imgtool_rewrite.genpilot.asking import Session


@dataclass(frozen=True)
class Finding:
    """What came of one statement.

    Attributes
    ----------
    verdict : of the statement against the caption; empty: there was none.
    questions, answers : about the picture.
    errors : what is wrong, both checks together.
    span : words of the prompt that are to blame; empty: none.
    """

    statement: str
    verdict: str = ""
    seen: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    errors: tuple[str, ...] = ()
    span: str = ""


@dataclass(frozen=True)
class Fault:
    """Words to rewrite, and why.

    Attributes
    ----------
    statement : all that were broken, joined.
    """

    span: str
    statement: str
    errors: tuple[str, ...]
    questions: tuple[str, ...]


@dataclass(frozen=True)
class Analysis:
    """What was found about a picture."""

    caption: str = ""
    findings: tuple[Finding, ...] = field(default_factory=tuple)

    @property
    def faults(self) -> list[Fault]:
        """Words to blame, each once, with everything that is blamed on them."""
        spans = dict.fromkeys(finding.span for finding in self.findings if finding.span)
        return [joined([f for f in self.findings if f.span == span], span) for span in spans]


def joined(findings: Sequence[Finding | Fault], span: str) -> Fault:
    """All of them as one fault of `span`."""
    return Fault(
        span,
        " ".join(dict.fromkeys(one.statement for one in findings)),
        tuple(dict.fromkeys(error for one in findings for error in one.errors)),
        tuple(dict.fromkeys(question for one in findings for question in one.questions)),
    )


def analyse(session: Session, prompt: str, image: np.ndarray) -> Analysis:
    """What the picture gets wrong, statement by statement.

    Raises
    ------
    Spent, EndpointDown : as the names say.
    """
    agent = session.agent
    caption = session.one(partial(agent.caption, image)) or ""
    found = [Finding(line) for line in statements_of(session, prompt)]
    if caption:
        checks = session.each([partial(agent.check, f.statement, caption) for f in found])
        found = [
            replace(f, verdict=check[0], seen=tuple(check[1])) if check else f
            for f, check in zip(found, checks, strict=True)
        ]
    asked = session.each([partial(agent.questions, f.statement, image) for f in found])
    found = [replace(f, questions=tuple(q or ())) for f, q in zip(found, asked, strict=True)]
    found = _answered(session, found, image)
    return Analysis(caption, tuple(_blamed(session, prompt, _merged(session, prompt, found))))


def statements_of(session: Session, prompt: str) -> list[str]:
    """The prompt taken apart; by its sentences, where the agent twice loses a third of it."""
    lost: list[str] = []
    for _ in range(2):
        lines = words.statements(session.one(partial(session.agent.decompose, prompt, lost)) or [])
        lost = words.left_out(lines, prompt)
        if lines and not lost:
            return lines
    session.warn("the statements lose words of the prompt: its sentences stand in for them")
    return words.statements(words.sentences(prompt)) or [prompt]


def _answered(session: Session, found: Sequence[Finding], image: np.ndarray) -> list[Finding]:
    at = [place for place, f in enumerate(found) if f.questions]
    given = session.each(
        [partial(session.agent.answers, found[i].questions, found[i].statement, image) for i in at]
    )
    kept = dict(zip(at, given, strict=True))
    return [replace(f, answers=tuple(kept.get(i) or ())) for i, f in enumerate(found)]


def wrong(questions: Sequence[str], answers: Sequence[Answer]) -> list[str]:
    """What answers find wrong: the error that comes with a no, else the question."""
    return [
        why or f"{question} no"
        for question, (said, why) in zip(questions, answers, strict=False)
        if said == "no"
    ]


def _merged(session: Session, prompt: str, found: Sequence[Finding]) -> list[Finding]:
    raw = [list(dict.fromkeys([*f.seen, *wrong(f.questions, f.answers)])) for f in found]
    bad = [at for at, errors in enumerate(raw) if errors]
    agent = session.agent
    merged = session.each(
        [partial(agent.integrate, prompt, found[i].statement, raw[i]) for i in bad]
    )
    kept = dict(zip(bad, merged, strict=True))
    return [replace(f, errors=tuple(kept.get(at) or ())) for at, f in enumerate(found)]


def _blamed(session: Session, prompt: str, found: Sequence[Finding]) -> list[Finding]:
    bad = [at for at, f in enumerate(found) if f.errors]
    spans = session.each([partial(session.agent.span, prompt, found[at].errors) for at in bad])
    placed = dict(zip(bad, (words.place(prompt, span or "") for span in spans), strict=True))
    for at in bad:
        if not placed[at]:
            session.warn(f"no words of the prompt are to blame for: {'; '.join(found[at].errors)}")
    return [replace(f, span=placed.get(at, "")) for at, f in enumerate(found)]
