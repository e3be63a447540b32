"""The suites ask what their prompts say; the judge answers, alone and among others the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from imgtool.api import Batch
from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.captions.parse import parse
from imgtool_tabletop.evaluate import held_out_cases
from imgtool_tabletop.expecting import facts_in_view, facts_seen, is_met
from imgtool_tabletop.judge import Seen
from imgtool_tabletop.own_captions import own_captions
from imgtool_tabletop.scenes import scene_of
from imgtool_tabletop.stages import JudgeParams, JudgePictures, Render, RenderParams
from imgtool_tabletop.suite import CATEGORIES, captions, questions_of, skills
from imgtool_tabletop.training.bank import is_held_out
from imgtool_tabletop.world.facts import scene_facts
from imgtool_tabletop.world.scene import Scene, Solid


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return skills()


def seen(*objects: tuple[str, str, float]) -> Any:
    return facts_seen([Seen(shape, colour, x, 0.0, 0.9) for shape, colour, x in objects])


def test_every_category_has_prompts_of_its_own(document: dict[str, Any]) -> None:
    counts = Counter(item["category"] for item in document["items"])
    assert counts == {category.name: 30 for category in CATEGORIES}
    for name in counts:
        prompts = [i["prompt"] for i in document["items"] if i["category"] == name]
        assert len(set(prompts)) == len(prompts)


def test_the_generator_brings_captions_that_no_suite_asks_for(document: dict[str, Any]) -> None:
    brought = (WEIGHTS / "tabletop" / "captions.txt").read_text().splitlines()
    asked = {item["prompt"] for item in [*document["items"], *captions()["items"]]}

    assert brought == own_captions()
    assert len(set(brought)) == 200
    assert not asked & set(brought)


def test_questions_expect_what_the_prompt_says(document: dict[str, Any]) -> None:
    for item in [*document["items"], *captions()["items"]]:
        said = {(fact.shape, fact.colour) for fact in parse(item["prompt"]).objects}
        for question in item["questions"]:
            for shape, colour in question["expects"]["objects"]:
                assert any(shape in (None, s) and colour == c for s, c in said), item


def test_long_prompts_have_up_to_five_sentences(document: dict[str, Any]) -> None:
    ends = [i["prompt"].count(".") for i in document["items"] if i["category"] == "long"]
    assert (min(ends), max(ends)) == (3, 5)


def test_the_truth_holds_in_its_scenes_and_asks_for_no_as_often(document: dict[str, Any]) -> None:
    expected: Counter[int] = Counter()
    for row in document["truth"]["rows"]:
        there = facts_in_view(scene_of(row["scene"]))
        for question, answer in zip(row["questions"], row["expected"], strict=True):
            assert is_met(question["expects"], there) == bool(answer)
        assert 1 in row["expected"]
        expected.update(row["expected"])
    assert 0.7 < expected[0] / expected[1] < 1.3


def test_scenes_of_the_truth_are_none_of_the_prompts(document: dict[str, Any]) -> None:
    rows = document["truth"]["rows"]
    assert len({str(row["scene"]) for row in rows}) == len(rows)
    assert all(row["scene"]["seed"] > 8000 for row in rows)


def test_expectations_by_hand() -> None:
    there = seen(("cube", "red", -0.5), ("cone", "blue", 0.5))
    both = questions_of("a red cube to the left of a blue cone")
    assert [is_met(question["expects"], there) for question in both] == [True, True]
    turned = questions_of("a red cube to the right of a blue cone")
    assert [is_met(question["expects"], there) for question in turned] == [True, False]
    swapped = questions_of("a blue cube and a red cone")
    assert [is_met(question["expects"], there) for question in swapped] == [False]
    one_more = seen(("cube", "red", 0.0), ("cone", "blue", 0.5), ("cone", "blue", 0.7))
    assert not is_met(both[0]["expects"], one_more)
    assert is_met(both[1]["expects"], one_more)
    assert questions_of("a café at night") == []


@pytest.mark.parametrize(
    "bad",
    [None, {}, {"objects": 3}, {"objects": [["cube"]], "relations": [], "exactly": True},
     {"objects": [["cube", "red"]], "relations": [[0, "left of", 4]], "exactly": True}],
)  # fmt: skip
def test_expectations_that_are_none_are_refused(bad: Any) -> None:
    with pytest.raises(ValueError, match="expects"):
        is_met(bad, seen())


@pytest.fixture(scope="module")
def judge() -> Any:
    from imgtool.registry import Registry
    from imgtool.runtime.context import Runtime

    stage = JudgePictures()
    runtime = Runtime(device="cpu", registry=Registry.load())
    stage.params, stage.runtime = JudgeParams(), runtime.for_stage()
    stage.open(stage.params, stage.runtime)
    yield stage
    stage.close()


def rendered(rows: list[dict[str, Any]]) -> Batch:
    stage = Render()
    stage.params = RenderParams()
    names = ("scene", "questions", "expected")
    columns = {name: [row[name] for row in rows] for name in names}
    return stage.process(Batch(tuple(str(at) for at in range(len(rows))), columns))


def test_the_judge_answers_what_is_known(document: dict[str, Any], judge: Any) -> None:
    rows = document["truth"]["rows"][::9]
    done = judge.process(rendered(rows))
    marks = [
        (question["value"] == 1.0) == bool(expected)
        for record, row in zip(done["score_info.judge"], rows, strict=True)
        for question, expected in zip(record["questions"], row["expected"], strict=True)
    ]
    assert sum(marks) / len(marks) >= 0.9
    assert np.stack(list(done["features.judge"])).shape == (len(rows), 96)


def test_a_row_is_judged_alone_as_among_others(document: dict[str, Any], judge: Any) -> None:
    batch = rendered(document["truth"]["rows"][:6])
    together = judge.process(batch)
    for at in range(6):
        alone = judge.process(batch.keep([at]))
        assert alone["score_info.judge"] == [together["score_info.judge"][at]]
        np.testing.assert_allclose(
            alone["features.judge"][0], together["features.judge"][at], atol=1e-4
        )


def test_rows_that_ask_nothing_have_no_score_and_odd_ones_fail_alone(judge: Any) -> None:
    image = np.full((80, 48, 3), 128, np.uint8)
    batch = Batch(
        ("a", "b", "c"),
        {
            "image": [image] * 3,
            "prompt": ["a red cube", "a café", "x"],
            "questions": [None, None, [{"text": "is it day?"}]],
        },
    )
    done = judge.process(batch)
    assert done.ids == ("a", "b")
    assert done["score.judge"] == [0.0, None]
    assert "question 0 expects nothing" in done.failures["c"].reason


@pytest.mark.parametrize(
    "scene", [None, {"kind": "first"}, {"kind": "odd", "seed": 1, "index": 1}, "x"]
)
def test_records_that_name_no_scene_fail_their_row_alone(scene: Any) -> None:
    good = {"seed": 1, "index": 0, "held_out": True, "kind": "first"}
    stage = Render()
    stage.params = RenderParams(16)
    done = stage.process(Batch(("a", "b"), {"scene": [scene, good]}))
    assert done.ids == ("b",)
    assert done["image"][0].shape == (16, 16, 3)
    assert "the field 'scene'" in done.failures["a"].reason


def test_most_pairs_in_captions_are_combinations_that_training_never_saw() -> None:
    pairs = [case.objects for case in held_out_cases(200) if len(case.objects) == 2]
    scenes = [
        Scene(tuple(Solid(str(fact.shape), str(fact.colour), 0.0, 0.0) for fact in pair))
        for pair in pairs
    ]
    assert (sum(map(is_held_out, scenes)), len(pairs)) == (131, 184)


def test_captions_say_their_sides() -> None:
    items = captions()["items"]
    assert len(items) == 200
    assert {item["category"] for item in items} == {"single", "double"}
    sided = [item for item in items if len(item["questions"]) == 2]
    assert 50 < len(sided) < 150
    assert all(("left" in i["prompt"]) or ("right" in i["prompt"]) for i in sided)


def test_facts_in_view_are_those_of_the_scene(document: dict[str, Any]) -> None:
    for row in document["truth"]["rows"][::20]:
        scene = scene_of(row["scene"])
        told = {r for r in scene_facts(scene).relations if r[1] in ("left of", "right of")}
        assert told <= facts_in_view(scene).relations
