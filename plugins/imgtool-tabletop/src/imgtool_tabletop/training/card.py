"""What a model's folder says of itself: `figures.json` and a model card, `README.md`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.training.loop import Trainer
from imgtool_tabletop.world.sample import BROAD, FIRST

MEASURED = (
    "Measured on scenes that training did not draw; most of those of several solids are "
    "combinations that it never saw."
)
UNMEASURED = "Not measured by its training; `imgtool bench run tabletop --model FOLDER` does it."


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
    scenes. bars : the least or most that figures should reach, such as `≥ 0.9`. notes : what the
    figures are, in a sentence or two.
    """

    data: str
    effort: str
    figures: Mapping[str, float]
    bars: Mapping[str, str]
    notes: str = ""


def data_of(bank: PictureBank) -> str:
    """Which scenes a bank holds."""
    kinds = {BROAD: "every table, light and framing often", FIRST: "mostly one or two solids"}
    kind = kinds.get(bank.distribution, "a mixture of its own")
    return f"{bank.filled():,} rendered scenes, seed {bank.seed}, {bank.size}×{bank.size}: {kind}"


def effort_of(trainer: Trainer, batch: int, of: str = "pictures") -> str:
    """Steps, hours and device of a training."""
    import torch

    device = trainer.weights[0].device.type
    where = "CPU" if device == "cpu" else torch.cuda.get_device_name()
    threads = f", {torch.get_num_threads()} thread(s)" if device == "cpu" else ""
    weights = sum(weight.numel() for weight in trainer.weights)
    return (
        f"{trainer.step:,} steps of {batch} {of} in {trainer.seconds / 3600:.2f} hours on "
        f"{where}{threads}; {weights / 1e6:.2f} million weights trained, half precision on disk"
    )


def write_card(card: Card, made: Made, out_dir: Path) -> None:
    """Write both files; figures are rounded to four places."""
    rounded = {name: round(value, 4) for name, value in made.figures.items()}
    (out_dir / "figures.json").write_text(json.dumps(rounded, sort_keys=True) + "\n")
    (out_dir / "README.md").write_text(card_text(card, made), encoding="utf-8")


def card_text(card: Card, made: Made) -> str:
    """The model card."""
    return f"""---
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

{_measured(made)}
"""


def _measured(made: Made) -> str:
    if not made.figures:
        return UNMEASURED
    rows = [
        f"| {name} | {round(value, 4):g} | {made.bars.get(name, '')} |"
        for name, value in sorted(made.figures.items())
    ]
    said = f"{MEASURED} {made.notes}".strip()
    return "\n".join((said, "", "| figure | value | aim |", "| --- | --- | --- |", *rows))
