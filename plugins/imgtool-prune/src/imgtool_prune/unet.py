"""The UNets of Stable Diffusion: attention and feed-forward layers of their transformer blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool_prune.architectures import Unit, coupled
from imgtool_prune.couplings import QUERY_KEY_VALUE, attention, feed_forward, has

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

# Registered as down, up, mid; executed in this order.
PARTS = ("down_blocks.", "mid_block.", "up_blocks.")


class UNet:
    """`UNet2DConditionModel`: SD 1.x and 2.x, SDXL and what is built like them."""

    def units(self, denoiser: nn.Module) -> list[Unit]:
        """See `ArchAdapter.units`."""
        return [unit for name, block in _blocks(denoiser) for unit in _units(name, block)]

    def structures(self, denoiser: nn.Module) -> list[Unit]:
        """See `ArchAdapter.structures`."""
        return [
            coupled(name, couplings)
            for name, block in _blocks(denoiser)
            for couplings in (
                *(attention(denoiser, path) for path in _attentions(name, block)),
                [feed_forward(denoiser, f"{name}.ff")],
            )
        ]


def _blocks(denoiser: nn.Module) -> list[tuple[str, nn.Module]]:
    """Transformer blocks by path, in order of execution."""
    return [
        (name, module)
        for part in PARTS
        for name, module in denoiser.named_modules()
        if name.startswith(part) and type(module).__name__ == "BasicTransformerBlock"
    ]


def _attentions(path: str, block: nn.Module) -> list[str]:
    return [f"{path}.{name}" for name in ("attn1", "attn2") if has(block, name)]


def _units(path: str, block: nn.Module) -> Iterator[Unit]:
    for name in _attentions(path, block):
        q, k, v = (f"{name}.{leaf}" for leaf in QUERY_KEY_VALUE)
        # Across attentions, keys and values come from the text.
        crossed = block.get_submodule(name.removeprefix(f"{path}.")).is_cross_attention
        yield Unit(path, ((q,), (k, v)) if crossed else ((q, k, v),))
        yield Unit(path, ((f"{name}.to_out.0",),))
    yield Unit(path, ((f"{path}.ff.net.0.proj",),))
    yield Unit(path, ((f"{path}.ff.net.2",),))
