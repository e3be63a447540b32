"""A chat backend that asks nobody: it repeats what an earlier run's rows have noted."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.api import InputMissing, InputUnreadable
from imgtool_rewrite.asking import call_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np

    from imgtool.api import Runtime


@dataclass(frozen=True)
class Replay:
    """Answers by question.

    Attributes
    ----------
    source : where they come from.
    digest : of them all.
    """

    answers: Mapping[str, str]
    source: str
    digest: str
    at_once: int = 1

    def say(
        self,
        text: str,
        system: str = "",
        most_tokens: int = 512,
        seed: int | None = None,
        schema: Mapping[str, Any] | None = None,
        image: np.ndarray | None = None,
    ) -> str:
        """The answer that was given.

        Raises
        ------
        ValueError : this question was not asked.
        """
        answer = self.answers.get(call_key(system, text, seed, image))
        if answer is None:
            raise ValueError(f"no answer to this question in {self.source!r}")
        return answer


def replay(runtime: Runtime, ref: str, served: str) -> Replay:
    """The answers in the rows of the JSON Lines file `ref`.

    Raises
    ------
    InputMissing, InputUnreadable : there is no such file, or it holds no answers.
    """
    try:
        data = Path(ref).read_bytes()
    except OSError as err:
        raise InputMissing(f"{ref!r} cannot be read: {err.strerror}") from err
    try:
        answers = dict(_calls(data.decode()))
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        raise InputUnreadable(f"{ref!r} holds no rows of rewriting") from None
    if not answers:
        raise InputUnreadable(
            f"{ref!r} holds no answers", "Make it with: imgtool rewrite.llm ... --json > FILE"
        )
    return Replay(answers, ref, hashlib.blake2b(data, digest_size=16).hexdigest())


def _calls(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        row = json.loads(line) if line.strip() else {}
        for entry in row.get("rewrite") or []:
            for call in entry.get("calls", []):
                yield str(call["key"]), str(call["answer"])
