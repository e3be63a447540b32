"""Reads answers of chat models in the forms of `roles`, forgiving what does no harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool_rewrite.genpilot.agent import ASPECTS
from imgtool_rewrite.genpilot.roles import MOST_QUESTIONS, REPLIES, VERDICTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool_rewrite.genpilot.agent import Answer


def text_of(found: Mapping[str, Any], name: str) -> str:
    """A text that is not empty.

    Raises
    ------
    ValueError : it is none.
    """
    value = found.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f'"{name}" is no text')
    return value.strip()


def text_or_none(found: Mapping[str, Any], name: str) -> str | None:
    """A text, or None where it is null, empty or the word none.

    Raises
    ------
    ValueError : it is missing, or something else.
    """
    if name not in found:
        raise ValueError(f'"{name}" is missing')
    value = found[name]
    if value is None or (isinstance(value, str) and value.strip().casefold() in ("", "none")):
        return None
    return text_of(found, name)


def texts_of(found: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts, empty ones left out; null is the empty list.

    Raises
    ------
    ValueError : it is none.
    """
    value = found.get(name, "")
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f'"{name}" is no list of texts')
    return [item.strip() for item in value if item.strip()]


def whole_of(found: Mapping[str, Any], name: str, low: int, high: int) -> int:
    """A whole number; as text, with a zero after the point or in a list of one it is one too.

    Raises
    ------
    ValueError : it is none, or out of bounds.
    """
    value = found.get(name)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f'"{name}" is no whole number')
    if not low <= value <= high:
        raise ValueError(f'"{name}" is {value}, not from {low} to {high}')
    return value


def word_of(found: Mapping[str, Any], name: str, words: Sequence[str]) -> str:
    """One of `words`.

    Raises
    ------
    ValueError : it is none of them.
    """
    value = str(found.get(name)).strip().casefold()
    if value not in words:
        raise ValueError(f'"{name}" is none of {", ".join(words)}')
    return value


def verdict(found: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What a comparison says, and its errors; those of another verdict than `error` are none.

    Raises
    ------
    ValueError : it has another form.
    """
    said = word_of(found, "verdict", VERDICTS)
    return said, texts_of(found, "errors") if said == "error" else []


def some_questions(found: Mapping[str, Any]) -> list[str]:
    """Questions, twelve at most.

    Raises
    ------
    ValueError : there are none.
    """
    asked = list(dict.fromkeys(texts_of(found, "questions")))[:MOST_QUESTIONS]
    if not asked:
        raise ValueError("there are no questions")
    return asked


def answers(found: Mapping[str, Any], count: int) -> list[Answer]:
    """An answer to each of `count` questions; a question passed over is unclear.

    Raises
    ------
    ValueError : they have another form, or answer none.
    """
    value = found.get("answers")
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ValueError('"answers" is no list of objects')
    given: list[Answer] = [("unclear", "")] * count
    for item in value:
        said = word_of(item, "answer", REPLIES)
        error = item.get("error")
        why = error.strip() if isinstance(error, str) and said == "no" else ""
        given[whole_of(item, "q", 0, count - 1)] = (said, why)
    if not value:
        raise ValueError("no question is answered")
    return given


def rating(found: Mapping[str, Any]) -> dict[str, Any]:
    """The three ratings, and their reasons as one text.

    Raises
    ------
    ValueError : one is no whole number from 1 to 5.
    """
    rated: dict[str, Any] = {aspect: whole_of(found, aspect, 1, 5) for aspect in ASPECTS}
    reasons = found.get("reasons")
    texts = reasons.values() if isinstance(reasons, dict) else [reasons]
    return {**rated, "reasons": " ".join(t.strip() for t in texts if isinstance(t, str))}
