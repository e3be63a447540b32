"""The transformers of Stable Diffusion 3 and 3.5."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool_prune.joint import joint_structures, joint_units

if TYPE_CHECKING:
    from torch import nn

    from imgtool_prune.architectures import Unit


class SD3:
    """`SD3Transformer2DModel`."""

    def units(self, denoiser: nn.Module) -> list[Unit]:
        """See `ArchAdapter.units`."""
        return [
            unit
            for number in range(_depth(denoiser))
            for unit in joint_units(denoiser, f"transformer_blocks.{number}")
        ]

    def structures(self, denoiser: nn.Module) -> list[Unit]:
        """See `ArchAdapter.structures`. OBS-Diff spares the first and the last block."""
        last = _depth(denoiser) - 1
        return [
            unit
            for number in range(last + 1)
            for unit in joint_structures(
                denoiser, f"transformer_blocks.{number}", advised=0 < number < last
            )
        ]


def _depth(denoiser: Any) -> int:
    return len(denoiser.transformer_blocks)
