"""Running a pipeline over prompts while layers tell what they are given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from imgtool.api import StageFailed
from imgtool_prune.weighting import A_MAX, A_MIN, Weighting, step_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from imgtool_prune.statistics import Accumulator


@dataclass(frozen=True)
class Trajectories:
    """How the denoiser is run: whole trajectories, as when pictures are drawn.

    Attributes
    ----------
    steps, guidance : as given to the pipeline; None: its own.
    batch : prompts at once.
    seed : prompt i starts from the noise of seed + i.
    """

    prompts: Sequence[str]
    steps: int | None = None
    guidance: float | None = None
    batch: int = 4
    seed: int = 0
    weighting: Weighting = Weighting.LOG_DECREASE
    a_min: float = A_MIN
    a_max: float = A_MAX

    def weights(self, evaluations: int) -> list[float]:
        """alpha of each evaluation."""
        return step_weights(evaluations, self.weighting, self.a_min, self.a_max)


class Calibration:
    """Gathers statistics of layers of a pipeline's denoiser.

    Attributes
    ----------
    alphas : weights of the steps, known once a trajectory has begun; empty before.
    """

    def __init__(self, pipe: Any, denoiser: nn.Module, trajectories: Trajectories) -> None:
        self.pipe, self.denoiser, self.trajectories = pipe, denoiser, trajectories
        self.alphas: list[float] = []
        self._weights = lru_cache(trajectories.weights)
        self._step = 0

    def gather(self, wanted: Mapping[str, Accumulator]) -> None:
        """One run over all prompts; `wanted` maps paths of layers to what gathers their input.

        Raises
        ------
        StageFailed : an input is not finite.
        """
        hooks = [
            self.denoiser.get_submodule(path).register_forward_pre_hook(
                self._watcher(path, accumulator)
            )
            for path, accumulator in wanted.items()
        ]
        try:
            self.draw(self.trajectories.prompts, self.trajectories.seed)
        finally:
            for hook in hooks:
                hook.remove()

    def _watcher(
        self, path: str, accumulator: Accumulator
    ) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
        def watch(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            # Of the scheduler, not of the steps asked for: some evaluate more often.
            self.alphas = self._weights(len(self.pipe.scheduler.timesteps))
            try:
                accumulator.add(inputs[0], self.alphas[self._step])
            except ValueError as err:
                raise StageFailed(
                    f"layer {path!r}, step {self._step + 1}: {err}", "Try --dtype float32"
                ) from err

        return watch

    def draw(self, prompts: Sequence[str], seed: int) -> list[torch.Tensor]:
        """Final latents of each batch of `prompts`; prompt i starts from the noise of seed + i."""
        size = self.trajectories.batch
        return [
            self._draw(prompts[begin : begin + size], seed + begin)
            for begin in range(0, len(prompts), size)
        ]

    def _draw(self, prompts: Sequence[str], seed: int) -> torch.Tensor:
        self._step = 0
        asked = {
            "num_inference_steps": self.trajectories.steps,
            "guidance_scale": self.trajectories.guidance,
        }
        drawn = self.pipe(
            list(prompts),
            **{name: value for name, value in asked.items() if value is not None},
            generator=[torch.Generator().manual_seed(seed + i) for i in range(len(prompts))],
            output_type="latent",
            callback_on_step_end=self._count,
        )
        latents: torch.Tensor = drawn.images
        return latents

    def _count(self, _: Any, step: int, __: Any, values: dict[str, Any]) -> dict[str, Any]:
        self._step = step + 1
        return values
