"""Makes plugins/imgtool-tabletop/loras.png: one prompt and seed under each of the shipped LoRAs.

python docs/lora_picture.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import imgtool
from imgtool.api import contact_sheet

if TYPE_CHECKING:
    import numpy as np

TARGET = Path(__file__).resolve().parents[1] / "plugins" / "imgtool-tabletop" / "loras.png"
PAIRS = (("matte", "shiny"), ("morning", "evening"))
PROMPT, SEED, SIDE, COLOURS = "a red sphere", 3, 128, 256
PIPELINE = """
[drawn]
[[drawn.stage]]
use = "generate"
[[drawn.stage]]
use = "decode"
"""


def main() -> None:
    """Draw each pair's ends at weight 1 beside no LoRA, and write the sheet."""
    cells, labels = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pipelines.toml").write_text(PIPELINE)
        for first, second in PAIRS:
            for end in (first, "", second):
                cells.append(drawn(folder, [f"tabletop/lora-{end}:1"] if end else []))
                labels.append(f"lora-{end}" if end else "none")
    sheet = contact_sheet(cells, labels, 3, SIDE)
    sheet.quantize(COLOURS).save(TARGET, optimize=True)


def drawn(folder: Path, loras: list[str]) -> np.ndarray:
    """The picture, [64, 64, 3] uint8."""
    run = imgtool.run(
        f"{folder / 'pipelines.toml'}:drawn",
        rows=[{"prompt": PROMPT}],
        seed=SEED,
        overrides={"generate.lora": loras},
        store=folder / "s.zarr",
    )
    return next(iter(run.rows.values("image")))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
