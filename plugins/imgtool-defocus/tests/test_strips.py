"""A picture in strips, where memory runs out, is the picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import torch
from planes import CENTRE, Planes

from imgtool.api import OutOfMemory, Runtime
from imgtool_defocus import gather, layered, scatter, trace
from imgtool_defocus.aperture import Aperture
from imgtool_defocus.lens import framed
from imgtool_defocus.strips import Strips

if TYPE_CHECKING:
    from torch import Tensor

    from imgtool_defocus.lens import LensModel

ROUND = Aperture()


@dataclass
class Small:
    """A lens model in memory that holds pictures of `most` rows; `asked` is what it was given."""

    model: LensModel
    most: int
    asked: list[int] = field(default_factory=list)

    def __call__(self, linear: Tensor, coc: Tensor, aperture: Aperture) -> tuple[Tensor, Tensor]:
        self.asked.append(len(coc))
        if len(coc) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.model(linear, coc, aperture)


def picture() -> tuple[Tensor, Tensor]:
    """A disc out of focus before a wall out of focus."""
    return Planes(1.5, 6, 2.6).sharp()


def in_strips(model: LensModel, most: int) -> tuple[Tensor, list[int]]:
    """The picture, by a model that holds few rows, and rows of what it was asked for."""
    small = Small(model, most)
    return framed(Strips(small, Runtime("cpu").halving), *picture(), ROUND), small.asked


@pytest.mark.parametrize("model", [gather.render, scatter.render, trace.render])
def test_strips_are_the_whole_to_the_last_digit(model: LensModel) -> None:
    whole = framed(model, *picture(), ROUND)
    parts, asked = in_strips(model, 90)

    assert max(asked[2:]) <= 90
    assert (parts - whole).abs().max() <= 1e-12


def test_slices_of_strips_are_those_of_the_whole_but_for_their_means() -> None:
    light, coc = picture()
    floor = torch.linspace(-9, 9, len(coc), dtype=torch.float64)[:, None].where(coc > 0, coc)
    whole = framed(layered.render, light, floor, ROUND)
    parts = framed(Strips(Small(layered.render, 90), Runtime("cpu").halving), light, floor, ROUND)

    assert 0 < (parts - whole).abs().max() < 1e-3


def test_what_fits_is_rendered_at_once() -> None:
    whole = framed(layered.render, *picture(), ROUND)
    parts, asked = in_strips(layered.render, 1000)

    assert len(asked) == 1
    assert asked[0] > 2 * CENTRE
    assert torch.equal(parts, whole)


def test_a_strip_that_does_not_fit_is_said_to() -> None:
    with pytest.raises(OutOfMemory):
        in_strips(gather.render, 20)
