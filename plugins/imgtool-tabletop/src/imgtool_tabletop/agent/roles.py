"""The prompt-agent of the tabletop world: its grammar takes apart and proposes, a model looks.

What it finds wrong are the questions answered no; what it proposes says the same in other words of
the grammar, and what the grammar has no words for stays. It knows this world alone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.agent.rewording import reworded
from imgtool_tabletop.agent.statements import (
    broken,
    questions_of,
    questions_of_prompt,
    read,
    statements,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from imgtool.api import Runtime
    from imgtool_tabletop.agent.eyes import Eyes

VLM, VLM_TASK = "tabletop/vlm", "image-text-to-text"
JUDGE, JUDGE_TASK = "tabletop/judge", "object-detection"
KINDS = {
    "attribute_binding": ("there", "look", "count"),
    "object_relation": ("relation",),
    "background": ("around",),
}


class Meter(Protocol):
    """Counts calls of models."""

    def spend(self) -> None:
        """One more."""


@dataclass(frozen=True)
class TabletopAgent:
    """Does each step of a search over prompts of this world, one call after another."""

    eyes: Eyes
    meter: Meter | None = None
    at_once: int = 1

    @property
    def name(self) -> str:
        """Who looks; everything else is grammar."""
        return f"captions of the tabletop world, seen by {self.eyes.name}"

    def metered(self, meter: Meter) -> TabletopAgent:
        """The same agent, which tells `meter` of every look."""
        return replace(self, meter=meter)

    def _looking(self) -> Eyes:
        if self.meter is not None:
            self.meter.spend()
        return self.eyes

    def decompose(self, prompt: str, left_out: Sequence[str] = ()) -> list[str]:
        """Statements of what the prompt says in words of the world; itself where it says none."""
        return statements(read(prompt)) or [prompt]

    def caption(self, image: np.ndarray) -> str:
        """What is there."""
        return self._looking().caption(image)

    def check(self, statement: str, caption: str) -> tuple[str, list[str]]:
        """Whether the caption says what the statement does."""
        return broken(questions_of(statement), read(caption))

    def questions(self, statement: str, image: np.ndarray) -> list[str]:
        """Questions in words that the model was taught.

        Raises
        ------
        ValueError : the statement says nothing of this world.
        """
        asked = [one.text for one in questions_of(statement)]
        if not asked:
            raise ValueError(f"the tabletop agent has no words for {statement!r}")
        return asked

    def answers(
        self, questions: Sequence[str], statement: str, image: np.ndarray
    ) -> list[tuple[str, str]]:
        """An answer to each question, and the error where it is no."""
        known = {one.text: one for one in questions_of(statement)}
        asked = [known.get(text) or questions_of(text)[0] for text in questions]
        said = self._looking().answers(asked, image)
        return [
            (answer, one.wrong if answer == "no" else "")
            for one, answer in zip(asked, said, strict=True)
        ]

    def integrate(self, prompt: str, statement: str, errors: Sequence[str]) -> list[str]:
        """The errors once each."""
        return list(dict.fromkeys(errors))

    def span(self, prompt: str, errors: Sequence[str]) -> str:
        """The only sentence that names solids, else the whole prompt: solids are named once."""
        lines = [line.strip() for line in prompt.split(".") if read(line).objects]
        return lines[0] if len(lines) == 1 else prompt

    def refine(
        self,
        prompt: str,
        span: str,
        errors: Sequence[str],
        memory: Sequence[Mapping[str, Any]],
        seed: int,
    ) -> str | None:
        """Other words for the span, none that were tried."""
        tried = {str(one.get("sentence")) for one in memory}
        return reworded(span, tried, random.Random(f"refine:{seed}"))

    def judge(
        self,
        prompt: str,
        rewritten: str,
        errors: Sequence[str],
        errors_now: Sequence[str],
        image: np.ndarray,
    ) -> dict[str, Any]:
        """1 to 5 by the share of questions about the prompt that are answered yes.

        What is unclear counts for nothing; 5 where the prompt asks nothing of a kind.
        """
        asked = questions_of_prompt(prompt)
        said = self._looking().answers(asked, image)
        rated: dict[str, Any] = {}
        for aspect, kinds in KINDS.items():
            told = [a for one, a in zip(asked, said, strict=True) if one.kind in kinds]
            clear = [answer == "yes" for answer in told if answer != "unclear"]
            rated[aspect] = 1 + round(4 * sum(clear) / len(clear)) if clear else 5
        wrong = [one.wrong for one, answer in zip(asked, said, strict=True) if answer == "no"]
        return {**rated, "reasons": "; ".join(wrong)}


def tabletop(runtime: Runtime, vlm: str) -> TabletopAgent:
    """The agent; its eyes are the model `vlm`, else `tabletop/vlm`, else `tabletop/judge`.

    Raises
    ------
    ModelUnusable : the model cannot be used.
    """
    from imgtool_tabletop.agent.eyes import Detector, Vlm
    from imgtool_tabletop.judge import Judge

    device = runtime.torch_device
    if vlm or (WEIGHTS / "vlm").is_dir():
        model = runtime.model(vlm or VLM, VLM_TASK)
        key = ("tabletop-agent", model.digest, str(device))
        return TabletopAgent(
            runtime.load_once(key, lambda: Vlm.load(model.path, vlm or VLM, device))
        )
    model = runtime.model(JUDGE, JUDGE_TASK)
    key = ("tabletop-agent", model.digest, str(device))
    return TabletopAgent(
        runtime.load_once(key, lambda: Detector(Judge.load(model.path).to(device)))
    )
