"""Slices against rays through a lens: of formulas, and of the tabletop world's own renderer."""

from __future__ import annotations

import pytest
import solids
import torch
from planes import psnr
from torch import Tensor

from imgtool_defocus import gather, layered
from imgtool_defocus.aperture import Aperture
from imgtool_defocus.lens import framed
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.world import batch, lens, render
from imgtool_tabletop.world.sample import BROAD

ROUND = Aperture()
LEAST = {1.4: 37.5, 2.0: 37.5, 3.0: 35.0, 6.0: 36.5}
STEP = 0.08
"""Of inverse depth between neighbours, 1/m: an edge."""


def near_edges(depth: Tensor, reach: float) -> Tensor:
    """Pixels within `reach` of a step in depth."""
    inverse = 1.0 / depth
    edge = torch.zeros_like(depth)
    for axis in (0, 1):
        steps = (inverse.diff(dim=axis).abs() > STEP).double()
        for shift in (0, 1):
            edge.narrow(axis, shift, steps.shape[axis]).add_(steps)
    side = int(reach)
    line = torch.arange(-side, side + 1, dtype=torch.float64)
    disc = (torch.hypot(line[:, None], line) <= reach).double()[None, None]
    return torch.nn.functional.conv2d(edge[None, None], disc, padding=side)[0, 0] > 0.5


@pytest.mark.slow  # the reference takes half a minute
@pytest.mark.parametrize("focus", LEAST)
def test_slices_show_solids_as_rays_do(focus: float) -> None:
    light, depth = solids.sharp()
    traced, coc = solids.traced(focus), solids.coc(depth, focus)
    band = near_edges(depth, float(coc.abs().max()) / 2 + 1)
    ours, gathered = (framed(m, light, coc, ROUND) for m in (layered.render, gather.render))

    assert psnr(ours, traced) >= LEAST[focus]
    assert psnr(ours[:, band], traced[:, band]) >= psnr(gathered[:, band], traced[:, band]) + 3.0


SIZE, APERTURE_M = 96, 0.03


@pytest.mark.parametrize("index", [1, 3, 7])
def test_slices_show_the_tabletop_as_its_own_lens_does(index: int) -> None:
    scene = scene_at(5, index, BROAD, held_out=True)
    scenes = batch.gather([scene])
    depth = render.measure(scenes, SIZE).depth[0].double()
    focus_m = float(depth[SIZE // 2, SIZE // 2])
    strength = APERTURE_M * SIZE / (2 * scene.camera.tan_half)
    coc = strength * (1 / focus_m - 1 / depth)
    # Its pictures are coded by a plain power.
    linear = render.render([scene], SIZE, samples=3)[0].double().pow(2.2)
    traced = lens.render_thin_lens(scenes, focus_m, APERTURE_M / 2, SIZE, lens_points=48)[0]
    ours, gathered = (
        psnr(render.encode_srgb(framed(m, linear, coc, ROUND)), traced)
        for m in (layered.render, gather.render)
    )

    assert ours >= 36.0
    assert ours > gathered
