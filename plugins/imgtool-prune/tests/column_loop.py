"""OBS as its papers write it, one column at a time: what the fast solver is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def column_loop(
    weight: Tensor,
    upper: Tensor,
    choose: Callable[[Tensor, int], Tensor],
    block: int = 128,
    group: int = 0,
) -> tuple[Tensor, Tensor]:
    """The repaired weight and its mask, [R, d].

    `choose` maps scores of columns [R, B] and the first column's number to their mask.
    """
    weight = weight.clone()
    mask = weight.new_zeros(weight.shape, dtype=bool)
    for begin in range(0, weight.shape[1], block):
        end = min(begin + block, weight.shape[1])
        part, u = weight[:, begin:end], upper[begin:end, begin:end]
        errors = weight.new_zeros(part.shape)
        if not group:
            mask[:, begin:end] = choose((part / u.diagonal()) ** 2, begin)
        for j in range(end - begin):
            if group and j % group == 0:
                few = slice(j, j + group)
                scores = (part[:, few] / u.diagonal()[few]) ** 2
                mask[:, begin + j : begin + j + group] = choose(scores, begin + j)
            error = part[:, j] / u[j, j] * mask[:, begin + j]
            part[:, j:] -= error[:, None] * u[j, j:]
            part[mask[:, begin + j], j] = 0
            errors[:, j] = error
        weight[:, end:] -= errors @ upper[begin:end, end:]
    return weight, mask
