"""Text from files and prompts, made safe to show on a terminal."""

from __future__ import annotations

import re

# CSI, OSC (ended by BEL or ST), other two-character escapes, and controls but tab and newline.
ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\].*?(?:\x07|\x1b\\|$)|\x1b[PX^_].*?(?:\x1b\\|$)|\x1b[ -~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]|[\u202a-\u202e\u2066-\u2069]",
    re.DOTALL,
)


def strip_escapes(text: str) -> str:
    """`text` without terminal escapes, control characters and bidirectional overrides."""
    return ESCAPES.sub("", text)


def counted(count: int, noun: str) -> str:
    """`1 row`, `2 rows`, `1 batch`, `2 batches`."""
    plural = noun + ("es" if noun.endswith("ch") else "s")
    return f"{count} {noun if count == 1 else plural}"
