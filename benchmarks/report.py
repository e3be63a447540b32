"""`imgtool report` against a plain HTML listing of the same thumbnails.

    python benchmarks/report.py [--rows 1000] [--rounds 3]

A run of three stages is made first. Compared are the time to write the page, its size, and the
time until Chromium has painted something and until the page has loaded, with the CPU time of that.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "report"))

from browser import CHROMIUM, browser  # noqa: E402

from imgtool.report.pictures import edge_for  # noqa: E402

STAGES = """
from dataclasses import dataclass
from imgtool.api import IMAGE, PROMPT, SEED, Stage, score

@dataclass(frozen=True)
class Params:
    pass

class Discs(Stage[Params]):
    id, version, summary = "generate.discs", 1, "Draw discs."
    consumes, produces = (PROMPT, SEED), (IMAGE,)

    def process(self, batch):
        import numpy as np
        y, x = np.mgrid[:256, :256]
        images = []
        for row in batch:
            random = np.random.default_rng(row.seed)
            image = np.zeros((256, 256, 3)) + random.uniform(50, 200, 3)
            for _ in range(6):
                at, size = random.uniform(0, 256, 2), random.uniform(20, 70)
                disc = (x - at[0]) ** 2 + (y - at[1]) ** 2 < size**2
                image[disc] = random.uniform(0, 255, 3)
            image += random.normal(0, 6, image.shape)
            images.append(np.clip(image, 0, 255).astype(np.uint8))
        return batch.with_columns(image=images)

class Blur(Stage[Params]):
    id, version, summary = "defocus.soft", 1, "Blur."
    consumes, produces = (IMAGE,), (IMAGE,)

    def process(self, batch):
        import numpy as np
        from PIL import Image, ImageFilter
        soft = ImageFilter.GaussianBlur(2)
        images = [Image.fromarray(image).filter(soft) for image in batch.arrays("image")]
        return batch.with_columns(image=[np.asarray(image) for image in images])

class Mirror(Stage[Params]):
    id, version, summary = "sr.mirror", 1, "Mirror, and judge."
    consumes, produces = (IMAGE,), (IMAGE, score("red"))

    def process(self, batch):
        images = batch.arrays("image")
        reds = [float(image[..., 0].mean()) for image in images]
        return batch.with_columns(image=[image[:, ::-1] for image in images], score__red=reds)
"""
PIPELINES = "".join(
    f'[[three.stage]]\nuse = "{use}"\n' for use in ("generate.discs", "defocus.soft", "sr.mirror")
)
# What the report is compared with: the same thumbnails, out of the same store.
LISTING = """
import base64, io, sys
from pathlib import Path
from PIL import Image
import zarr
store, edge = Path(sys.argv[1]), int(sys.argv[2])
rows = []
for group in sorted(store.glob("*-*/0*/image.*")):
    for pixels in zarr.open_array(group, mode="r")[:]:
        picture = Image.fromarray(pixels)
        picture.thumbnail((edge, edge))
        out = io.BytesIO()
        picture.save(out, "webp", quality=82)
        data = base64.b64encode(out.getvalue()).decode()
        rows.append(f'<img src="data:image/webp;base64,{data}">')
Path(sys.argv[3]).write_text("<!doctype html>" + "\\n".join(rows))
"""
PAINTED = """
new Promise((done) => new PerformanceObserver((list) =>
  done(list.getEntriesByName("first-contentful-paint")[0].startTime)
).observe({ type: "paint", buffered: true }))
"""
LOADED = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"


def seconds(command: list[str], folder: Path) -> float:
    """Wall time of a command that must succeed."""
    start = time.perf_counter()
    env = {**os.environ, "IMGTOOL_CACHE": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - start


def shown(page: Path, folder: Path) -> tuple[float, float, float]:
    """Seconds until a fresh browser has painted, until the page has loaded, and of CPU for both."""
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as profile:
        with browser(Path(profile)) as tab:
            tab.resize(1280, 800)
            tab.call("Performance.enable", timeDomain="threadTicks")
            tab.open(page)
            painted, loaded = tab.see(PAINTED) / 1e3, tab.see(LOADED) / 1e3
            metrics = tab.call("Performance.getMetrics")["metrics"]
            return painted, loaded, next(m["value"] for m in metrics if m["name"] == "TaskDuration")


def main() -> None:
    """Print medians of both, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "stages.py").write_text(STAGES)
        (folder / "pipelines.toml").write_text(PIPELINES)
        (folder / "prompts.txt").write_text("".join(f"picture {i}\n" for i in range(given.rows)))
        tool = [sys.executable, "-m", "imgtool", "--plugin", "stages.py"]
        run = ["run", "three", "prompts.txt", "--store", "s.zarr", "--progress", "none", "--json"]
        seconds([*tool, *run], folder)
        report = [*tool, "report", "s.zarr", "-o", "report.html"]
        edge = str(edge_for(3 * given.rows))
        listing = [sys.executable, "-c", LISTING, "s.zarr", edge, "listing.html"]
        found: dict[str, list[list[float]]] = {"report": [], "listing": []}
        for _ in range(given.rounds):
            for kind, command in (("report", report), ("listing", listing)):
                page = folder / f"{kind}.html"
                took = [seconds(command, folder), 0.0]
                took[1] = page.stat().st_size / 1e6
                found[kind].append([*took, *(shown(page, folder) if CHROMIUM else ())])
        names = ("write_s", "size_MB", "painted_s", "loaded_s", "page_cpu_s")
        ours, plain = ([statistics.median(c) for c in zip(*found[k], strict=True)] for k in found)
        for what, mine, theirs in zip(names, ours, plain, strict=False):
            values = {"report": round(mine, 3), "listing": round(theirs, 3)}
            print(json.dumps({"what": what, **values, "ratio": round(mine / theirs, 2)}))


if __name__ == "__main__":
    main()
