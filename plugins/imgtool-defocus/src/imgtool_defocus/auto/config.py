"""Shapes of focus networks. Light to import; `config.json` beside the weights holds one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

ARCHITECTURE: Final = "FocusNet"
Average: TypeAlias = Literal["depth", "disparity", "median"]
"""How depth becomes one distance."""


@dataclass(frozen=True)
class FocusConfig:
    """Shapes of a network.

    Attributes
    ----------
    edge : side of the square that it looks at, pixels; a multiple of 8.
    widths : channels at a half, a fourth and an eighth of it. layers : over all tokens.
    heads : of attention; divides the last width.
    """

    edge: int = 48
    widths: tuple[int, int, int] = (16, 32, 40)
    layers: int = 2
    heads: int = 4


SIZES: Final = {"small": FocusConfig(), "tiny": FocusConfig(16, (8, 8, 8), 1, 2)}
"""`small`: for training on one CPU core. `tiny`: for tests."""


def write_config(config: FocusConfig, folder: Path) -> None:
    """Write `config.json`."""
    text = json.dumps({"architecture": ARCHITECTURE, "format": 1, **asdict(config)}, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


def read_config(folder: Path) -> FocusConfig:
    """The config in a folder.

    Raises
    ------
    ValueError : there is none, or it is of another architecture or format.
    """
    try:
        found: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except OSError:
        raise ValueError("it has no config.json") from None
    if not isinstance(found, dict) or found.pop("architecture", None) != ARCHITECTURE:
        raise ValueError(f"its config.json is of no {ARCHITECTURE}")
    if found.pop("format", None) != 1:
        raise ValueError("its config.json is of a later format")
    try:
        return FocusConfig(**{**found, "widths": tuple(found["widths"])})
    except (TypeError, KeyError) as err:
        raise ValueError(f"its config.json is odd: {err}") from None
