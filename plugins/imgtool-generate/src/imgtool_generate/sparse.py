"""2:4 weights on the sparse tensor cores of NVIDIA's GPUs, layer by layer, where that is faster.

A layer decides at its first call, by the input that it is then given: both kernels are timed, and
the sparse one stays where it is faster and gives what the dense one gives, up to rounding.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from imgtool.api import BadParams

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgtool.api import Runtime

log = logging.getLogger("imgtool.generate")
# Smaller ones, and other multiples, have no kernel in CUTLASS.
ROWS, COLUMNS = 32, 64
WARM_UPS, REPEATS = 3, 20
# In units of the last place, of the whole output: both kernels add in float32, and round.
TOLERANCE = 4


def compressed(weight: Tensor) -> Tensor:
    """A 2:4 weight in the form that CUDA's sparse kernels take."""
    message = "The PyTorch API of SparseSemiStructuredTensor is in prototype"
    warnings.filterwarnings("ignore", message=message)
    return torch.sparse.to_sparse_semi_structured(weight)


def device_seconds(call: Callable[[], Tensor]) -> float:
    """Mean time of `call` on the current CUDA device."""
    for _ in range(WARM_UPS):
        call()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(REPEATS):
        call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000 / REPEATS


@dataclass(frozen=True)
class Kernels:
    """What a layer chooses by.

    Attributes
    ----------
    compress : from a 2:4 weight [R, d] to one that `linear` takes to sparse kernels.
    seconds : how long a call takes.
    """

    compress: Callable[[Tensor], Tensor] = compressed
    seconds: Callable[[Callable[[], Tensor]], float] = device_seconds

    def choose(self, layer: nn.Linear, x: Tensor) -> bool:
        """Whether the weight was replaced, `x` being the layer's input."""
        dense, bias = layer.weight, layer.bias
        sparse = nn.Parameter(self.compress(dense.detach()), requires_grad=False)
        want, got = (linear(x, weight, bias).float() for weight in (dense, sparse))
        off = float((got - want).norm() / want.norm())
        if not off <= TOLERANCE * torch.finfo(dense.dtype).eps:
            log.warning("a sparse kernel is off by %.1e: the layer stays dense", off)
            return False
        times = [self.seconds(partial(linear, x, weight, bias)) for weight in (dense, sparse)]
        if times[1] >= times[0]:
            return False
        layer.weight = sparse
        return True


def use_sparse_kernels(net: nn.Module, kernels: Kernels | None = None) -> int:
    """Have each 2:4 layer of `net` choose at its first call; how many there are."""
    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear) and fits(layer)]
    for layer in layers:
        _choose_at_first_call(layer, kernels or Kernels())
    return len(layers)


def fits(layer: nn.Linear) -> bool:
    """Whether two of every four neighbours in each row are zero, in a shape that has kernels."""
    rows, columns = layer.weight.shape
    if rows % ROWS or columns % COLUMNS:
        return False
    kept = (layer.weight.detach().unflatten(1, (-1, 4)) != 0).sum(-1)
    return int(kept.max()) <= 2


def _choose_at_first_call(layer: nn.Linear, kernels: Kernels) -> None:
    def choose(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        chosen = kernels.choose(layer, inputs[0])
        handle.remove()  # not before: where memory ran out, the next try chooses
        shape = "x".join(map(str, layer.weight.shape))
        log.info("%s: %s kernel for %s", shape, "sparse" if chosen else "dense", inputs[0].shape)

    handle = layer.register_forward_pre_hook(choose)


def check_sparse_kernels(offload: str, runtime: Runtime) -> None:
    """Refuse what these kernels cannot do.

    Raises
    ------
    BadParams : another device or number format, offloading, or the same bytes every time.
    """
    device = runtime.torch_device
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 0):
        raise BadParams(
            f"sparse kernels do not run on {device}", "They need an NVIDIA GPU, Ampere or newer"
        )
    if runtime.torch_dtype not in (torch.float16, torch.bfloat16):
        raise BadParams("sparse kernels need half precision", "Say --dtype float16 or bfloat16")
    if offload != "none":
        raise BadParams("weights in sparse form stay on the device", "Leave offload out")
    if runtime.deterministic:
        raise BadParams("a clock chooses sparse kernels, not twice the same", "Leave one out")
