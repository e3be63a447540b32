"""Trains `tabletop/aesthetic`: how pleasing a picture is, from its `tabletop/clip` vector.

`model.safetensors` has the layout of the LAION predictor V2 (Schuhmann 2022): linear layers 0, 2,
4, 6, 7 without activations, so one affine map of the unit vector. `nonlinear.safetensors` beside
it has ReLU between its layers 0, 2 and 4. Both learn `imgtool_tabletop.aesthetic.preference`.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPModel

from imgtool_tabletop.aesthetic import preference, view_of, view_seen
from imgtool_tabletop.judge import Judge
from imgtool_tabletop.measures import AESTHETIC_BARS, spearman
from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.training.card import Card, Made, data_of, effort_of, write_card
from imgtool_tabletop.training.loop import Budget, Optimiser, Report, Trainer
from imgtool_tabletop.training.pictures import KeptRows, measured_scenes, partly_disturbed
from imgtool_tabletop.training.vae import bank_batch
from imgtool_tabletop.world.render import render

AFFINE, NONLINEAR = "model.safetensors", "nonlinear.safetensors"
CARD = Card(
    "tabletop/aesthetic",
    "Scores pictures 0 to 10 as `imgtool_tabletop.aesthetic.preference` would score their scenes: "
    "harmony of colours, calm, light, size, framing, tidiness. It works on the unit picture "
    "vectors of the `tabletop/clip` whose digest `config.json` tells, and on no other's. "
    "`model.safetensors` is affine, in the layout of LAION's predictor V2; `nonlinear.safetensors` "
    "has ReLU between its layers.",
    """
import torch
from safetensors.torch import load_file

vector = torch.nn.functional.normalize(clip.get_image_features(**pixels).pooler_output, dim=-1)
state = load_file(f"{folder}/model.safetensors")
for index in (0, 2, 4, 6, 7):
    weight, bias = (state[f"layers.{index}.{name}"].float() for name in ("weight", "bias"))
    vector = vector @ weight.T + bias
