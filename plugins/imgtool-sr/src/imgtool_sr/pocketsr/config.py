"""Shapes of PocketSR models. Light to import; `config.json` beside the weights holds one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from pathlib import Path

ARCHITECTURE: Final = "PocketSR"
CELL: Final = 8
"""Pixels on each side of a cell of the latent."""


@dataclass(frozen=True)
class PocketConfig:
    """Shapes of a model; the defaults are those of Stable Diffusion 2.1 under layout B.

    Attributes
    ----------
    widths : channels of each level of the UNet, the finest first. layers : blocks a level.
    attention : levels with attention and feed-forward; the middle always has them.
    head_width : channels of an attention head; divides the widths.
    encoder : channels of the encoder. decoder : of the decoder at 1/8, 1/4 and 1/2 of the size.
    pairs : pairs of residual convolutions of the encoder, then at each level of the decoder.
    norm : of the residual blocks: over groups of channels of the whole picture, or over the
        channels of each pixel, so that tiles can equal the whole.
    gate_window : cells on each side that a gate averages over, odd; 0: the whole picture.
    kept_residual, kept_samplers : finest levels whose residual blocks and samplers are not
        replaced by light ones. keeps_attention : nor is the middle's attention.
    timestep : of the one step, in the schedule of Stable Diffusion.
    """

    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    layers: int = 2
    attention: tuple[bool, ...] = (True, True, True, False)
    head_width: int = 64
    latent: int = 4
    encoder: int = 128
    decoder: tuple[int, int, int] = (128, 96, 64)
    pairs: tuple[int, int, int, int] = (1, 1, 2, 2)
    norm: Literal["group", "pixel"] = "group"
    gate_window: int = 0
    kept_residual: int = 1
    kept_samplers: int = 2
    keeps_attention: bool = True
    timestep: int = 999

    @property
    def step(self) -> int:
        """Pixels that sides of pictures are multiples of."""
        return CELL << (len(self.widths) - 1)


SIZES: Final = {
    "full": PocketConfig(),
    "small": PocketConfig(
        widths=(32, 48, 64), layers=1, attention=(False, True, True), head_width=16, encoder=32,
        decoder=(48, 40, 32), norm="pixel", gate_window=5, kept_samplers=1, keeps_attention=False,
        timestep=200,
    ),
    "tiny": PocketConfig(
        widths=(16, 24), layers=1, attention=(False, True), head_width=8, encoder=16,
        decoder=(16, 12, 8), pairs=(1, 1, 1, 1), norm="pixel", gate_window=3, kept_samplers=0,
        keeps_attention=False, timestep=200,
    ),
}  # fmt: skip
"""`full`: of the paper, 147 million weights. `small`: for training on one CPU core.
`tiny`: for tests."""


def write_config(config: PocketConfig, folder: Path) -> None:
    """Write `config.json`."""
    text = json.dumps({"architecture": ARCHITECTURE, "format": 1, **asdict(config)}, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")


def read_config(folder: Path) -> PocketConfig:
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
    values: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in found.items()
    }
    try:
        return PocketConfig(**values)
    except TypeError as err:
        raise ValueError(f"its config.json is odd: {err}") from None
