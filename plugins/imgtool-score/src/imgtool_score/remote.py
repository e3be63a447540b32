"""A service as scorers and other plugins talk to it: a few calls at once, each answer noted."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from imgtool_score.noting import noted, picture_mark

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np

    from imgtool.api import Runtime
    from imgtool_score.endpoint import Endpoint

T = TypeVar("T")
R = TypeVar("R")
CALLS_AT_ONCE = 4


@dataclass(frozen=True)
class RemoteChat:
    """A service, and the journal in which its answers are noted."""

    service: Endpoint
    runtime: Runtime
    at_once: int = CALLS_AT_ONCE

    @property
    def digest(self) -> str:
        """The service and the model it is asked for: what is behind them cannot be known."""
        return f"{self.service.url}#{self.service.served}"

    def limited(self, spend: Callable[[], None]) -> RemoteChat:
        """The same service; `spend` is called before every request, and ends it by raising."""
        return replace(self, service=replace(self.service, spend=spend))

    def say(
        self,
        text: str,
        system: str = "",
        most_tokens: int = 512,
        seed: int | None = None,
        schema: Mapping[str, Any] | None = None,
        image: np.ndarray | None = None,
    ) -> str:
        """The answer. Errors as `Endpoint.answer`."""
        seen = "" if image is None else picture_mark(image)
        key = json.dumps(["say", self.digest, system, text, most_tokens, seed, schema, seen])
        return str(
            noted(
                self.runtime,
                key,
                lambda: self.service.answer(text, image, most_tokens, seed, system, schema),
            )
        )

    def chances(self, text: str, image: np.ndarray) -> Mapping[str, float]:
        """Probability of each likely first token of the answer. Errors as `Endpoint.chances`."""
        key = json.dumps(["chances", self.digest, text, picture_mark(image)])
        found: Mapping[str, float] = noted(
            self.runtime, key, lambda: self.service.chances(text, image)
        )
        return found

    def each(self, call: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """`call` of all items, in their order, `at_once` at the same time."""
        with ThreadPoolExecutor(self.at_once) as pool:
            return list(pool.map(call, items))
