"""Trains `tabletop/depth`: metres to what each pixel shows, from one picture.

A `GLPNForDepthEstimation` (Kim et al. 2022, arXiv 2201.07436). Its processor brings a picture of
any size to 64×64, the size that it was trained at, and `post_process_depth_estimation` brings the
depth back to the picture's own.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import DPTImageProcessor, GLPNConfig, GLPNForDepthEstimation

from imgtool_tabletop.measures import DEPTH_BARS, depth_figures
from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.training.card import Card, Made, data_of, effort_of, write_card
from imgtool_tabletop.training.loop import Budget, Optimiser, Report, Trainer
from imgtool_tabletop.training.pictures import KeptRows, measured_scenes, partly_disturbed
from imgtool_tabletop.training.saving import save_half
from imgtool_tabletop.training.vae import bank_batch
from imgtool_tabletop.world.batch import gather
from imgtool_tabletop.world.render import measure, render
from imgtool_tabletop.world.scene import Scene

SIZE = 64
FARTHEST_M = 4
"""No scene reaches as far: the room's wall is at most 3.4 m away."""
CARD = Card(
    "tabletop/depth",
    "Tells how far away each pixel of a picture is, in metres along the camera's axis. "
    "GLPNForDepthEstimation.",
    """
import torch
from transformers import AutoImageProcessor, AutoModelForDepthEstimation

processor = AutoImageProcessor.from_pretrained(folder)
model = AutoModelForDepthEstimation.from_pretrained(folder, dtype=torch.float32)
with torch.no_grad():
    seen = model(**processor(images=picture, return_tensors="pt"))
size = [(picture.height, picture.width)]
metres = processor.post_process_depth_estimation(seen, size)[0]["predicted_depth"]
""",
    "AdamW on the absolute error of the logarithm of depth and of its differences between "
    "neighbours; half of the pictures blurred, noised and re-lit.",
    "It knows solids on a table in 64×64 pictures of a 24 mm sensor at 33 to 37 mm; other "
    "pictures give metres without meaning. Larger pictures are seen at 64×64, so their depth is "
    "no sharper.",
)


@dataclass(frozen=True)
class DepthTraining:
    """Settings.

    widths, layers : of the encoder's four levels, at a fourth to a thirty-second of the size.
    disturbed : share of pictures that are blurred, noised and re-lit. start : folder of a model to
    go on from; none: a new one. measured : held-out scenes at the end.
    """

    widths: tuple[int, ...] = (32, 64, 96, 128)
    layers: tuple[int, ...] = (1, 1, 2, 2)
    decoder: int = 24
    outlines: float = 0.5
    disturbed: float = 0.5
    batch: int = 32
    start: Path | None = None
    seed: int = 0
    measured: int = 300
    budget: Budget = field(default_factory=Budget)
    optimiser: Optimiser = field(default_factory=lambda: Optimiser(rate=2e-3, ema_half_life=150))


def build_depth(settings: DepthTraining) -> GLPNForDepthEstimation:
    """The model of the settings' `start`, else one of random weights by their seed."""
    if settings.start:
        return GLPNForDepthEstimation.from_pretrained(settings.start, dtype=torch.float32)
    torch.manual_seed(settings.seed)
    config = GLPNConfig(
        hidden_sizes=settings.widths,
        depths=settings.layers,
        sr_ratios=(4, 2, 1, 1),
        num_attention_heads=tuple(width // 32 for width in settings.widths),
        mlp_ratios=(4, 4, 4, 4),
        drop_path_rate=0.0,
        decoder_hidden_size=settings.decoder,
        max_depth=FARTHEST_M,
    )
    model = GLPNForDepthEstimation(config)
    widen(model)
    return model


def widen(model: GLPNForDepthEstimation) -> None:
    """Start the decoder's convolutions by He et al. (2015, arXiv 1502.01852).

    From transformers' own start, 0.02 everywhere, a picture moves the depth by 2 mm, and training
    stays at the mean of all pictures.
    """
    for module in (*model.decoder.modules(), *model.head.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)


def train_mode(model: nn.Module) -> None:
    """Training, but batch norms scale and shift alone.

    Their running means are no weights, so a checkpoint would not hold them.
    """
    model.train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def depth_of(scenes: list[Scene]) -> Tensor:
    """[B, 64, 64] metres, exact."""
    return measure(gather(scenes), SIZE).depth


def depth_loss(made: Tensor, true: Tensor, outlines: float) -> Tensor:
    """Mean error of log depth, and of its differences between neighbours; [B, H, W] metres.

    In logarithms a pixel of the wall taken for the table costs no more than the other way round.
    """
    wrong = made.clamp_min(1e-3).log() - true.log()
    edges = wrong.diff(dim=-1).abs().mean() + wrong.diff(dim=-2).abs().mean()
    return wrong.abs().mean() + outlines * edges


def train_depth(
    settings: DepthTraining, bank: PictureBank, out_dir: Path, work_dir: Path, report: Report
) -> None:
    """Train, resume, measure, and write a folder that plain transformers loads."""
    model = build_depth(settings)
    train_mode(model)
    trainer = Trainer(model, work_dir, settings.budget, settings.optimiser, report)
    depths = KeptRows(
        work_dir / "depth.f16",
        (bank.count, SIZE, SIZE),
        lambda rows: depth_of([bank.scene(int(row)) for row in rows]),
    )

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        rows, pictures = bank_batch(bank, settings.seed, step, settings.batch)
        true = depths.rows(rows)
        with torch.autocast("cpu", torch.bfloat16):
            made = model(partly_disturbed(pictures, settings.disturbed, step)).predicted_depth
        made = made.float()
        return depth_loss(made, true, settings.outlines), depth_figures(made.detach(), true)

    trainer.run(loss)
    with trainer.averaged():
        model.eval()
        figures = depth_quality(model, settings.measured)
        for name, value in figures.items():
            report(f"{name} {value:.4f}")
        write_depth(model, out_dir)
        made = Made(data_of(bank), effort_of(trainer, settings.batch), figures, DEPTH_BARS)
        write_card(CARD, made, out_dir)


def write_depth(model: GLPNForDepthEstimation, out_dir: Path) -> None:
    """Write the model in half precision with its processor."""
    save_half(model, out_dir)
    DPTImageProcessor(
        size={"height": SIZE, "width": SIZE},
        keep_aspect_ratio=False,
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    ).save_pretrained(out_dir)


@torch.no_grad()
def depth_quality(
    model: GLPNForDepthEstimation, count: int = 300, seed: int = 92
) -> dict[str, float]:
    """`depth_figures` on `count` held-out scenes."""
    made, true = [], []
    scenes = measured_scenes(count, seed)
    for at in range(0, count, 50):
        part = scenes[at : at + 50]
        made.append(model(render(part, SIZE) * 2 - 1).predicted_depth)
        true.append(depth_of(part))
    return depth_figures(torch.cat(made), torch.cat(true))
