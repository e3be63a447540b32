"""Statistics of a set in a file: everything that the measures need, and how features were made.

A safetensors file: `mean` [D] and `covariance` [D, D] float64; `sample` [K, D] float32 and
`priorities` [K] uint64, of a uniform sample of the set; the rest is JSON in its metadata.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from imgtool.api import BadParams, InputUnreadable, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SUFFIX = ".safetensors"
# One entry of metadata: safetensors writes several in a new order every time.
ENTRY = "imgtool.statistics"
FORMAT = 1


@dataclass(frozen=True)
class Extraction:
    """How features of pictures are made. Sets are comparable when this is equal.

    Attributes
    ----------
    extractor, model : as named on the command line.
    fingerprint : of the weights and all settings.
    resolution : edge of the square that the extractor is given, pixels.
    resize : how pictures come to it.
    crops : patches of a picture; 0: the whole picture.
    crop : edge of a patch before it is resized, pixels; 0: the whole picture.
    """

    extractor: str
    model: str
    fingerprint: str
    resolution: int
    resize: str
    crops: int = 0
    crop: int = 0


@dataclass(frozen=True)
class FeatureSet:
    """A set of pictures as the measures see it.

    Attributes
    ----------
    count, skipped : features, and pictures that could not be read.
    mean, covariance : [D], [D, D] float64, unbiased.
    sample, priorities : [K, D] float32, [K] uint64; K = count where it is the whole set.
    """

    extraction: Extraction
    count: int
    skipped: int
    mean: np.ndarray
    covariance: np.ndarray
    sample: np.ndarray
    priorities: np.ndarray

    @property
    def width(self) -> int:
        """Numbers of a feature."""
        return len(self.mean)

    @property
    def has_all(self) -> bool:
        """Whether the sample is the whole set."""
        return len(self.sample) == self.count


def require_comparable(one: Extraction, two: Extraction) -> None:
    """Raises BadParams where features of two sets were made in two ways."""
    first, second = asdict(one), asdict(two)
    if one.fingerprint == two.fingerprint:
        return
    odd = [name for name in first if first[name] != second[name]]
    name = next((n for n in odd if n not in ("model", "fingerprint")), odd[0])
    raise BadParams(
        f"the two sets are not comparable: {name} is {first[name]!r} and {second[name]!r}",
        "Make both with the same --features, --model, --crops and --crop",
    )


def save(path: Path, found: FeatureSet) -> None:
    """Write a statistics file in one step.

    Raises
    ------
    StorageFull, OutputUnwritable : nothing is left behind.
    """
    from safetensors.numpy import save as to_bytes

    tensors = {name: np.ascontiguousarray(getattr(found, name)) for name in SHAPES}
    about = {"format": FORMAT, "count": found.count, "skipped": found.skipped}
    text = json.dumps({**about, **asdict(found.extraction)}, sort_keys=True)
    write_file(path, to_bytes(tensors, {ENTRY: text}))


def load(path: Path) -> FeatureSet:
    """Read a statistics file.

    Raises
    ------
    InputUnreadable : it is damaged, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(ENTRY)
            if text is None:
                raise InputUnreadable(
                    f"{str(path)!r} holds no statistics of pictures",
                    "imgtool bench fid FOLDER --save FILE.safetensors writes them",
                )
            tensors = {name: file.get_tensor(name) for name in SHAPES}
        return _checked(json.loads(text), tensors)
    except InputUnreadable:
        raise
    except (SafetensorError, OSError, TypeError, ValueError, LookupError, RecursionError) as err:
        raise InputUnreadable(
            f"{str(path)!r} is no readable statistics file: {err}", "Make it again: --save"
        ) from None


# Dimensions, by their names, and dtype of each tensor.
SHAPES = {
    "mean": ("D", np.float64),
    "covariance": ("DD", np.float64),
    "sample": ("KD", np.float32),
    "priorities": ("K", np.uint64),
}


def _checked(about: Mapping[str, Any], tensors: Mapping[str, Any]) -> FeatureSet:
    sizes: dict[str, int] = {}
    for name, (dims, dtype) in SHAPES.items():
        tensor = tensors[name]
        if tensor.dtype != dtype or tensor.ndim != len(dims):
            raise ValueError(f"{name!r} has another type or other dimensions")
        if any(sizes.setdefault(d, n) != n for d, n in zip(dims, tensor.shape, strict=True)):
            raise ValueError(f"{name!r} does not fit the others")
        if not np.isfinite(tensor).all():
            raise ValueError(f"{name!r} holds what is no number")
    covariance = tensors["covariance"]
    if not np.array_equal(covariance, covariance.T) or (covariance.diagonal() < 0).any():
        raise ValueError("'covariance' is none")
    if about["format"] != FORMAT:
        raise ValueError(f"its format is {about['format']!r}, not {FORMAT}")
    count, skipped = _whole(about, "count"), _whole(about, "skipped")
    if count < max(2, sizes["K"]) or not sizes["D"]:
        raise ValueError(f"its count is {count}, its sample {sizes['K']}")
    made: dict[str, Any] = {
        f.name: (_whole if f.type == "int" else _text)(about, f.name) for f in fields(Extraction)
    }
    return FeatureSet(Extraction(**made), count, skipped, **tensors)


def _whole(about: Mapping[str, Any], name: str) -> int:
    value = about[name]
    if type(value) is not int or value < 0:
        raise ValueError(f"{name!r} is {value!r}")
    return value


def _text(about: Mapping[str, Any], name: str) -> str:
    value = about[name]
    # Shown on terminals, which obey what is not printable.
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError(f"{name!r} is {value!r}")
    return value
