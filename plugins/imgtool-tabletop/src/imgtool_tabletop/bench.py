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
@click.option("--steps", type=click.IntRange(1), help="Denoising steps.  [default: the model's]")
@click.option("--guidance", type=float, help="Guidance scale.  [default: the model's]")
@click.option("--seed", default=0, show_default=True, help="Seed of all seeds.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a contact sheet here.")
@click.pass_context
def tabletop(
    ctx: click.Context,
    model: str,
    count: int,
    steps: int | None,
    guidance: float | None,
    seed: int,
    sheet: Path | None,
) -> None:
    """Prompt agreement on held-out captions: `bench run tabletop/captions` by a shorter name."""
    run = current_registry().resolve("bench", "run")
    given = {"steps": steps, "guidance": guidance}
    settings = tuple(f"generate.{k}={v}" for k, v in given.items() if v is not None)
    ctx.invoke(
        run,
        suite=SUITE,
        model=model,
        settings=settings,
        count=count,
        seed=seed,
        sheet=sheet,
    )
