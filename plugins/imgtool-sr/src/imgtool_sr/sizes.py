"""How large a picture becomes, and how often a net of a fixed scale must run for it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

MOST_PASSES: Final = 2
SIZE = re.compile(r"(\d{1,6})[xX×](\d{1,6})")


@dataclass(frozen=True)
class Target:
    """What was asked for: a factor, or a size in pixels that every picture gets."""

    scale: float | None = None
    size: tuple[int, int] | None = None

    def of(self, width: int, height: int, native: int) -> tuple[int, int]:
        """Width and height that a picture gets; `native` is the scale where none was given.

        A scaled side is rounded half up, and is one pixel at least.
        """
        if self.size is not None:
            return self.size
        scale = self.scale or native
        return max(1, math.floor(width * scale + 0.5)), max(1, math.floor(height * scale + 0.5))


def target_of(scale: float | None, size: str) -> Target:
    """The target that a scale or a size text describes.

    Raises
    ------
    ValueError : both are given, or the size is not WxH with both above 0.
    """
    if not size:
        return Target(scale=scale)
    if scale is not None:
        raise ValueError("--scale and --size say two things; give one of them")
    found = SIZE.fullmatch(size.strip())
    if not found or "0" in (found[1].lstrip("0") or "0", found[2].lstrip("0") or "0"):
        raise ValueError(f"--size takes WxH in pixels, such as 3840x2160, not {size!r}")
    return Target(size=(int(found[1]), int(found[2])))


def passes(have: tuple[int, int], want: tuple[int, int], native: int) -> int:
    """Runs of a net of scale `native` until no side is short of `want`; at most two, at least one.

    What two leave over is resampling, since a third would enlarge what the first made up.
    """
    if native < 2:
        return 1
    ratio = max(wanted / had for wanted, had in zip(want, have, strict=True))
    needed = math.ceil(math.log(ratio) / math.log(native) - 1e-9) if ratio > 1 else 1
    return min(MOST_PASSES, max(1, needed))