score = vector[:, 0]
""",
    "AdamW on the squared error of the score, both heads at once; every other picture blurred, "
    "noised and re-lit.",
    "The preference is a written function, not any person's. What the vectors do not hold (small "
    "pebbles, exact places) the heads cannot score; pictures of other things get numbers without "
    "meaning.",
)


@dataclass(frozen=True)
class AestheticTraining:
    """Settings.

    widths : of the affine head's layers. hidden : of the other's. measured : held-out scenes at the
    end.
    """

    widths: tuple[int, ...] = (256, 64, 32, 16)
    hidden: tuple[int, ...] = (128, 32)
    batch: int = 512
    seed: int = 0
    measured: int = 600
    budget: Budget = field(default_factory=Budget)
    optimiser: Optimiser = field(
        default_factory=lambda: Optimiser(rate=2e-3, ema_half_life=200, weight_decay=0.02)
    )


def affine_head(width: int, widths: tuple[int, ...]) -> nn.Sequential:
    """The LAION predictor V2 of other widths; its dropout is left out, its indices are not."""
    a, b, c, d = widths
    return nn.Sequential(
        nn.Linear(width, a),
        nn.Identity(),
        nn.Linear(a, b),
        nn.Identity(),
        nn.Linear(b, c),
        nn.Identity(),
        nn.Linear(c, d),
        nn.Linear(d, 1),
    )


def nonlinear_head(width: int, hidden: tuple[int, ...]) -> nn.Sequential:
    """Two hidden layers with ReLU."""
    a, b = hidden
    return nn.Sequential(
        nn.Linear(width, a), nn.ReLU(), nn.Linear(a, b), nn.ReLU(), nn.Linear(b, 1)
    )


class Heads(nn.Module):
    """Both heads over unit vectors [B, width]; each gives [B] scores."""

    def __init__(self, width: int, settings: AestheticTraining) -> None:
        super().__init__()
        self.affine = affine_head(width, settings.widths)
        self.nonlinear = nonlinear_head(width, settings.hidden)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        return self.affine(vectors)[:, 0], self.nonlinear(vectors)[:, 0]


@torch.no_grad()
def vectors_of(clip: CLIPModel, pictures: Tensor) -> Tensor:
    """[B, D] unit vectors of [B, 3, 64, 64] pictures in -1..1."""
    pooled = [clip.vision_model(part).pooler_output for part in pictures.split(64)]
    return F.normalize(clip.visual_projection(torch.cat(pooled)).float(), dim=-1)


def train_aesthetic(
    settings: AestheticTraining,
    bank: PictureBank,
    clip_dir: Path,
    out_dir: Path,
    work_dir: Path,
    report: Report,
) -> None:
    """Train, resume, measure, and write both heads."""
    clip = CLIPModel.from_pretrained(clip_dir, dtype=torch.float32).eval()
    torch.manual_seed(settings.seed)
    heads = Heads(clip.config.projection_dim, settings)
    trainer = Trainer(heads, work_dir, settings.budget, settings.optimiser, report)
    kept = KeptRows(
        work_dir / "vectors.f16",
        (bank.count, clip.config.projection_dim),
        lambda rows: vectors_of(clip, _half_disturbed(bank, rows)),
    )
    scores: dict[int, float] = {}

    def wanted(row: int) -> float:
        if row not in scores:
            scores[row] = preference(view_of(bank.scene(row)))
        return scores[row]

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        rows, _ = bank_batch(bank, settings.seed, step, settings.batch)
        true = torch.tensor([wanted(int(row)) for row in rows])
        affine, nonlinear = (F.mse_loss(made, true) for made in heads(kept.rows(rows)))
        figures = {"affine": float(affine.detach()), "nonlinear": float(nonlinear.detach())}
        return affine + nonlinear, figures

    trainer.run(loss)
    with trainer.averaged():
        figures = render_quality(heads, clip, settings.measured)
        for name, value in figures.items():
            report(f"{name} {value:.3f}")
        write_heads(heads, clip_dir, out_dir)
        effort = effort_of(trainer, settings.batch)
        write_card(CARD, Made(data_of(bank), effort, figures, AESTHETIC_BARS), out_dir)


def _half_disturbed(bank: PictureBank, rows: np.ndarray) -> Tensor:
    """Pictures of odd rows are spoilt, each in its own way whatever rows are asked for."""
    pictures = torch.from_numpy(bank.reader()[rows]).float().div_(127.5).sub_(1.0)
    for place in np.flatnonzero(rows % 2).tolist():
        one = pictures[place : place + 1]
        pictures[place : place + 1] = partly_disturbed(one, 1.0, int(rows[place]))
    return pictures


def write_heads(heads: Heads, clip_dir: Path, out_dir: Path) -> None:
    """Write both heads in half precision, and `config.json`."""
    out_dir.mkdir(parents=True, exist_ok=True)
    for head, name in ((heads.affine, AFFINE), (heads.nonlinear, NONLINEAR)):
        tensors = {f"layers.{key}": value.half() for key, value in head.state_dict().items()}
        save_file({key: value.contiguous() for key, value in tensors.items()}, out_dir / name)
    config = {"clip": clip_digest(clip_dir), "width": heads.affine[0].in_features}
    (out_dir / "config.json").write_text(json.dumps(config, sort_keys=True) + "\n")


def clip_digest(clip_dir: Path) -> str:
    """SHA-256 of the weights, all files by name, whose vectors a head was trained on."""
    files = sorted(clip_dir.glob("*.safetensors"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def load_heads(folder: Path) -> Heads:
    """The heads that `write_heads` wrote, float32."""
    parts = [_layers(folder / name) for name in (AFFINE, NONLINEAR)]
    sizes = [[len(v) for k, v in part.items() if k.endswith("bias")] for part in parts]
    width = parts[0]["0.weight"].shape[1]
    widths, hidden = (tuple(found[:-1]) for found in sizes)
    heads = Heads(width, AestheticTraining(widths=widths, hidden=hidden))
    for head, part in zip((heads.affine, heads.nonlinear), parts, strict=True):
        head.load_state_dict(part)
    return heads.eval()


def _layers(path: Path) -> dict[str, Tensor]:
    tensors = load_file(path)
    return {k.removeprefix("layers."): tensors[k].float() for k in sorted(tensors)}


@torch.no_grad()
def render_quality(
    heads: Heads, clip: CLIPModel, count: int = 600, seed: int = 93
) -> dict[str, float]:
    """Rank correlation of both heads with the preference, on `count` held-out renders."""
    scenes = measured_scenes(count, seed)
    made: list[Tensor] = []
    for at in range(0, count, 50):
        vectors = vectors_of(clip, render(scenes[at : at + 50]) * 2 - 1)
        made.append(torch.stack(heads(vectors)))
    true = [preference(view_of(scene)) for scene in scenes]
    return _correlations(torch.cat(made, dim=1), true, "renders")


@torch.no_grad()
def generated_quality(
    heads: Heads, clip: CLIPModel, judge: Judge, pictures: Tensor
) -> dict[str, float]:
    """The same on generated pictures [B, 3, 64, 64], 0..1, of scenes as the judge reads them.

    Pictures in which it sees nothing are left out; `read` is the share of the others.
    """
    seen = judge.read(pictures)
    rows = [index for index, found in enumerate(seen) if found]
    true = [preference(view_seen(seen[row])) for row in rows]
    made = torch.stack(heads(vectors_of(clip, pictures[rows] * 2 - 1)))
    return {**_correlations(made, true, "generated"), "read": len(rows) / max(1, len(pictures))}


def _correlations(made: Tensor, true: list[float], of: str) -> dict[str, float]:
    affine, nonlinear = (spearman(row.tolist(), true) for row in made)
    return {f"spearman_{of}": affine, f"spearman_{of}_nonlinear": nonlinear}
