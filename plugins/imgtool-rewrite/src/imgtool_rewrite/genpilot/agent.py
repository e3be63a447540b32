"""Who analyses pictures and proposes prompts: components of the kind `prompt-agent`.

A component is `make(runtime, vlm)`: `vlm` names a model that looks, empty for the agent's own. What
it makes is an `Agent`. Every method raises ValueError where it finds no answer, which the search
takes as missing, never as a score of 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

ASPECTS = ("attribute_binding", "object_relation", "background")
"""What a judge rates from 1 to 5."""

Answer = tuple[str, str]
"""`yes`, `no` or `unclear`, and what is wrong; empty: nothing."""


class Meter(Protocol):
    """Counts what a search costs."""

    def spend(self) -> None:
        """Count one call of a model, before it is made; raises what ends the search."""

    def note(self, key: str, answer: str) -> None:
        """Keep what was answered."""


class Agent(Protocol):
    """Does each step of the method; pictures are [H, W, 3] uint8."""

    @property
    def name(self) -> str:
        """Which models it asks, for the record."""

    @property
    def at_once(self) -> int:
        """How many of its methods may run at the same time."""

    def metered(self, meter: Meter) -> Agent:
        """The same agent, which tells `meter` of every call of a model."""

    def decompose(self, prompt: str, left_out: Sequence[str] = ()) -> Sequence[str]:
        """Statements that together say what the prompt says.

        left_out : words of it that an earlier answer had lost.
        """

    def caption(self, image: np.ndarray) -> str:
        """What the picture shows; the agent is not told what was asked for."""

    def check(self, statement: str, caption: str) -> tuple[str, Sequence[str]]:
        """`match`, `unclear`, `not_mentioned` or `error`, and what is wrong."""

    def questions(self, statement: str, image: np.ndarray) -> Sequence[str]:
        """Questions that are answered yes where the statement holds."""

    def answers(
        self, questions: Sequence[str], statement: str, image: np.ndarray
    ) -> Sequence[Answer]:
        """An answer to each."""

    def integrate(self, prompt: str, statement: str, errors: Sequence[str]) -> Sequence[str]:
        """The errors once each, without what the whole prompt does not ask for."""

    def span(self, prompt: str, errors: Sequence[str]) -> str | None:
        """The words of the prompt that are to blame; None: no words are."""

    def refine(
        self,
        prompt: str,
        span: str,
        errors: Sequence[str],
        memory: Sequence[Mapping[str, Any]],
        seed: int,
    ) -> str | None:
        """New words for `span`, drawn by `seed`; None: nothing to change.

        memory : what was tried: `sentence`, `score` from 3 to 15 and `reasons`.
        """

    def judge(
        self,
        prompt: str,
        rewritten: str,
        errors: Sequence[str],
        errors_now: Sequence[str],
        image: np.ndarray,
    ) -> Mapping[str, Any]:
        """A whole number from 1 to 5 for each of `ASPECTS`, and `reasons` as text."""
