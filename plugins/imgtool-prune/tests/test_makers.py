"""The makers on a tiny Stable Diffusion: what they write, and what they refuse."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import tiny
import torch
from making_models import make
from safetensors.torch import load_file, save_file

from imgtool.api import (
    BadParams,
    InputEmpty,
    InputUnreadable,
    ModelUnusable,
    Runtime,
    StageFailed,
    UnknownComponent,
)
from imgtool.registry import Registry
from imgtool_prune.calibration import Calibration
from imgtool_prune.makers import (
    DsnotParams,
    MaskParams,
    ObsParams,
    PruneDsnot,
    PruneMagnitude,
    PruneObs,
    PruneSparseGpt,
    PruneWanda,
    SparseGptParams,
    WeighedParams,
)
from imgtool_prune.pipeline import open_source

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imgtool.api import Maker

UNET = "unet/diffusion_pytorch_model.safetensors"
QUICK: dict[str, Any] = {"count": 3, "steps": 1, "batch": 2, "packages": 2}
MAKERS: dict[type[Maker[Any]], type[MaskParams]] = {
    PruneObs: ObsParams,
    PruneSparseGpt: SparseGptParams,
    PruneWanda: WeighedParams,
    PruneDsnot: DsnotParams,
    PruneMagnitude: MaskParams,
}


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    file = tmp_path / "prompts.txt"
    file.write_text("a red cube\n\na blue sphere to the left of a cone\na wooden table\ntoo many\n")
    return str(file)


def unloadable(model: Path, folder: Path) -> Path:
    """A copy of which the denoiser's shapes are known, but that cannot be loaded."""
    own = folder / "unloadable"
    shutil.copytree(model, own)
    (own / "vae" / "config.json").write_text("{")
    return own


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize(
    ("maker", "pattern"), [*((maker, "unstructured") for maker in MAKERS), (PruneObs, "2:4")]
)
def test_a_pruned_model_is_the_same_folder_with_half_of_its_layers_zero(
    maker: type[Any], pattern: str, tiny_sd: Path, tmp_path: Path, prompts: str
) -> None:
    settings = {"model": str(tiny_sd), "pattern": pattern}
    if maker is not PruneMagnitude:
        settings |= {"prompts": prompts, **QUICK}
    report = make(maker, MAKERS[maker](**settings), tmp_path / "slim")
    before, after = files(tiny_sd), files(tmp_path / "slim")
    old, new = (load_file(folder / UNET) for folder in (tiny_sd, tmp_path / "slim"))
    changed = {name for name in old if not old[name].equal(new[name])}

    assert {name for name in after if after[name] != before.get(name)} == {
        UNET, "prune_report.json",
    }  # fmt: skip
    assert changed == {f"{layer['path']}.weight" for layer in report["layers"]}
    assert all((new[name] == 0).float().mean() == 0.5 for name in changed)
    assert report["sparsity"] == 0.5
    assert report["versions"].keys() == {"diffusers", "torch"}
    assert report["zeros"] == sum(int((new[name] == 0).sum()) for name in changed)
    if pattern == "2:4":
        groups = [new[name].unflatten(1, (-1, 4)) for name in changed]
        assert all(((group != 0).sum(-1) <= 2).all() for group in groups)


def test_repair_leaves_less_error_than_masks_alone(
    tiny_sd: Path, tmp_path: Path, prompts: str
) -> None:
    common: dict[str, Any] = {"model": str(tiny_sd), "prompts": prompts, **QUICK, "packages": 1}
    obs = make(PruneObs, ObsParams(**common), tmp_path / "obs")
    masked = make(PruneDsnot, DsnotParams(**common, cycles=0), tmp_path / "masked")
    errors = [sum(layer["relative_error"] for layer in found["layers"]) for found in (obs, masked)]
    plain = [[layer["magnitude_error"] for layer in found["layers"]] for found in (obs, masked)]

    assert 0 < errors[0] < min(errors[1], sum(plain[0]))
    assert plain[0] == pytest.approx(plain[1])


def test_the_report_counts_operations(tiny_sd: Path, tmp_path: Path) -> None:
    """Of linear layers alone, half of the weights are half of the work."""
    found = make(PruneMagnitude, MaskParams(model=str(tiny_sd)), tmp_path / "slim")
    again = make(PruneMagnitude, MaskParams(model=str(tmp_path / "slim")), tmp_path / "again")
    most = make(PruneMagnitude, MaskParams(model=str(tiny_sd), sparsity=0.75), tmp_path / "most")

    assert 0 < found["flops_kept"] < found["flops"] == again["flops"]
    saved = [report["flops"] - report["flops_kept"] for report in (found, most)]
    assert saved[1] == pytest.approx(1.5 * saved[0])


