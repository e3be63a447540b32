"""How much memory there is, and going on with less when it runs out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from imgtool.errors import OutOfMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")
log = logging.getLogger("imgtool.runtime")

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")


def available_bytes(device: str = "cpu") -> int:
    """Memory that can still be taken on `device`; 0 when it cannot be known.

    On the CPU the smaller of what the machine and what the container has left.
    """
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    known = [count for count in (_machine_bytes(), _container_bytes()) if count is not None]
    return min(known, default=0)


def _machine_bytes() -> int | None:
    try:
        lines = MEMINFO.read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else None


def _container_bytes() -> int | None:
    try:
        limit = (CGROUP / "memory.max").read_text().strip()
        used = int((CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    return max(0, int(limit) - used) if limit.isdigit() else None


def is_out_of_memory(err: BaseException) -> bool:
    """Whether `err` means that memory ran out, on any device."""
    if isinstance(err, MemoryError) or type(err).__name__ == "OutOfMemoryError":
        return True
    text = str(err).lower()
    return isinstance(err, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text
    )


def halving(
    compute: Callable[[Sequence[T]], Sequence[R]], rows: Sequence[T], size: int = 0
) -> list[R]:
    """`compute` over all `rows`, at most `size` at once, half as many whenever memory runs out.

    Parameters
    ----------
    compute : takes some rows, gives one result for each, in order; called again after a failure.
    size : rows at once to begin with; 0: all.

    Raises
    ------
    OutOfMemory : one row alone does not fit.
    """
    size = max(1, min(size or len(rows), len(rows)))
    results: list[R] = []
    while len(results) < len(rows):
        part = rows[len(results) : len(results) + size]
        try:
            results += compute(part)
        except Exception as err:
            if not is_out_of_memory(err):
                raise
            if len(part) == 1:
                raise OutOfMemory(
                    "one row alone does not fit in memory",
                    "Try a smaller picture, --dtype bfloat16, or offload",
                ) from err
            size = (len(part) + 1) // 2
        else:
            continue
        # Outside the handler: the traceback there still holds the tensors that did not fit.
        log.info("memory ran out: going on with %d rows at once", size)
        release_cached()
    return results


def release_cached() -> None:
    """Give memory that torch keeps for later back to the device."""
    import gc
    import sys

    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
