"""A measure of sets as people and programs read it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from imgtool_score.sets.request import Measure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imgtool_score.sets.request import Result, Side

SCHEMA = "imgtool.set-measure/1"
# Papers compare 50,000 pictures; below 10,000 FID is mostly what too few pictures add.
CUSTOMARY = 10_000


def skipped(result: Result) -> int:
    """Pictures that could not be read."""
    return sum(side.found.skipped for side in _sides(result).values())


def warnings(result: Result) -> list[str]:
    """What to know before the value is believed or compared."""
    if result.value is None:
        return []
    return [*_of_kid(result)] if result.measure is Measure.KID else [*_of_fid(result)]


def record(result: Result) -> dict[str, object]:
    """The JSON document."""
    kid, line = result.kid, result.infinite
    return {
        "schema": SCHEMA,
        "measure": str(result.measure),
        "better": "lower",
        "value": result.value,
        "deviation": kid.deviation if kid else None,
        "subsets": kid.subsets if kid else None,
        "subset_size": kid.size if kid else None,
        "infinite": asdict(line) if line else None,
        "grid": [{**asdict(swap), "value": value} for swap, value in result.grid] or None,
        "extraction": asdict(result.pictures.found.extraction),
        "pictures": _side(result.pictures),
        "reference": _side(result.reference) if result.reference else None,
        "warnings": warnings(result),
    }


def lines(result: Result) -> list[str]:
    """A table of names and values."""
    made = result.pictures.found.extraction
    rows: list[tuple[str, str]] = []
    if result.value is not None:
        rows.append((str(result.measure), f"{result.value:.6g}"))
    if result.kid is not None:
        kid = result.kid
        spread = "" if kid.deviation is None else f"± {kid.deviation:.2g} "
        rows[0] = (rows[0][0], f"{rows[0][1]} {spread}({kid.subsets} × {kid.size})")
    if result.infinite is not None:
        line = result.infinite
        sizes = f"{len(line.sizes)} sizes from {line.sizes[0]}"
        rows.append(("infinite", f"{line.value:.6g} (r² {line.r2:.3f}, {sizes})"))
    for swap, value in result.grid if len(result.grid) > 1 else ():
        rows.append(("", f"{value:.6g} at alpha {swap.alpha:g}, delta {swap.delta}"))
    for name, side in _sides(result).items():
        lost = f", {side.found.skipped} skipped" if side.found.skipped else ""
        rows.append((name, f"{side.found.count} of {side.place} {shown(side.given)}{lost}"))
    cut = f", {made.crops} patches of {made.crop}×{made.crop} a picture" if made.crops else ""
    model = f" {shown(made.model)}" if made.model else ""
    square = f"{made.resolution}×{made.resolution}"
    rows.append(("features", f"{made.extractor}{model} at {square}{cut}"))
    return [f"{name:10} {value}" for name, value in rows]


def shown(word: str) -> str:
    """A name from the command line as a terminal may show it."""
    return word if word.isprintable() else repr(word)


def _sides(result: Result) -> dict[str, Side]:
    sides = {"pictures": result.pictures, "reference": result.reference}
    return {name: side for name, side in sides.items() if side is not None}


def _side(side: Side) -> dict[str, object]:
    found = side.found
    return {
        "given": side.given,
        "place": str(side.place),
        "count": found.count,
        "skipped": found.skipped,
    }


def _of_fid(result: Result) -> Iterator[str]:
    for name, side in _sides(result).items():
        count, width = side.found.count, side.found.width
        if count <= width:
            yield (
                f"{name}: {count} features of {width} numbers have a singular covariance, and "
                "the value is mostly their scarcity; kid has no such bias"
            )
        elif count < CUSTOMARY:
            yield (
                f"{name}: {count} features are fewer than the customary {CUSTOMARY} or 50000; "
                "compare sets of equal size alone, or see --infinite"
            )


def _of_kid(result: Result) -> Iterator[str]:
    kid = result.kid
    if kid is not None and kid.subsets == 1:
        yield f"one subset of {kid.size} features is all there is: no deviation is known"
