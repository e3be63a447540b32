"""A chart of a pruning: error above, sparsity below, a bar for each layer in order of execution."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

WIDTH, PANEL, LEFT, TOP, GAP = 960, 170, 64, 34, 34
INK, FAINT = (40, 44, 52), (222, 225, 230)
# Distinguishable with any kind of colour vision: Okabe and Ito's palette.
COLOURS = {
    "queries, keys, values": (0, 114, 178),
    "attention out": (86, 180, 233),
    "feed-forward": (230, 159, 0),
}


@dataclass(frozen=True)
class Bar:
    """One layer.

    Attributes
    ----------
    sparsity, error : shares; an error that is not known is None.
    """

    path: str
    block: str
    sparsity: float
    error: float | None

    @property
    def kind(self) -> str:
        """What the layer does, a key of `COLOURS`."""
        leaf = self.path.removesuffix(".0").rsplit(".", 1)[-1]
        if leaf in ("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj"):
            return "queries, keys, values"
        return "attention out" if leaf in ("to_out", "to_add_out") else "feed-forward"


def draw_chart(bars: Sequence[Bar]) -> np.ndarray:
    """The chart, [H, W, 3] uint8."""
    import numpy as np
    from PIL import Image, ImageDraw

    known = any(bar.error is not None for bar in bars)
    sparsities = ("sparsity", [bar.sparsity for bar in bars])
    errors = ("relative output error", [bar.error or 0.0 for bar in bars])
    panels = [errors, sparsities] if known else [sparsities]
    image = Image.new("RGB", (WIDTH, TOP + len(panels) * (PANEL + GAP)), "white")
    draw = ImageDraw.Draw(image)
    _legend(draw)
    for number, (title, values) in enumerate(panels):
        _panel(draw, bars, title, values, TOP + number * (PANEL + GAP))
    return np.asarray(image)


def _legend(draw: Any) -> None:
    x = LEFT
    for name, colour in COLOURS.items():
        draw.rectangle((x, 12, x + 10, 22), fill=colour)
        draw.text((x + 16, 11), name, fill=INK)
        x += 36 + round(draw.textlength(name))


def _panel(draw: Any, bars: Sequence[Bar], title: str, values: Sequence[float], top: int) -> None:
    """One row of bars, from 0 to the largest value."""
    base, largest = top + PANEL, max(values) or 1.0
    step = (WIDTH - LEFT - 12) / len(bars)
    draw.text((LEFT, top - 2), title, fill=INK)
    room = PANEL - 18
    for share in (0.0, 0.5, 1.0):
        y = base - share * room
        draw.line((LEFT, y, WIDTH - 12, y), fill=FAINT)
        label = f"{share * largest:.3g}"
        draw.text((LEFT - 8 - draw.textlength(label), y - 6), label, fill=INK)
    for at, (bar, value) in enumerate(zip(bars, values, strict=True)):
        x = LEFT + at * step
        height = value / largest * room
        if height:
            edges = (x + 0.1 * step, base - height, x + 0.9 * step, base)
            draw.rectangle(edges, fill=COLOURS[bar.kind])
    _blocks(draw, bars, base, step)


def _blocks(draw: Any, bars: Sequence[Bar], base: int, step: float) -> None:
    """Numbers of blocks below their bars, as `--blocks` counts them."""
    at = 0
    for number, (_, of_block) in enumerate(groupby(bars, key=lambda bar: bar.block)):
        count = len(list(of_block))
        x = LEFT + at * step
        draw.line((x, base, x, base + 6), fill=INK)
        label = str(number)
        if draw.textlength(label) < count * step:
            middle = x + (count * step - draw.textlength(label)) / 2
            draw.text((middle, base + 4), label, fill=INK)
        at += count
