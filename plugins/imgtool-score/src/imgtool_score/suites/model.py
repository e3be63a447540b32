"""A suite: prompts by category, what is asked of their pictures, and how answers become figures."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from imgtool.api import InputUnreadable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = "imgtool.suite/1"
ID = re.compile(r"[A-Za-z0-9_-]{1,120}")
PICTURE_RULES = ("mean", "all", "product")
OVERALL_RULES = ("pictures", "categories")


@dataclass(frozen=True)
class Rule:
    """How the outcomes of a picture become its score, and scores become the suite's figure.

    Attributes
    ----------
    picture : `mean`, `product`, or `all`: 1 where every outcome passes, else 0.
    overall : mean over `pictures`, or over `categories` (the macro mean).
    binary : outcomes count as 1 from `pass_at` on, else as 0.
    kinds : outcomes of these kinds alone make the score; empty, or none there: every kind.
    scale : figures are multiplied by it when shown and written.
    headline : name of the suite's figure.
    """

    picture: str = "mean"
    overall: str = "pictures"
    binary: bool = False
    pass_at: float = 0.5
    kinds: tuple[str, ...] = ()
    scale: float = 1.0
    headline: str = "overall"


@dataclass(frozen=True)
class Item:
    """One prompt.

    Attributes
    ----------
    questions : what is asked of its pictures, as `score.vqa` takes it; empty: the judge's own way.
    """

    id: str
    prompt: str
    category: str = ""
    questions: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Use:
    """A stage and its parameters."""

    stage: str
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Truth:
    """Pictures of which the answers are known: what the judge itself is measured by.

    Attributes
    ----------
    use : stage that gives each row its `image`.
    rows : fields of each row; `expected` has 1 or 0 for each of its `questions`.
    """

    use: Use
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Suite:
    """A benchmark.

    Attributes
    ----------
    seeds : pictures a prompt where the user does not say.
    features : array field of the judge in whose space the distance to `truth` is taken, or empty.
    """

    name: str
    items: tuple[Item, ...]
    judge: Use
    rule: Rule = Rule()
    seeds: int = 1
    summary: str = ""
    truth: Truth | None = None
    features: str = ""

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of categories, in the order of the items."""
        return tuple(dict.fromkeys(item.category for item in self.items))

    @property
    def digest(self) -> str:
        """16 hex digits that depend on prompts, questions and rule, not on the judge."""
        items = [[i.id, i.prompt, i.category, list(i.questions)] for i in self.items]
        text = json.dumps([items, vars(self.rule)], sort_keys=True).encode()
        return hashlib.blake2b(text, digest_size=8).hexdigest()

    def first(self, count: int) -> Suite:
        """The suite with its first `count` items; 0: all of them.

        They are taken in turn from its categories where its figure is the mean over these.
        """
        if not count or count >= len(self.items):
            return self
        if self.rule.overall == "pictures":
            return self.only({item.id for item in self.items[:count]})
        lines = [[i for i in self.items if i.category == name] for name in self.categories]
        longest = max(map(len, lines))
        turns = [line[at] for at in range(longest) for line in lines if at < len(line)]
        return self.only({item.id for item in turns[:count]})

    def only(self, ids: set[str]) -> Suite:
        """The suite with these items alone."""
        return replace(self, items=tuple(item for item in self.items if item.id in ids))

    def as_json(self) -> dict[str, Any]:
        """The document; `suite_of` is the inverse."""
        document: dict[str, Any] = {
            "schema": SCHEMA,
            "name": self.name,
            "summary": self.summary,
            "judge": {"stage": self.judge.stage, "params": dict(self.judge.params)},
            "rule": {**vars(self.rule), "kinds": list(self.rule.kinds)},
            "seeds": self.seeds,
            "items": [{**vars(item), "questions": list(item.questions)} for item in self.items],
        }
        if self.features:
            document["features"] = self.features
        if self.truth is not None:
            use = self.truth.use
            document["truth"] = {
                "stage": use.stage,
                "params": dict(use.params),
                "rows": list(self.truth.rows),
            }
        return document


