"""What a view is: examples with named layers, each a function of the view's seed and an index.

An example is computed alone, whatever it is asked for with; so a batch, a worker of a data loader
and a file on disk hold the same of it. All rays of an example are traced at once; on a CPU
more scenes at once would not be faster.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from imgtool_tabletop.views.params import DataParams

if TYPE_CHECKING:
    from collections.abc import Mapping

P = TypeVar("P", bound=DataParams)


class Kind(StrEnum):
    """How a layer is held in memory and on disk; `*` is any number of leading axes.

    picture : [*, 3, H, W] uint8, sRGB; PNG. mask : [*, H, W] bool; PNG of 0 and 255.
    labels : [*, H, W] uint8; PNG. metres : [*, H, W] float32; 16-bit PNG of tenths of millimetres.
    values : float32 of any shape; npy. numbers, text : float32 of any shape, str; in the record.
    """

    PICTURE = "picture"
    MASK = "mask"
    LABELS = "labels"
    METRES = "metres"
    VALUES = "values"
    NUMBERS = "numbers"
    TEXT = "text"


@dataclass(frozen=True)
class Layer:
    """One layer of a view; `meaning` states shape, unit and convention."""

    name: str
    kind: Kind
    meaning: str


@dataclass(frozen=True)
class Example:
    """One example: a value for each layer of its view, and a JSON record of how it came about."""

    index: int
    values: Mapping[str, Tensor | str]
    record: Mapping[str, Any]


class View(ABC, Generic[P]):
    """Examples 0, 1, 2, … of one kind.

    Attributes
    ----------
    name : its id's second part. version : bump it when examples change.
    layers : what every example holds.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    layers: ClassVar[tuple[Layer, ...]]

    def __init__(self, params: P) -> None:
        self.params = params

    @abstractmethod
    def example(self, index: int) -> Example:
        """Example `index`, the same on every call."""

    def item(self, index: int) -> dict[str, Tensor | str | int]:
        """Layers of example `index` as training takes them: pictures float32 0..1, and `index`."""
        values = self.example(index).values
        pictures = {layer.name for layer in self.layers if layer.kind is Kind.PICTURE}
        scaled = {
            name: value / 255.0 if name in pictures else value  # type: ignore[operator]
            for name, value in values.items()
        }
        return {"index": index, **scaled}

    def rng(self, index: int) -> random.Random:
        """Draws that belong to this view's example `index` alone."""
        return random.Random(f"{self.name}:{self.params.seed}:{index}")


def generator_of(rng: random.Random) -> torch.Generator:
    """A generator of tensors seeded by the next draw of `rng`."""
    return torch.Generator().manual_seed(rng.getrandbits(63))


def quantised(picture: Tensor) -> Tensor:
    """uint8 of a picture in 0..1."""
    return picture.clamp(0, 1).mul(255).round().to(torch.uint8)
