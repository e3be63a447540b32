"""Calls of an agent, some at once; what cannot be answered is missing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imgtool_rewrite.genpilot.agent import Agent

T = TypeVar("T")


@dataclass
class Session:
    """One row's talk with an agent.

    Attributes
    ----------
    warnings : what went wrong on the way, once each.
    """

    agent: Agent
    warnings: list[str] = field(default_factory=list)

    def each(self, calls: Sequence[Callable[[], T]]) -> list[T | None]:
        """What each call gives, in order; None where there was no answer.

        Raises
        ------
        Spent, EndpointDown : as the names say; the calls that run are waited for.
        """
        if self.agent.at_once == 1:
            found = [_answered(call) for call in calls]
        else:
            with ThreadPoolExecutor(self.agent.at_once) as pool:
                found = list(pool.map(_answered, calls))
        for _, why in found:
            if why:
                self.warn(why)
        return [value for value, _ in found]

    def one(self, call: Callable[[], T]) -> T | None:
        """The same of one call."""
        return self.each([call])[0]

    def warn(self, text: str) -> None:
        """Note something once."""
        if text not in self.warnings:
            self.warnings.append(text)


def _answered(call: Callable[[], T]) -> tuple[T | None, str]:
    try:
        return call(), ""
    except ValueError as err:
        return None, str(err)
