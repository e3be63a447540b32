"""Codes of a discrete tokenizer swapped for near ones, as a generator that errs would: for pFID.

RobustTok, arXiv 2503.08354. Symbols: z [N, D] latents; c [V, D] codebook; alpha: how likely a code
is drawn anew; delta: among how many of the nearest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

# Distances to a book of 16,384 codes take 64 MiB then.
AT_ONCE = 1024


@dataclass(frozen=True)
class Swap:
    """How codes are swapped: by default none.

    Attributes
    ----------
    alpha : 0..1, probability that a code is drawn anew.
    delta : >= 1, nearest codes to draw from. The nearest is one of them, so that a share of
        alpha (delta - 1) / delta changes.
    """

    alpha: float = 0.0
    delta: int = 1


NONE = Swap()


def swapped(z: Tensor, c: Tensor, swap: Swap, generator: Generator) -> Tensor:
    """[N] int64: the index of the code of each latent.

    Parameters
    ----------
    generator : on the CPU; it draws as much whatever `swap` is.

    Raises
    ------
    ValueError : there are fewer than `swap.delta` codes.
    """
    import torch

    if swap.delta > len(c):
        raise ValueError(f"{swap.delta} codes are to draw from, and there are {len(c)}")
    anew = torch.rand(len(z), generator=generator, dtype=torch.float64) < swap.alpha
    drawn = torch.rand(len(z), generator=generator, dtype=torch.float64) * swap.delta
    place = torch.where(anew, drawn.long(), 0).to(z.device)
    nearest = torch.cat(
        [torch.cdist(part, c).topk(swap.delta, largest=False).indices for part in z.split(AT_ONCE)]
    )
    return nearest.gather(1, place[:, None])[:, 0]
