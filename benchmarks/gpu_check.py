"""What an accelerator does with our models: attention, number formats, offload, short memory.

    python benchmarks/gpu_check.py [--device auto] [--rows 8] [--steps 8] [--only NAME,NAME]

Every family's tiny model, and `tabletop`, dense and with 2:4 weights, samples the same rows in each
setting. A line gives time and peak memory as ratios to SDPA in float32 on the same device, and how
far the latents are from those, in standard deviations. What needs CUDA and finds none is listed as
not run. Status 1 when a setting failed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from imgtool.api import Batch, ImgtoolError, derive_seed, quiet_libraries
from imgtool.runtime.attention import probe
from imgtool.runtime.context import Runtime
from imgtool_generate.stage import Diffusers, Params
from imgtool_prune.makers import MaskParams, PruneMagnitude

if TYPE_CHECKING:
    from collections.abc import Iterator

sys.path.insert(0, str(Path(__file__).parents[1] / "plugins" / "imgtool-generate" / "tests"))


@dataclass(frozen=True)
class Setting:
    """One way to sample.

    Attributes
    ----------
    limit_rows : leave memory for about so many rows at once; 0: no limit.
    sparse : take sparse kernels; of the model with 2:4 weights alone.
    """

    name: str
    dtype: str = "float32"
    attention: str = "sdpa"
    offload: str = "none"
    limit_rows: int = 0
    needs_cuda: bool = True
    tolerance: float = 0.5
    sparse: bool = False


SETTINGS = (
    Setting("xformers", attention="xformers", tolerance=0.02),
    Setting("float16", dtype="float16"),
    Setting("float16 xformers", dtype="float16", attention="xformers"),
    Setting("bfloat16", dtype="bfloat16", needs_cuda=False),
    Setting("bfloat16 xformers", dtype="bfloat16", attention="xformers"),
    Setting("float16 sparse kernels", dtype="float16", sparse=True),
    Setting("bfloat16 sparse kernels", dtype="bfloat16", sparse=True),
    Setting("offload model", offload="model", tolerance=0.02),
    Setting("offload sequential", offload="sequential", tolerance=0.02),
    Setting("memory for half the rows", limit_rows=2, tolerance=0.02),
)


@dataclass(frozen=True)
class Sampled:
    """Latents [N, C, h, w], seconds, and peak MiB on the device (0 on the CPU)."""

    latents: np.ndarray
    seconds: float
    peak: float


def sample(model: str, setting: Setting, device: str, rows: int, steps: int) -> Sampled:
    """Latents of `rows` prompts; the first, untimed go warms kernels and allocators up."""
    import torch

    cuda = device.startswith("cuda")
    params = Params(
        model=model, steps=steps, offload=setting.offload, sparse_kernels=setting.sparse
    )
    runtime = Runtime(device=device, dtype=setting.dtype, attention=setting.attention, offline=True)
    stage = Diffusers()
    stage.open(params, runtime.for_stage())
    ids = tuple(str(i) for i in range(rows))
    columns = {"prompt": ["a red cube on the table"] * rows, "seed": list(map(derive_seed, ids))}
    batch = Batch(ids, columns)
    try:
        stage.process(batch)
        if cuda:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            base = torch.cuda.memory_allocated()
            if setting.limit_rows:
                _leave_room(base, setting.limit_rows * PEAKS[model] / rows)
        start = time.perf_counter()
        made = stage.process(batch)
        if cuda:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        peak = torch.cuda.max_memory_allocated() - base if cuda else 0
        PEAKS.setdefault(model, peak)
        return Sampled(np.stack(list(made.arrays("latents"))), seconds, peak / 2**20)
    finally:
        if cuda and setting.limit_rows:
            torch.cuda.set_per_process_memory_fraction(1.0)
        stage.close()


SPARSE = "tabletop 2:4"
PEAKS: dict[str, float] = {}
"""Bytes that sampling all rows took in the first setting, by model."""


def _leave_room(used: float, wanted: float) -> None:
    import torch

    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, (used + wanted) / total))


def lines(
    name: str, model: str, device: str, rows: int, steps: int
) -> Iterator[tuple[str, str, str]]:
    """(model, setting, finding) of every setting; a finding that starts with `FAILED` is bad."""
    base = sample(model, Setting("", needs_cuda=False), device, rows, steps)
    yield name, "sdpa float32", f"{base.seconds:6.2f} s {base.peak:7.1f} MiB"
    spread = float(base.latents.std())
    for setting in SETTINGS:
        if setting.sparse and name != SPARSE:
            continue
        if setting.needs_cuda and not device.startswith("cuda"):
            yield name, setting.name, "not run: needs CUDA"
            continue
        if setting.attention == "xformers" and probe(device):
            yield name, setting.name, f"not run: {probe(device)}"
            continue
        try:
            got = sample(model, setting, device, rows, steps)
        except ImgtoolError as err:
            yield name, setting.name, f"FAILED: {err.message}"
            continue
        off = float(np.abs(got.latents - base.latents).max()) / spread
        memory = f"memory {got.peak / base.peak:5.2f} x  " if base.peak else ""
        verdict = "" if off <= setting.tolerance else f"  FAILED: more than {setting.tolerance}"
        yield (
            name,
            setting.name,
            f"time {got.seconds / base.seconds:5.2f} x  {memory}off by {off:.1e}{verdict}",
        )


def models(folder: Path, only: list[str]) -> Iterator[tuple[str, str]]:
    """Name and reference of each model that is checked."""
    import tiny

    for family in tiny.FAMILIES:
        if not only or family in only:
            yield f"tiny {family}", str(tiny.save(family, folder / family))
    if not only or "tabletop" in only:
        yield "tabletop", "tabletop"
    if not only or SPARSE in only:
        pruned = folder / "sparse"
        pruned.mkdir()
        how = MaskParams(model="tabletop", pattern="2:4")
        PruneMagnitude().make(how, {}, pruned, Runtime(device="cpu").for_stage())
        yield SPARSE, str(pruned)


def main() -> int:
    """Print the table as it grows."""
    quiet_libraries("transformers", "diffusers")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    device = str(Runtime(device=given.device).torch_device)
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        only = [part for part in given.only.split(",") if part]
        for title, model in models(Path(name), only):
            for line in lines(title, model, device, given.rows, given.steps):
                failed += "FAILED" in line[2]
                sys.stdout.write(f"{line[0]:<14} {line[1]:<26} {line[2]}\n")
                sys.stdout.flush()
    sys.stdout.write(f"device {device}: {failed} failed\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
