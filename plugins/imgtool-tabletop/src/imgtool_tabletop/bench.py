"""`imgtool bench tabletop`: how well a generator's pictures agree with held-out captions."""

from __future__ import annotations

from pathlib import Path

import click

WEIGHTS = Path(__file__).parent / "weights"


@click.command()
@click.option(
    "--model",
    default=str(WEIGHTS / "tabletop"),
    help="StableDiffusionPipeline folder.  [default: tabletop]",
)
@click.option("--count", default=200, show_default=True, help="Held-out captions.")
@click.option("--steps", default=25, show_default=True, help="Denoising steps.")
@click.option("--guidance", default=4.5, show_default=True, help="Guidance scale.")
@click.option("--seed", default=0, show_default=True, help="Seed of the first picture.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Write a contact sheet here.")
def tabletop(
    model: str, count: int, steps: int, guidance: float, seed: int, sheet: Path | None
) -> None:
    """Prompt agreement on held-out captions, read by a judge trained on renders alone."""
    from imgtool_tabletop.evaluate import evaluate
    from imgtool_tabletop.judge import Judge
    from imgtool_tabletop.training.judge import judge_accuracy

    folder = WEIGHTS / "tabletop" if model == "tabletop" else Path(model)
    accuracy = judge_accuracy(Judge.load(WEIGHTS / "judge"))
    click.echo(f"judge    {accuracy:6.1%}  of held-out renders read right")
    figures, cases, pictures = evaluate(folder, WEIGHTS / "judge", count, steps, guidance, seed)
    for line in figures.lines():
        click.echo(line)
    if sheet is not None:
        write_sheet(sheet, [case.prompt for case in cases], pictures)


def write_sheet(path: Path, prompts: list[str], pictures: list, most: int = 32) -> None:  # type: ignore[type-arg]
    """A contact sheet of the first pictures under their prompts."""
    import numpy as np

    from imgtool.api import contact_sheet

    images = [np.asarray(picture) for picture in pictures[:most]]
    contact_sheet(images, prompts[:most], columns=8, cell=128).save(path)