def suite_of(document: object, where: str, lines: Sequence[int] = ()) -> Suite:
    """The suite that a document says.

    Parameters
    ----------
    where : what it came from, for errors.
    lines : line of each item in it, where it is a file of lines.

    Raises
    ------
    InputUnreadable : it says none; the message names file and line.
    """
    head = _mapping(document, where)
    if head.get("schema") != SCHEMA:
        raise InputUnreadable(
            f"{where}: schema is {head.get('schema')!r}, not {SCHEMA!r}",
            "A suite file begins with a line that says its schema, name and judge",
        )
    given = head.get("items")
    if not isinstance(given, list) or not given:
        raise InputUnreadable(f"{where}: the suite has no items", "Write one prompt a line")
    places = [f"{where}:{line}" for line in lines] or [
        f"{where}: item {i}" for i in range(len(given))
    ]
    items = tuple(_item(value, place) for value, place in zip(given, places, strict=True))
    seen: dict[str, str] = {}
    for item, place in zip(items, places, strict=True):
        if item.id in seen:
            raise InputUnreadable(f"{place}: item {item.id!r} is also at {seen[item.id]}")
        seen[item.id] = place
    return Suite(
        name=_text(head, "name", where),
        items=items,
        judge=_use(head.get("judge"), f"{where}: judge"),
        rule=_rule(head.get("rule", {}), f"{where}: rule"),
        seeds=_count(head.get("seeds", 1), f"{where}: seeds"),
        summary=_text(head, "summary", where, ""),
        truth=None if head.get("truth") is None else _truth(head["truth"], f"{where}: truth"),
        features=_text(head, "features", where, ""),
    )


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputUnreadable(f"{where} is no JSON object")
    return value


def _text(data: Mapping[str, Any], name: str, where: str, default: str | None = None) -> str:
    value = data.get(name, default)
    if not isinstance(value, str) or (default is None and not value.strip()):
        raise InputUnreadable(f"{where}: {name!r} is no text")
    if name != "prompt" and not value.isprintable():
        raise InputUnreadable(f"{where}: {name!r} has characters that cannot be printed")
    return value


def _count(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1000:
        raise InputUnreadable(f"{where}: {value!r} is no whole number from 1 to 1000")
    return value


def _item(value: object, where: str) -> Item:
    data = _mapping(value, where)
    item_id = str(data.get("id", ""))
    if not ID.fullmatch(item_id):
        raise InputUnreadable(
            f"{where}: id {item_id!r} is not usable", "Use letters, digits, '_' and '-'"
        )
    questions = data.get("questions", [])
    if not isinstance(questions, list):
        raise InputUnreadable(f"{where}: questions are no list")
    if questions:
        from imgtool_score.decompose import given_questions

        try:
            given_questions(questions)
        except ValueError as err:
            raise InputUnreadable(f"{where}: {err}") from None
    asked = tuple({"text": q} if isinstance(q, str) else q for q in questions)
    for question in asked:
        _text(question, "kind", where, "")
    category = _text(data, "category", where, "")
    return Item(item_id, _text(data, "prompt", where), category, asked)


def _use(value: object, where: str) -> Use:
    data = _mapping(value, where)
    return Use(_text(data, "stage", where), dict(_mapping(data.get("params", {}), where)))


def _truth(value: object, where: str) -> Truth:
    data = _mapping(value, where)
    rows = data.get("rows")
    if not isinstance(rows, list) or not rows:
        raise InputUnreadable(f"{where} has no rows")
    for at, row in enumerate(rows):
        found = _mapping(row, f"{where}, row {at}")
        asked, expected = found.get("questions"), found.get("expected")
        if not isinstance(asked, list) or not isinstance(expected, list):
            raise InputUnreadable(f"{where}, row {at} lacks questions or what is expected")
        if len(asked) != len(expected):
            raise InputUnreadable(
                f"{where}, row {at}: {len(asked)} questions, {len(expected)} answers"
            )
    return Truth(_use(data, where), tuple(rows))


def _rule(value: object, where: str) -> Rule:
    data = dict(_mapping(value, where))
    unknown = sorted(set(data) - set(vars(Rule())))
    if unknown:
        raise InputUnreadable(f"{where}: unknown key {unknown[0]!r}")
    for name, known in (("picture", PICTURE_RULES), ("overall", OVERALL_RULES)):
        if data.get(name, known[0]) not in known:
            raise InputUnreadable(f"{where}: {name} is {data[name]!r}; known: {', '.join(known)}")
    for name in ("pass_at", "scale"):
        if name in data and (
            isinstance(data[name], bool) or not isinstance(data[name], int | float)
        ):
            raise InputUnreadable(f"{where}: {name} is {data[name]!r}, which is no number")
    data["kinds"] = tuple(map(str, data.get("kinds", ())))
    return Rule(**data)
