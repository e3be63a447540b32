"""A denoiser of four linear layers and a pipeline around it, for what needs no diffusers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from layers import generator
from torch import Tensor, nn

from imgtool_prune.architectures import Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 12
UNITS = [
    Unit("first", (("first.a", "first.b"),)),
    Unit("first", (("first.out",),)),
    Unit("second", (("second",),)),
]


class Denoiser(nn.Module):
    """Two layers that share an input, then one after another."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        layers = {name: nn.Linear(WIDTH, WIDTH) for name in ("a", "b", "out")}
        self.first = nn.ModuleDict(layers)
        self.second = nn.Linear(WIDTH, WIDTH)
        self.unused = nn.Linear(WIDTH, WIDTH)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        """[B, tokens, WIDTH] to the same."""
        self.calls += 1
        inner = torch.tanh(self.first["a"](x)) * torch.sigmoid(self.first["b"](x))
        return x + self.second(torch.tanh(self.first["out"](inner)))


class Pipe:
    """Runs the denoiser once for each of the scheduler's time steps."""

    def __init__(self, denoiser: Denoiser, extra: int = 0) -> None:
        self.denoiser, self.extra = denoiser, extra
        self.scheduler = SimpleNamespace(timesteps=())
        self.given: list[dict[str, Any]] = []

    @torch.no_grad()
    def __call__(
        self, prompts: Sequence[str], *, num_inference_steps: int = 3, **given: Any
    ) -> SimpleNamespace:
        self.scheduler.timesteps = range(num_inference_steps + self.extra)
        self.given.append({"prompts": prompts, **given})
        x = torch.stack([torch.randn(5, WIDTH, generator=g) for g in given["generator"]])
        for step in range(len(self.scheduler.timesteps)):
            x = self.denoiser(x) * 0.9
            given["callback_on_step_end"](self, step, step, {})
        return SimpleNamespace(images=x)


def prompts(count: int) -> tuple[str, ...]:
    """So many."""
    return tuple(f"prompt {i}" for i in range(count))


def noise(seed: int) -> Tensor:
    """What a prompt of that seed starts from."""
    return torch.randn(5, WIDTH, generator=generator(seed))
