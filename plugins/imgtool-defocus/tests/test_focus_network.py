"""The focus network, its averages of depth and the lens that it is trained through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from imgtool_defocus.aperture import Aperture
from imgtool_defocus.auto.config import SIZES, FocusConfig, write_config
from imgtool_defocus.auto.distance import focus_distance
from imgtool_defocus.auto.network import FocusNet, load_focus, save_focus
from imgtool_defocus.auto.opened import FLOOR_PX, margin_of, opened
from imgtool_defocus.auto.quality import hits
from imgtool_defocus.gather import render
from imgtool_defocus.light import decode_srgb, encode_srgb

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool_defocus.auto.config import Average

NEAR_FAR = torch.tensor([[[1.0, 10.0]]])
EVERY: tuple[Average, ...] = ("depth", "disparity", "median")


@pytest.fixture(scope="module")
def net() -> FocusNet:
    torch.manual_seed(3)
    return FocusNet(SIZES["tiny"])


def scene(height: int = 20, width: int = 30) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    code = torch.rand(2, 3, height, width, generator=generator)
    return code, 0.5 + torch.rand(2, height, width, generator=generator)


@pytest.mark.parametrize("average", EVERY)
def test_saliency_on_one_pixel_gives_its_depth(average: Average) -> None:
    depth = 0.5 + torch.rand(1, 6, 7, generator=torch.Generator().manual_seed(1))
    m = torch.full_like(depth, -40.0)
    m[0, 2, 3] = 40.0

    assert focus_distance(m, depth, average).item() == pytest.approx(depth[0, 2, 3].item())


def test_even_saliency_gives_the_mean_and_halves_give_what_each_average_says() -> None:
    even = torch.zeros_like(NEAR_FAR)
    found = {average: focus_distance(even, NEAR_FAR, average).item() for average in EVERY}

    assert found["depth"] == pytest.approx(5.5)
    assert found["disparity"] == pytest.approx(2 / 1.1)
    assert found["median"] in (1.0, 10.0)


@pytest.mark.parametrize("average", EVERY)
def test_pixels_without_depth_do_not_count(average: Average) -> None:
    depth = torch.tensor([[[1.0, torch.nan, 0.0, torch.inf]]])
    m = torch.tensor([[[0.0, 9.0, 9.0, 9.0]]])

    assert focus_distance(m, depth, average).item() == 1.0


def test_gradients_reach_network_and_picture_and_not_the_depth(net: FocusNet) -> None:
    code, depth = scene()
    code.requires_grad_()
    raw = depth.clone().requires_grad_()
    m, scale = net(code, raw)
    (focus_distance(m, depth, "disparity").sum() + scale.sum()).backward()  # type: ignore[no-untyped-call]

    assert code.grad is not None
    assert bool(code.grad.any())
    assert raw.grad is None
    assert all(w.grad is not None for w in net.parameters())


def test_saliency_has_the_pictures_size_and_knows_no_unit_of_depth(net: FocusNet) -> None:
    code, depth = scene(33, 50)
    with torch.no_grad():
        (m, scale), (again, _) = net(code, depth), net(code, 40.0 * depth)

    assert m.shape == (2, 33, 50)
    assert scale.tolist() == [1.0, 1.0]
    assert torch.allclose(m, again, atol=1e-4)


def test_a_saved_network_is_the_same_to_half_precision(net: FocusNet, tmp_path: Path) -> None:
    save_focus(net, tmp_path)
    read = load_focus(tmp_path)

    assert read.config == net.config
    assert all(
        torch.equal(mine.half(), theirs.half())
        for mine, theirs in zip(net.parameters(), read.parameters(), strict=True)
    )


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no config\.json"):
        load_focus(tmp_path)
    (tmp_path / "config.json").write_text('{"architecture": "GLPN"}')
    with pytest.raises(ValueError, match="of no FocusNet"):
        load_focus(tmp_path)
    write_config(FocusConfig(16, (8, 8, 8), 2, 2), tmp_path)
    with pytest.raises(ValueError, match="weights cannot be read"):
        load_focus(tmp_path)
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="weights cannot be read"):
        load_focus(tmp_path)


def test_pictures_opened_together_are_as_if_alone() -> None:
    code, depth = scene()
    coc, margin = 8.0 * (depth - 0.8), margin_of(4.0)
    together = opened(code, coc, 4.0)
    inside = (slice(None), slice(margin, -margin), slice(margin, -margin))

    assert together.shape == (2, 3, 20 - 2 * margin, 30 - 2 * margin)
    for at in range(2):
        light, _ = render(
            decode_srgb(code[at]), coc[at].clamp(-4.0, 4.0), Aperture(), floor_px=FLOOR_PX
        )
        assert torch.allclose(together[at], encode_srgb(light)[inside], atol=1e-6)


def test_the_focus_is_on_a_subject_when_it_lies_within_it() -> None:
    pictures = {"image": torch.zeros(3, 2, 2), "depth": torch.ones(2, 2)}
    bodies = {"nearest_m": torch.tensor([1.0, 2.0]), "farthest_m": torch.tensor([1.2, 2.5])}
    labels = torch.tensor([[0, 1], [1, 2]]), torch.tensor([[0, 1], [2, 2]])
    scenes = [{**pictures, **bodies, "labels": some} for some in labels]

    assert hits(lambda code, depth: 1.1, scenes) == (0.5, 1.0)
    assert hits(lambda code, depth: 1.5, scenes) == (0.0, 0.0)
