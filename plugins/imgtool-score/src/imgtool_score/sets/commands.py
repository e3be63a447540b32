"""`imgtool bench fid`, `kid`, `pfid` and `rfid`: how far apart two sets of pictures are.

Exit status 1 where pictures were skipped.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgtool.api import BadParams

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imgtool_score.sets.pictures import Picture

SKIPPED = 1
SET = "folder, store or statistics (.safetensors)"


def _measure(measure: str, values: dict[str, Any]) -> int:
    from imgtool.api import Runtime
    from imgtool_score.sets.comparing import Comparison
    from imgtool_score.sets.record import lines, record, skipped, warnings
    from imgtool_score.sets.request import Measure, Request
    from imgtool_score.sets.resize import Patches
    from imgtool_score.sets.swapping import Swap

    as_json, device = values.pop("as_json"), values.pop("device")
    patches = Patches(values.pop("crops", 0), values.pop("crop", 0))
    skip = values.pop("on_error") == "skip"
    grid = itertools.product(values.pop("alphas", ()), values.pop("deltas", ()))
    swaps = tuple(Swap(*pair) for pair in grid)
    request = Request(Measure(measure), patches=patches, swaps=swaps, skip=skip, **values)
    _check(request.reference, request.autoencoder, request.save)
    registry = click.get_current_context().find_root().meta.get("registry")
    # Features of FID are never taken in half precision, nor in TF32.
    runtime = Runtime(device=device, dtype="float32", deterministic=True, registry=registry)
    try:
        result = Comparison(request, runtime, _watched).result()
    finally:
        runtime.release()
    for text in warnings(result):
        click.echo(f"warning: {text}", err=True)
    if as_json:
        click.echo(json.dumps(record(result), allow_nan=False))
    else:
        click.echo("\n".join(lines(result)))
    return SKIPPED if skipped(result) else 0


def _watched(word: str, pictures: Iterable[Picture]) -> Iterator[Picture]:
    """The pictures, counted on a terminal."""
    if not sys.stderr.isatty():
        yield from pictures
        return
    from imgtool_score.sets.record import shown

    with click.progressbar(pictures, label=shown(word), show_pos=True, file=sys.stderr) as counted:
        yield from counted


def _check(reference: str, autoencoder: str, save: Path | None) -> None:
    """Refuse what names no second set, or two of them."""
    if reference and autoencoder:
        raise BadParams("--vae makes the second set, and one is given", "Leave one of them out")
    if not (reference or autoencoder or save):
        raise BadParams(
            "there is nothing to compare with", "Give a second set, or --save FILE.safetensors"
        )
    if save is not None and save.suffix != ".safetensors":
        raise BadParams(f"--save {str(save)!r} has another suffix", "Name it FILE.safetensors")


def _command(name: str, second: str, summary: str, *more: click.Parameter) -> click.Command:
    """`second` names the other set; empty: it is made from PICTURES."""
    other = click.Argument(["reference"], metavar=f"[{second}]", required=False, default="")
    sets = f"PICTURES and {second} are each a {SET}" if second else "PICTURES are a folder or store"
    return click.Command(
        name,
        help=f"{summary}\n\n{sets}.",
        params=[
            click.Argument(["pictures"], metavar="PICTURES"),
            *([other] if second else ()),
            *more,
            *_shared(),
        ],
        callback=lambda **values: _measure(name, {"reference": "", **values}),
    )


def _shared() -> list[click.Parameter]:
    return [
        click.Option(
            ["--features", "extractor"],
            default="",
            metavar="NAME",
            help="Extractor: clip, inception, or one that a plugin registers, such as "
            "tabletop/judge.  [default: that of the statistics, else clip]",
        ),
        click.Option(
            ["--model"],
            default="",
            metavar="REF",
            help="Weights of the extractor.  [default: its own; for clip tabletop/clip]",
        ),
        click.Option(
            ["--save"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Write the statistics of PICTURES to FILE.safetensors.",
        ),
        click.Option(
            ["--batch"],
            type=click.IntRange(1),
            default=32,
            show_default=True,
            help="Pictures to compute at once.",
        ),
        click.Option(
            ["--on-error"],
            type=click.Choice(["stop", "skip"]),
            default="stop",
            show_default=True,
            help="What to do with a picture that cannot be read.",
        ),
        click.Option(["--device"], default="auto", show_default=True, help="auto, cpu, cuda, mps."),
        click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document."),
    ]


def _seed(what: str) -> click.Option:
    return click.Option(["--seed"], type=click.IntRange(0), default=0, show_default=True, help=what)


INFINITE = click.Option(
    ["--infinite"],
    is_flag=True,
    help="Also extrapolate to infinitely many PICTURES, which takes their number out.",
)

fid = _command(
    "fid",
    "REFERENCE",
    "Fréchet distance of two sets of pictures, or of patches of them.",
    click.Option(
        ["--crops"],
        type=click.IntRange(0),
        default=0,
        metavar="N",
        help="Compare N patches of each picture, cut out at full resolution at places that follow "
        "from its name.",
    ),
    click.Option(
        ["--crop"],
        type=click.IntRange(0),
        default=0,
        metavar="PIXELS",
        help="Edge of a patch.  [default: the extractor's, so that nothing is resized]",
    ),
    INFINITE,
)
kid = _command(
    "kid",
    "REFERENCE",
    "Kernel distance of two sets of pictures, which has no bias by their number.",
    click.Option(
        ["--subsets"], type=click.IntRange(2), default=100, show_default=True, help="Subsets drawn."
    ),
    click.Option(
        ["--subset-size"],
        type=click.IntRange(2),
        default=1000,
        show_default=True,
        help="Pictures in a subset, at most.",
    ),
    _seed("Of the subsets."),
)
pfid = _command(
    "pfid",
    "",
    "Fréchet distance of pictures and their reconstructions from perturbed tokens (RobustTok).",
    click.Option(
        ["--tokenizer", "autoencoder"],
        required=True,
        metavar="REF",
        help="Discrete tokenizer: a VQModel of diffusers.",
    ),
    click.Option(
        ["--alpha", "alphas"],
        type=click.FloatRange(0, 1),
        multiple=True,
        default=(0.5,),
        show_default=True,
        help="How likely a token is drawn anew; given more than once, the mean over all.",
    ),
    click.Option(
        ["--delta", "deltas"],
        type=click.IntRange(1),
        multiple=True,
        default=(100,),
        show_default=True,
        help="Among how many of the nearest codes; given more than once, the mean over all.",
    ),
    _seed("Of the swaps."),
)
rfid = _command(
    "rfid",
    "RECONSTRUCTIONS",
    "Fréchet distance of pictures and their reconstructions, named like them.",
    click.Option(
        ["--vae", "autoencoder"],
        default="",
        metavar="REF",
        help="Reconstruct by this AutoencoderKL or VQModel, or that of this pipeline of diffusers.",
    ),
    INFINITE,
)
