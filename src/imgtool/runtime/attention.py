"""One attention call for all our nets: xformers where it really runs, torch's own elsewhere."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from imgtool.errors import BadParams, near
from imgtool.runtime.device import first_line

if TYPE_CHECKING:
    import torch

BACKENDS = ("auto", "xformers", "sdpa")
PLAIN = frozenset({"AttnProcessor", "AttnProcessor2_0", "JointAttnProcessor2_0"})
"""Attention of diffusers that its own switch to xformers leaves the same. It takes linear, rotary
and other attention for plain one, and computes something else without a word."""
log = logging.getLogger("imgtool.runtime")


@lru_cache(maxsize=8)
def probe(device: str) -> str:
    """Why xformers cannot be used on `device`; empty when a probe kernel ran and agreed."""
    if not device.startswith("cuda"):
        return "xformers needs CUDA"
    try:
        import torch
        from xformers.ops import memory_efficient_attention

        q = torch.randn(1, 16, 2, 32, device=device, dtype=torch.float16)
        got = memory_efficient_attention(q, q, q)
        want = torch.nn.functional.scaled_dot_product_attention(
            q.transpose(1, 2), q.transpose(1, 2), q.transpose(1, 2)
        ).transpose(1, 2)
        wrong = float((got - want).abs().max())
    except Exception as err:  # noqa: BLE001 - an extension built for another torch fails in many ways
        return first_line(err)
    return "" if wrong < 0.05 else f"probe kernel is off by {wrong:.2g}"


def choose(setting: str, device: str) -> str:
    """`xformers` or `sdpa` for `setting` on `device`.

    Raises
    ------
    BadParams : the setting is unknown, or demands what does not run here.
    """
    if setting not in BACKENDS:
        raise BadParams(
            f"attention {setting!r} is unknown",
            f"{near(setting, BACKENDS)}Known: {', '.join(BACKENDS)}",
        )
    if setting == "sdpa" or (setting == "auto" and not device.startswith("cuda")):
        return "sdpa"
    reason = probe(device)
    if not reason:
        return "xformers"
    if setting == "xformers":
        raise BadParams(f"xformers does not run on {device}: {reason}", "Use --attention auto")
    log.debug("attention: sdpa, because %s", reason)
    return "sdpa"


def is_plain(pipe: Any) -> bool:
    """Whether all attention of a pipeline of diffusers is such that xformers computes the same."""
    return all(
        type(module.processor).__name__ in PLAIN
        for net in pipe.components.values()
        if hasattr(net, "modules")
        for module in net.modules()
        if hasattr(module, "processor")
    )


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None = None,
    backend: str = "auto",
) -> torch.Tensor:
    """Scaled dot-product attention, softmax(q kT / sqrt(d) + mask) v.

    Parameters
    ----------
    q, k, v : [B, heads, T, d]; k and v may have another T.
    mask : additive or boolean (True is visible), broadcastable to [B, heads, Tq, Tk].
    backend : as of `--attention`; masked calls always use torch's own.

    Returns
    -------
    [B, heads, Tq, d], dtype of `q`.
    """
    import torch

    # xformers asks for masks aligned in memory to its kernel's tiles; torch's own does not.
    if mask is None and choose(backend, str(q.device)) == "xformers":
        from xformers.ops import memory_efficient_attention

        out: torch.Tensor = memory_efficient_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        ).transpose(1, 2)
        return out
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
