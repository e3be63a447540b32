"""The toy plugin, and a chat service, for pages that are held to real commands."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from worlds import toy_site

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.insert(0, str(Path(__file__).parents[2] / "plugins" / "imgtool-score" / "tests"))

from chat_server import ChatServer

__all__ = ["service", "toy_site"]


@pytest.fixture(scope="session")
def service() -> Iterator[dict[str, str]]:
    """Variables that name a service, as pages do, of a model that knows one red cube."""
    with ChatServer(answer) as server:
        yield {"ENDPOINT": server.url, "SERVED": "cubes"}


def answer(text: str, picture: object) -> Any:
    """What the service says: a rewrite or a judgement, a description, or yes."""
    if picture is None:
        return json.dumps({"prompt": "a red cube at dusk", "score": 80})
    if "Yes or No" in text:
        return {"Yes": math.log(0.8), "No": math.log(0.2)}
    return "A red cube on a table."
