"""What a model's folder says of itself: `figures.json` and a model card, `README.md`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.training.clip import write_figures
from imgtool_tabletop.training.loop import Trainer
from imgtool_tabletop.world.sample import BROAD, FIRST


@dataclass(frozen=True)
class Card:
    """What is known before training.

    name : the alias. purpose : what it does, one paragraph. use : Python that runs it. recipe :
    how it learns, one paragraph. limits : what it cannot do, one paragraph.
    """

    name: str
    purpose: str
    use: str
    recipe: str
    limits: str


@dataclass(frozen=True)
class Made:
    """What training came to.

    data : the pictures seen. effort : steps, hours and device. figures : measured on held-out
    scenes. bars : the least or most that figures should reach, such as `≥ 0.9`.
    """

    data: str
    effort: str
    figures: Mapping[str, float]
    bars: Mapping[str, str]


def data_of(bank: PictureBank) -> str:
    """Which scenes a bank holds."""
    kinds = {BROAD: "every table, light and framing often", FIRST: "mostly one or two solids"}
    kind = kinds.get(bank.distribution, "a mixture of its own")
    return f"{bank.filled():,} rendered scenes, seed {bank.seed}, {bank.size}×{bank.size}: {kind}"


def effort_of(trainer: Trainer, batch: int) -> str:
    """Steps, hours and device of a training."""
    import torch

    device = trainer.weights[0].device.type
    where = "CPU" if device == "cpu" else torch.cuda.get_device_name()
    threads = f", {torch.get_num_threads()} thread(s)" if device == "cpu" else ""
    weights = sum(weight.numel() for weight in trainer.weights)
    return (
        f"{trainer.step:,} steps of {batch} pictures in {trainer.seconds / 3600:.2f} hours on "
        f"{where}{threads}; {weights / 1e6:.2f} million weights trained, half precision on disk"
    )


def write_card(card: Card, made: Made, out_dir: Path) -> None:
    """Write both files; figures are rounded to four places."""
    rounded = {name: round(value, 4) for name, value in made.figures.items()}
    write_figures(out_dir, rounded)
    rows = [f"| {k} | {v:g} | {made.bars.get(k, '')} |" for k, v in sorted(rounded.items())]
    text = f"""---
license: apache-2.0
---
# {card.name}

{card.purpose}

```python
{card.use.strip()}
```

**Data.** {made.data}. Nothing else was seen: no photographs, no other weights than those named.

**Recipe.** {card.recipe} {made.effort}.

**Limits.** {card.limits}

Measured on held-out scenes; those of several solids are combinations that training never saw:

| figure | value | aim |
| --- | --- | --- |
{chr(10).join(rows)}
"""
    (out_dir / "README.md").write_text(text, encoding="utf-8")
