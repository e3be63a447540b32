"""A resumable training loop: wall-clock budget, checkpoints, CSV log, clean stop, moving average.

A checkpoint is a safetensors file (weights, average, optimiser moments) and a JSON file (step,
seconds used). Batches depend on the seed and the step, so a resumed run equals an unbroken one.
"""

import csv
import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from imgtool.api import write_file

Report = Callable[[str], None]


@dataclass(frozen=True)
class Budget:
    """How long to train, and how often to save and log; times in seconds.

    steps : stop after so many, whatever the time; 0: by time alone. The learning rate falls to
    zero over the budget: by steps where given, else by time.
    """

    seconds: float = 1200.0
    steps: int = 0
    save_every_s: float = 60.0
    log_every: int = 50


@dataclass(frozen=True)
class Optimiser:
    """AdamW with linear warm-up and cosine decay; `ema` is the average's half-life in steps."""

    rate: float = 4e-4
    warmup_steps: int = 200
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    ema_half_life: int = 400


class Trainer:
    """Runs `loss(step) -> (loss, named figures)` until the budget ends or a signal comes."""

    def __init__(
        self,
        model: nn.Module,
        work_dir: Path,
        budget: Budget,
        optimiser: Optimiser,
        report: Report,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.model, self.work_dir = model.to(self.device), work_dir
        self.budget, self.settings, self.report = budget, optimiser, report
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.adam = torch.optim.AdamW(
            self.weights, lr=optimiser.rate, weight_decay=optimiser.weight_decay, betas=(0.9, 0.99)
        )
        self.average = [p.detach().clone() for p in self.weights]
        self.step, self.seconds = 0, 0.0
        self._stop = threading.Event()
        work_dir.mkdir(parents=True, exist_ok=True)
        self._resume()
        self._cut_log()

    @property
    def progress(self) -> float:
        """Share of the budget used, 0 to 1."""
        if self.budget.steps:
            return self.step / self.budget.steps
        return min(1.0, self.seconds / self.budget.seconds)

    def precision(self) -> torch.autocast:
        """bfloat16 wherever that is safe, for the time of a block."""
        return torch.autocast(self.device.type, torch.bfloat16)

    def run(self, loss: Callable[[int], tuple[Tensor, dict[str, float]]]) -> None:
        """Train until the budget is used; the last step is in the checkpoint.

        Raises
        ------
        KeyboardInterrupt : SIGINT or SIGTERM came; the checkpoint is written, and a trainer over
            the same `work_dir` goes on from it.
        """
        with self._signals():
            saved = started = time.monotonic()
            before = self.seconds
            while not self._stop.is_set() and self.progress < 1.0:
                value, figures = loss(self.step)
                self._update(value)
                self.step += 1
                self.seconds = before + time.monotonic() - started
                if self.step % self.budget.log_every == 0:
                    self._log({"loss": float(value.detach()), **figures})
                if time.monotonic() - saved > self.budget.save_every_s:
                    self.save()
                    saved = time.monotonic()
            self.save()
        if self._stop.is_set():
            raise KeyboardInterrupt

    def _update(self, value: Tensor) -> None:
        ramp = min(1.0, (self.step + 1) / self.settings.warmup_steps)
        decay = 0.5 * (1.0 + math.cos(math.pi * self.progress))
        for group in self.adam.param_groups:
            group["lr"] = self.settings.rate * ramp * max(decay, 0.01)
        self.adam.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.weights, self.settings.clip_norm)
        self.adam.step()
        half_life = min(self.settings.ema_half_life, 1 + self.step // 4)
        torch._foreach_lerp_(
            self.average, [p.detach() for p in self.weights], 1 - 0.5 ** (1 / half_life)
        )

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The model with its averaged weights, for the time of the block."""
        kept = [p.detach().clone() for p in self.weights]
        with torch.no_grad():
            torch._foreach_copy_(self.weights, self.average)
            try:
                yield self.model
            finally:
                torch._foreach_copy_(self.weights, kept)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kept = {
            s: signal.signal(s, lambda *_: self._stop.set())
            for s in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)

    def _log(self, figures: dict[str, float]) -> None:
        with (self.work_dir / "log.csv").open("a", newline="") as file:
            writer = csv.writer(file)
            if file.tell() == 0:
                writer.writerow(["step", "seconds", *figures])
            writer.writerow(
                [self.step, f"{self.seconds:.1f}", *(f"{v:.5f}" for v in figures.values())]
            )
        self.report(
            f"step {self.step} {self.seconds:.0f}s "
            + " ".join(f"{k} {v:.4f}" for k, v in figures.items())
        )

    def save(self) -> None:
        """Write the checkpoint beside the old one and swap it in."""
        tensors = {f"model.{i}": p.detach() for i, p in enumerate(self.weights)}
        tensors |= {f"average.{i}": p for i, p in enumerate(self.average)}
        for i, p in enumerate(self.weights):
            for name, value in self.adam.state[p].items():
                tensors[f"adam.{i}.{name}"] = value
        temporary = self.work_dir / "checkpoint.tmp"
        # One file, so that weights and step can never come from different moments.
        state = json.dumps({"step": self.step, "seconds": self.seconds})
        save_file({k: v.contiguous() for k, v in tensors.items()}, temporary, {"state": state})
        temporary.replace(self.work_dir / "checkpoint.safetensors")

    def _resume(self) -> None:
        path = self.work_dir / "checkpoint.safetensors"
        if not path.exists():
            return
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            state = json.loads(file.metadata()["state"])
        tensors = load_file(path)
        with torch.no_grad():
            for i, p in enumerate(self.weights):
                p.copy_(tensors[f"model.{i}"])
                self.average[i].copy_(tensors[f"average.{i}"])
                prefix = f"adam.{i}."
                kept = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
                # The step count alone stays where it is, as AdamW has it.
                self.adam.state[p] = {
                    k: v if k == "step" else v.to(self.device) for k, v in kept.items()
                }
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.report(f"resumed at step {self.step}, {self.seconds:.0f} s used")

    def _cut_log(self) -> None:
        """Leave out the steps after the checkpoint, which a kill undid."""
        path = self.work_dir / "log.csv"
        if not path.exists():
            return
        lines = path.read_bytes().splitlines(keepends=True)
        whole = (line for line in lines[1:] if line.endswith(b"\n"))
        kept = lines[:1] + [line for line in whole if int(line.partition(b",")[0]) <= self.step]
        if len(kept) < len(lines):
            write_file(path, b"".join(kept))
