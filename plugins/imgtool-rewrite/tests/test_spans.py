"""What later tools read in a prompt comes out of a rewrite letter for letter."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imgtool_rewrite.spans import protect, spans_of

PIECES = st.sampled_from(
    ["(a cube:1.2)", "<lora:my__x__y:0.5>", "__colour__", "{a|{b|c}}", "${c=red}", "(a, b)1.3",
     "(", ")", "{", "}", "<", ">", "__", "\\", "⟦1⟧", "⟦_1⟧", "⟦", ":1.2", " a cone ", "$", "++"]
)  # fmt: skip
PROMPTS = st.lists(PIECES | st.text(max_size=4), max_size=12).map("".join)


@pytest.mark.parametrize(
    ("prompt", "spans"),
    [
        ("a (red cube:1.2) here", ["(red cube:1.2)"]),
        ("((a:1.1) b:1.3)", ["((a:1.1) b:1.3)"]),
        ("(a (b) c:0.5), d", ["(a (b) c:0.5)"]),
        ("(a, b)1.3 and (c)++", ["(a, b)1.3", "(c)++"]),
        ("a cube (red) - big", []),
        ("<lora:ink:0.7> __a__ {b|c} ${x}", ["<lora:ink:0.7>", "__a__", "{b|c}", "${x}"]),
        ("{__colour__|{b|c}}", ["{__colour__|{b|c}}"]),
        (r"\(a:1.2\) \{b\}", []),
        ("(a:1.2", []),
        ("( (a:1.2)", ["(a:1.2)"]),
        ("a {b", []),
        ("snake_case__ and 3 < 4", []),
    ],
)  # fmt: skip
def test_spans_are_found(prompt: str, spans: list[str]) -> None:
    assert [prompt[start:end] for start, end in spans_of(prompt)] == spans


@given(PROMPTS)
@example("⟦1⟧ (a:1.2)")
def test_any_text_comes_back(prompt: str) -> None:
    hidden = protect(prompt)
    assert hidden.restore(hidden.text) == prompt
    assert hidden.lost(hidden.text) == []


@given(PROMPTS, st.randoms(use_true_random=False))
def test_spans_survive_whatever_happens_around_their_marks(prompt: str, random: object) -> None:
    hidden = protect(prompt)
    marks = list(hidden.spans)
    random.shuffle(marks)  # type: ignore[attr-defined]
    rewritten = hidden.restore(" in a forest, ".join(["new words", *marks, "the end"]))
    for span in hidden.spans.values():
        assert span in rewritten


def test_mark_dropped_or_doubled_is_lost() -> None:
    hidden = protect("(a:1.2) and {b|c}")
    one, two = hidden.spans
    assert hidden.lost(f"x {one}") == ["{b|c}"]
    assert hidden.lost(f"{one} {two} {two}") == ["{b|c}"]


@pytest.mark.parametrize(
    ("prompt", "reads"),
    [
        ("(a red cube:1.2) on <lora:x:1> a table", "a red cube on a table"),
        ("((soft:1.1) light)1.2, a cat++, __place__ {b|c}", "soft light, a cat++,"),
        ("(cat:1.2) and (cat:1.2)", "cat and cat"),
    ],
)
def test_what_a_model_reads_has_no_signs_and_spans_come_back_once(prompt: str, reads: str) -> None:
    hidden = protect(prompt)
    assert " ".join(hidden.readable().split()) == reads
    for made in (reads, "something else", f"{reads}, again {reads}"):
        back = hidden.put_back(made)
        for span in hidden.spans.values():
            assert back.count(span) == prompt.count(span)


def test_words_of_a_span_are_put_back_in_place_and_whole_words_alone() -> None:
    hidden = protect("(cat:1.2) and <lora:x:1>")
    assert hidden.put_back("a catalogue, a cat, art") == "a catalogue, a (cat:1.2), art, <lora:x:1>"


def test_many_open_brackets_take_little_time() -> None:
    prompt = "(" * 20_000 + "a:1.2)"
    assert len(spans_of(prompt)) == 1
