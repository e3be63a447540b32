"""Masks from a score of each weight alone, without repair: magnitude and Wanda; and errors.

W [R, d] is the weight, H [d, d] the Hessian of its input before damping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool_prune.patterns import SemiStructured, smallest, smallest_by_group, smallest_by_row

if TYPE_CHECKING:
    from torch import Tensor

    from imgtool_prune.patterns import MaskPattern


def magnitude_mask(weight: Tensor, pattern: MaskPattern) -> Tensor:
    """The smallest |W|: of the whole matrix, or of each group."""
    scores = weight.abs()
    if isinstance(pattern, SemiStructured):
        pattern.check(*weight.shape)
        return smallest_by_group(scores, pattern.keep, pattern.group)
    return smallest(scores, round(pattern.sparsity * weight.numel()))


def wanda_mask(weight: Tensor, diagonal: Tensor, pattern: MaskPattern) -> Tensor:
    """The smallest |W_rj| sqrt(H_jj) of each row or group (arXiv 2306.11695).

    Parameters
    ----------
    diagonal : H_jj [d].
    """
    return row_mask(weight.abs() * diagonal.sqrt(), pattern)


def row_mask(scores: Tensor, pattern: MaskPattern) -> Tensor:
    """The smallest scores of each group, or int(sparsity * d) of each row."""
    if isinstance(pattern, SemiStructured):
        pattern.check(*scores.shape)
        return smallest_by_group(scores, pattern.keep, pattern.group)
    return smallest_by_row(scores, int(pattern.sparsity * scores.shape[1]))


def output_error(change: Tensor, hessian: Tensor) -> float:
    """1/2 tr(dW H dW^T): weighted squared error of the output per batch row.

    `output_error(W, H)` is the output's whole energy, which makes errors relative.
    """
    return float(((change @ hessian) * change).sum()) / 2
