"""Shapes of Pixel-Perfect Depth. Light to import; `config.json` beside the weights holds one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from pathlib import Path

ARCHITECTURE: Final = "PixelPerfectDepth"
CONFIG: Final = "config.json"


@dataclass(frozen=True)
class PpdConfig:
    """Shapes of a model; the defaults are the paper's.

    Attributes
    ----------
    width : channels of a token. blocks : half of them before the seam, half behind it.
    heads : of attention; the width of a head is a multiple of 4.
    patch : pixels on each side of a token before the seam; behind it, half as many.
    semantics : channels of the prompts.
    area : pixels of the pictures it is made for.
    encoder : fingerprint of the encoder of its prompts (`semantics.fingerprint`); empty: not known.
    objective : `flow` denoises depth; `regression`, for comparison, gives it in one step from no
        noise.
    """

    width: int = 1024
    blocks: int = 24
    heads: int = 16
    patch: int = 16
    semantics: int = 1024
    area: int = 1024 * 768
    encoder: str = ""
    objective: Literal["flow", "regression"] = "flow"


SIZES: Final = {
    "full": PpdConfig(),
    "small": PpdConfig(width=88, blocks=4, heads=2, patch=8, semantics=320, area=64 * 64),
    "tiny": PpdConfig(width=32, blocks=2, heads=2, patch=8, semantics=320, area=64 * 64),
}
"""`full`: of the paper, 500 million weights. `small`: for training on one CPU core.
`tiny`: for tests."""


def write_config(config: PpdConfig, folder: Path) -> None:
    """Write `config.json`."""
    text = json.dumps({"architecture": ARCHITECTURE, "format": 1, **asdict(config)}, sort_keys=True)
    (folder / CONFIG).write_text(text + "\n", encoding="utf-8")


def read_config(folder: Path) -> PpdConfig:
    """The config in a folder.

    Raises
    ------
    ValueError : it is of another architecture or format.
    """
    found: Any = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    if not isinstance(found, dict) or found.pop("architecture", None) != ARCHITECTURE:
        raise ValueError(f"its {CONFIG} is of no {ARCHITECTURE}")
    if found.pop("format", None) != 1:
        raise ValueError(f"its {CONFIG} is of a later format")
    try:
        return PpdConfig(**found)
    except TypeError as err:
        raise ValueError(f"its {CONFIG} is odd: {err}") from None
