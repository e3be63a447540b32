"""The stages: sizes, opacity, passes, checkpoints, and what they refuse."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from imgtool.api import (
    ALPHA,
    BadParams,
    Batch,
    ModelUnusable,
    OutOfMemory,
    Runtime,
    in_8_bits,
)
from imgtool.cli.main import run
from imgtool_sr.community import Spandrel, SpandrelParams
from imgtool_sr.lanczos import Lanczos, LanczosParams
from imgtool_sr.sizes import passes, target_of
from imgtool_sr.tiny import save_compact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from imgtool_sr.enlarging import Enlarging


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def batch(*images: np.ndarray, **columns: Any) -> Batch:
    ids = tuple(str(at) for at in range(len(images)))
    return Batch(ids, {"image": list(images), "seed": list(range(len(ids))), **columns})


def opened(stage: Enlarging[Any], params: Any) -> Any:
    stage.open(params, Runtime(device="cpu", dtype="float32"))
    return stage


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Compact net for x2 that sees four pixels far, with weights that matter."""
    path = save_compact(tmp_path_factory.mktemp("models") / "compact.safetensors")
    weights = {name: value * 3 for name, value in load_file(path).items()}
    save_file(weights, path)
    return str(path)


@pytest.fixture(scope="module")
def spandrel(checkpoint: str) -> Iterator[Spandrel]:
    stage = opened(Spandrel(), SpandrelParams(model=checkpoint, tile=48, overlap=16))
    yield stage
    stage.close()


@pytest.mark.parametrize("scale", [1, 1.5, 2, 3, 4, 0.5])
def test_every_size_is_rounded_half_up(scale: float) -> None:
    stage = opened(Lanczos(), LanczosParams(scale=scale))
    for height in range(1, 41):
        made = stage.process(batch(picture(height, 41 - height))).arrays("image")[0]
        want = [max(1, int(side * scale + 0.5)) for side in (height, 41 - height)]
        assert list(made.shape) == [*want, 3]


def test_lanczos_is_pillows_and_says_so() -> None:
    image = picture(9, 14)
    made = opened(Lanczos(), LanczosParams()).process(batch(image))
    expected = Image.fromarray(image).resize((28, 18), Image.Resampling.LANCZOS)

    assert (made.arrays("image")[0] == np.asarray(expected)).all()
    assert made["sr"][0] == {"model": "lanczos", "from": [14, 9], "to": [28, 18]}


@pytest.mark.parametrize(("have", "want", "native", "runs"), [
    ((10, 10), (20, 20), 2, 1), ((10, 10), (21, 20), 2, 2), ((10, 10), (80, 80), 2, 2),
    ((10, 10), (5, 5), 4, 1), ((10, 10), (160, 160), 4, 2), ((10, 10), (99, 99), 1, 1),
])  # fmt: skip
def test_a_net_runs_as_often_as_needed_and_twice_at_most(
    have: tuple[int, int], want: tuple[int, int], native: int, runs: int
) -> None:
    assert passes(have, want, native) == runs


