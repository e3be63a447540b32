"""First hits of rays from all over the lens: the reference that other renderers are held to.

Seen through a point of the lens, a surface is moved by its disc's radius times that point, and what
is nearer hides what is farther: slices that overlap are seen through the same points, whichever is
in focus. Slices go on under nearer ones as in `layered`. It takes time in proportion to lens points
times slices, so it is for small pictures.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import pad

from imgtool_defocus.fill import NONE, nearest
from imgtool_defocus.scatter import overlap

if TYPE_CHECKING:
    from torch import Tensor

    from imgtool_defocus.aperture import Aperture

STEP = 0.5
"""Radii of a slice differ by less, pixels; the one in focus holds all discs of up to a pixel."""
LEAST_POINTS, MOST_POINTS, POINTS_A_PIXEL = 256, 4096, 8
SEAM = 1.5
"""Shifts are whole pixels, so slices that touch may part by one more than their discs say."""


def render(linear: Tensor, coc: Tensor, aperture: Aperture) -> tuple[Tensor, Tensor]:
    """Blurred light, and the share of the lens that saw any.

    Parameters as in `imgtool_defocus.lens`; `coc` gets no gradient.
    """
    coc = coc.detach()
    points = lens_points(float(coc.abs().max()) / 2.0, aperture)
    slices = slices_of(coc)
    # The index NONE, the last, has no light and no coverage.
    seen = pad(torch.cat((linear, torch.ones_like(coc)[None])).flatten(1), (0, 1))
    total = torch.zeros_like(torch.cat((linear, coc[None])))
    for point in points.tolist():
        total += seen[:, _first_hits(slices, point)]
    return total[:-1] / total[-1].clamp_min(1.0), total[-1] / len(points)


def lens_points(radius: float, aperture: Aperture) -> Tensor:
    """[n, 2] points of the lens, several for each pixel of the widest disc, within bounds."""
    wanted = math.ceil(POINTS_A_PIXEL * math.pi * radius**2)
    return aperture.points(min(max(wanted, LEAST_POINTS), MOST_POINTS))


def slices_of(coc: Tensor) -> list[tuple[float, Tensor]]:
    """Signed radius of each slice, from far to near, and index of its pixel at every place.

    An index counts rows laid end to end and is `NONE` where the slice is not.
    """
    numbers = ((coc.abs() / 2.0 - STEP).clamp_min(0.0) / STEP).ceil() * coc.sign()
    slices = []
    for number in sorted(numbers.unique().tolist(), reverse=True):
        own = numbers == number
        radius = float(coc[own].mean()) / 2.0
        behind = (radius - coc / 2.0 + SEAM).where(numbers < number, 0.0)
        slices.append((radius if number else 0.0, nearest(own, behind)))
    return slices


def _first_hits(slices: list[tuple[float, Tensor]], point: list[float]) -> Tensor:
    """[H, W], index of the pixel that each ray through a point of the lens meets first."""
    hit = torch.full_like(slices[0][1], NONE)
    for radius, source in slices:
        to_y, from_y = overlap(round(radius * point[0]), hit.shape[0])
        to_x, from_x = overlap(round(radius * point[1]), hit.shape[1])
        moved = source[from_y, from_x]
        hit[to_y, to_x] = moved.where(moved != NONE, hit[to_y, to_x])
    return hit
