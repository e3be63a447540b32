"""The latent baseline of `depth.ppd`: the same net, trained alike, whose flow is in latents.

    python benchmarks/depth_latents.py -o latents/ [--like ppd/] [--steps 9000] [--pictures 12000]

`--like` is what `imgtool train depth.ppd` wrote, else `tabletop/ppd`; steps and pictures should be
those of its training. Without `-o`, a few steps show that it works. Shapes, weights, prompts,
pictures, their order, steps of the flow, rates and averages are the same. What differs: depth is
encoded, as grey, by the autoencoder of `tabletop`, and the flow takes noise to these latents, which
the autoencoder's decoder makes depth of. A cell of 8 latents stands where the net has a patch of
8×8 pixels, each number eight times over, so that no weight is added or missing; the picture is seen
in pixels. The loss is of the velocity alone, in both stages: neighbours in latents are no
neighbours in depth.

Writes the net as `depth.ppd` does, with what latents are scaled by; `depth.py --latents` reads it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor
from torch.nn.functional import avg_pool2d, pixel_shuffle, pixel_unshuffle

from imgtool_defocus.estimate import Options
from imgtool_defocus.ppd.checkpoint import save_ppd
from imgtool_defocus.ppd.flow import MIDDLE, T, mixed, normalised, sampled
from imgtool_defocus.ppd.model import PixelPerfect, load
from imgtool_defocus.ppd.net import CascadeTransformer, begun
from imgtool_defocus.ppd.pool import Pool
from imgtool_defocus.ppd.semantics import FOLDER
from imgtool_defocus.ppd.training import COARSE, Training, side_for, split
from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.shared import Loops, picture_depths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgtool_defocus.ppd.semantics import Prompts

CELL = 8
"""Pixels on each side of a latent, and of the net's patches."""
SCALES = "latents.json"
STANDARDISED = 256
"""Scenes by which latents are brought to a mean of 0 and a deviation of 1."""
TRIED = 4
"""Steps without `-o`."""


@dataclass
class Latents:
    """Depth as latents [B, C, H/8, W/8], each channel of mean 0 and deviation 1."""

    mean: Sequence[float] = (0.0,)
    deviation: Sequence[float] = (1.0,)

    def __post_init__(self) -> None:
        self.vae: Any = AutoencoderKL.from_pretrained(WEIGHTS / "tabletop" / "vae").eval()

    def _scales(self) -> tuple[Tensor, Tensor]:
        mean, deviation = torch.tensor(self.mean), torch.tensor(self.deviation)
        return mean[:, None, None], deviation[:, None, None]

    @torch.no_grad()
    def encoded(self, x0: Tensor) -> Tensor:
        """Latents of normalised depth [B, 1, H, W]."""
        mean, deviation = self._scales()
        seen = self.vae.encode((x0 * 2).expand(-1, 3, -1, -1)).latent_dist.mode()
        return (seen - mean) / deviation

    @torch.no_grad()
    def decoded(self, latents: Tensor) -> Tensor:
        """Depth [B, H, W], mostly 0 to 1."""
        mean, deviation = self._scales()
        grey: Tensor = self.vae.decode(latents * deviation + mean).sample.mean(1)
        return grey / 2 + MIDDLE


def spread(latents: Tensor) -> Tensor:
    """[B, 1, 8·h, 8·w], of the same length, of [B, C, h, w]: each number several times over."""
    copies = CELL**2 // latents.shape[1]
    return pixel_shuffle(latents.repeat_interleave(copies, dim=1) / copies**0.5, CELL)


def gathered(pixels: Tensor, channels: int) -> Tensor:
    """The latents that pixels stand for; undoes `spread`."""
    copies = CELL**2 // channels
    cells = pixel_unshuffle(pixels, CELL).unflatten(1, (channels, copies))
    return cells.sum(2) / copies**0.5


