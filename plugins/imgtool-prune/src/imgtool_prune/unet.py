"""The UNets of Stable Diffusion: attention and feed-forward layers of their transformer blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool_prune.architectures import Unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

# Registered as down, up, mid; executed in this order.
PARTS = ("down_blocks.", "mid_block.", "up_blocks.")


class UNet:
    """`UNet2DConditionModel`: SD 1.x and 2.x, SDXL and what is built like them."""

    def units(self, denoiser: nn.Module) -> list[Unit]:
        """See `ArchAdapter.units`."""
        blocks = [
            (name, module)
            for name, module in denoiser.named_modules()
            if type(module).__name__ == "BasicTransformerBlock"
        ]
        return [
            unit
            for part in PARTS
            for name, block in blocks
            if name.startswith(part)
            for unit in _units(name, block)
        ]


def _units(path: str, block: Any) -> Iterator[Unit]:
    for name in ("attn1", "attn2"):
        attention = getattr(block, name)
        if attention is None:
            continue
        q, k, v, out = (f"{path}.{name}.{leaf}" for leaf in ("to_q", "to_k", "to_v", "to_out.0"))
        # Across attentions, keys and values come from the text.
        yield Unit(path, ((q,), (k, v)) if attention.is_cross_attention else ((q, k, v),))
        yield Unit(path, ((out,),))
    yield Unit(path, ((f"{path}.ff.net.0.proj",),))
    yield Unit(path, ((f"{path}.ff.net.2",),))
