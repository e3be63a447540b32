"""A bank of rendered pictures in shared memory, filled by one process and read by others.

Scene `i` of a bank is a function of its seed and `i` alone, so captions need not be kept.
"""

import hashlib
import json
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from imgtool.api import write_file
from imgtool_tabletop.world.facts import Facts, scene_facts
from imgtool_tabletop.world.render import render
from imgtool_tabletop.world.sample import FIRST, Distribution, sample_scene
from imgtool_tabletop.world.scene import Scene

CHUNK = 128
COMPARED = 8
"""Pictures by which a bank is known to be of its scenes."""


def is_held_out(scene: Scene) -> bool:
    """Whether training must not see this combination of coloured shapes.

    A stable hash of the coloured shapes takes an eighth of all combinations of two and more.
    """
    if len(scene.solids) < 2:
        return False
    names = sorted(f"{solid.colour} {solid.shape}" for solid in scene.solids)
    return hashlib.blake2b(",".join(names).encode(), digest_size=1).digest()[0] % 8 == 0


def scene_at(seed: int, index: int, distribution: Distribution = FIRST, *, held_out: bool) -> Scene:
    """Scene `index` of the training half (or the held-out half) of the world."""
    rng = random.Random(f"{seed}:{index}:{held_out}")
    while True:
        scene = sample_scene(rng, distribution)
        if is_held_out(scene) == held_out:
            return scene


@dataclass(frozen=True)
class PictureBank:
    """Pictures [N, 3, 64, 64] uint8 in a memory-mapped file; the first `filled()` are there."""

    folder: Path
    seed: int
    count: int
    size: int = 64
    distribution: Distribution = FIRST

    def scene(self, index: int) -> Scene:
        """The scene of picture `index`."""
        return scene_at(self.seed, index, self.distribution, held_out=False)

    @cache  # noqa: B019 - a bank lives as long as its training
    def facts(self, index: int) -> Facts:
        """What is true of picture `index`."""
        return scene_facts(self.scene(index))

    def _pictures(self, mode: str, count: int) -> np.memmap:
        shape = (count, 3, self.size, self.size)
        return np.memmap(self.folder / "pictures.u8", np.uint8, mode, shape=shape)  # type: ignore[call-overload,no-any-return]

    def filled(self) -> int:
        """Pictures rendered so far."""
        try:
            return min(
                self.count, int(json.loads((self.folder / "filled.json").read_text())["filled"])
            )
        except (FileNotFoundError, ValueError):
            return 0

    def fill(self, report: Callable[[str], None]) -> None:
        """Render what is missing. Goes on where an earlier call was stopped."""
        self.folder.mkdir(parents=True, exist_ok=True)
        done = self.filled()
        mode = "r+" if (self.folder / "pictures.u8").exists() else "w+"
        pictures = self._pictures(mode, self.count)
        while done < self.count:
            rows = range(done, min(done + CHUNK, self.count))
            scenes = [self.scene(i) for i in rows]
            images = render(scenes, self.size).mul(255).round().to(torch.uint8)
            pictures[rows.start : rows.stop] = images.numpy()
            done = rows.stop
            write_file(self.folder / "filled.json", json.dumps({"filled": done}).encode())
            if done % (CHUNK * 40) == 0:
                report(f"{done} pictures rendered")

    def reader(self) -> np.memmap:
        """The pictures that there are so far, read-only."""
        return self._pictures("r", self.filled())

    def agrees(self) -> bool:
        """Whether the pictures that are there, some at least, are of this bank's scenes."""
        there = torch.from_numpy(self.reader()[:COMPARED].copy())
        drawn = render([self.scene(index) for index in range(len(there))], self.size)
        return bool(((drawn * 255 - there).abs().mean((1, 2, 3)) < 1).all())


def _fill(bank: PictureBank) -> None:
    torch.set_num_threads(1)
    os.nice(5)
    bank.fill(lambda line: None)


@contextmanager
def being_filled(bank: PictureBank, at_least: int) -> Iterator[None]:
    """The bank, filled by another process during the block, which begins at `at_least` pictures.

    A bank that is full needs none.

    Raises
    ------
    RuntimeError : that process ended early.
    """
    if bank.filled() == bank.count:
        yield
        return
    process = multiprocessing.get_context("spawn").Process(target=_fill, args=(bank,), daemon=True)
    process.start()
    try:
        while bank.filled() < at_least:
            if process.exitcode not in (None, 0):
                raise RuntimeError(f"rendering stopped with status {process.exitcode}")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.join()
