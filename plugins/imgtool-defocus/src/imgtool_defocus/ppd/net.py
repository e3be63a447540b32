"""The cascade of transformers that tells velocity, its weights named as published ones are.

Half of its blocks see coarse tokens. At the seam, semantic prompts are fused in once and every
token becomes four, which the other half refines. A diffusion transformer (Peebles & Xie 2023) with
normed queries and keys and rotary places.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imgtool.api import attention

if TYPE_CHECKING:
    from imgtool_defocus.ppd.config import PpdConfig

FREQUENCIES: Final = 256
"""Numbers that tell a step."""
STEP_BASE, PLACE_BASE = 10_000.0, 100.0
"""Bases of the wavelengths that tell steps and places."""
EPS: Final = 1e-6
Turns: TypeAlias = tuple[Tensor, Tensor]
"""Cosines and sines [T, width of a head] of the angles by which places turn queries and keys."""


def sinusoids(t: Tensor) -> Tensor:
    """[B, FREQUENCIES] float32 of steps [B]: cosines, then sines."""
    half = FREQUENCIES // 2
    waves = torch.arange(half, device=t.device) * (-math.log(STEP_BASE) / half)
    angles = t.float()[:, None] * waves.exp()
    return torch.cat((angles.cos(), angles.sin()), dim=1)


def turns(rows: int, columns: int, width: int, like: Tensor) -> Turns:
    """Angles for a grid of tokens, row by row: the first half of a head tells the row."""
    quarter = width // 4
    waves = PLACE_BASE ** (-torch.arange(quarter, device=like.device) / quarter)
    places = torch.cartesian_prod(
        torch.arange(rows, device=like.device), torch.arange(columns, device=like.device)
    )
    row, column = (places[:, at, None] * waves for at in range(2))
    angles = torch.cat((row, row, column, column), dim=1)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def turned(x: Tensor, by: Turns) -> Tensor:
    """Queries or keys [B, heads, T, width], each half of a head turned by its own place."""
    cosines, sines = by
    a, b, c, d = x.chunk(4, dim=-1)
    return x * cosines + torch.cat((-b, a, -d, c), dim=-1) * sines


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Tokens [B, T, D] scaled and shifted by [B, D]."""
    return x * (1 + scale[:, None]) + shift[:, None]


class PatchEmbed(nn.Module):
    """Tokens of patches."""

    def __init__(self, channels: int, config: PpdConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, config.width, config.patch, config.patch)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] of [B, C, H, W]."""
        tokens: Tensor = self.proj(x).flatten(2).transpose(1, 2)
        return tokens


class StepEmbed(nn.Module):
    """A vector of a step of the flow."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(FREQUENCIES, width), nn.SiLU(), nn.Linear(width, width)
        )  # fmt: skip

    def forward(self, t: Tensor) -> Tensor:
        """[B, D] of [B]."""
        made: Tensor = self.mlp(sinusoids(t).to(self.mlp[0].weight.dtype))
        return made


class Attention(nn.Module):
    """Of every token to every other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm, self.k_norm = nn.LayerNorm(width // heads), nn.LayerNorm(width // heads)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, by: Turns) -> Tensor:
        """[B, T, D] of the same."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = turned(self.q_norm(q), by), turned(self.k_norm(k), by)
        seen = attention(q, k, v)
        made: Tensor = self.proj(seen.transpose(1, 2).flatten(2))
        return made


class Mlp(nn.Module):
    """Two layers, four times as wide between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] of the same."""
        made: Tensor = self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
        return made


def modulation(width: int, parts: int) -> nn.Sequential:
    """From a step's vector to `parts` shifts, scales and gates."""
    return nn.Sequential(nn.SiLU(), nn.Linear(width, parts * width))


