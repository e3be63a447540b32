"""Maps of numbers, such as depth, in files: PNG of 16 bits, NPY, PFM.

A PNG says in a text chunk what its greys mean: grey 0 is a hole, 1 to 65535 go evenly from `low` to
`high`, or from their inverses for metres, of which near ones matter most. So metric depth comes
back metric, and other programs see a picture.
"""

from __future__ import annotations

import io
import json
import re
from typing import TYPE_CHECKING, Any

from imgtool.errors import InputUnreadable, OutputUnwritable
from imgtool.fields import KNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from PIL.Image import Image

CHUNK, DEEPEST, COMPRESSION = "imgtool-map", 65535, 6
PFM = re.compile(rb"(PF|Pf)\s+(\d{1,6})\s+(\d{1,6})\s+(-?\d+\.?\d*(?:[eE][-+]?\d+)?)\s")


def encode_map(
    values: np.ndarray,
    name: str,
    format_: str,
    about: Mapping[str, Any],
    compression: int = COMPRESSION,
) -> bytes:
    """Bytes of a file that holds the array field `name`; equal arguments give equal bytes.

    Parameters
    ----------
    values : [H, W] for PNG, with [H, W, 3] for PFM, any for NPY.
    format_ : `PNG`, `NPY` or `PFM`.
    about : the row's scalars; those named after the field, such as `depth_kind`, go into the PNG.
    compression : of PNG, 0 to 9.

    Raises
    ------
    OutputUnwritable : the format does not hold such an array.
    """
    import numpy as np

    if format_ == "NPY":
        out = io.BytesIO()
        np.save(out, values, allow_pickle=False)
        return out.getvalue()
    if format_ == "PFM" and (values.ndim == 2 or values.shape[2:] == (3,)):
        kind = b"Pf" if values.ndim == 2 else b"PF"
        head = b"%s\n%d %d\n-1.0\n" % (kind, values.shape[1], values.shape[0])
        return head + values[::-1].astype("<f4").tobytes()
    if format_ == "PNG" and values.ndim == 2:
        return _png(values.astype(np.float64), name, about, compression)
    raise OutputUnwritable(
        f"{format_} does not hold {name}, {'×'.join(map(str, values.shape))} numbers",
        "Write .npy, or .png and .pfm for maps",
    )


def _png(values: np.ndarray, name: str, about: Mapping[str, Any], compression: int) -> bytes:
    import numpy as np
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    said = {key: about[key] for key in KNOWN if key.startswith(f"{name}_") and about.get(key)}
    inverse = said.get("depth_kind") == "metric"
    with np.errstate(divide="ignore"):
        coded = 1.0 / values if inverse else values
    known = np.isfinite(coded) & np.isfinite(values)
    low, high = (coded[known].min(), coded[known].max()) if known.any() else (0.0, 0.0)
    share = np.where(known, (coded - low) / max(high - low, np.finfo(float).tiny), 0.0)
    greys = np.where(known, 1 + np.rint(share * (DEEPEST - 1)), 0).astype(np.uint16)
    record = {"field": name, "low": float(low), "high": float(high), "inverse": inverse, **said}
    chunks = PngInfo()
    chunks.add_itxt(CHUNK, json.dumps(record, sort_keys=True))
    out = io.BytesIO()
    Image.fromarray(greys).save(out, "PNG", pnginfo=chunks, compress_level=compression)
    return out.getvalue()


def decode_png(picture: Image, name: str) -> tuple[np.ndarray, dict[str, str]] | None:
    """[H, W] float32 of a picture that says it holds the field `name`, NaN where it has a hole.

    With it come the texts that belong to the field, such as `depth_kind`. None: it says nothing.

    Raises
    ------
    InputUnreadable : what it says is damaged.
    """
    import numpy as np

    if CHUNK not in picture.info:
        return None
    try:
        record = json.loads(str(picture.info[CHUNK]))
        low, high, inverse = float(record["low"]), float(record["high"]), bool(record["inverse"])
        is_ours = record["field"] == name and picture.mode.startswith("I")
        said = {
            key: str(record[key]) for key in KNOWN if key.startswith(f"{name}_") & (key in record)
        }
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputUnreadable("the picture says in a damaged record what its greys mean") from None
    if not is_ours:
        return None
    greys = np.asarray(picture, dtype=np.float64)
    values = low + (greys - 1) / (DEEPEST - 1) * (high - low)
    with np.errstate(divide="ignore"):
        values = 1.0 / values if inverse else values
    return np.where(greys > 0, values, np.nan).astype(np.float32), said


def read_pfm(path: Path, data: bytes) -> np.ndarray:
    """[H, W] or [H, W, 3] float32 of a PFM file's bytes.

    Raises
    ------
    InputUnreadable : it is none, or is cut.
    """
    import numpy as np

    head = PFM.match(data)
    if head is None:
        raise InputUnreadable(f"{str(path)!r} is no PFM file")
    width, height = int(head[2]), int(head[3])
    shape = (height, width, 3) if head[1] == b"PF" else (height, width)
    body = data[head.end() :]
    if len(body) != 4 * int(np.prod(shape)):
        raise InputUnreadable(f"{str(path)!r} is cut or longer than its header says")
    order = "<f4" if head[4].startswith(b"-") else ">f4"
    return np.frombuffer(body, order).reshape(shape)[::-1].astype(np.float32)
