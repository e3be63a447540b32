"""The prompt-agent of the tabletop world: what it reads, asks, proposes, and who looks for it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.agent.eyes import Detector
from imgtool_tabletop.agent.rewording import reworded
from imgtool_tabletop.agent.roles import TabletopAgent, tabletop
from imgtool_tabletop.agent.statements import questions_of, questions_of_prompt, read, statements
from imgtool_tabletop.captions.parse import parse
from imgtool_tabletop.judge import Seen

if TYPE_CHECKING:
    from pathlib import Path

THREE = "a red cube left of a blue sphere, and a green cone behind them"
IMAGE = np.full((64, 64, 3), 90, np.uint8)


@dataclass
class Planted:
    """Sees what it was told to see."""

    seen: list[Seen]

    def read(self, pictures: Any) -> list[list[Seen]]:
        return [self.seen]


@dataclass
class Counter:
    calls: int = 0

    def spend(self) -> None:
        self.calls += 1


def agent(*solids: tuple[str, str, float]) -> TabletopAgent:
    seen = [Seen(shape, colour, x, 0.0, 0.9) for colour, shape, x in solids]
    return TabletopAgent(Detector(Planted(seen)))  # type: ignore[arg-type]


def test_them_means_all_that_was_named_before() -> None:
    facts = read(THREE)
    assert [fact.colour for fact in facts.objects] == ["red", "blue", "green"]
    assert facts.relations == {(0, "left of", 1), (2, "behind", 0), (2, "behind", 1)}
    assert read(f"  {THREE}".replace(" and", "\n        and")) == facts


def test_statements_say_what_the_prompt_says() -> None:
    text = "a small red cube left of a blue sphere on a wooden table in evening light"
    facts = read(". ".join(statements(read(text))))
    assert read(text).holds_in(facts) and facts.holds_in(read(text))


@pytest.mark.parametrize(
    "text", [THREE, "a red cube", "two red cubes", "A shiny ball. It is noon."]
)
def test_words_proposed_say_the_same_and_are_new(text: str) -> None:
    tried = [text]
    for _ in range(4):
        found = reworded(text, tried, random.Random(str(tried)))
        assert found is not None and found not in tried
        assert read(text).holds_in(parse(found))
        tried.append(found)


def test_words_that_the_world_lacks_stay_as_they_stand() -> None:
    for text in ("a red cube by Vermeer", "a red cube ⟦1⟧"):
        found = reworded(text, (), random.Random(1))
        assert found is not None and found.startswith(f"{text}. ")
    assert reworded("a harbour at dawn", (), random.Random(1)) is None


def test_questions_are_those_that_the_model_was_taught() -> None:
    asked = [one.text for one in questions_of_prompt("a small red cube left of a blue sphere")]
    assert asked == [
        "is there a red cube?", "is the red cube small?", "is there a blue sphere?",
        "is the red cube to the left of the blue sphere?", "are there exactly two objects?",
    ]  # fmt: skip


def test_the_detector_answers_of_solids_and_sides_and_is_unclear_else() -> None:
    here = agent(("red", "cube", -0.5), ("blue", "sphere", 0.5))
    prompt = "a small red cube left of a blue sphere in front of a green cone in evening light"
    asked = [one.text for one in questions_of_prompt(prompt)]
    said = dict(zip(asked, here.answers(asked, prompt, IMAGE), strict=True))
    assert said["is there a red cube?"] == ("yes", "")
    assert said["is there a green cone?"] == ("no", "there is no green cone")
    assert said["is the red cube to the left of the blue sphere?"] == ("yes", "")
    assert said["is the blue sphere in front of the green cone?"] == ("unclear", "")
    assert said["is the red cube small?"] == said["is it in evening light?"] == ("unclear", "")
    assert said["are there exactly three objects?"][0] == "no"


def test_a_caption_breaks_statements_of_what_it_does_not_show() -> None:
    here = agent(("red", "cube", 0.5), ("blue", "sphere", -0.5))
    caption = here.caption(IMAGE)
    assert caption == "a red cube, a blue sphere"
    assert here.check("there is a red cube", caption) == ("match", [])
    assert here.check("there is a cone", caption) == ("error", ["there is no cone"])
    assert here.check("there are exactly two objects", caption) == ("match", [])
    assert here.check("it is in evening light", caption) == ("not_mentioned", [])


def test_ratings_rise_with_what_is_right() -> None:
    prompt = "a red cube left of a blue sphere"
    marks = [
        sum(v for v in here.judge(prompt, prompt, (), (), IMAGE).values() if isinstance(v, int))
        for here in (
            agent(("green", "cone", 0.0)),
            agent(("blue", "sphere", 0.0)),
            agent(("blue", "sphere", -0.5), ("red", "cube", 0.5)),
            agent(("red", "cube", -0.5), ("blue", "sphere", 0.5)),
        )
    ]
    assert marks == sorted(marks) and len(set(marks)) == 4
    assert marks[-1] == 15


def test_every_look_is_counted() -> None:
    meter = Counter()
    here = agent(("red", "cube", 0.0)).metered(meter)
    here.decompose(THREE)
    assert meter.calls == 0
    here.caption(IMAGE)
    here.judge(THREE, THREE, (), (), IMAGE)
    assert meter.calls == 2


def test_a_statement_of_another_world_has_no_questions() -> None:
    assert questions_of("a harbour at dawn") == []
    with pytest.raises(ValueError, match="no words"):
        agent().questions("a harbour at dawn", IMAGE)


def test_a_model_that_says_looks_where_one_is_given(tmp_path: Path) -> None:
    from imgtool.runtime.context import Runtime
    from imgtool.runtime.shared import Shared
    from imgtool_tabletop.training.vlm import VlmTraining, build_vlm, vlm_tokenizer, write_vlm

    settings = VlmTraining(widths=(32, 32), depths=(1, 1), width=32, layers=1, heads=2)
    tokenizer = vlm_tokenizer(WEIGHTS / "clip")
    write_vlm(build_vlm(settings, tokenizer), tokenizer, tmp_path / "vlm")
    runtime = Runtime(device="cpu", shared=Shared()).for_stage()
    here = tabletop(runtime, str(tmp_path / "vlm"))
    try:
        assert str(tmp_path) in here.name
        asked = [one.text for one in questions_of_prompt("a red cube")]
        said = here.answers(asked, "", IMAGE)
        assert [answer for answer, _ in said] == [
            answer for answer, _ in here.answers(asked, "", IMAGE)
        ]
        assert {answer for answer, _ in said} <= {"yes", "no", "unclear"}
        assert isinstance(here.caption(IMAGE), str)
    finally:
        runtime.release()
