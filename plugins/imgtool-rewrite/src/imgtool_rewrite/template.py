"""Templates: alternations, picks, wildcards and variables, parsed to a tree and expanded.

Grammar
-------
`{a|b|c}` one of them; `{2::a|b}` with weights; `{2$$a|b|c}` two of them, joined by `, `;
`{1-3$$ and $$a|b|c}` one to three, joined by ` and `; `__name__` a line of `name.txt`;
`${name={a|b}}` sets and `${name}` uses a variable; `\\{` and the like stand for themselves.
What is in `<…:…>` is never touched. Nothing here reads a file: wildcards come from the caller.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from imgtool_rewrite.spans import TAG, WILDCARD

if TYPE_CHECKING:
    import random

Wildcards: TypeAlias = Callable[[str], Sequence[str]]
Variables: TypeAlias = Mapping[str, str]

PICK = re.compile(r"(\d+)(?:-(\d+))?\$\$(?:([^${}|]*)\$\$)?")
WEIGHT = re.compile(r"\s*(\d+(?:\.\d+)?)::")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(=|\})")
DEEPEST = 40


class TemplateError(ValueError):
    """The text is no template; the message names the position, counted from 1."""


@dataclass(frozen=True)
class Text:
    """Letters that stand for themselves."""

    text: str


@dataclass(frozen=True)
class Sequence_:
    """Parts after one another."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """`low` to `high` of the options, joined; `weights` has one number an option."""

    options: tuple[Node, ...]
    weights: tuple[float, ...]
    low: int = 1
    high: int = 1
    joiner: str = ", "


@dataclass(frozen=True)
class Wildcard:
    """A line of the file `name`."""

    name: str


@dataclass(frozen=True)
class Variable:
    """The value of `name`; with a `value` it is set, and reads as nothing."""

    name: str
    value: Node | None = None


Node: TypeAlias = Text | Sequence_ | Choice | Wildcard | Variable


def parse(text: str) -> Node:
    """The tree of a template.

    Raises
    ------
    TemplateError : a bracket is not closed, or something is nested too deeply.
    """
    node, end = _sequence(text, 0, "", 0)
    if end < len(text):
        raise TemplateError(f"'{text[end]}' at {end + 1} closes nothing")
    return node


def _sequence(text: str, at: int, stops: str, depth: int) -> tuple[Node, int]:
    if depth > DEEPEST:
        raise TemplateError(f"nested deeper than {DEEPEST} at {at + 1}")
    parts: list[Node] = []
    letters: list[str] = []

    def flush() -> None:
        if letters:
            parts.append(Text("".join(letters)))
            letters.clear()

    while at < len(text) and text[at] not in stops:
        node: Node | None = None
        if text[at] == "\\" and at + 1 < len(text) and text[at + 1] in "{}|\\_$":
            letters.append(text[at + 1])
            at += 2
            continue
        if match := TAG.match(text, at):
            letters.append(match[0])
            at = match.end()
            continue
        if match := VARIABLE.match(text, at):
            node, at = _variable(text, match, depth)
        elif text[at] == "{":
            node, at = _choice(text, at, depth)
        elif match := WILDCARD.match(text, at):
            node, at = Wildcard(match[1]), match.end()
        elif text[at] == "}":
            return Sequence_(tuple(parts)), at
        if node is None:
            letters.append(text[at])
            at += 1
        else:
            flush()
            parts.append(node)
    flush()
    return (parts[0] if len(parts) == 1 else Sequence_(tuple(parts))), at


def _variable(text: str, match: re.Match[str], depth: int) -> tuple[Node, int]:
    if match[2] == "}":
        return Variable(match[1]), match.end()
    value, end = _sequence(text, match.end(), "}", depth + 1)
    if end >= len(text):
        raise TemplateError(f"'${{' at {match.start() + 1} is not closed")
    return Variable(match[1], value), end + 1


def _choice(text: str, start: int, depth: int) -> tuple[Node, int]:
    at, low, high, joiner = start + 1, 1, 1, ", "
    if match := PICK.match(text, at):
        low, high = int(match[1]), int(match[2] or match[1])
        joiner = ", " if match[3] is None else match[3]
        at = match.end()
    options: list[Node] = []
    weights: list[float] = []
    while True:
        weight = WEIGHT.match(text, at)
        node, end = _sequence(text, weight.end() if weight else at, "|}", depth + 1)
        options.append(node)
        weights.append(float(weight[1]) if weight else 1.0)
        if end >= len(text):
            raise TemplateError(f"'{{' at {start + 1} is not closed")
        at = end + 1
        if text[end] == "}":
            break
    if not low <= high <= len(options):
        raise TemplateError(f"'{{' at {start + 1} asks for {low} to {high} of {len(options)}")
    if not any(weights):
        raise TemplateError(f"'{{' at {start + 1} has no option of weight above 0")
    return Choice(tuple(options), tuple(weights), low, high, joiner), at


def every(
    node: Node, wildcards: Wildcards, known: Variables | None = None
) -> Iterator[tuple[str, Variables]]:
    """Every text that the template stands for, the last part changing fastest, with variables.

    Weights do not matter here. Several picks keep the order in which options are written.
    """
    known = known or {}
    match node:
        case Text(text):
            yield text, known
        case Variable(name, None):
            yield _known(name, known), known
        case Variable(name, value) if value is not None:
            for text, then in every(value, wildcards, known):
                yield "", {**then, name: text}
        case Wildcard(name):
            for line in wildcards(name):
                yield from every(parse(line), wildcards, known)
        case Sequence_(parts):
            yield from _every_part(parts, wildcards, known, "")
        case Choice(options, _, low, high, joiner):
            for count in range(low, high + 1):
                for picked in itertools.combinations(options, count):
                    yield from _every_part(picked, wildcards, known, joiner)


def _every_part(
    parts: Sequence[Node], wildcards: Wildcards, known: Variables, joiner: str
) -> Iterator[tuple[str, Variables]]:
    if not parts:
        yield "", known
        return
    for head, then in every(parts[0], wildcards, known):
        if len(parts) == 1:
            yield head, then
            continue
        for tail, last in _every_part(parts[1:], wildcards, then, joiner):
            yield f"{head}{joiner}{tail}", last


def draw(node: Node, wildcards: Wildcards, rng: random.Random) -> str:
    """One text, drawn by weights."""
    return _draw(node, wildcards, rng, {})


def _draw(node: Node, wildcards: Wildcards, rng: random.Random, known: dict[str, str]) -> str:
    match node:
        case Text(text):
            return text
        case Variable(name, None):
            return _known(name, known)
        case Variable(name, value) if value is not None:
            known[name] = _draw(value, wildcards, rng, known)
            return ""
        case Wildcard(name):
            return _draw(parse(rng.choice(wildcards(name))), wildcards, rng, known)
        case Sequence_(parts):
            return "".join(_draw(part, wildcards, rng, known) for part in parts)
        case Choice(options, weights, low, high, joiner):
            left = list(range(len(options)))
            picked = []
            for _ in range(rng.randint(low, high)):
                chance = [weights[i] for i in left]
                index = rng.choices(left, chance if any(chance) else None)[0]
                left.remove(index)
                picked.append(_draw(options[index], wildcards, rng, known))
            return joiner.join(picked)
    raise TypeError(f"not a template node: {node!r}")


def _known(name: str, known: Variables) -> str:
    if name not in known:
        raise TemplateError(f"variable ${{{name}}} is used before it is set")
    return known[name]
