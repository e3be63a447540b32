"""Questions have true answers, measures tell good from bad, and the preference is as written."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch

from imgtool_tabletop.aesthetic import View, parts, preference, view_of, view_seen
from imgtool_tabletop.captions.parse import parse
from imgtool_tabletop.captions.questions import (
    YES_NO,
    Question,
    full_caption,
    questions,
    reading_order,
)
from imgtool_tabletop.judge import Seen
from imgtool_tabletop.measures import (
    answer_figures,
    caption_figures,
    depth_figures,
    holds,
    spearman,
)
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.world.facts import scene_facts
from imgtool_tabletop.world.sample import EVEN
from imgtool_tabletop.world.scene import Camera, Light, Pebble, Scene, Solid

SCENES = [scene_at(11, index, EVEN, held_out=False) for index in range(120)]
PAIR = Scene((Solid("cube", "red", -0.1, 0.0), Solid("cone", "blue", 0.1, 0.0)))


def answers(scene: Scene, seeds: int = 40) -> dict[str, str]:
    facts = scene_facts(scene)
    asked = [q for seed in range(seeds) for q in questions(facts, random.Random(seed))]
    return {question.text: question.answer for question in asked}


def test_full_caption_says_every_solid_and_only_what_holds() -> None:
    for scene in SCENES:
        facts, said = scene_facts(scene), parse(full_caption(scene))
        assert said.holds_in(facts)
        assert len(said.objects) == len(facts.objects)
        assert (said.table, said.light) == (facts.table, facts.light)


def test_full_caption_goes_from_left_to_right() -> None:
    turned = Scene(PAIR.solids[::-1])
    assert reading_order(PAIR) == [0, 1]
    assert reading_order(turned) == [1, 0]
    assert full_caption(PAIR) == full_caption(turned)


def test_answers_are_those_of_the_scene() -> None:
    known = answers(PAIR)
    assert known["is there a red cube?"] == "yes"
    assert known["is there a red cone?"] == "no"
    assert known["what colour is the cone?"] == "blue"
    assert known["what shape is the red object?"] == "cube"
    assert known["how many objects are there?"] == "two"
    assert known["is the red cube to the left of the blue cone?"] == "yes"
    assert known["is the red cube to the right of the blue cone?"] == "no"


def test_one_question_has_one_answer() -> None:
    for scene in SCENES[:30]:
        facts = scene_facts(scene)
        found: dict[str, set[str]] = {}
        for seed in range(20):
            for question in questions(facts, random.Random(seed)):
                found.setdefault(question.text, set()).add(question.answer)
        assert [text for text, replies in found.items() if len(replies) > 1] == []


def test_yes_is_as_frequent_as_no() -> None:
    counted = Counter(
        (question.kind, question.answer)
        for index, scene in enumerate(SCENES)
        for question in questions(scene_facts(scene), random.Random(index))
    )
    for kind in YES_NO:
        yes, no = counted[kind, "yes"], counted[kind, "no"]
        assert abs(yes - no) < 4 * (yes + no) ** 0.5


def test_saying_yes_to_everything_earns_a_half() -> None:
    facts = scene_facts(PAIR)
    asked = [q for seed in range(60) for q in questions(facts, random.Random(seed))]
    asked = [question for question in asked if question.kind in YES_NO]
    assert answer_figures(asked, ["yes"] * len(asked))["yes_no"] == pytest.approx(0.5)
    assert answer_figures(asked, [question.answer for question in asked])["yes_no"] == 1.0


def test_answers_count_word_for_word() -> None:
    asked = [Question("colour", "what colour is the cone?", "blue")] * 2
    assert answer_figures(asked, [" blue", "blueish"])["answer_colour"] == 0.5


def test_a_caption_with_an_object_too_many_is_wrong() -> None:
    facts = scene_facts(PAIR)
    captions = [
        "a red cube to the left of a blue cone",
        "a red cube to the right of a blue cone",
        "a red cube, a blue cone and a red ball",
    ]
    figures = caption_figures(captions, [facts] * 3)
    assert figures["caption_objects"] == pytest.approx(2 / 3)
    assert figures["caption_all_true"] == pytest.approx(1 / 3)


def test_depth_errors_by_hand() -> None:
    true = torch.tensor([[[1.0, 2.0], [4.0, 4.0]]])
    made = torch.tensor([[[1.1, 2.0], [4.0, 6.0]]])
    figures = depth_figures(made, true)
    assert figures["abs_rel"] == pytest.approx((0.1 + 0.5) / 4)
    assert figures["delta1"] == 0.75


def test_rank_correlation_by_hand() -> None:
    assert spearman([1, 2, 3, 9], [10, 20, 30, 31]) == pytest.approx(1.0)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    # Ties share the mean rank: ranks 0.5 0.5 2 and 0 1 2.
    assert spearman([1, 1, 2], [1, 2, 3]) == pytest.approx(0.75**0.5)
    assert spearman([1, 1, 1], [1, 2, 3]) == 0.0


@pytest.mark.parametrize(
    ("value", "bar", "reached"),
    [(0.9, "≥ 0.9", True), (0.89, "≥ 0.9", False), (0.06, "≤ 0.06", True), (0.07, "≤ 0.06", False)],
)
def test_bars(value: float, bar: str, reached: bool) -> None:
    assert holds(value, bar) is reached
    assert not holds(float("nan"), bar)


def test_preference_is_ten_for_all_that_pleases_and_falls_with_each_part() -> None:
    centre = ((0.0, 0.0), (0.0, 0.0))
    colours = (("cube", "red"), ("cone", "yellow"))
    best = View(colours, centre, 0.45, "evening", pebbles=False)
    assert preference(best) == pytest.approx(10 * (1 - 0.35 * 0.2))
    worse = [
        View((("cube", "red"), ("cone", "green")), centre, 0.45, "evening", pebbles=False),
        View((*colours, ("torus", "red")), (*centre, (0.0, 0.0)), 0.45, "evening", pebbles=False),
        View(colours, ((0.4, 0.0), (0.4, 0.0)), 0.45, "evening", pebbles=False),
        View(colours, centre, 0.2, "evening", pebbles=False),
        View(colours, centre, 0.45, "noon", pebbles=False),
        View(colours, centre, 0.45, "evening", pebbles=True),
    ]
    assert max(map(preference, worse)) < preference(best)


def test_preference_of_a_scene_reads_light_size_and_pebbles() -> None:
    solids = (Solid("cube", "red", 0.0, 0.0, "large"),)
    near = Scene(solids, light=Light("evening"), camera=Camera(distance_m=0.4))
    far = Scene(solids, camera=Camera(distance_m=0.9), pebbles=(Pebble(0.1, 0.1, 0.01, 0.2),))
    good, bad = parts(view_of(near)), parts(view_of(far))
    assert (good["light"], bad["light"]) == (1.0, 0.0)
    assert (good["tidiness"], bad["tidiness"]) == (1.0, 0.0)
    assert good["size"] > bad["size"]


def test_what_the_judge_sees_agrees_with_the_scene_where_it_can() -> None:
    for scene in SCENES:
        whole = view_of(scene)
        seen = [
            Seen(shape, colour, x, y, 0.9)
            for (shape, colour), (x, y) in zip(whole.solids, whole.places, strict=True)
        ]
        read, true = parts(view_seen(seen)), parts(whole)
        assert all(read[name] == true[name] for name in ("harmony", "calm", "framing"))


def test_nothing_seen_has_no_preference() -> None:
    with pytest.raises(ValueError, match="no preference"):
        preference(view_seen([]))
