"""Parameters that several stages of this plugin have."""

from __future__ import annotations

from typing import Annotated, Literal

from imgtool.api import Bounds, Help

Scale = Annotated[
    float | None, Help("Enlargement; none: the model's own, for Lanczos 2."), Bounds(0.01, 64)
]
Size = Annotated[str, Help("Size of the result, WxH in pixels, instead of --scale.")]
MaxMegapixels = Annotated[
    float, Help("Largest result, in millions of pixels; rows beyond fail."), Bounds(0)
]
MOST_MEGAPIXELS = 268.0
TileSize = Annotated[
    int, Help("Edge of a tile, pixels of the input; 0: what fits in memory."), Bounds(0, 8192)
]
Overlap = Annotated[int, Help("Pixels that neighbouring tiles share."), Bounds(0, 1024)]
TileBatch = Annotated[int, Help("Tiles to compute at once."), Bounds(1, 256)]
ColourFix = Literal["none", "wavelet", "adain", "ycbcr"]
COLOUR_HELP = Help("Take the colours of the input: its lowest band, its moments, or its chroma.")