def test_a_budget_spent_by_error_prunes_as_much_in_all(
    tiny_sd: Path, tmp_path: Path, prompts: str
) -> None:
    params = ObsParams(model=str(tiny_sd), prompts=prompts, **QUICK, allocation="error", spread=0.1)
    report = make(PruneObs, params, tmp_path / "slim")
    shares = [layer["zeros"] / layer["weights"] for layer in report["layers"]]

    assert report["sparsity"] == pytest.approx(0.5, abs=0.005)
    assert 0.39 < min(shares) < 0.45
    assert 0.55 < max(shares) < 0.61


def test_plain_diffusers_draws_with_what_was_made(
    tiny_sd: Path, tmp_path: Path, prompts: str
) -> None:
    from diffusers import StableDiffusionPipeline

    make(PruneObs, ObsParams(model=str(tiny_sd), prompts=prompts, **QUICK), tmp_path / "slim")
    drawn = []
    for folder in (tiny_sd, tmp_path / "slim"):
        pipe = StableDiffusionPipeline.from_pretrained(folder)
        pipe.set_progress_bar_config(disable=True)
        start = torch.Generator().manual_seed(1)
        drawn.append(pipe("a cube", num_inference_steps=2, generator=start, output_type="latent"))

    latents = [output.images for output in drawn]
    assert torch.isfinite(latents[1]).all()
    assert not latents[0].equal(latents[1])


def test_nothing_to_prune_leaves_every_byte(tiny_sd: Path, tmp_path: Path, prompts: str) -> None:
    for rule in ("exact", "reference"):
        params = ObsParams(model=str(tiny_sd), sparsity=0.0, prompts=prompts, rule=rule)
        report = make(PruneObs, params, tmp_path / rule)
        made = files(tmp_path / rule)
        made.pop("prune_report.json")

        assert made == files(tiny_sd)
        assert report["sparsity"] == 0


def test_layers_left_out_stay_as_they_are(tiny_sd: Path, tmp_path: Path) -> None:
    params = MaskParams(model=str(tiny_sd), exclude=("*.attn2.*", "*.ff.*"))
    report = make(PruneMagnitude, params, tmp_path / "slim")

    assert report["layers"]
    assert all(".attn1." in layer["path"] for layer in report["layers"])


def test_layers_may_have_a_sparsity_of_their_own(tiny_sd: Path, tmp_path: Path) -> None:
    params = MaskParams(model=str(tiny_sd), sparsity_of=("*.attn1.*=0.25", "*.ff.*=0"))
    report = make(PruneMagnitude, params, tmp_path / "slim")
    shares = {layer["path"]: layer["zeros"] / layer["weights"] for layer in report["layers"]}

    assert {share for path, share in shares.items() if ".attn1." in path} == {0.25}
    assert {share for path, share in shares.items() if ".attn2." in path} == {0.5}
    assert not any(".ff." in path for path in shares)


@pytest.mark.parametrize("target", ["90%size", "95%FLOP"])
def test_a_cost_that_is_asked_for_is_met(target: str, tiny_sd: Path, tmp_path: Path) -> None:
    report = make(PruneMagnitude, MaskParams(model=str(tiny_sd), target=target), tmp_path / "slim")
    found = report["target"]

    assert 0.99 < found["cost"] / found["dense_cost"] / (float(target[:2]) / 100) <= 1
    assert report["sparsity"] == pytest.approx(found["sparsity"], abs=0.01)


def test_a_second_run_of_other_settings_takes_no_notes_of_the_first(
    tiny_sd: Path, tmp_path: Path
) -> None:
    params = MaskParams(model=str(tiny_sd), sparsity=0.5)
    make(PruneMagnitude, params, tmp_path / "slim")
    shutil.rmtree(tmp_path / "slim")
    report = make(PruneMagnitude, replace(params, sparsity=0.25), tmp_path / "slim")

    assert report["sparsity"] == 0.25


