"""The log of a training, kept with the model: `log.csv`, and its loss as a picture."""

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

LOG, PLOT = "log.csv", "loss.png"
SIZE: Final = (480, 240)
MARGIN: Final = 40
GREY, INK, PALE = (120, 120, 120), (30, 70, 160), (190, 205, 235)
SMOOTHED: Final = 10
"""Lines of the log that the darker curve is a mean of, at most a quarter of all."""


def keep_logs(work_dir: Path, out_dir: Path) -> None:
    """Copy every log below `work_dir` to the same place below `out_dir`, with a plot beside it."""
    for log in sorted(work_dir.rglob(LOG)):
        folder = out_dir / log.parent.relative_to(work_dir)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(log, folder / LOG)
        with log.open(newline="", encoding="utf-8") as file:
            points = [(float(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
        plot(points).save(folder / PLOT, optimize=True)


def plot(points: Sequence[tuple[float, float]]) -> Image.Image:
    """Loss over steps, pale, and its running mean."""
    picture = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(picture)
    low, high = min(y for _, y in points), max(y for _, y in points)
    last = max(x for x, _ in points)
    right, bottom = SIZE[0] - MARGIN, SIZE[1] - MARGIN
    draw.line([(MARGIN, MARGIN), (MARGIN, bottom), (right, bottom)], GREY)
    draw.text((MARGIN, MARGIN - 14), f"loss {high:.3g}", GREY)
    draw.text((4, bottom - 6), f"{low:.3g}", GREY)
    draw.text((right - 60, bottom + 6), f"step {last:.0f}", GREY)

    def place(x: float, y: float) -> tuple[float, float]:
        up = (y - low) / (high - low) if high > low else 0.5
        return MARGIN + (right - MARGIN) * x / last, bottom - (bottom - MARGIN) * up

    draw.line([place(x, y) for x, y in points], PALE)
    draw.line([place(x, y) for x, y in _smoothed(points)], INK, 2)
    return picture


def _smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    count = max(1, min(SMOOTHED, len(points) // 4))
    means = []
    for at, (x, _) in enumerate(points):
        part = points[max(0, at + 1 - count) : at + 1]
        means.append((x, sum(y for _, y in part) / len(part)))
    return means
