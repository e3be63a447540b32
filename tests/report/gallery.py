"""Reports made of values alone, for what no small run comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from studio import HOSTILE

from imgtool.report.model import Cell, Column, Fate, Group, Line, Report, Run, Step
from imgtool.report.page import page
from imgtool.report.pictures import Album

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KEPT, DROPPED = "kept", "dropped"
SCORES = ("score.red", "score.size")


class Gallery:
    """A report of two runs of one stage; every picture is another."""

    def __init__(self) -> None:
        self.album = Album(64)
        self.groups: list[Group] = []

    def cell(self, row_id: str, scores: Sequence[float | None] = ()) -> Cell:
        """A cell with a picture of its own."""
        place = len(self.album.pictures)
        image = np.full((8, 8, 3), (place % 16 * 16, place // 16 * 16, 99), np.uint8)
        given = dict(zip(SCORES, scores, strict=False))
        return Cell(row_id, self.album.add(image), scores=given)

    def line(
        self, row_id: str, fates: tuple[str, str], seed: int = 0, scores: Sequence[float] = ()
    ) -> Line:
        """A row that ended so in the two runs; without a fate it is in one run alone."""
        cells = {at: self.cell(row_id, scores) for at, fate in enumerate(fates) if fate}
        ends = {at: Fate(fate) for at, fate in enumerate(fates) if fate}
        return Line(row_id, HOSTILE, seed, (row_id,), cells, ends)

    def add(self, *lines: Line, prompt: str = HOSTILE) -> None:
        """Add a source row and what came of it."""
        name = lines[0].id.partition(".")[0]
        self.groups.append(Group(name, prompt, "", lines))

    def write(self, path: Path) -> Path:
        """Write the page to `path`."""
        variants = [f"tint={HOSTILE}", "tint=red"]
        columns = tuple(
            Column(f"draw-{at:016x}", "draw", "draw.toy", (at,), variant, SCORES, True)
            for at, variant in enumerate(variants)
        )
        runs = tuple(
            Run(f"run-{at}", variant, (Step("draw", "draw.toy", {}, 1, at, True),))
            for at, variant in enumerate(variants)
        )
        found = Report("s.zarr", runs, columns, tuple(self.groups), tuple(self.album.pictures))
        path.write_bytes(page(found))
        return path
