"""Which layers heads and neurons run through, in the modules that diffusers' families share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from imgtool_prune.architectures import Coupling, Part

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger("imgtool.prune")
QUERY_KEY_VALUE = ("to_q", "to_k", "to_v")
ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")


def attention(denoiser: nn.Module, path: str, advised: bool = True) -> list[Coupling]:
    """Heads that all streams of the attention at `path` share; none where they cannot go."""
    found = heads(denoiser, path)
    if found is None:
        return []
    outputs = [f"{path}.to_out.0"]
    if has(denoiser.get_submodule(path), "to_add_out"):
        outputs.append(f"{path}.to_add_out")
    return [Coupling(tuple(outputs), (found,), advised)]


def feed_forward(denoiser: nn.Module, path: str, advised: bool = True) -> Coupling:
    """Neurons of the feed-forward part at `path`, gated or not."""
    down: Any = denoiser.get_submodule(f"{path}.net.2")
    neurons = Part("neurons", path, (f"{path}.net.0.proj",), 1, down.in_features)
    return Coupling((f"{path}.net.2",), (neurons,), advised)


def heads(denoiser: nn.Module, path: str) -> Part | None:
    """Heads of the attention at `path`; None, with a warning, where one cannot go alone."""
    module: Any = denoiser.get_submodule(path)
    feeds = [leaf for leaf in (*QUERY_KEY_VALUE, *ADDED) if has(module, leaf)]
    size = module.to_q.out_features // module.heads
    norms = [getattr(getattr(module, name, None), "weight", None) for name in ("norm_q", "norm_k")]
    shared = any(weight is not None and weight.numel() != size for weight in norms)
    if shared or module.to_k.out_features != module.to_q.out_features:
        log.warning("heads of %r share keys or a norm: they all stay", path)
        return None
    return Part("heads", path, tuple(f"{path}.{leaf}" for leaf in feeds), size, module.heads)


def has(module: Any, name: str) -> bool:
    """Whether a module that this kind of block may have is there."""
    return getattr(module, name, None) is not None