def test_a_pruning_killed_without_warning_goes_on_to_the_same_bytes(
    tiny_sd: Path, tmp_path: Path, prompts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = ObsParams(model=str(tiny_sd), prompts=prompts, **{**QUICK, "packages": 4})
    make(PruneObs, params, tmp_path / "whole")
    gather, runs = Calibration.gather, []

    def counted(self: Calibration, wanted: Mapping[str, Any]) -> None:
        runs.append(wanted)
        if os.getpid() != parent and len(runs) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        gather(self, wanted)

    monkeypatch.setattr(Calibration, "gather", counted)
    parent = os.getpid()
    child = multiprocessing.get_context("fork").Process(
        target=make, args=(PruneObs, params, tmp_path / "slim")
    )
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    shutil.rmtree(tmp_path / "slim")
    make(PruneObs, params, tmp_path / "slim")

    assert len(runs) == 2
    assert files(tmp_path / "slim") == files(tmp_path / "whole")


def test_a_model_may_bring_captions_and_say_how_it_is_run(tiny_sd: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(tiny_sd, own)
    (own / "captions.txt").write_text("a red cube\na blue cone\n")
    (own / "imgtool.json").write_text('{"steps": 3, "guidance": 2.0}')
    report = make(PruneObs, ObsParams(model=str(own), packages=1), tmp_path / "slim")

    assert report["settings"]["prompts"] == ["a red cube", "a blue cone"]
    assert len(report["alphas"]) == 3


def test_what_was_measured_of_the_dense_model_is_not_said_of_the_pruned_one(
    tiny_sd: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    shutil.copytree(tiny_sd, own)
    (own / "figures.json").write_text('{"right": 0.9}')
    (own / "README.md").write_text("---\nlicense: mit\n---\n# Own\n\n90 % right.\n")
    make(PruneMagnitude, MaskParams(model=str(own)), tmp_path / "slim")
    make(PruneMagnitude, MaskParams(model=str(tmp_path / "slim")), tmp_path / "again")
    cards = [(tmp_path / name / "README.md").read_text() for name in ("slim", "again")]

    assert not (tmp_path / "slim" / "figures.json").exists()
    assert cards[0].startswith("---\nlicense: mit\n---\n> **Pruned.** What follows is said of")
    assert cards[0].endswith("# Own\n\n90 % right.\n")
    assert cards[1] == cards[0]


def test_weights_in_several_files_are_pruned_in_each(tiny_sd: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(tiny_sd, own)
    state = load_file(own / UNET)
    save_file({name: weight.half() for name, weight in state.items()},
              (own / UNET).with_suffix(".fp16.safetensors"))  # fmt: skip
    make(PruneMagnitude, MaskParams(model=str(own)), tmp_path / "slim")
    whole = load_file(tmp_path / "slim" / UNET)
    half = load_file((tmp_path / "slim" / UNET).with_suffix(".fp16.safetensors"))

    assert all(half[name].equal(weight.half()) for name, weight in whole.items())
    assert not whole.keys() ^ state.keys()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sparsity": 1.0}, "not in"),
        ({"pattern": "4:2"}, "no pattern"),
        ({"pattern": "half"}, "neither unstructured nor N:M"),
        ({"pattern": "2:4", "sparsity": 0.6}, "prunes 0.5 of the weights, not 0.6"),
        ({"pattern": "2:4", "allocation": "error"}, "leaves no choice"),
        ({"pattern": "structured", "allocation": "error"}, "no heads and neurons"),
        ({"pattern": "2:5", "block": 125}, r"layer '.*to_q': 16 columns are no multiple of 5"),
        ({"exclude": ("*",)}, "no layer is left"),
        ({"a_min": 2.0}, "give no weights"),
        ({"prompts": ""}, "brings no captions"),
        ({"sparsity_of": ("*.attn9.*=0.3",)}, r"no layer is like '\*\.attn9\.\*'"),
        ({"target": "half"}, "neither a size"),
        ({"target": "12MB", "sparsity": 0.5}, "finds the sparsity"),
        ({"target": "12MB", "pattern": "2:4"}, "leaves no choice of sparsity"),
        ({"pattern": "2:4", "block": 6}, "block 6 is no multiple of 4"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(
    settings: dict[str, Any], message: str, tiny_sd: Path, tmp_path: Path, prompts: str
) -> None:
    own = unloadable(tiny_sd, tmp_path)
    params = replace(ObsParams(model=str(own), prompts=prompts, **QUICK), **settings)
    with pytest.raises(BadParams, match=message):
        make(PruneObs, params, tmp_path / "slim")
    assert not any((tmp_path / "slim").iterdir())


def test_a_loss_cannot_be_asked_of_a_maker_that_draws_nothing(
    tiny_sd: Path, tmp_path: Path
) -> None:
    params = MaskParams(model=str(unloadable(tiny_sd, tmp_path)), target="5%loss")
    with pytest.raises(BadParams, match="draws no pictures"):
        make(PruneMagnitude, params, tmp_path / "slim")


def test_a_loss_needs_prompts_that_nothing_was_calibrated_with(
    tiny_sd: Path, tmp_path: Path, prompts: str
) -> None:
    own = unloadable(tiny_sd, tmp_path)
    common: dict[str, Any] = {"model": str(own), "prompts": prompts, "target": "5%loss"}
    with pytest.raises(InputEmpty, match="none is left to measure a loss"):
        make(PruneObs, ObsParams(**common, count=4), tmp_path / "slim")


def test_fewer_prompts_than_asked_are_a_warning(
    tiny_sd: Path, tmp_path: Path, prompts: str, caplog: pytest.LogCaptureFixture
) -> None:
    params = WeighedParams(model=str(tiny_sd), prompts=prompts, **{**QUICK, "count": 9})
    make(PruneWanda, params, tmp_path / "slim")

    assert "all 4 prompts" in caplog.text


def test_an_exclusion_that_meets_nothing_is_a_warning(
    tiny_sd: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    params = MaskParams(model=str(tiny_sd), exclude=("*.attn9.*",))
    make(PruneMagnitude, params, tmp_path / "slim")

    assert "no layer is like '*.attn9.*'" in caplog.text


@pytest.mark.parametrize(("content", "error"), [(b"\n \n", InputEmpty), (b"\xff", InputUnreadable)])
def test_files_without_prompts_are_refused(
    content: bytes, error: type[Exception], tiny_sd: Path, tmp_path: Path
) -> None:
    (tmp_path / "none.txt").write_bytes(content)
    params = ObsParams(model=str(tiny_sd), prompts=str(tmp_path / "none.txt"))
    with pytest.raises(error):
        make(PruneObs, params, tmp_path / "slim")


def test_a_family_without_adapter_is_refused_by_name(tiny_sd: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(tiny_sd, own)
    index = (own / "model_index.json").read_text()
    (own / "model_index.json").write_text(index.replace("UNet2DConditionModel", "Strange2DModel"))
    with pytest.raises(UnknownComponent, match="Strange2DModel"):
        make(PruneMagnitude, MaskParams(model=str(own)), tmp_path / "slim")


def test_a_lora_is_refused_and_its_base_named() -> None:
    with pytest.raises(ModelUnusable, match="is a LoRA") as caught:
        open_source("tabletop/turbo", Runtime(registry=Registry.load()))

    assert caught.value.hint == "Prune 'tabletop'"


def test_a_model_without_an_encoder_that_its_family_knows_is_pruned(tmp_path: Path) -> None:
    own = tiny.save("sd3", tmp_path / "own")
    index = json.loads((own / "model_index.json").read_text())
    for name in ("text_encoder_3", "tokenizer_3"):
        shutil.rmtree(own / name)
        index[name] = [None, None]
    (own / "model_index.json").write_text(json.dumps(index))

    assert make(PruneMagnitude, MaskParams(model=str(own)), tmp_path / "slim")["sparsity"] == 0.5


def test_a_model_that_diffusers_cannot_load_is_refused(tiny_sd: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    shutil.copytree(tiny_sd, own)
    (own / "unet" / "config.json").write_text("{")
    with pytest.raises(ModelUnusable, match="cannot be loaded"):
        make(PruneMagnitude, MaskParams(model=str(own)), tmp_path / "slim")


def test_activations_that_are_not_finite_stop_it(
    tiny_sd: Path, tmp_path: Path, prompts: str
) -> None:
    own = tmp_path / "own"
    shutil.copytree(tiny_sd, own)
    state = load_file(own / UNET)
    state["conv_in.bias"][0] = torch.nan
    save_file(state, own / UNET)
    params = ObsParams(model=str(own), prompts=prompts, **QUICK)
    with pytest.raises(StageFailed, match="step 1: the input holds numbers that are not finite"):
        make(PruneObs, params, tmp_path / "slim")


def test_memory_decides_the_packages_where_they_are_left_open(
    tiny_sd: Path, tmp_path: Path, prompts: str
) -> None:
    common: dict[str, Any] = {
        "model": str(tiny_sd),
        "prompts": prompts,
        "count": 1,
        "steps": 1,
        "packages": 0,
    }
    roomy = make(PruneObs, ObsParams(**common), tmp_path / "roomy")
    tight = make(PruneObs, ObsParams(**common, memory=8e-5), tmp_path / "tight")

    assert {layer["package"] for layer in roomy["layers"]} == {0}
    assert 1 < len({layer["package"] for layer in tight["layers"]}) < 6
