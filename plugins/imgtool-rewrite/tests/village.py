"""A chat service that plays every role of GenPilot over the pictures of `bits.py`.

Two sentences want two phrases each; the best prompt, with all four, is planted and unique.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bits import PHRASES
from chat_server import ChatServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

PROMPT = "A house stands here. A garden grows there."
WANTED = {"A house stands here.": PHRASES[:2], "A garden grows there.": PHRASES[2:]}


@dataclass
class Village(ChatServer):
    """Answers by the picture alone.

    Attributes
    ----------
    faults : by task, what the first request of that task is answered with.
    distinct : whether each draw of a rewrite has other words.
    missing : how many of the wanted phrases the caption and the questions find.
    """

    reply: Callable[..., Any] = field(default=lambda text, picture: "")
    faults: dict[str, Any] = field(default_factory=dict)
    distinct: bool = False
    rate: Callable[[dict[str, Any], list[str]], Any] | None = None
    refine: Callable[[dict[str, Any], int], str | None] | None = None
    tasks: list[str] = field(default_factory=list)
    data: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def _answer(self, path: str, body: dict[str, Any]) -> tuple[int, list[bytes], dict[str, str]]:
        task = re.match(r"\[task: (\w+)\]", body["messages"][0]["content"])[1]  # type: ignore[index]
        with self._lock:
            self.tasks.append(task)
            fault = self.faults.pop(task, None)
        if fault is not None:
            return super_answer(self, path, body, fault)
        return super_answer(
            self, path, body, lambda text, picture: self._say(task, body, text, picture)
        )

    def _say(self, task: str, body: dict[str, Any], text: str, picture: Image.Image | None) -> str:
        found = re.search(r"<data (\w+)>\n(.*)\n</data \1>", text, re.DOTALL)
        assert found
        data = json.loads(found[2])
        with self._lock:
            self.data.append((task, data))
        seen = phrases_in(picture) if picture is not None else []
        return json.dumps(getattr(self, f"_{task}")(data, seen, body.get("seed", 0)))

    def _decompose(self, data: dict[str, Any], seen: list[str], seed: int) -> Any:
        lines = [line.strip() + "." for line in data["prompt"].split(".") if line.strip()]
        return {"statements": [f"{at}. {line}" for at, line in enumerate(lines)]}

    def _caption(self, data: dict[str, Any], seen: list[str], seed: int) -> Any:
        return {"caption": "There is " + (", ".join(seen) or "nothing")}

    def _check(self, data: dict[str, Any], seen: list[str], seed: int) -> Any:
        wrong = [f"no {p}" for p in wanted_by(data["statement"]) if p not in data["caption"]]
        return {"verdict": "error" if wrong else "match", "errors": wrong}

    def _questions(self, data: dict[str, Any], seen: list[str], seed: int) -> Any:
        return {"questions": [f"is there a {p}?" for p in wanted_by(data["statement"])] or ["?"]}

    def _qa(self, data: dict[str, Any], seen: list[str], seed: int) -> Any:
        there = [next((p for p in PHRASES if p in q), "") in seen for q in data["questions"]]
        return {
            "answers": [
                {"q": at, "answer": "yes" if yes else "no", "error": None}
                for at, yes in enumerate(there)
            ]
        }

    def _integrate(self, data: dict[str, Any], seen: list[str], seed: int) -> Any:
        return {"errors": [e for e in data["errors"] if e.startswith("no ")]}

    def _map(self, data: dict[str, Any], seen: list[str], seed: int) -> Any:
        blamed = next(p for p in PHRASES if p in data["errors"][0])
        wanting = next(line for line, wanted in WANTED.items() if blamed in wanted)
        key = wanting.split()[1]
        lines = [f"{line.strip()}." for line in data["prompt"].split(".") if key in line]
        return {"span": lines[0].upper()}  # capitals must not matter

    def _refine(self, data: dict[str, Any], seen: list[str], seed: int) -> Any:
        if self.refine is not None:
            return {"sentence": self.refine(data, seed)}
        wanted = wanted_by(data["span"])
        tried = [one["sentence"] for one in data["tried"]]
        sets = [c for n in (1, 2) for c in itertools.combinations(wanted, n)]
        known = [{p for p in wanted if p in sentence} for sentence in tried]
        chosen = next((one for one in sets if set(one) not in known), sets[0])
        style = f" in style {seed}" if self.distinct else ""
        return {"sentence": f"{data['span'].rstrip('.')} with {' and '.join(chosen)}{style}."}

    def _judge(self, data: dict[str, Any], seen: list[str], seed: int) -> Any:
        if self.rate is not None:
            return self.rate(data, seen)
        return ratings(1 + 4 * share(data, seen))


def ratings(mark: float) -> dict[str, Any]:
    return {
        "attribute_binding": round(mark), "object_relation": [round(mark)],
        "background": str(round(mark)), "reasons": {"background": "so it is"},
    }  # fmt: skip


def share(data: dict[str, Any], seen: list[str]) -> float:
    """Of the phrases that the errors miss, those that are seen."""
    missed = [p for p in PHRASES if any(p in error for error in data["errors"])]
    return sum(p in seen for p in missed) / len(missed)


def wanted_by(text: str) -> tuple[str, ...]:
    return next((w for line, w in WANTED.items() if line.split()[1] in text.lower()), ())


def phrases_in(picture: Image.Image) -> list[str]:
    return [p for at, p in enumerate(PHRASES) if picture.getpixel((at, 0))[0] > 128]  # type: ignore[index]


def super_answer(
    server: Village, path: str, body: dict[str, Any], reply: Any
) -> tuple[int, list[bytes], dict[str, str]]:
    """What a plain service says where `reply` is its reply."""
    made = reply if callable(reply) else lambda text, picture: reply
    return ChatServer(made)._answer(path, body)
