"""Answers that cost something, kept in the runtime's journal until their batch is committed."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from imgtool.api import write_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from imgtool.api import Runtime


def recall(runtime: Runtime, key: str) -> Any:
    """What was noted under `key` for this batch, or None."""
    file = _file(runtime, key)
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def note(runtime: Runtime, key: str, value: Any) -> None:
    """Keep `value`, JSON, until the batch is committed: a kill does not lose what was paid for."""
    file = _file(runtime, key)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, json.dumps(value).encode())


def noted(runtime: Runtime, key: str, make: Callable[[], Any]) -> Any:
    """What was noted under `key`, else what `make` gives, noted."""
    value = recall(runtime, key)
    if value is None:
        value = make()
        note(runtime, key, value)
    return value


def picture_mark(image: np.ndarray) -> str:
    """32 hex digits, equal for equal pictures, [H, W, 3] uint8."""
    total = hashlib.blake2b(image.tobytes(), digest_size=16)
    total.update(json.dumps(image.shape).encode())
    return total.hexdigest()


def _file(runtime: Runtime, key: str) -> Path:
    return runtime.journal / f"{hashlib.blake2b(key.encode(), digest_size=16).hexdigest()}.json"