def trained(
    net: CascadeTransformer, latents: Latents, pool: Pool, prompts: Prompts, settings: Training,
    loops: Loops,
) -> None:  # fmt: skip
    """Train the net in two stages, as `PpdTraining` does."""
    for stage, shrunk in enumerate((COARSE, 1)):

        def loss(
            step: int, stage: int = stage, shrunk: int = shrunk
        ) -> tuple[Tensor, dict[str, float]]:
            rng = np.random.default_rng((settings.seed, stage, step))
            pictures, metres = pool.batch(rng, settings.batch)
            x0 = latents.encoded(normalised(metres[:, ::shrunk, ::shrunk])[:, None])
            t = torch.from_numpy(rng.standard_normal(len(x0))).sigmoid().mul(T).round().to(x0)
            noise = torch.from_numpy(rng.standard_normal(x0.shape, np.float32))
            c = avg_pool2d(pictures, shrunk) - MIDDLE
            v = net(
                torch.cat((spread(mixed(x0, noise, t)), c), dim=1), t,
                prompts(pictures, *x0.shape[2:]),
            )  # fmt: skip
            return (gathered(v, x0.shape[1]) - (noise - x0)).square().mean(), {}

        loops.trained(
            ("1-coarse", "2-fine")[stage], net, loss, steps=settings.steps[stage],
            rate=settings.rates[stage], log_every=settings.log_every,
        )  # fmt: skip


class LatentDepth(PixelPerfect):
    """Pictures to depth by a flow in latents."""

    latents: Latents

    @torch.no_grad()
    def depth(self, pictures: Tensor, noise: Tensor) -> Tensor:
        """As `PixelPerfect.depth`; of the noise, as much is taken as there are latents."""
        channels = len(self.latents.mean)
        rows, columns = (side // CELL for side in pictures.shape[2:])
        start = pixel_unshuffle(noise, CELL)[:, :channels]
        e, c = self.prompts(pictures, rows, columns), pictures - MIDDLE

        def velocity(xt: Tensor, t: Tensor) -> Tensor:
            return gathered(self.net(torch.cat((spread(xt), c), dim=1), t, e), channels)

        return self.latents.decoded(sampled(velocity, start, self.steps))


def load_latents(folder: Path, options: Options) -> LatentDepth:
    """What `main` wrote."""
    pixels = load(folder, options, torch.device("cpu"), torch.float32)
    model = LatentDepth(pixels.net, pixels.prompts, options)
    model.latents = Latents(**json.loads((folder / SCALES).read_text(encoding="utf-8")))
    return model


def main() -> None:
    """Train, for good or for a try."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--like", type=Path, default=WEIGHTS / "ppd")
    parser.add_argument("--steps", type=int, default=9_000)
    parser.add_argument("--pictures", type=int, default=12_000)
    parser.add_argument("--batch", type=int, default=16)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.output:
        make(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        given.output, given.steps, given.pictures = Path(folder) / "made", TRIED, STANDARDISED
        make(given)


def make(given: argparse.Namespace) -> None:
    """Train as was said, and write the folder."""
    like = load(given.like, Options(), torch.device("cpu"), torch.float32)
    side = side_for(like.net.config)
    journal = given.output.with_name(f"{given.output.name}.journal")
    pool = Pool(journal / "scenes", picture_depths(size=side, seed=1), given.pictures, side)
    settings = Training(split(given.steps), batch=given.batch)
    latents = Latents()
    few = latents.encoded(normalised(pool.rows(np.arange(STANDARDISED))[1])[:, None])
    scales = {"mean": few.mean((0, 2, 3)).tolist(), "deviation": few.std((0, 2, 3)).tolist()}
    torch.manual_seed(settings.seed)
    net = begun(CascadeTransformer(like.net.config))
    trained(net, Latents(**scales), pool, like.prompts, settings, Loops(journal))
    save_ppd(net, given.output)
    shutil.copytree(given.like / FOLDER, given.output / FOLDER, dirs_exist_ok=True)
    (given.output / SCALES).write_text(json.dumps(scales) + "\n", encoding="utf-8")
    sys.stdout.write(f"{given.output}\n")


if __name__ == "__main__":
    main()
