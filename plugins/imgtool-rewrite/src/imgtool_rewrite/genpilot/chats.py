"""The agent that asks chat models: one that writes, and one that looks at pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from imgtool_rewrite.asking import call_key
from imgtool_rewrite.genpilot import reading, roles
from imgtool_rewrite.reply import read_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from imgtool_rewrite.asking import Chat
    from imgtool_rewrite.genpilot.agent import Answer, Meter
    from imgtool_rewrite.genpilot.roles import Role

T = TypeVar("T")
TRIES = 2
"""An answer that cannot be read is asked for once more, with the reason."""


@dataclass(frozen=True)
class ChatAgent:
    """Every role is a request of its own; see `Agent`.

    Attributes
    ----------
    writer, eyes : who is asked about texts, and about pictures.
    schema : whether the service is to hold the answers to their form.
    one_by_one : whether each question about a picture is a call of its own.
    """

    writer: Chat
    eyes: Chat
    name: str = ""
    most_tokens: int = 1024
    schema: bool = False
    one_by_one: bool = False
    meter: Meter | None = None

    @property
    def at_once(self) -> int:
        """As many calls as both can take."""
        return min(self.writer.at_once, self.eyes.at_once)

    def metered(self, meter: Meter) -> ChatAgent:
        """The same agent, which tells `meter` of every request and answer."""
        return replace(self, meter=meter)

    def decompose(self, prompt: str, left_out: Sequence[str] = ()) -> list[str]:
        """Statements that together say what the prompt says."""
        data = {"prompt": prompt, **({"left_out": list(left_out)} if left_out else {})}
        return self._ask(roles.DECOMPOSE, data, lambda found: reading.texts_of(found, "statements"))

    def caption(self, image: np.ndarray) -> str:
        """What the picture shows."""
        return self._ask(roles.CAPTION, {}, lambda found: reading.text_of(found, "caption"), image)

    def check(self, statement: str, caption: str) -> tuple[str, list[str]]:
        """A verdict, and what is wrong."""
        return self._ask(roles.CHECK, {"statement": statement, "caption": caption}, reading.verdict)

    def questions(self, statement: str, image: np.ndarray) -> list[str]:
        """Questions about the picture."""
        return self._ask(roles.QUESTIONS, {"statement": statement}, reading.some_questions, image)

    def answers(self, questions: Sequence[str], statement: str, image: np.ndarray) -> list[Answer]:
        """An answer to each: all in one call, or each in its own."""
        parts = [[question] for question in questions] if self.one_by_one else [list(questions)]
        given = [self._answered(part, statement, image) for part in parts]
        return [answer for part in given for answer in part]

    def _answered(self, part: list[str], statement: str, image: np.ndarray) -> list[Answer]:
        data = {"statement": statement, "questions": part}
        return self._ask(roles.ANSWER, data, lambda found: reading.answers(found, len(part)), image)

    def integrate(self, prompt: str, statement: str, errors: Sequence[str]) -> list[str]:
        """The errors once each, judged against the whole prompt."""
        data = {"prompt": prompt, "statement": statement, "errors": list(errors)}
        return self._ask(roles.INTEGRATE, data, lambda found: reading.texts_of(found, "errors"))

    def span(self, prompt: str, errors: Sequence[str]) -> str | None:
        """The words that are to blame."""
        data = {"prompt": prompt, "errors": list(errors)}
        return self._ask(roles.MAP, data, lambda found: reading.text_or_none(found, "span"))

    def refine(
        self,
        prompt: str,
        span: str,
        errors: Sequence[str],
        memory: Sequence[Mapping[str, Any]],
        seed: int,
    ) -> str | None:
        """New words for the span."""
        data = {"prompt": prompt, "span": span, "errors": list(errors), "tried": list(memory)}
        return self._ask(
            roles.REFINE, data, lambda found: reading.text_or_none(found, "sentence"), None, seed
        )

    def judge(
        self,
        prompt: str,
        rewritten: str,
        errors: Sequence[str],
        errors_now: Sequence[str],
        image: np.ndarray,
    ) -> dict[str, Any]:
        """Ratings and reasons."""
        data = {
            "prompt": prompt,
            "rewritten": rewritten,
            "errors": list(errors),
            "errors_now": list(errors_now),
        }
        return self._ask(roles.JUDGE, data, reading.rating, image)

    def _ask(
        self,
        role: Role,
        data: Mapping[str, object],
        read: Callable[[Mapping[str, Any]], T],
        image: np.ndarray | None = None,
        seed: int | None = None,
    ) -> T:
        """What `read` makes of the answer.

        Raises
        ------
        ValueError : nor can the second answer be read.
        EndpointDown : nobody answers.
        """
        chat = self.writer if image is None else self.eyes
        asked = text = role.text(data)
        why = ""
        for _ in range(TRIES):
            if self.meter is not None:
                self.meter.spend()
            schema = role.schema if self.schema else None
            answer = chat.say(asked, role.system, self.most_tokens, seed, schema, image)
            if self.meter is not None:
                self.meter.note(call_key(role.system, asked, seed, image), answer)
            try:
                return read(_object_in(answer))
            except ValueError as err:
                why = str(err)
            asked = f"{text}\n\nYour last answer was refused: {why}. Write it anew.\n{answer}"
        raise ValueError(f"{role.task}: {why}")


def _object_in(answer: str) -> Mapping[str, Any]:
    found = read_object(answer)
    if found is None:
        raise ValueError("it is no JSON object")
    return found
