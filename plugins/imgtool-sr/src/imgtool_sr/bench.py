"""`imgtool bench sr FOLDER`: how near enlarged pictures come to sharp ones.

Examples
--------
imgtool bench sr pairs/
imgtool bench sr RealSR/Test/4 --stage sr.spandrel --set sr.model=net.safetensors --lpips lpips/
"""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgtool.api import BadParams, InputUnreadable, StageFailed, read_picture, run_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from imgtool_sr.pairs import Pair

LOWER = frozenset({"lpips", "dists", "iqa"})
SHOWN = {"iqa": "niqe"}


def _sr(
    folder: Path,
    stage: str,
    settings: tuple[str, ...],
    channels: str,
    lpips: str,
    dists: str,
    niqe: bool,
    device: str,
    dtype: str,
    store: Path | None,
    as_json: bool,
) -> None:
    from imgtool_sr.pairs import pairs_in

    pairs = pairs_in(folder)
    scale = common_scale(pairs)
    run = run_rows(
        _rows(pairs),
        then=[(stage, {"scale": scale}), *_measures(channels, lpips, dists, niqe)],
        overrides=dict(_setting(text) for text in settings),
        store=store,
        name="bench-sr",
        batch=1,
        device=device,
        dtype=dtype,
    )
    if run.failures:
        name, why = next(iter(run.failures.items()))
        raise StageFailed(f"{len(run.failures)} pictures failed; {name}: {why.reason}")
    found = {name: _values(run, name) for name in _names(lpips, dists, niqe)}
    _show(stage, scale, channels, [pair.name for pair in pairs], found, as_json)


def common_scale(pairs: Sequence[Pair]) -> float:
    """How much larger the sharp pictures are, as long as one factor fits all pairs.

    Raises
    ------
    BadParams : pairs differ by more than rounding.
    """
    sides = [(_size(pair.small), _size(pair.sharp)) for pair in pairs]
    wide, narrow = (sum(s[at][0] + s[at][1] for s in sides) for at in (1, 0))
    near = wide / narrow
    scale = float(round(near)) if abs(near - round(near)) < 0.02 * near else near
    for pair, (small, sharp) in zip(pairs, sides, strict=True):
        if any(abs(have * scale - want) > scale for have, want in zip(small, sharp, strict=True)):
            raise BadParams(
                f"{pair.name}: {small[0]}×{small[1]} and {sharp[0]}×{sharp[1]} pixels are not "
                f"{scale:g} apart, as most pairs are",
                "Give pairs of one scale",
            )
    return scale


def _size(file: Path) -> tuple[int, int]:
    from PIL import Image

    with _readable(file), Image.open(file) as opened:
        return opened.size


def _rows(pairs: Sequence[Pair]) -> Iterator[dict[str, Any]]:
    for number, pair in enumerate(pairs):
        yield {
            "id": str(number),
            "path": str(pair.small),
            "image": read_picture(pair.small),
            "reference": read_picture(pair.sharp),
        }


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turns what Pillow raises into one line that names the file."""
    try:
        yield
    except Exception as err:  # noqa: BLE001 - Pillow's readers raise many kinds for damaged bytes
        raise InputUnreadable(f"{str(file)!r} is no readable picture: {err}") from None


def _names(lpips: str, dists: str, niqe: bool) -> list[str]:
    asked = {"lpips": lpips, "dists": dists, "iqa": niqe}
    return ["psnr", "ssim", *(name for name, given in asked.items() if given)]


def _measures(
    channels: str, lpips: str, dists: str, niqe: bool
) -> list[tuple[str, dict[str, object]]]:
    """Score stages by name: whoever has them installed."""
    # Sizes that rounding parts are cut to one another, never resized.
    shared: dict[str, object] = {"align": "crop"}
    found = [(f"score.{name}", {"channels": channels, **shared}) for name in ("psnr", "ssim")]
    nets = {"lpips": lpips, "dists": dists}
    found += [(f"score.{name}", {"model": ref, **shared}) for name, ref in nets.items() if ref]
    if niqe:
        found.append(("score.iqa", {"measure": "pyiqa:niqe"}))
    return found


def _values(run: Any, name: str) -> list[float | None]:
    return list(run.rows.values(f"score.{name}"))


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise BadParams(f"--set takes LABEL.KEY=VALUE, not {text!r}")
    return key.strip(), value


def figure(values: Sequence[float | None]) -> dict[str, float | int | None]:
    """Mean and 95 % interval over pictures, of the values that there are and are finite."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return {"mean": None, "plus_minus": None, "pictures": 0}
    mean = sum(known) / len(known)
    spread = sum((value - mean) ** 2 for value in known) / max(1, len(known) - 1)
    half = 1.96 * math.sqrt(spread / len(known)) if len(known) > 1 else None
    return {"mean": mean, "plus_minus": half, "pictures": len(known)}


def _show(
    stage: str,
    scale: float,
    channels: str,
    names: Sequence[str],
    found: dict[str, list[float | None]],
    as_json: bool,
) -> None:
    figures = {SHOWN.get(name, name): figure(values) for name, values in found.items()}
    if as_json:
        rows = [
            {"name": name, **{SHOWN.get(key, key): found[key][at] for key in found}}
            for at, name in enumerate(names)
        ]
        about = {"stage": stage, "scale": scale, "channels": channels}
        click.echo(json.dumps({**about, "figures": figures, "pairs": rows}, sort_keys=True))
        return
    click.echo(f"{stage} ×{scale:g}, {len(names)} pairs; PSNR and SSIM of {channels.upper()}")
    for key, values in found.items():
        click.echo(_line(key, figure(values)))


def _line(key: str, shown: dict[str, float | int | None]) -> str:
    name, mean, half = SHOWN.get(key, key), shown["mean"], shown["plus_minus"]
    if mean is None:
        return f"{name:6} no value"
    digits = 2 if key == "psnr" else 4
    around = "" if half is None else f" ± {half:.{digits}f}"
    better = "lower" if key in LOWER else "higher"
    return f"{name:6} {mean:8.{digits}f}{around}  {better} is better"


sr = click.Command(
    "sr",
    callback=_sr,
    help="Enlarge the small pictures of FOLDER, and measure how near they come to the sharp ones.\n"
    "\nFOLDER holds folders LR and HR (or lq and gt, test_LR and test_HR), or pictures NAME_LR4 "
    "and NAME_HR beside one another, as RealSR does.",
    params=[
        click.Argument(["folder"], type=click.Path(path_type=Path)),
        click.Option(["--stage"], default="sr", show_default=True, help="Stage that enlarges."),
        click.Option(
            ["--set", "settings"],
            multiple=True,
            metavar="LABEL.KEY=VALUE",
            help="Change a parameter of the stage, such as sr.model=FILE.",
        ),
        click.Option(
            ["--channels"],
            type=click.Choice(["y", "rgb"]),
            default="y",
            show_default=True,
            help="PSNR and SSIM of luma (BT.601), or of all colours.",
        ),
        click.Option(["--lpips"], default="", metavar="MODEL", help="Also LPIPS, by this net."),
        click.Option(["--dists"], default="", metavar="MODEL", help="Also DISTS, by this net."),
        click.Option(["--niqe"], is_flag=True, help="Also NIQE, by pyiqa (non-commercial)."),
        click.Option(["--device"], default="auto", help="auto, cpu, cuda, mps…"),
        click.Option(["--dtype"], default="auto", help="Precision of models."),
        click.Option(["--store"], type=click.Path(path_type=Path), help="Keep pictures here."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document."),
    ],
)
