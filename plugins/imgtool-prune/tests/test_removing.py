"""Makers that remove heads and neurons, and what diffusers makes of the result: oracle T16."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import nets
import pytest
import tiny
import torch
from making_models import make
from safetensors.torch import load_file

from imgtool.api import BadParams, Runtime
from imgtool_prune import compact
from imgtool_prune.layout import KEY
from imgtool_prune.makers import (
    L1Params,
    MaskParams,
    ObsParams,
    PruneL1,
    PruneMagnitude,
    PruneObs,
    PruneWanda,
    WeighedParams,
)
from imgtool_prune.structured import heads_to_remove

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

FOLDERS = {"sd": "unet", "sd3": "transformer", "flux": "transformer"}
QUICK: dict[str, Any] = {
    "pattern": "structured", "sparsity": 0.4, "multiple": 8, "count": 3, "steps": 1, "batch": 3,
    "packages": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Tiny models of the families, with captions."""
    folder = tmp_path_factory.mktemp("models")
    for family, denoiser in FOLDERS.items():
        torch.manual_seed(7)
        pipe = tiny.FAMILIES[family]()
        pipe.register_modules(**{denoiser: nets.net(family)})
        pipe.save_pretrained(folder / family)
        (folder / family / "captions.txt").write_text("a red cube\na cone\na wooden table\n")
    return {family: folder / family for family in FOLDERS}