class Block(nn.Module):
    """Attention and a perceptron, both modulated and gated by the step."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn, self.mlp = Attention(width, heads), Mlp(width)
        self.adaLN_modulation = modulation(width, 6)

    def forward(self, x: Tensor, step: Tensor, by: Turns) -> Tensor:
        """[B, T, D] of the same and [B, D]."""
        shift, scale, gate, *mlp = self.adaLN_modulation(step).chunk(6, dim=1)
        normed = F.layer_norm(x, x.shape[-1:], eps=EPS)
        x = x + gate[:, None] * self.attn(modulated(normed, shift, scale), by)
        shift, scale, gate = mlp
        normed = F.layer_norm(x, x.shape[-1:], eps=EPS)
        return x + gate[:, None] * self.mlp(modulated(normed, shift, scale))


class FinalLayer(nn.Module):
    """From tokens to the pixels of their patches."""

    def __init__(self, width: int, pixels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, pixels)
        self.adaLN_modulation = modulation(width, 2)

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        """[B, T, pixels] of [B, T, D] and [B, D]."""
        shift, scale = self.adaLN_modulation(step).chunk(2, dim=1)
        normed = F.layer_norm(x, x.shape[-1:], eps=EPS)
        made: Tensor = self.linear(modulated(normed, shift, scale))
        return made


class CascadeTransformer(nn.Module):
    """Velocity of noisy depth, given the picture and its semantic prompts."""

    def __init__(self, config: PpdConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.x_embedder = PatchEmbed(4, config)
        self.t_embedder = StepEmbed(width)
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.blocks))
        self.proj_fusion = nn.Sequential(
            nn.Linear(width + config.semantics, 4 * width), nn.SiLU(),
            nn.Linear(4 * width, 4 * width), nn.SiLU(),
            nn.Linear(4 * width, 4 * width),
        )  # fmt: skip
        self.final_layer = FinalLayer(width, (config.patch // 2) ** 2)

    def forward(self, x: Tensor, t: Tensor, e: Tensor) -> Tensor:
        """[B, 1, H, W]: velocity.

        Parameters
        ----------
        x : [B, 4, H, W], noisy depth and the picture, around 0; sides are multiples of the patch.
        t : [B], steps, 0 (depth) to 1000 (noise).
        e : [B, tokens before the seam, semantics], of any length: directions count.
        """
        rows, columns = (side // self.config.patch for side in x.shape[2:])
        width = self.config.width // self.config.heads
        step, seam = self.t_embedder(t), len(self.blocks) // 2
        x = self.x_embedder(x)
        by = turns(rows, columns, width, x)
        for block in self.blocks[:seam]:
            x = block(x, step, by)
        x = self.proj_fusion(torch.cat((x, F.normalize(e, dim=-1).to(x.dtype)), dim=-1))
        x = _joined(x, rows, columns, 2).flatten(2).transpose(1, 2)
        by = turns(2 * rows, 2 * columns, width, x)
        for block in self.blocks[seam:]:
            x = block(x, step, by)
        return _joined(self.final_layer(x, step), 2 * rows, 2 * columns, self.config.patch // 2)


def _joined(x: Tensor, rows: int, columns: int, side: int) -> Tensor:
    """[B, C, rows·side, columns·side] of tokens [B, rows·columns, side·side·C]."""
    cells = x.unflatten(2, (side, side, -1)).unflatten(1, (rows, columns))
    return cells.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def begun(net: CascadeTransformer) -> CascadeTransformer:
    """The same net as training begins with: blocks that change nothing, a velocity of zero."""
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    nn.init.xavier_uniform_(net.x_embedder.proj.weight.view(net.config.width, -1))
    nn.init.zeros_(net.x_embedder.proj.bias)
    for layer in (net.t_embedder.mlp[0], net.t_embedder.mlp[2]):
        nn.init.normal_(layer.weight, std=0.02)
    still = [part.adaLN_modulation[1] for part in (*net.blocks, net.final_layer)]
    for layer in (*still, net.final_layer.linear):
        nn.init.zeros_(layer.weight)
    return net
