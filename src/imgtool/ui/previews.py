"""Pictures in a terminal, by half blocks: two pixels a character, 24-bit colour."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 32
GAP = "  "
UPPER_HALF = "\u2580"


def write_previews(out: TextIO, images: Sequence[Any]) -> None:
    """Write pictures `[H, W, 3] uint8` side by side, as many a line as the terminal has room."""
    room = max(1, (shutil.get_terminal_size().columns + len(GAP)) // (WIDTH + len(GAP)))
    for start in range(0, len(images), room):
        blocks = [preview(image) for image in images[start : start + room]]
        height = max(len(block) for block in blocks)
        padded = [block + [" " * WIDTH] * (height - len(block)) for block in blocks]
        for line in zip(*padded, strict=True):
            out.write(GAP.join(line) + "\n")


def preview(image: Any, width: int = WIDTH) -> list[str]:
    """Lines of half blocks that show one picture."""
    from PIL import Image

    height = max(2, round(image.shape[0] * width / image.shape[1] / 2) * 2)
    small = Image.fromarray(image).convert("RGB").resize((width, height), Image.Resampling.BOX)
    pixels = small.load()
    assert pixels is not None
    lines = []
    for y in range(0, height, 2):
        pairs = (_pair(pixels[x, y], pixels[x, y + 1]) for x in range(width))
        lines.append("".join(pairs) + "\x1b[0m")
    return lines


def _pair(top: Any, bottom: Any) -> str:
    over, under = ";".join(map(str, top)), ";".join(map(str, bottom))
    return f"\x1b[38;2;{over};48;2;{under}m{UPPER_HALF}"
