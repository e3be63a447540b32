"""Trains the judge on renders alone, blurred, noised and re-lit so that samples do not fool it."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from imgtool_tabletop.judge import GRID, Judge, JudgeNet, objects_right
from imgtool_tabletop.measures import JUDGE_BARS
from imgtool_tabletop.training.bank import PictureBank, scene_at
from imgtool_tabletop.training.card import Card, Made, data_of, effort_of, write_card
from imgtool_tabletop.training.loop import Budget, Optimiser, Report, Trainer
from imgtool_tabletop.training.vae import bank_batch
from imgtool_tabletop.world.facts import scene_facts
from imgtool_tabletop.world.render import render
from imgtool_tabletop.world.scene import COLOURS, SHAPES, Scene

CARD = Card(
    "tabletop/judge",
    "Reads the solids of a picture: shape, colour and place of each. A detector after CenterNet, "
    "independent of every generator and scorer, so that it can judge them.",
    """
from pathlib import Path
from imgtool_tabletop.judge import Judge

solids = Judge.load(Path(folder)).read(pictures)  # [B, 3, 64, 64], 0..1
""",
    "AdamW on a focal loss of a map of centres and the cross entropy of shape and colour; pictures "
    "blurred, noised and re-lit, so that samples of generators do not fool it.",
    "It reads shape, colour and place alone: no size, finish, table or light, and no pebbles. It "
    "was trained mostly on one and two solids, and is less sure of more.",
)


@dataclass(frozen=True)
class JudgeTraining:
    """Settings. measured : held-out renders that the judge is measured on at the end."""

    width: int = 48
    batch: int = 64
    measured: int = 500
    seed: int = 5
    budget: Budget = field(default_factory=Budget)
    optimiser: Optimiser = field(default_factory=lambda: Optimiser(rate=2e-3, ema_half_life=150))


def targets(scenes: list[Scene], grid: int = GRID) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Heat map [B, G, G]; for each object (scene, row, column) [N, 3], shape [N], colour [N]."""
    heat = torch.zeros(len(scenes), grid, grid)
    line = (torch.arange(grid) + 0.5) * 2 / grid - 1
    cells, shapes, colours = [], [], []
    for index, scene in enumerate(scenes):
        for solid in scene.solids:
            x, y, _ = scene.camera.project(solid.centre)
            blob = torch.exp(-((line[None] - x) ** 2 + (line[:, None] - y) ** 2) / (2 * 0.11**2))
            column, row = (min(grid - 1, max(0, int((v + 1) * grid / 2))) for v in (x, y))
            blob[row, column] = 1.0
            heat[index] = torch.maximum(heat[index], blob)
            cells.append((index, row, column))
            shapes.append(SHAPES.index(solid.shape))
            colours.append(COLOURS.index(solid.colour))
    return heat, torch.tensor(cells), torch.tensor(shapes), torch.tensor(colours)


def disturb(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Blur, noise and gain, drawn anew for each picture [B, 3, H, W] in 0..1."""
    count = len(pictures)
    blur = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    share = torch.rand(count, 1, 1, 1, generator=generator)
    gain = 1 + 0.12 * torch.randn(count, 1, 1, 1, generator=generator)
    noise = torch.randn(pictures.shape, generator=generator)
    strength = 0.06 * torch.rand(count, 1, 1, 1, generator=generator)
    return ((pictures + share * (blur - pictures)) * gain + strength * noise).clamp(0, 1)


def focal(logits: Tensor, heat: Tensor) -> Tensor:
    """Penalty-reduced focal loss of CenterNet, eq. 1, per object."""
    likely = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    centre = heat >= 1.0
    hit = torch.where(centre, (1 - likely) ** 2 * likely.log(), 0.0)
    miss = torch.where(centre, 0.0, (1 - heat) ** 4 * likely**2 * (1 - likely).log())
    return -(hit.sum() + miss.sum()) / centre.sum().clamp_min(1)


def detection(out: Tensor, scenes: list[Scene]) -> tuple[Tensor, float]:
    """Loss of logits [B, 1 + shapes + colours, G, G], and the share of objects named right."""
    heat, cells, shapes, colours = targets(scenes, out.shape[-1])
    at = out[cells[:, 0], 1:, cells[:, 1], cells[:, 2]]
    shape, colour = at.split((len(SHAPES), len(COLOURS)), dim=-1)
    named = F.cross_entropy(shape, shapes) + F.cross_entropy(colour, colours)
    right = (shape.argmax(-1) == shapes) & (colour.argmax(-1) == colours)
    return focal(out[:, 0], heat) + named, float(right.float().mean())


def train_judge(
    settings: JudgeTraining, bank: PictureBank, out_dir: Path, work_dir: Path, report: Report
) -> None:
    """Train, resume, measure, and write a folder for `Judge.load`."""
    torch.manual_seed(settings.seed)
    net = JudgeNet(settings.width)
    trainer = Trainer(net, work_dir, settings.budget, settings.optimiser, report)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        rows, pictures = bank_batch(bank, settings.seed, step, settings.batch)
        scenes = [bank.scene(int(row)) for row in rows]
        generator = torch.Generator().manual_seed(step)
        with torch.autocast("cpu", torch.bfloat16):
            out = net(disturb((pictures + 1) / 2, generator))
        value, right = detection(out.float(), scenes)
        return value, {"right": right}

    trainer.run(loss)
    with trainer.averaged():
        out_dir.mkdir(parents=True, exist_ok=True)
        save_file(
            {k: v.half().contiguous() for k, v in net.state_dict().items()},
            out_dir / "model.safetensors",
        )
        (out_dir / "config.json").write_text(json.dumps({"width": settings.width}) + "\n")
    accuracy = judge_accuracy(Judge.load(out_dir), settings.measured)
    report(f"accuracy on held-out renders {accuracy:.3f}")
    effort = effort_of(trainer, settings.batch)
    made = Made(data_of(bank), effort, {"accuracy": accuracy}, JUDGE_BARS)
    write_card(CARD, made, out_dir)


def judge_accuracy(judge: Judge, count: int, seed: int = 77) -> float:
    """Share of held-out renders with one or two solids of which all objects are read right."""
    scenes: list[Scene] = []
    index = 0
    while len(scenes) < count:
        scene = scene_at(seed, index, held_out=index % 3 != 0)
        index += 1
        if len(scene.solids) <= 2:
            scenes.append(scene)
    seen = [
        found for at in range(0, count, 100) for found in judge.read(render(scenes[at : at + 100]))
    ]
    right = [objects_right(s, scene_facts(c).objects) for s, c in zip(seen, scenes, strict=True)]
    return sum(right) / count