@pytest.fixture(scope="module")
def made(models: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each family pruned by OBS in both layouts: `sd-compact`, `sd-padded` and so on."""
    folder = tmp_path_factory.mktemp("made")
    for family, model in models.items():
        for layout in ("compact", "padded"):
            params = ObsParams(model=str(model), layout=layout, **QUICK)
            make(PruneObs, params, folder / f"{family}-{layout}")
    return folder


def draw(folder: Path) -> Tensor:
    """Latents of one picture, by plain diffusers."""
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    start = torch.Generator().manual_seed(1)
    latents: Tensor = pipe(
        "a cube", num_inference_steps=1, guidance_scale=1.0, generator=start, height=32, width=32,
        output_type="latent",
    ).images  # fmt: skip
    return latents


def config_of(folder: Path, family: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / FOLDERS[family] / "config.json").read_text())
    return found


@pytest.mark.parametrize("family", FOLDERS)
def test_compact_and_padded_layouts_draw_the_same(family: str, made: Path, models: Any) -> None:
    small, padded = draw(made / f"{family}-compact"), draw(made / f"{family}-padded")

    torch.testing.assert_close(small, padded, rtol=1e-5, atol=1e-5)
    assert (padded - draw(models[family])).abs().max() > 1e-4


@pytest.mark.parametrize("family", ["sd", "flux"])
def test_a_compact_model_is_saved_and_loaded_again_bit_for_bit(
    family: str, made: Path, tmp_path: Path
) -> None:
    from diffusers import DiffusionPipeline

    first = made / f"{family}-compact"
    DiffusionPipeline.from_pretrained(first).save_pretrained(tmp_path / "again")
    DiffusionPipeline.from_pretrained(tmp_path / "again").save_pretrained(tmp_path / "twice")
    name = f"{FOLDERS[family]}/diffusion_pytorch_model.safetensors"
    states = [
        load_file(folder / name) for folder in (first, tmp_path / "again", tmp_path / "twice")
    ]

    for state in states[1:]:
        assert state.keys() == states[0].keys()
        assert all(state[key].equal(weight) for key, weight in states[0].items())
    assert draw(tmp_path / "twice").equal(draw(first))
    assert config_of(tmp_path / "twice", family)[KEY] == config_of(first, family)[KEY]


@pytest.mark.parametrize("family", FOLDERS)
def test_the_report_counts_what_is_left(family: str, made: Path) -> None:
    small = json.loads((made / f"{family}-compact" / "prune_report.json").read_text())
    padded = json.loads((made / f"{family}-padded" / "prune_report.json").read_text())
    name = f"{FOLDERS[family]}/diffusion_pytorch_model.safetensors"
    state = load_file(made / f"{family}-compact" / name)
    buffers = sum(weight.numel() for key, weight in state.items() if key.endswith("pos_embed"))

    assert small["parameters_kept"] == sum(w.numel() for w in state.values()) - buffers
    assert small["parameters_kept"] < small["parameters"] == padded["parameters_kept"]
    assert small["layers"] == padded["layers"]
    assert 0 < small["flops_kept"] == padded["flops_kept"] < small["flops"]
    assert all(layer["relative_error"] < layer["magnitude_error"] for layer in small["layers"])
    assert all(0 < layer["relative_error"] < 1 for layer in small["layers"])


def test_the_config_says_what_is_gone(made: Path) -> None:
    layout = config_of(made / "sd3-compact", "sd3")[KEY]
    block = "transformer_blocks.1"

    assert layout.keys() == {f"{block}.{owner}" for owner in ("attn", "attn2", "ff", "ff_context")}
    assert layout[f"{block}.attn"]["kept"] == 2
    assert layout[f"{block}.ff"]["original"] - layout[f"{block}.ff"]["kept"] == 48
    assert len(layout[f"{block}.ff"]["removed"]) == 48


def test_the_class_of_the_dense_model_refuses_a_compact_one(made: Path) -> None:
    from diffusers import UNet2DConditionModel

    with pytest.raises((ValueError, RuntimeError), match="shape"):
        UNet2DConditionModel.from_pretrained(made / "sd-compact" / "unet")


def test_plain_diffusers_asks_for_the_import(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "imgtool_prune.compact")
    with pytest.raises(ValueError, match=r"imgtool_prune\.compact .*has not been imported"):
        draw(made / "sd-compact")


def test_generating_imports_by_itself(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "imgtool_prune.compact")
    stage = Runtime(device="cpu").stage("generate.diffusers", model=str(made / "sd-compact"))
    stage.close()

    assert "imgtool_prune.compact" in sys.modules


def test_pruning_again_composes_what_is_gone(made: Path, tmp_path: Path) -> None:
    params = ObsParams(model=str(made / "sd-compact"), **QUICK)
    make(PruneObs, params, tmp_path / "again")
    make(PruneMagnitude, MaskParams(model=str(made / "sd-compact")), tmp_path / "zeros")
    before, after = (config_of(at, "sd")[KEY] for at in (made / "sd-compact", tmp_path / "again"))
    owner = next(owner for owner in before if owner.endswith(".ff"))

    assert before[owner]["original"] == after[owner]["original"]
    assert set(before[owner]["removed"]) < set(after[owner]["removed"])
    for lost in after.values():
        assert lost["kept"] == lost["original"] - len(set(lost["removed"]))
    assert isinstance(_denoiser(tmp_path / "zeros"), compact.PrunedUNet2DConditionModel)
    assert torch.isfinite(draw(tmp_path / "again")).all()


def _denoiser(folder: Path) -> Any:
    from diffusers import DiffusionPipeline

    return DiffusionPipeline.from_pretrained(folder).unet


def kept(report: Mapping[str, Any]) -> dict[str, int]:
    """How many heads or neurons stay, by owner."""
    removed = [layer["removed"] for layer in report["layers"]]
    return {owner: lost["kept"] for layer in removed for owner, lost in layer.items()}


def test_l1_removes_as_much_without_repair(models: Any, made: Path, tmp_path: Path) -> None:
    params = L1Params(model=str(models["sd"]), sparsity=0.4, multiple=8, layout="padded")
    report = make(PruneL1, params, tmp_path / "l1")
    obs = json.loads((made / "sd-compact" / "prune_report.json").read_text())
    name = "unet/diffusion_pytorch_model.safetensors"
    before, after = load_file(models["sd"] / name), load_file(tmp_path / "l1" / name)

    assert kept(report) == kept(obs)
    assert all(after[key].equal(weight * (after[key] != 0)) for key, weight in before.items())


def test_layers_may_lose_a_share_of_their_own(models: Any, tmp_path: Path) -> None:
    params = L1Params(
        model=str(models["sd3"]), sparsity=0.4, multiple=1,
        sparsity_of=("*.ff.*=0.25",), exclude=("*.attn2.*",), blocks="0:2",
    )  # fmt: skip
    report = make(PruneL1, params, tmp_path / "slim")

    assert kept(report) == {
        f"transformer_blocks.{block}.{owner}": count
        for block in (0, 1)
        for owner, count in (("attn", 2), ("ff", 96), ("ff_context", 77))
    }


@pytest.mark.parametrize("target", ["95%size", "95%FLOP"])
def test_heads_and_neurons_go_until_a_cost_is_met(target: str, models: Any, tmp_path: Path) -> None:
    params = L1Params(model=str(models["sd"]), target=target, multiple=1)
    report = make(PruneL1, params, tmp_path / "slim")
    found = report["target"]
    state = load_file(tmp_path / "slim" / "unet" / "diffusion_pytorch_model.safetensors")

    assert 0.93 < found["cost"] / found["dense_cost"] <= 0.95
    assert 0 < found["sparsity"] < 0.95
    if target.endswith("size"):
        assert found["cost"] == sum(weight.nbytes for weight in state.values())


def test_heads_and_neurons_go_as_far_as_a_loss_allows(models: Any, tmp_path: Path) -> None:
    quick = {**QUICK, "sparsity": None, "multiple": 1, "count": 2, "held_out": 1}
    params = ObsParams(model=str(models["sd"]), target="0.001%loss", **quick)
    report = make(PruneObs, params, tmp_path / "slim")
    found = report["target"]
    losses = {float(sparsity): loss for sparsity, loss in found["losses"].items()}
    heads = [part for layer in report["layers"] for part in layer["removed"].values()
             if part["kind"] == "heads"]  # fmt: skip

    assert losses[round(found["sparsity"], 6)] <= 1e-5 < max(losses.values())
    assert heads
    assert all(
        part["original"] - part["kept"] == heads_to_remove(part["original"], found["sparsity"])
        for part in heads
    )


def test_nothing_to_remove_leaves_the_model_as_it_is(models: Any, tmp_path: Path) -> None:
    report = make(PruneL1, L1Params(model=str(models["sd"]), sparsity=0.0), tmp_path / "slim")

    assert report["layers"] == []
    assert (tmp_path / "slim" / "unet" / "config.json").read_bytes() == (
        models["sd"] / "unet" / "config.json"
    ).read_bytes()


def test_one_head_is_kept_with_a_warning(
    models: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(PruneL1, L1Params(model=str(models["flux"]), sparsity=0.9), tmp_path / "slim")

    assert "one of 3 heads is kept" in caplog.text


@pytest.mark.parametrize(
    ("maker", "params", "message"),
    [
        (PruneWanda, WeighedParams(pattern="structured"), "removes no heads"),
        (PruneL1, L1Params(blocks="7:9"), "blocks '7:9' are none of 0:"),
        (PruneL1, L1Params(blocks="all"), "blocks 'all' are none of 0:"),
        (PruneL1, L1Params(sparsity=1.0), "not in"),
        (PruneL1, L1Params(target="99%loss"), "draws no pictures"),
        (PruneL1, L1Params(target="1%size"), "cannot be met"),
    ],
)
def test_what_cannot_be_is_refused(
    maker: type[Any], params: Any, message: str, models: Any, tmp_path: Path
) -> None:
    with pytest.raises(BadParams, match=message):
        make(maker, replace(params, model=str(models["sd"])), tmp_path / "slim")
