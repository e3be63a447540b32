"""What a rewrite may not lose is found, and its loss is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool_rewrite.facts import facts_of
from imgtool_rewrite.reply import read_object


@pytest.mark.parametrize(
    ("prompt", "quotes", "numbers", "names"),
    [
        ("a red cube", (), (), ()),
        ("a sign that says \"Open 24 h\"", ("Open 24 h",), ("24",), ()),
        ("a sign, 'it's open', and “Café”", ("it's open", "Café"), (), ()),
        ("the dogs' bowl and cats' toys", (), (), ()),
        ("a 12\" screen beside a 5\" one", (), ("12", "5"), ()),
        ("two cats, 3 dogs and 2.5 apples", (), ("3", "2.5", "2"), ()),
        ("The Eiffel Tower in Paris at night", (), (), ("Eiffel Tower", "Paris")),
        ("A portrait of Albert Einstein, by Monet", (), (), ("Albert Einstein", "Monet")),
        ("Albert Einstein rides. Photo of NASA", (), (), ("Albert Einstein", "NASA")),
        ("a 3D render of an iPhone", (), ("3",), ("iPhone",)),
        ("Castle On A Hill At Night In Rain", (), (), ()),
        ("I'm a cat, I think", (), (), ()),
    ],
)  # fmt: skip
def test_facts_are_found(
    prompt: str, quotes: tuple[str, ...], numbers: tuple[str, ...], names: tuple[str, ...]
) -> None:
    found = facts_of(prompt)
    assert (found.quotes, found.numbers, found.names) == (quotes, numbers, names)


@pytest.mark.parametrize(
    ("prompt", "rewrite", "lost"),
    [
        ("two cats in Paris", "2 fluffy cats on a street of Paris", []),
        ("2 cats and 2 dogs", "two cats and dogs", ["2"]),
        ("a sign \"Open\"", 'a sign reading "open"', ["Open"]),
        ("a cat in Rome", "a cat by the Colosseum", ["Rome"]),
        ("a cat in Rome", "a cat in front of Rome's walls", []),
        ("a cat in Rome", "a romeward cat", ["Rome"]),
        ("Claude Monet and 3 boats", "boats", ["3", "Claude Monet"]),
    ],
)  # fmt: skip
def test_losses_are_noticed(prompt: str, rewrite: str, lost: list[str]) -> None:
    assert facts_of(prompt).lost(rewrite) == lost


def test_words_of_the_user_stay_where_a_prompt_has_them() -> None:
    keep = ("bokeh", "水彩")
    assert facts_of("a cat, bokeh", keep).lost("a cat") == ["bokeh"]
    assert facts_of("一只猫，水彩画", keep).lost("一只猫") == ["水彩"]
    assert facts_of("a cat", keep).lost("a dog") == []


@given(st.text())
def test_a_text_keeps_its_own_facts(text: str) -> None:
    assert facts_of(text).lost(text) == []


@pytest.mark.parametrize(
    "answer",
    [
        '{"prompt": "a {b}, c"}',
        '```json\n{"prompt": "a {b}, c"}\n```',
        'Here you are: {"prompt": "a {b}, c",} Enjoy!',
        '[{"prompt": "a {b}, c"}]',
        '```\n{"prompt": "a {b}, c",\n}\n```',
    ],
)
def test_object_is_read_out_of_what_is_said(answer: str) -> None:
    assert read_object(answer) == {"prompt": "a {b}, c"}


@pytest.mark.parametrize("answer", ["", "no", "{", "[" * 9000, '{"a": ' * 9000, "{'a': 1}"])
def test_answer_without_an_object_is_none(answer: str) -> None:
    assert read_object(answer) is None


@given(st.dictionaries(st.text(), st.text() | st.integers()), st.text(alphabet="ab \n"))
def test_any_object_is_read_among_words(value: dict[str, object], words: str) -> None:
    import json

    assert read_object(f"{words}{json.dumps(value)}{words}") == value
