"""`imgtool run` against a diffusers script written by hand: wall time and peak memory.

    python benchmarks/overhead.py [--prompts 64] [--batch 8] [--steps 25] [--rounds 3]

Both make the same pictures with the same model, batch and steps on the same device, and write them
as PNG files. Rounds alternate; the median of each is compared.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BY_HAND = """
import sys
from pathlib import Path
import torch
from diffusers import StableDiffusionPipeline

model, prompts, out, batch, steps, guidance = sys.argv[1:]
texts = Path(prompts).read_text().splitlines()
pipe = StableDiffusionPipeline.from_pretrained(model)
pipe.to("cuda" if torch.cuda.is_available() else "cpu")
pipe.set_progress_bar_config(disable=True)
Path(out).mkdir()
for at in range(0, len(texts), int(batch)):
    part = texts[at : at + int(batch)]
    generators = [torch.Generator().manual_seed(at + i) for i in range(len(part))]
    made = pipe(part, num_inference_steps=int(steps), guidance_scale=float(guidance),
                generator=generators)
    for i, picture in enumerate(made.images):
        picture.save(f"{out}/{at + i}.png")
"""
PIPELINE = """
[plain]
model = "tabletop"
[[plain.stage]]
use = "generate"
steps = {steps}
guidance = {guidance}
[[plain.stage]]
use = "decode"
"""
GUIDANCE = 3.0
CHILD = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def measured(command: list[str], folder: Path) -> tuple[float, float]:
    """Wall seconds and peak MiB of a command."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *command], cwd=folder, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    status, peak = done.stdout.split()
    if status != "0":
        raise SystemExit(done.stderr)
    return seconds, int(peak) / 1024


def main() -> None:
    """Print one line a round, then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    import imgtool_tabletop

    model = Path(imgtool_tabletop.__file__).parent / "weights" / "tabletop"
    by_hand: list[tuple[float, float]] = []
    by_imgtool: list[tuple[float, float]] = []
    for number in range(given.rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            texts = [f"a red cube to the left of a blue sphere {i}" for i in range(given.prompts)]
            (folder / "p.txt").write_text("\n".join(texts) + "\n")
            (folder / "by_hand.py").write_text(BY_HAND)
            (folder / "pipelines.toml").write_text(
                PIPELINE.format(steps=given.steps, guidance=GUIDANCE)
            )
            numbers = [str(given.batch), str(given.steps), str(GUIDANCE)]
            script = [sys.executable, "by_hand.py", str(model), "p.txt", "hand", *numbers]
            imgtool = [sys.executable, "-m", "imgtool", "run", "plain", "p.txt"]
            imgtool += ["--batch", str(given.batch), "--store", "s.zarr", "-o", "out/{id}.png"]
            by_hand.append(measured(script, folder))
            by_imgtool.append(measured([*imgtool, "--progress", "none"], folder))
        (t0, m0), (t1, m1) = by_hand[-1], by_imgtool[-1]
        sys.stdout.write(
            f"round {number}: by hand {t0:6.2f} s {m0:5.0f} MiB   "
            f"imgtool {t1:6.2f} s {m1:5.0f} MiB\n"
        )
        sys.stdout.flush()
    wall, peak = (
        statistics.median(row[i] for row in by_imgtool) / statistics.median(r[i] for r in by_hand)
        for i in (0, 1)
    )
    sys.stdout.write(f"wall {wall:.3f} x   peak memory {peak:.3f} x\n")


if __name__ == "__main__":
    main()
