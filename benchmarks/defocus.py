"""Lens models: processor time and peak memory of one picture by the width of its discs.

    python benchmarks/defocus.py [--size 1024] [--discs 8 32 128] [--models layered …] [--limit 120]

Each measurement is a process of its own; its memory is what it holds above the picture and depth.
Discs run from none in the middle of the depth range to the widest at both ends: a slanted floor and
a nearer square. Beside the lens models run a plain gather, whose taps are unfolded at once, and
layers of a fixed count blurred over the whole picture by Fourier transform. What takes longer than
the limit, or would need more memory than there is, is said to.

    python benchmarks/defocus.py --series [--size 512] [--rounds 5]

compares a series of four apertures with the same four taken one by one, and with the widest of them
alone, in one process: median processor time of the rounds, by stage and by the widest disc.
"""

from __future__ import annotations

import argparse
import resource
import signal
import statistics
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad, unfold

import imgtool
from imgtool_defocus.aperture import Aperture
from imgtool_defocus.lens import framed

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from imgtool.engine.python import StageCall
    from imgtool_defocus.lens import LensModel

OURS = ("layered", "scatter", "gather", "trace")
LAYERS = 32
OWN = Path(__file__)
F_NUMBERS = (1.4, 2.8, 5.6, 11.0)
FOCAL_MM = (24, 85)


def unfolded(linear: Tensor, coc: Tensor, aperture: Aperture) -> tuple[Tensor, Tensor]:
    """A plain gather: every pixel's whole neighbourhood side by side, weighted and summed."""
    radius = (coc.abs() / 2.0).clamp_min(0.5)
    span = aperture.span(float(radius.max()))
    side = 2 * span + 1
    around = unfold(pad(linear[None], (span,) * 4, mode="replicate"), side)
    around = around.reshape(3, side * side, *coc.shape)
    line = torch.arange(-span, span + 1, dtype=coc.dtype)
    distance = torch.hypot(line[:, None], line).flatten()[:, None, None]
    weight = (radius + 0.5 - distance).clamp(0.0, 1.0)
    return (around * weight).sum(1) / weight.sum(0), torch.ones_like(coc)


def fourier_layers(linear: Tensor, coc: Tensor, aperture: Aperture) -> tuple[Tensor, Tensor]:
    """`LAYERS` even slices of the discs, each blurred as a whole picture, from far to near."""
    height, width = coc.shape
    edges = torch.linspace(float(coc.min()), float(coc.max()), LAYERS + 1)
    which = torch.bucketize(coc, edges[1:-1])
    total = torch.zeros(4, height, width)
    for at in range(LAYERS - 1, -1, -1):
        middle = float(edges[at] + edges[at + 1]) / 2.0
        kernel = aperture.kernel(abs(middle) / 2.0, middle > 0, linear)
        side = len(kernel) // 2
        shape = [height + 2 * side, width + 2 * side]
        alpha = (which == at).to(linear)[None]
        planes = torch.fft.rfft2(torch.cat((linear * alpha, alpha)), s=shape)
        blurred = torch.fft.irfft2(planes * torch.fft.rfft2(kernel, s=shape), s=shape)
        blurred = blurred[:, side : side + height, side : side + width]
        total = total * (1.0 - blurred[-1]) + blurred
    return total[:-1] / total[-1].clamp_min(1e-6), total[-1]


PLAIN = {"unfolded": unfolded, "fourier": fourier_layers}


