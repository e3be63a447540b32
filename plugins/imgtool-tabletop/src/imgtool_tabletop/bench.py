"""`imgtool bench tabletop`: how well a generator's pictures agree with held-out captions."""

from __future__ import annotations

from pathlib import Path

import click

from imgtool.api import current_registry

SUITE = "tabletop/captions"
CAPTIONS = 200


@click.command()
@click.option(
    "--model",
    default="tabletop",
    show_default=True,
    help="StableDiffusionPipeline: alias, folder or file.",
)
@click.option(
    "--count",
    type=click.IntRange(1, CAPTIONS),
    default=CAPTIONS,
    show_default=True,
    help="Held-out captions.",
)
@click.option("--steps", default=25, show_default=True, help="Denoising steps.")
@click.option("--guidance", default=4.5, show_default=True, help="Guidance scale.")
@click.option("--seed", default=0, show_default=True, help="Seed of all seeds.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a contact sheet here.")
@click.pass_context
def tabletop(
    ctx: click.Context,
    model: str,
    count: int,
    steps: int,
    guidance: float,
    seed: int,
    sheet: Path | None,
) -> None:
    """Prompt agreement on held-out captions: `bench run tabletop/captions` by a shorter name."""
    run = current_registry().resolve("bench", "run")
    settings = (f"generate.steps={steps}", f"generate.guidance={guidance}")
    ctx.invoke(
        run,
        suite=SUITE,
        model=model,
        settings=settings,
        count=count,
        seed=seed,
        sheet=sheet,
    )
