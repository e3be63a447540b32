"""Weights are read exactly, and what is not understood is refused."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool_rewrite.weights import Piece, Syntax, WeightError, parse

# What later tools read is text to this one: there is no way to write its brackets otherwise.
PLAIN = st.text(st.characters(exclude_characters="{}<_"), min_size=1)
SYNTAXES = st.sampled_from(["a1111", "compel"])


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a", [("a", 1)]),
        ("", []),
        ("((a))", [("a", 1.21)]),
        ("[a]", [("a", 1 / 1.1)]),
        ("(a:1.3)", [("a", 1.3)]),
        ("(a (b:2) c:1.5), [d]",
         [("a ", 1.5), ("b", 3), (" c", 1.5), (", ", 1), ("d", 1 / 1.1)]),
        ("(a:.5)(b: 2 )", [("a", 0.5), ("b", 2)]),
        ("(a:b:1.2)", [("a:b", 1.2)]),
        ("(a", [("(a", 1)]),
        ("a)", [("a)", 1)]),
        ("([a)", [("[a", 1.1)]),
        (r"\(a:1.3\) \\ \x", [("(a:1.3) \\ \\x", 1)]),
        ("()", []),
        ("a+ (b)1.2", [("a+ ", 1), ("b", 1.1), ("1.2", 1)]),
        ("[<lora:i(n)k:0.5>] {(a:2)|b}", [("<lora:i(n)k:0.5>", 1 / 1.1), (" {(a:2)|b}", 1)]),
    ],
)  # fmt: skip
def test_a1111_is_read(text: str, pieces: list[tuple[str, float]]) -> None:
    assert [(p.text, p.weight) for p in parse(text, "a1111")] == [
        (said, pytest.approx(weight, rel=1e-12)) for said, weight in pieces
    ]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a red+ cube", [("a ", 1), ("red", 1.1), (" cube", 1)]),
        ("red-- cube", [("red", 0.81), (" cube", 1)]),
        ("(red cube)1.3 x", [("red cube", 1.3), (" x", 1)]),
        ("(red cube)++", [("red cube", 1.21)]),
        ("(a (b)0.5 c)2", [("a ", 2), ("b", 1), (" c", 2)]),
        ("(a b+)2", [("a ", 2), ("b", 2.2)]),
        ("(plain) text", [("plain text", 1)]),
        ("an e-mail - no sign, C++.", [("an e-mail - no sign, ", 1), ("C", 1.21), (".", 1)]),
        (r"C\+\+ \(x\)", [("C++ (x)", 1)]),
        ("(a", [("(a", 1)]),
        ("(a:1.3)", [("a:1.3", 1)]),
        ("{a+|b} __c-d__ (<lora:x--:1>)2", [("{a+|b} __c-d__ ", 1), ("<lora:x--:1>", 2)]),
    ],
)  # fmt: skip
def test_compel_is_read(text: str, pieces: list[tuple[str, float]]) -> None:
    assert [(p.text, p.weight) for p in parse(text, "compel")] == [
        (said, pytest.approx(weight, rel=1e-12)) for said, weight in pieces
    ]


@pytest.mark.parametrize(
    ("text", "syntax"),
    [
        ("[a:b:0.5]", "a1111"),
        ("x [a|b]", "a1111"),
        ("([a:0.5])", "a1111"),
        ('("a", "b").blend(1, 2)', "compel"),
        ('("a", "b").and()', "compel"),
    ],
)
def test_what_is_not_known_is_refused(text: str, syntax: Syntax) -> None:
    with pytest.raises(WeightError):
        parse(text, syntax)


@given(st.text(alphabet="ab ()[]:.0123\\+-,|", max_size=30), SYNTAXES)
def test_any_text_is_read_or_refused_and_nothing_is_invented(text: str, syntax: Syntax) -> None:
    try:
        pieces = parse(text, syntax)
    except WeightError:
        return
    letters = iter(text)
    assert all(letter in letters for piece in pieces for letter in piece.text)
    assert all(piece.text for piece in pieces)


def render(pieces: list[Piece], syntax: Syntax) -> str:
    """Text that says these pieces."""
    signs = "()[]\\" if syntax == "a1111" else "()+-\\"
    parts = []
    for piece in pieces:
        text = "".join(f"\\{letter}" if letter in signs else letter for letter in piece.text)
        # compel's number would go on in digits that follow: every piece has brackets there.
        by = f":{piece.weight!r})" if syntax == "a1111" else f"){piece.weight!r}"
        parts.append(f"({text}{by}")
    return "".join(parts)


@given(
    st.lists(
        st.builds(
            Piece,
            PLAIN,
            st.just(1.0) | st.floats(1e-6, 1e6),
        ),
        max_size=6,
    ),
    SYNTAXES,
)
def test_pieces_written_are_read_the_same(pieces: list[Piece], syntax: Syntax) -> None:
    apart = [
        piece for at, piece in enumerate(pieces) if not at or pieces[at - 1].weight != piece.weight
    ]
    if all(one.weight != two.weight for one, two in itertools.pairwise(apart)):
        assert parse(render(apart, syntax), syntax) == apart


def test_brackets_in_thousands_take_little_time() -> None:
    assert parse("(" * 5000 + "a" + ")" * 5000, "compel") == [Piece("a", 1.0)]
    assert parse("(" * 20_000, "a1111")[0].text == "(" * 20_000
