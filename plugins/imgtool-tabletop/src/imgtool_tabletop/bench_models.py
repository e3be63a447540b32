"""`imgtool bench tabletop/vlm`, `tabletop/depth`, `tabletop/aesthetic`: figures beside their bars.

Exit status 1 where a bar is not reached.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgtool.api import ModelUnusable, loading
from imgtool_tabletop import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

MISSED = 1


def checked(folder: Path, *names: str) -> Path:
    """`folder`, which holds files `names`.

    Raises
    ------
    ModelUnusable : it does not.
    """
    for name in names:
        if not (folder / name).is_file():
            raise ModelUnusable(
                f"{str(folder)!r} holds no {name}",
                "Train one: imgtool train tabletop/… -o FOLDER, then --model FOLDER",
            )
    return folder


def shown(figures: Mapping[str, float], bars: Mapping[str, str]) -> int:
    """Print one line a figure; 1 where one of them misses its bar, else 0."""
    from imgtool_tabletop.measures import holds

    missed = False
    for name, value in sorted(figures.items()):
        bar = bars.get(name, "")
        short = bool(bar) and not holds(value, bar)
        missed = missed or short
        said = f"  {bar}{'  MISSED' if short else ''}" if bar else ""
        click.echo(f"{name:32} {value:7.4f}{said}")
    return MISSED if missed else 0


def _vlm(model: Path, count: int) -> int:
    folder = checked(model, "config.json", "model.safetensors", "tokenizer.json")
    with loading(folder, "transformers"):
        import torch
        from transformers import CLIPTokenizer, LlavaForConditionalGeneration

        from imgtool_tabletop.measures import VLM_BARS
        from imgtool_tabletop.training.vlm import vlm_figures

        net = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
        tokenizer = CLIPTokenizer.from_pretrained(folder, padding_side="left")
    return shown(vlm_figures(net, tokenizer, count), VLM_BARS)


def _depth(model: Path, count: int) -> int:
    folder = checked(model, "config.json", "model.safetensors")
    with loading(folder, "transformers"):
        import torch
        from transformers import GLPNForDepthEstimation

        from imgtool_tabletop.measures import DEPTH_BARS
        from imgtool_tabletop.training.depth import depth_quality

        net = GLPNForDepthEstimation.from_pretrained(folder, dtype=torch.float32).eval()
    return shown(depth_quality(net, count), DEPTH_BARS)


def _aesthetic(model: Path, count: int, clip: Path, generator: Path, generated: int) -> int:
    with loading(model, "transformers"):
        from imgtool_tabletop.measures import AESTHETIC_BARS
        from imgtool_tabletop.training.aesthetic import (
            AFFINE,
            NONLINEAR,
            generated_quality,
            load_heads,
            render_quality,
        )

        heads = load_heads(checked(model, AFFINE, NONLINEAR))
    with loading(clip, "transformers"):
        import torch
        from transformers import CLIPModel

        tower = CLIPModel.from_pretrained(checked(clip, "config.json"), dtype=torch.float32).eval()
    figures = render_quality(heads, tower, count)
    if generated:
        from imgtool_tabletop.judge import Judge

        judge = Judge.load(WEIGHTS / "judge")
        pictures = _pictures_of(checked(generator, "model_index.json"), generated)
        figures |= generated_quality(heads, tower, judge, pictures)
    return shown(figures, AESTHETIC_BARS)


def _pictures_of(generator: Path, count: int) -> Tensor:
    """[count, 3, 64, 64] pictures for held-out captions, 0..1."""
    import numpy as np
    import torch

    from imgtool_tabletop.evaluate import generate_pictures, held_out_cases
    from imgtool_tabletop.training.generator import ADVICE

    prompts = [case.prompt for case in held_out_cases(count)]
    pictures = generate_pictures(generator, prompts, seed=0, **ADVICE)
    stacked = np.stack([np.asarray(picture) for picture in pictures])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).float() / 255


def _folder_option(name: str, folder: str, what: str) -> click.Option:
    """A folder, by default the shipped one."""
    return click.Option(
        [name],
        type=click.Path(path_type=Path),
        default=WEIGHTS / folder,
        show_default="the shipped one",
        help=what,
    )


COUNT = click.Option(
    ["--count"],
    type=click.IntRange(1),
    default=300,
    show_default=True,
    help="Held-out scenes.",
)
vlm = click.Command(
    "vlm",
    params=[_folder_option("--model", "vlm", "Model folder."), COUNT],
    callback=_vlm,
    help="Captions and answers on held-out scenes.",
)
depth = click.Command(
    "depth",
    params=[_folder_option("--model", "depth", "Model folder."), COUNT],
    callback=_depth,
    help="Errors of depth on held-out scenes.",
)
aesthetic = click.Command(
    "aesthetic",
    params=[
        _folder_option("--model", "aesthetic", "Model folder."),
        COUNT,
        _folder_option("--clip", "clip", "CLIPModel folder that the heads were trained over."),
        _folder_option("--generator", "tabletop", "StableDiffusionPipeline folder."),
        click.Option(
            ["--generated"],
            type=click.IntRange(0),
            default=200,
            show_default=True,
            help="Pictures to generate; 0: none.",
        ),
    ],
    callback=_aesthetic,
    help="Rank correlation of aesthetic heads with the written preference.",
)
