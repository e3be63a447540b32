"""Templates mean what their grammar says, and leave everything else as it is."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.api import BadParams, Batch, RowError
from imgtool_rewrite.stage import Template, TemplateParams
from imgtool_rewrite.template import TemplateError, draw, every, parse

COLOURS = {"colour": ("red", "blue")}


def texts(template: str) -> list[str]:
    return [text for text, _ in every(parse(template), lambda name: COLOURS[name])]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a {red|blue} {cube|cone}", ["a red cube", "a red cone", "a blue cube", "a blue cone"]),
        ("{a|{b|c}}", ["a", "b", "c"]),
        ("{|x}y", ["y", "xy"]),
        ("{2$$a|b|c}", ["a, b", "a, c", "b, c"]),
        ("{1-2$$ and $$a|b}", ["a", "b", "a and b"]),
        ("a __colour__ cube", ["a red cube", "a blue cube"]),
        ("${c={red|blue}}${c} and ${c}", ["red and red", "blue and blue"]),
        (r"\{a\|b\}", ["{a|b}"]),
        ("(red:1.2) <lora:my__x__y:0.5>", ["(red:1.2) <lora:my__x__y:0.5>"]),
    ],
)
def test_every_text_of_a_template(template: str, expected: list[str]) -> None:
    assert texts(template) == expected


@pytest.mark.parametrize("bad", ["{a|b", "a}", "${x={a}", "{3$$a|b}", "${unset}", "{" * 60])
def test_bad_template_names_the_fault(bad: str) -> None:
    with pytest.raises(TemplateError):
        texts(bad)


def test_draws_follow_weights() -> None:
    tree = parse("{3::a|b}")
    rng = random.Random(0)
    share = sum(draw(tree, lambda _: (), rng) == "a" for _ in range(4000)) / 4000
    assert abs(share - 0.75) < 0.03


@given(st.text(alphabet=st.characters(exclude_characters="{}|\\_$<")))
def test_plain_text_stands_for_itself(text: str) -> None:
    assert texts(text) == [text]


@given(
    st.recursive(
        st.sampled_from(["a", "b c", ""]),
        lambda inner: st.lists(inner, min_size=1, max_size=3).map(
            lambda x: "{" + "|".join(x) + "}"
        ),
        max_leaves=8,
    ),
    st.integers(0, 99),
)
def test_a_draw_is_one_of_all(template: str, seed: int) -> None:
    assert draw(parse(template), lambda _: (), random.Random(seed)) in texts(template)


def stage(**params: object) -> Template:
    made = Template()
    made.params = TemplateParams(**params)  # type: ignore[arg-type]
    return made


def rows(*prompts: str) -> Batch:
    ids = tuple(str(i) for i in range(len(prompts)))
    return Batch(ids, {"prompt": list(prompts), "seed": list(range(len(prompts)))})


def test_combinations_become_children_with_seeds_of_their_own() -> None:
    result = stage().process(rows("{red|blue} cube"))
    assert result.ids == ("0.0", "0.1")
    assert list(result["prompt"]) == ["red cube", "blue cube"]
    assert list(result["seed"]) == [0, 1]


def test_prompt_without_alternatives_keeps_its_row_whatever_its_neighbours() -> None:
    assert stage().process(rows("a cube", "{a|b}")).ids == ("0", "1.0", "1.1")


def test_draws_of_a_row_do_not_depend_on_its_neighbours() -> None:
    drawing = stage(mode="draw", draws=3)
    both = drawing.process(rows("{a|b|c}", "{a|b|c|d}"))
    alone = drawing.process(rows("{a|b|c}", "{a|b|c|d}").keep([1]))
    assert list(both["prompt"])[3:] == list(alone["prompt"])


def test_too_many_combinations_fail_the_row() -> None:
    with pytest.raises(RowError, match="more than 1000"):
        stage().process(rows("{a|b|c|d}" * 6))


def test_wildcard_without_folder_is_refused() -> None:
    with pytest.raises(BadParams, match="needs a folder"):
        stage().process(rows("__colour__"))