@pytest.mark.parametrize(("scale", "size", "reason"), [
    (2.0, "4x4", "two things"), (None, "4", "WxH"), (None, "0x4", "WxH"), (None, "4x-4", "WxH"),
])  # fmt: skip
def test_sizes_that_mean_nothing_are_refused(scale: float | None, size: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        target_of(scale, size)
    with pytest.raises(BadParams, match=reason):
        opened(Lanczos(), LanczosParams(scale=scale, size=size))


def test_opacity_comes_along_and_what_is_opaque_stays_so() -> None:
    alpha = np.ones((6, 20), dtype=np.float32)
    alpha[:, :8] = 0
    made = opened(Lanczos(), LanczosParams(scale=3)).process(
        batch(picture(6, 20), picture(6, 20), alpha=[alpha, None])
    )
    wide = made.arrays(ALPHA.name)[0]

    assert wide.shape == (18, 60)
    assert (wide[:, :12].max(), wide[:, 36:].min()) == (0, pytest.approx(1, abs=1e-6))
    assert made[ALPHA.name][1] is None


@pytest.mark.parametrize("colour_fix", ["none", "wavelet", "adain", "ycbcr"])
def test_sixteen_bits_stay_sixteen_whatever_enlarges(checkpoint: str, colour_fix: Any) -> None:
    deep = np.linspace(9000, 10999, 16 * 64 * 3).astype(np.uint16).reshape(16, 64, 3)
    row = batch(in_8_bits(deep), deep=[deep])
    nets = SpandrelParams(model=checkpoint, tile=48, overlap=16, colour_fix=colour_fix)
    for stage in (opened(Lanczos(), LanczosParams(scale=3)), opened(Spandrel(), nets)):
        made = stage.process(row)
        image, fine = made.arrays("image")[0], made.arrays("deep")[0]

        assert len(np.unique(fine)) > 256
        assert (in_8_bits(fine) == image).all()


def test_bits_that_no_longer_belong_to_the_picture_are_left_out() -> None:
    made = opened(Lanczos(), LanczosParams()).process(
        batch(picture(6, 5), deep=[np.zeros((6, 5, 3), dtype=np.uint16)])
    )
    assert made.arrays("image")[0].any()
    assert made["deep"][0] is None


def test_a_row_too_large_fails_and_the_others_go_on() -> None:
    stage = opened(Lanczos(), LanczosParams(scale=10, max_megapixels=0.01))
    made = stage.process(batch(picture(5, 5), picture(50, 50)))

    assert made.ids == ("0",)
    assert "500×500 pixels" in made.failures["1"].reason


def test_tiles_of_a_checkpoint_equal_the_whole(spandrel: Spandrel, checkpoint: str) -> None:
    image = picture(101, 75)
    whole = opened(Spandrel(), SpandrelParams(model=checkpoint, tile=128))
    apart, together = (stage.process(batch(image)) for stage in (spandrel, whole))
    difference = np.abs(apart.arrays("image")[0].astype(int) - together.arrays("image")[0])

    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3
    assert together.arrays("image")[0].std() > 20
    assert apart["sr"][0]["tiles_equal_whole"] is True  # type: ignore[index,call-overload]


def test_a_checkpoint_does_what_spandrel_does(spandrel: Spandrel) -> None:
    image = picture(20, 20)
    pixels = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
    expected = spandrel.found(pixels)[0].permute(1, 2, 0).mul(255).round().byte().numpy()
    made = spandrel.process(batch(image)).arrays("image")[0]

    assert np.abs(made.astype(int) - expected).max() <= 1


def test_a_row_is_the_same_alone_and_beside_others(spandrel: Spandrel) -> None:
    images = [picture(31, 70), picture(1, 1), picture(64, 9)]
    together = spandrel.process(batch(*images)).arrays("image")
    for image, made in zip(images, together, strict=True):
        alone = spandrel.process(batch(image)).arrays("image")[0]
        assert np.abs(alone.astype(int) - made).max() <= 1


def test_other_sizes_come_by_passes_and_resampling(checkpoint: str) -> None:
    stage = opened(Spandrel(), SpandrelParams(model=checkpoint, size="50x33", tile=64, overlap=0))
    made = stage.process(batch(picture(10, 12)))

    assert made.arrays("image")[0].shape == (33, 50, 3)
    assert made["sr"][0]["passes"] == 2  # type: ignore[index,call-overload]


@pytest.mark.parametrize("size", ["25x21", "40x12", "13x40", "48x40"])
def test_nothing_on_the_way_is_larger_than_the_result_by_a_pixel_of_the_net(
    checkpoint: str, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    stage = opened(Spandrel(), SpandrelParams(model=checkpoint, size=size, tile=64, overlap=0))
    once, made = stage._once, []
    monkeypatch.setattr(stage, "_once", lambda *given: made.append(once(*given)) or made[-1])
    result = stage.process(batch(picture(10, 12))).arrays("image")[0]

    assert len(made) == 2
    for side in (0, 1):
        assert made[-1].shape[side] < result.shape[side] + 2


def test_progress_is_told_over_rows_and_tiles(spandrel: Spandrel) -> None:
    told: list[tuple[int, int]] = []
    spandrel.runtime.watch(lambda done, total: told.append((done, total)))
    spandrel.process(batch(picture(80, 40), picture(80, 40)))

    assert told[-1] == (4, 4)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_tiles_are_halved_when_memory_runs_out(
    checkpoint: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stage = opened(Spandrel(), SpandrelParams(model=checkpoint, tile=256, overlap=16))
    whole = stage._run

    def small_alone(pixels: torch.Tensor) -> torch.Tensor:
        if pixels.shape[-1] > 70:
            raise MemoryError
        return whole(pixels)

    monkeypatch.setattr(stage, "_run", small_alone)
    made = stage.process(batch(picture(80, 300)))

    assert made.arrays("image")[0].shape == (160, 600, 3)
    assert stage.tile_edge == 64
    assert "tiles of 64 pixels" in caplog.text
    monkeypatch.setattr(stage, "_run", lambda pixels: torch.empty(10**15))
    with pytest.raises(OutOfMemory):
        stage.process(batch(picture(80, 300)))


@pytest.mark.parametrize(("deterministic", "edges"), [(True, {192}), (False, {64, 512})])
def test_tiles_do_not_depend_on_free_memory_where_bits_must_not(
    deterministic: bool, edges: set[int], checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Spandrel()
    stage.open(
        SpandrelParams(model=checkpoint, overlap=16),
        Runtime("cpu", "float32", deterministic=deterministic),
    )
    found = set()
    for free in (1 << 20, 1 << 40):
        report = SimpleNamespace(available_bytes=free)
        monkeypatch.setattr(Runtime, "device_report", lambda self, report=report: report)
        found.add(stage.fitting_tile())

    assert found == edges


def test_numbers_that_are_none_fail_their_row(
    checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = opened(Spandrel(), SpandrelParams(model=checkpoint, tile=64, overlap=0))
    monkeypatch.setattr(stage, "_run", lambda pixels: torch.full((1, 3, 20, 20), torch.nan))

    assert "NaN" in stage.process(batch(picture(10, 10))).failures["0"].reason


def test_a_net_of_one_channel_runs_on_each_when_asked(tmp_path: Path) -> None:
    path = str(save_compact(tmp_path / "grey.safetensors", channels=1))
    with pytest.raises(ModelUnusable, match="one channel"):
        opened(Spandrel(), SpandrelParams(model=path))
    stage = opened(Spandrel(), SpandrelParams(model=path, per_channel=True, tile=64, overlap=0))
    red = np.zeros((8, 8, 3), dtype=np.uint8)
    red[..., 0] = 200
    made = stage.process(batch(red)).arrays("image")[0]

    assert made[..., 0].mean() > made[..., 1].mean() + 100


def test_what_is_no_upscaler_is_refused(tmp_path: Path) -> None:
    save_file({"some.weight": torch.zeros(3)}, tmp_path / "odd.safetensors")
    torch.save({}, tmp_path / "net.pth")
    for model, reason in (
        (tmp_path / "odd.safetensors", "no architecture"),
        (tmp_path / "net.pth", "pickle"),
        (tmp_path / "none.safetensors", "does not exist"),
        ("", "no checkpoint is named"),
    ):
        with pytest.raises(ModelUnusable, match=reason):
            opened(Spandrel(), SpandrelParams(model=str(model)))


def test_layers_that_see_whole_pictures_are_named() -> None:
    from imgtool_sr.checkpoints import whole_picture_layers

    net = torch.nn.Sequential(torch.nn.GroupNorm(1, 3), torch.nn.AdaptiveAvgPool2d(1))

    assert whole_picture_layers(net) == ["AdaptiveAvgPool2d", "GroupNorm"]


def test_the_command_enlarges_a_cut_out_and_keeps_it_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGTOOL_PLUGINS", "imgtool-sr")
    cut = Image.fromarray(picture(12, 10)).convert("RGBA")
    cut.putalpha(Image.linear_gradient("L").resize((10, 12)))
    cut.save("cut.png")
    Image.fromarray(picture(9, 9)).save("cut-off.png")
    whole = (tmp_path / "cut-off.png").read_bytes()
    (tmp_path / "cut-off.png").write_bytes(whole[: len(whole) // 2])

    assert run(["sr", "cut.png", "-s", "4", "-o", "big.png"]) == 0
    with Image.open("big.png") as shown:
        assert (shown.size, shown.mode) == ((40, 48), "RGBA")
    assert run(["sr", "cut.png", "-s", "0", "-o", "no.png"]) == 2
    assert "'scale' must be" in capfd.readouterr().err
    assert run(["sr", "cut-off.png", "-o", "no.png"]) == 2
    assert "no readable picture" in capfd.readouterr().err