def scene(width: int, height: int, disc: float) -> tuple[Tensor, Tensor]:
    """Noise, [3, height, width], and discs from -`disc` to `disc` pixels."""
    light = torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))
    coc = torch.linspace(disc, -disc / 2.0, height)[:, None].repeat(1, width)
    coc[height // 3 : height // 2, width // 3 : width // 2] = -disc
    return light, coc


def held_mib(kind: str) -> float:
    """Memory that this process holds, `VmRSS`, or the most that it ever held, `VmHWM`."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith(kind))
    return int(line.split()[1]) / 1024


@torch.inference_mode()
def measure(name: str, size: tuple[int, int], disc: float, limit: int) -> None:
    """Print seconds of processor time, and MiB above what was held before.

    The process is ended after `limit` seconds of processor time.
    """
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    model: LensModel = PLAIN.get(name) or import_module(f"imgtool_defocus.{name}").render
    framed(model, *scene(32, 32, 4.0), Aperture())
    light, coc = scene(*size, disc)
    before, start = held_mib("VmRSS"), time.process_time()
    framed(model, light, coc, Aperture())
    seconds, mib = time.process_time() - start, held_mib("VmHWM") - before
    sys.stdout.write(f"{seconds:8.2f} s {mib:8.0f} MiB")


def unfolded_gib(size: tuple[int, int], disc: float) -> float:
    """What a plain gather would hold: taps of three colours, their product and their weights."""
    width, height = size
    return 7 * 4 * width * height * (disc + 1) ** 2 / 2**30


def measured(name: str, size: tuple[int, int], disc: float, limit: int, gib: float) -> str:
    """A measurement in words."""
    if name == "unfolded" and unfolded_gib(size, disc) > gib:
        return f"    would hold {unfolded_gib(size, disc):.0f} GiB"
    command = [sys.executable, str(OWN), "--one", name, "--size", "{}x{}".format(*size)]
    command += ["--discs", str(disc)]
    command += ["--limit", str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if -done.returncode in (signal.SIGXCPU, signal.SIGKILL):
        return f"    more than {limit} s"
    return done.stdout if done.returncode == 0 else f"    ended with {done.returncode}"


def series(size: tuple[int, int], rounds: int) -> None:
    """Print a line for each stage and focal length."""
    torch.set_num_threads(1)
    light, coc = scene(*size, 1.0)
    image = light.mul(255).byte().permute(1, 2, 0).numpy()
    depth = (2.0 / (1.2 - coc)).numpy()
    for stage in ("defocus.thinlens", "defocus.auto"):
        for focal_mm in FOCAL_MM:
            lens = {"focal_length": f"{focal_mm}mm", "force": True}
            whole = imgtool.stage(stage, f_numbers=F_NUMBERS, **lens)
            alone = [imgtool.stage(stage, f_number=f_number, **lens) for f_number in F_NUMBERS]

            widest = max(row["defocus"]["widest_coc"] for row in whole(image=image, depth=depth))
            each = [whole], alone, alone[:1]
            spent = [[seconds(some, image, depth) for some in each] for _ in range(1 + rounds)]
            together, apart, one = map(statistics.median, zip(*spent[1:], strict=True))
            sys.stdout.write(
                f"{stage:16} {size[0]}×{size[1]} widest {widest:3.0f} px  "
                f"series {together:6.3f} s  one by one {apart:6.3f} s  widest alone {one:6.3f} s\n"
            )
            sys.stdout.flush()
            for opened in (whole, *alone):
                opened.close()


def seconds(stages: list[StageCall], image: np.ndarray, depth: np.ndarray) -> float:
    """Processor time of a picture through each stage."""
    start = time.process_time()
    for stage in stages:
        stage(image=image, depth=depth)
    return time.process_time() - start


def size_of(text: str) -> tuple[int, int]:
    """Width and height of `1024` or `3840x2160`."""
    width, _, height = text.partition("x")
    return int(width), int(height or width)


def main() -> None:
    """Print a line for each lens model and width of disc."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=size_of, default=(1024, 1024), help="1024 or 3840x2160")
    parser.add_argument("--discs", type=float, nargs="+", default=[8.0, 32.0, 128.0])
    parser.add_argument("--models", nargs="+", default=[*OURS, *PLAIN])
    parser.add_argument("--limit", type=int, default=120, help="processor seconds")
    parser.add_argument("--memory", type=float, default=8.0, help="GiB that a plain gather may use")
    parser.add_argument("--series", action="store_true", help="time series of apertures instead")
    parser.add_argument("--rounds", type=int, default=5, help="of series")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        measure(given.one, given.size, given.discs[0], given.limit)
        return
    if given.series:
        series(given.size, given.rounds)
        return
    for name in given.models:
        for disc in given.discs:
            found = measured(name, given.size, disc, given.limit, given.memory)
            size = "{}×{}".format(*given.size)
            sys.stdout.write(f"{name:9} {size:>9} discs of {disc:4g} px {found}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
