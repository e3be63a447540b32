"""Blocks in which text and image attend to each other with weights of their own (MMDiT)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool_prune.architectures import Unit, coupled
from imgtool_prune.couplings import ADDED, QUERY_KEY_VALUE, attention, feed_forward, has

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn


def joint_units(denoiser: nn.Module, path: str) -> Iterator[Unit]:
    """Layers of the block at `path`; the image stream's come first."""
    block = denoiser.get_submodule(path)
    added = [f"{path}.attn.to_add_out"] if has(block.attn, "to_add_out") else []
    yield Unit(path, (_of(f"{path}.attn", QUERY_KEY_VALUE), _of(f"{path}.attn", ADDED)))
    yield Unit(path, tuple((out,) for out in (f"{path}.attn.to_out.0", *added)))
    if has(block, "attn2"):
        yield Unit(path, (_of(f"{path}.attn2", QUERY_KEY_VALUE),))
        yield Unit(path, ((f"{path}.attn2.to_out.0",),))
    for leaf in ("net.0.proj", "net.2"):
        yield Unit(path, tuple((f"{part}.{leaf}",) for part in _feed_forwards(block, path)))


def joint_structures(denoiser: nn.Module, path: str, advised: bool = True) -> Iterator[Unit]:
    """Heads that both streams of the block at `path` share, and neurons of each."""
    block = denoiser.get_submodule(path)
    for name in ("attn", "attn2"):
        if has(block, name):
            yield coupled(path, attention(denoiser, f"{path}.{name}", advised))
    parts = _feed_forwards(block, path)
    yield coupled(path, [feed_forward(denoiser, part, advised) for part in parts])


def _of(path: str, leaves: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{path}.{leaf}" for leaf in leaves)


def _feed_forwards(block: nn.Module, path: str) -> list[str]:
    return [f"{path}.{name}" for name in ("ff", "ff_context") if has(block, name)]
