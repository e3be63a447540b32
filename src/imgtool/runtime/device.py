"""Which device and which number format to compute with. Torch is imported only when asked."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from imgtool.errors import BadParams, near

if TYPE_CHECKING:
    import torch

DTYPES = ("auto", "float32", "float16", "bfloat16")
DEVICES = ("auto", "cpu", "cuda", "mps", "xpu")


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def torch_device(name: str) -> torch.device:
    """The device of that name; `auto` takes the first of CUDA, MPS and CPU that works.

    Raises
    ------
    BadParams : no such device, or this machine has none.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind = name.split(":", 1)[0]
    if kind not in DEVICES:
        raise BadParams(
            f"device {name!r} is unknown", f"{near(kind, DEVICES)}Known: {', '.join(DEVICES)}"
        )
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, ImportError) as err:
        raise BadParams(f"device {name!r} does not work on this machine", first_line(err)) from err
    return device


def torch_dtype(name: str, device: torch.device, deterministic: bool = False) -> torch.dtype:
    """The dtype of that name; `auto` is float32 on the CPU and half precision on accelerators.

    Raises
    ------
    BadParams : no such dtype.
    """
    import torch

    if name not in DTYPES:
        raise BadParams(
            f"dtype {name!r} is unknown", f"{near(name, DTYPES)}Known: {', '.join(DTYPES)}"
        )
    if name != "auto":
        dtype: torch.dtype = getattr(torch, name)
        return dtype
    if device.type == "cpu" or deterministic:
        return torch.float32
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return torch.float16


def make_deterministic() -> None:
    """Ask torch for the same bytes every time. Operations without such a kernel only warn."""
    import torch

    # cuBLAS reads this when its first handle is made; later it has no effect.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def first_line(err: BaseException) -> str:
    """The first line of an error's text, or its class name."""
    text = str(err).strip()
    return text.splitlines()[0] if text else type(err).__name__


@dataclass(frozen=True)
class DeviceReport:
    """What computing uses, for `imgtool doctor` and for the record of a run.

    Attributes
    ----------
    device, dtype, attention : as resolved.
    name : the device's own name; empty on the CPU.
    threads : threads that torch uses on the CPU; results may depend on it.
    torch : version of torch.
    available_bytes : free memory of the device, now.
    """

    device: str
    dtype: str
    attention: str
    name: str
    threads: int
    torch: str
    available_bytes: int

    def as_dict(self) -> dict[str, object]:
        """The report as plain values."""
        return asdict(self)
