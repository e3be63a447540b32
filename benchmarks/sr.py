"""PocketSR against resampling and a plain net trained beside it: renders, leaves, photographs.

    python benchmarks/sr.py [--model FOLDER] [--plain FOLDER] [--pictures 24]
    python benchmarks/sr.py --sets photographs --sheet crops.jpg

Pictures that no training saw, and photographs that scikit-image brings along, are reduced by 2 and
by 4: by bicubic interpolation, and by degradations of the second order, mild and classic. PSNR and
SSIM are of luma, BT.601; MS-SSIM compares structure at five scales as people see it, and `--lpips`
names a net of LPIPS. Gains are over bicubic interpolation, picture by picture, their intervals
95 %, bootstrapped over pictures.

`skips alone` is PocketSR's decoder without latent and feature, so without encoder and diffusion:
what it lacks to `pocketsr` is what these bring. `plain` is a net of about as many weights, trained
here on the pictures that the model was trained on, for as much processor time. It is kept in
`--plain`, and its training goes on where it stopped.

Costs: weights and MACs of student and teacher, seconds for a megapixel of the result on one thread,
eager and with `--compile` compiled, and the peak memory of the stage with the tiles that it chose.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from imgtool.api import Batch, Runtime
from imgtool_score.fidelity import luma, ms_ssim, psnr, ssim
from imgtool_sr.pocketsr.light import TENTHS, ConvPair, silent
from imgtool_sr.pocketsr.losses import reconstruction
from imgtool_sr.pocketsr.maker import PocketTrainParams, kinds
from imgtool_sr.pocketsr.model import PocketSR, centred, load_pocketsr
from imgtool_sr.pocketsr.pool import Pool
from imgtool_sr.pocketsr.stage import PocketParams
from imgtool_sr.pocketsr.training import PocketTraining, Training
from imgtool_sr.stitching import padded
from imgtool_tabletop.shared import Loops, picture_pairs
from imgtool_tabletop.views.degrade import PRESETS, degrade, draw
from imgtool_tabletop.views.leaves import Leaves
from imgtool_tabletop.views.params import LeavesParams, SceneParams
from imgtool_tabletop.views.resize import resize
from imgtool_tabletop.views.scenes import Pairs
from imgtool_tabletop.views.view import quantised

if TYPE_CHECKING:
    from imgtool_sr.pocketsr.config import PocketConfig

SIDE, PHOTO_SIDE = 192, 320
SCALES = (2, 4)
KINDS = ("bicubic", "mild", "classic")
SETS = ("renders", "leaves", "photographs")
PHOTOGRAPHS = (
    "astronaut", "camera", "chelsea", "coffee", "rocket", "coins", "brick", "grass", "gravel",
)  # fmt: skip
MEASURES = {"psnr": psnr, "ssim": ssim, "ms-ssim": ms_ssim}
LOOPS = ("1-teacher", "2-fit", "3-student")
TRIED = 10
"""Steps whose time is measured, of each loop."""
CROP, TIMES = 64, 3
"""Pixels on each side of a crop of the sheet, and how many times as large it is shown."""
Method = Callable[[np.ndarray, tuple[int, int]], np.ndarray]
"""From [h, w, 3] uint8, and a width and height, to a picture of that size."""
OWN = Path(__file__)


class Plain(nn.Module):
    """Residual pairs of convolutions at a quarter of the size: about as many weights as `small`."""

    cell, channels, pairs = 4, 64, 9

    def __init__(self) -> None:
        super().__init__()
        deep = 3 * self.cell**2
        self.into = nn.Conv2d(deep, self.channels, 3, padding=1)
        self.body = nn.Sequential(*(ConvPair(self.channels) for _ in range(self.pairs)))
        self.out = silent(nn.Conv2d(self.channels, deep, 3, padding=1))

    def forward(self, u: Tensor) -> Tensor:
        """[B, 3, H, W] of the same."""
        x = self.into(F.pixel_unshuffle(centred(u), self.cell))
        return u + TENTHS * F.pixel_shuffle(self.out(self.body(x)), self.cell)


class SkipsAlone(nn.Module):
    """A model's decoder, which is given no latent and no feature: gated skips are all it has."""

    def __init__(self, model: PocketSR) -> None:
        super().__init__()
        self.config, self.decoder = model.config, model.decoder

    def forward(self, u: Tensor) -> Tensor:
        """[B, 3, H, W] of the same."""
        batch, _, height, width = u.shape
        cells = (height // 8, width // 8)
        nothing = [
            u.new_zeros(batch, n, *cells) for n in (self.config.latent, self.config.widths[0])
        ]
        made: Tensor = u + self.decoder(*nothing, centred(u))
        return made


class Timed:
    """Training loops that only measure: processor seconds of a step, by the name of the loop."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def trained(
        self, name: str, model: nn.Module, loss: Callable[[int], Any], *, steps: int, **_: Any
    ) -> None:
        """Take `steps` steps, after one that is not counted."""
        adam = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-5)
        started = 0.0
        for step in range(-1, steps):
            if step == 0:
                started = time.process_time()
            adam.zero_grad()
            loss(max(step, 0))[0].backward()
            adam.step()
        self.seconds[name] = (time.process_time() - started) / steps


def trained_plain(folder: Path, model: Path, config: PocketConfig, pairs: int) -> nn.Module:
    """The plain net, trained for the processor time that the model's training took."""
    torch.manual_seed(0)
    net = Plain()
    params = PocketTrainParams()
    folder.mkdir(parents=True, exist_ok=True)
    pool = Pool(folder / "pairs.u8", kinds(picture_pairs, params.seed), pairs)
    settings = Training((TRIED,) * 3, batch=params.batch, seed=params.seed)
    loss = _loss(net, pool, settings)
    plan = folder / "steps.json"
    if not plan.exists():
        plan.write_text(json.dumps(_equal_steps(model, config, settings, pool, net, loss)))
    steps = json.loads(plan.read_text())
    net.to(memory_format=torch.channels_last)
    Loops(folder).trained("plain", net, loss, steps=steps, rate=settings.rates[0], log_every=50)
    return net.eval()


def _loss(
    net: nn.Module, pool: Pool, settings: Training
) -> Callable[[int], tuple[Tensor, dict[str, float]]]:
    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        u, true = (
            part.contiguous(memory_format=torch.channels_last)
            for part in pool.batch(settings.seed, step, settings.batch, settings.crop)
        )
        value = reconstruction(net(u), true)
        return value, {"loss": float(value.detach())}

    return loss


def _equal_steps(
    model: Path,
    config: PocketConfig,
    settings: Training,
    pool: Pool,
    net: nn.Module,
    loss: Callable[[int], Any],
) -> int:
    timed = Timed()
    training = PocketTraining(config, settings, pool, timed, "cpu")
    training.student(training.teacher())
    total = 0.0
    for name in LOOPS:
        with (model / name / "log.csv").open(newline="") as file:
            *_, last = csv.DictReader(file)
        total += int(last["step"]) * timed.seconds[name]
    timed.trained("plain", net, loss, steps=TRIED)
    return round(total / timed.seconds["plain"])


def sources(count: int) -> dict[str, list[Tensor]]:
    """Sharp pictures [3, H, W] uint8, by set; sides are multiples of 4."""
    from skimage import data

    scenes = Pairs(SceneParams(count, SIDE, 0, held_out=True))
    leaves = Leaves(LeavesParams(count, SIDE, 900_000))
    found: dict[str, list[Tensor]] = {
        name: [view.example(index).values["image"] for index in range(count)]
        for name, view in (("renders", scenes), ("leaves", leaves))
    }
    found["photographs"] = [_middle(getattr(data, name)()) for name in PHOTOGRAPHS[:count]]
    return found


def _middle(photograph: np.ndarray) -> Tensor:
    """What a square of `PHOTO_SIDE` cuts out of the middle; grey ones in three equal channels."""
    deep = np.repeat(photograph[..., None], 3, 2) if photograph.ndim == 2 else photograph
    sides = [min(side, PHOTO_SIDE) // 4 * 4 for side in deep.shape[:2]]
    top, left = ((have - kept) // 2 for have, kept in zip(deep.shape, sides, strict=False))
    cut = deep[top : top + sides[0], left : left + sides[1]]
    return torch.from_numpy(cut.copy()).permute(2, 0, 1)


def reduced(large: Tensor, scale: int, kind: str, rng: random.Random) -> np.ndarray:
    """[H / scale, W / scale, 3] uint8."""
    height, width = (side // scale for side in large.shape[1:])
    if kind in PRESETS:
        small = degrade(large / 255.0, height, width, draw(PRESETS[kind], rng))
    else:
        small = quantised(resize(large / 255.0, height, width, kind))
    return small.permute(1, 2, 0).numpy()


def resampled(how: Image.Resampling) -> Method:
    """Plain resampling."""
    return lambda small, size: np.asarray(Image.fromarray(small).resize(size, how))


def restored(net: nn.Module, step: int) -> Method:
    """What a net makes of the picture enlarged, as a whole."""

    @torch.inference_mode()
    def method(small: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        wide = np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))
        made = quantised(net(tensor(padded(wide, step, step))))[0, :, : size[1], : size[0]]
        return made.permute(1, 2, 0).numpy()

    return method


def tensor(picture: np.ndarray) -> Tensor:
    """[1, 3, H, W] in 0..1."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 255.0


def measured(made: np.ndarray, true: np.ndarray, lpips: Any) -> dict[str, float]:
    """Every measure of one picture."""
    x, y = luma(tensor(made)), luma(tensor(true))
    found = {name: measure(x, y)[0] for name, measure in MEASURES.items()}
    if lpips is not None:
        scored = lpips.process(Batch(("0",), {"image": [made], "reference": [true], "seed": [0]}))
        (found["lpips"],) = scored.numbers("score.lpips")
    return found


def interval(values: Sequence[float], rounds: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the mean."""
    drawn = np.random.default_rng(0).choice(np.array(values), (rounds, len(values))).mean(1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def compared(
    label: str,
    pictures: Sequence[Tensor],
    scale: int,
    kind: str,
    methods: dict[str, Method],
    lpips: Any,
) -> list[np.ndarray]:
    """Print a line a method; the middle crops of one picture by each, the truth first."""
    rng = random.Random(f"{label}:{kind}:{scale}")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    crops: list[np.ndarray] = []
    for index, large in enumerate(pictures):
        true = large.permute(1, 2, 0).numpy()
        small = reduced(large, scale, kind, rng)
        made = {n: method(small, (true.shape[1], true.shape[0])) for n, method in methods.items()}
        for name, picture in made.items():
            found[name].append(measured(picture, true, lpips))
        if index == 0:
            crops = [_crop(picture) for picture in (true, *made.values())]
    for name, rows in found.items():
        means = [f"{key} {np.mean([row[key] for row in rows]):.4g}" for key in rows[0]]
        gains = [r["psnr"] - b["psnr"] for r, b in zip(rows, found["bicubic"], strict=True)]
        low, high = interval(gains)
        say(
            f"{label:12} x{scale} {kind:8} {name:12} {'  '.join(means)}  "
            f"gain {np.mean(gains):+.2f} dB [{low:+.2f}, {high:+.2f}]"
        )
    return crops


def _crop(picture: np.ndarray) -> np.ndarray:
    top, left = ((side - CROP) // 2 for side in picture.shape[:2])
    return picture[top : top + CROP, left : left + CROP]


def sheet(rows: dict[str, list[np.ndarray]], columns: Sequence[str], path: Path) -> None:
    """A row of crops for each case, `TIMES` as large."""
    edge, head = CROP * TIMES, 14
    made = Image.new("RGB", (edge * len(columns), (edge + head) * len(rows)), "white")
    pen = ImageDraw.Draw(made)
    for row, (label, crops) in enumerate(rows.items()):
        top = row * (edge + head)
        for column, (name, crop) in enumerate(zip(columns, crops, strict=True)):
            large = Image.fromarray(crop).resize((edge, edge), Image.Resampling.NEAREST)
            made.paste(large, (column * edge, top + head))
            pen.text((column * edge + 2, top + 1), f"{label}: {name}" if not column else name, 0)
    made.save(path, optimize=True)


def macs(net: nn.Module) -> float:
    """Billions of multiplications at 512×512."""
    with FlopCounterMode(display=False) as counter:
        copy.deepcopy(net).to("meta")(torch.empty(1, 3, 512, 512, device="meta"))
    return float(counter.get_total_flops()) / 2e9


def weights(net: nn.Module) -> float:
    """Millions of weights."""
    return sum(p.numel() for p in net.parameters()) / 1e6


@torch.inference_mode()
def seconds_per_megapixel(net: nn.Module, edge: int = 256, rounds: int = 5) -> float:
    """Processor seconds, the least of several runs over one tile after one that is not counted."""
    u = torch.rand(1, 3, edge, edge)
    net(u)
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        net(u)
        taken.append(time.process_time() - started)
    return min(taken) / edge**2 * 1e6


def costs(config: PocketConfig, nets: dict[str, nn.Module], compiles: bool) -> None:
    """Print weights, MACs and time of each net, and of the teacher, whose weights do not matter."""
    torch.set_num_threads(1)
    for name, net in {**nets, "teacher": PocketSR(config, is_light=False).eval()}.items():
        eager = seconds_per_megapixel(net)
        line = (
            f"{name:12} {weights(net):6.2f} M weights {macs(net):6.1f} G at 512x512 "
            f"{eager:6.2f} s/MP eager"
        )
        if compiles:
            line += f" {seconds_per_megapixel(torch.compile(net)):6.2f} compiled"
        say(line)


def kept(model: Path) -> None:
    """Print what the student kept of its teacher's gain, by the figures of their training."""
    figures = json.loads((model / "figures.json").read_text())
    for name, value in sorted(figures.items()):
        if name.startswith("gain_"):
            say(f"student {name.removeprefix('gain_'):14} {value:+.2f} dB, "
                f"teacher {figures[f'teacher_{name}']:+.2f}")  # fmt: skip


def held_mib(kind: str) -> float:
    """Memory that this process holds, `VmRSS`, or the most that it ever held, `VmHWM`."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if kind in line)
    return int(line.split()[1]) / 1024


def peak(model: str, megapixels: float) -> None:
    """Print what the stage holds above its model and the picture, and the tile it chose."""
    stage: Any = Runtime().stage("sr.pocketsr", model=model, scale=2)
    edge = int((megapixels * 1e6) ** 0.5) // 2
    image = np.random.default_rng(0).integers(0, 256, (edge, edge, 3), dtype=np.uint8)
    before, started = held_mib("VmRSS"), time.process_time()
    stage.process(Batch(("0",), {"image": [image], "seed": [0]}))
    seconds, more = time.process_time() - started, held_mib("VmHWM") - before
    say(
        f"stage, {megapixels:g} MP: tiles of {stage.tile_edge}, {more:.0f} MiB, "
        f"{seconds / megapixels:.2f} processor s/MP"
    )


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=PocketParams.model, help="what training made")
    parser.add_argument("--plain", type=Path, help="folder of the plain net; none: leave it out")
    trained = PocketTrainParams().pictures
    parser.add_argument("--pairs", type=int, default=trained, help="that the model was trained on")
    parser.add_argument("--sets", default=",".join(SETS), help="of pictures")
    parser.add_argument("--pictures", type=int, default=24, help="of each set, at most")
    parser.add_argument("--lpips", default="", help="a net of LPIPS, as score.lpips takes it")
    parser.add_argument("--sheet", type=Path, help="write crops here")
    parser.add_argument("--compile", action="store_true", help="time compiled nets too")
    parser.add_argument("--megapixels", type=float, default=4.0, help="result for the memory")
    parser.add_argument("--peak", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Print a line for each set, scale, degradation and method, then costs."""
    given = arguments()
    if given.peak:
        peak(given.model, given.megapixels)
        return
    runtime = Runtime(device="cpu", dtype="float32")
    methods = {
        "bicubic": resampled(Image.Resampling.BICUBIC),
        "lanczos": resampled(Image.Resampling.LANCZOS),
    }
    folder = runtime.model(given.model, "super-resolution").path
    net = load_pocketsr(folder)
    nets: dict[str, nn.Module] = {"pocketsr": net, "skips alone": SkipsAlone(net)}
    if given.plain:
        nets["plain"] = trained_plain(given.plain, folder, net.config, given.pairs)
    methods |= {name: restored(one, net.config.step) for name, one in nets.items()}
    lpips = runtime.stage("score.lpips", model=given.lpips) if given.lpips else None
    rows = {
        f"{label} x{scale} {kind}": compared(label, pictures, scale, kind, methods, lpips)
        for label, pictures in sources(given.pictures).items()
        if label in given.sets.split(",")
        for scale in SCALES
        for kind in KINDS
    }
    if given.sheet:
        sheet(rows, ["truth", *methods], given.sheet)
    kept(folder)
    costs(net.config, nets, given.compile)
    command = [sys.executable, str(OWN), "--peak", "--model", str(folder)]
    subprocess.run([*command, "--megapixels", str(given.megapixels)], check=True)


if __name__ == "__main__":
    main()
