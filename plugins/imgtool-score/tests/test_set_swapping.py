"""pFID: codes swapped for near ones, and the distance of what comes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tiny_scorers import pictures

from imgtool.api import BadParams, ModelUnusable, Runtime
from imgtool_score.sets.comparing import Comparison
from imgtool_score.sets.reconstructing import load_autoencoder
from imgtool_score.sets.request import Measure, Request
from imgtool_score.sets.swapping import NONE, Swap, swapped

if TYPE_CHECKING:
    from pathlib import Path

N, V, D = 4000, 40, 6


def drawn(swap: Swap, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Indices of codes, and the squared distances [N, V] that they are to follow."""
    generator = torch.Generator().manual_seed(9)
    z = torch.randn(N, D, generator=generator)
    c = torch.randn(V, D, generator=generator)
    apart = (z[:, None] - c).square().sum(-1)
    return swapped(z, c, swap, torch.Generator().manual_seed(seed)), apart


@pytest.mark.parametrize("swap", [NONE, Swap(0.0, 10), Swap(1.0, 1)])
def test_no_code_is_swapped_without_chance_or_choice(swap: Swap) -> None:
    indices, apart = drawn(swap)
    assert torch.equal(indices, apart.argmin(1))


def test_codes_are_drawn_evenly_from_the_nearest() -> None:
    indices, apart = drawn(Swap(1.0, 5))
    rank = (apart < apart.gather(1, indices[:, None])).sum(1)
    counts = torch.bincount(rank, minlength=5).double()
    assert len(counts) == 5
    assert ((counts - N / 5).abs() < 4 * (N * 0.2 * 0.8) ** 0.5).all()


def test_share_that_changes_is_that_of_the_paper() -> None:
    alpha, delta = 0.5, 10
    indices, apart = drawn(Swap(alpha, delta))
    changed = (indices != apart.argmin(1)).double().mean()
    p = alpha * (delta - 1) / delta
    assert abs(changed - p) < 3 * (p * (1 - p) / N) ** 0.5


def test_the_same_draws_lie_further_as_alpha_grows() -> None:
    means = []
    for alpha in (0.0, 0.3, 0.6, 1.0):
        indices, apart = drawn(Swap(alpha, 20))
        means.append(float(apart.gather(1, indices[:, None]).mean()))
    assert means == sorted(means)
    assert means[0] < means[-1]


def test_more_codes_than_there_are_cannot_be_drawn_from() -> None:
    with pytest.raises(ValueError, match="41 codes are to draw from, and there are 40"):
        drawn(Swap(0.5, 41))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a VQModel of 32 random codes, which halves pictures once."""
    from diffusers.models.autoencoders.vq_model import VQModel

    torch.manual_seed(0)
    net = VQModel(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        latent_channels=4,
        norm_num_groups=4,
        num_vq_embeddings=32,
    )
    torch.nn.init.normal_(net.quantize.embedding.weight)
    folder = tmp_path_factory.mktemp("tokenizer")
    net.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    found = tmp_path_factory.mktemp("pictures")
    for at, image in enumerate(pictures(8, size=(32, 34))):
        Image.fromarray(image).save(found / f"{at}.png")
    return found


@pytest.fixture
def measured(folder: Path, tiny_clip: Path, registry: Any) -> Any:
    """The result of a measure of the folder and what a net makes of it."""

    def result(measure: Measure, net: object, *swaps: Swap, seed: int = 0) -> Any:
        runtime = Runtime(device="cpu", registry=registry)
        request = Request(
            measure, str(folder), model=str(tiny_clip), autoencoder=str(net), swaps=swaps, seed=seed
        )
        try:
            return Comparison(request, runtime).result()
        finally:
            runtime.release()

    return result


def test_pfid_without_swaps_is_rfid_bit_for_bit(measured: Any, tokenizer: Path) -> None:
    rfid = measured(Measure.RFID, tokenizer).value
    found = measured(Measure.PFID, tokenizer, Swap(0.0, 9), Swap(1.0, 1))
    assert [value for _, value in found.grid] == [rfid, rfid]
    assert rfid > 0


def test_pfid_is_the_mean_over_its_grid_and_follows_its_seed(
    measured: Any, tokenizer: Path
) -> None:
    swaps = (Swap(0.5, 4), Swap(1.0, 32))
    found = measured(Measure.PFID, tokenizer, *swaps)
    values = [value for _, value in found.grid]
    assert found.value == pytest.approx(np.mean(values))
    assert [swap for swap, _ in found.grid] == list(swaps)
    assert measured(Measure.PFID, tokenizer, *swaps).value == found.value
    assert measured(Measure.PFID, tokenizer, *swaps, seed=1).value != found.value


def test_what_has_no_codes_or_too_few_is_refused(measured: Any, tokenizer: Path) -> None:
    with pytest.raises(BadParams, match="--delta 33 is more than the 32 codes"):
        measured(Measure.PFID, tokenizer, Swap(0.5, 33))
    with pytest.raises(ModelUnusable, match="'tabletop' has no codes to swap"):
        measured(Measure.PFID, "tabletop", Swap(0.5, 4))


def test_tokens_give_back_what_diffusers_decodes(tokenizer: Path, registry: Any) -> None:
    image = pictures(1, size=(32, 32))[0]
    autoencoder = load_autoencoder(Runtime(device="cpu", registry=registry), str(tokenizer))
    x = torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        y = autoencoder.net(x).sample[0].permute(1, 2, 0)
    expected = ((y + 1) * 127.5).round().clamp(0, 255).numpy()
    assert np.abs(autoencoder(image).astype(float) - expected).max() <= 1
    assert np.abs(autoencoder(image, Swap(1.0, 32)).astype(float) - expected).max() > 1
