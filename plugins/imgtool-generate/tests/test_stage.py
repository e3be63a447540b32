"""What `generate.diffusers` and `decode.vae` promise whatever the model."""

from __future__ import annotations

import json
import logging
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from imgtool.api import BadParams, Batch, ModelUnusable, Row
from imgtool_generate.decode import DecodeVae
from imgtool_generate.decode import Params as DecodeParams
from imgtool_generate.prompts import warn_of_long_prompts
from imgtool_generate.stage import Diffusers, Params

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch

    Open = Callable[..., Any]
    Folder = Callable[[str], Path]

ONE = Batch(("a",), {"prompt": ["a red cube"], "seed": [3]})


def draw(opened: Open, folder: Path, batch: Batch = ONE, **values: Any) -> Batch:
    """Latents of `batch` by the model in `folder`, two steps."""
    params = Params(**{"model": str(folder), "steps": 2} | values)
    return opened(Diffusers, params).process(batch)


@pytest.fixture
def own(tiny_folder: Folder, tmp_path: Path) -> Path:
    """A copy of the tiny SD model that a test may spoil."""
    return shutil.copytree(tiny_folder("sd"), tmp_path / "model")


def edit(folder: Path, net: str, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change the weights of one net of a saved model."""
    from safetensors.torch import load_file, save_file

    path = next((folder / net).glob("*.safetensors"))
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


def test_columns_say_how_it_was_drawn(tiny_folder: Folder, opened: Open) -> None:
    drawn = draw(opened, tiny_folder("sd"), guidance=3, negative="dark", scheduler="Euler A")
    facts = {name: drawn[name][0] for name in drawn.columns if name != "latents"}
    assert facts == {
        "prompt": "a red cube", "seed": 3, "negative_prompt": "dark",
        "model": str(tiny_folder("sd")), "steps": 2, "guidance": 3.0, "width": 32, "height": 32,
        "sampler": "EulerAncestralDiscreteScheduler",
    }  # fmt: skip


def test_declared_fields_are_the_columns(tiny_folder: Folder, opened: Open) -> None:
    drawn = draw(opened, tiny_folder("sd"))
    assert {field.name for field in Diffusers.produces} <= set(drawn.columns)


def test_n_makes_children_with_seeds_of_their_own(tiny_folder: Folder, opened: Open) -> None:
    drawn = draw(opened, tiny_folder("sd"), n=2)
    later = draw(opened, tiny_folder("sd"), ONE.with_columns(seed=[4]))
    assert drawn.ids == ("a.0", "a.1")
    assert drawn.parents == ("a", "a")
    np.testing.assert_allclose(drawn["latents"][1], later["latents"][0], atol=1e-3)


def test_advice_in_the_folder_is_the_default(own: Path, opened: Open) -> None:
    (own / "imgtool.json").write_text(json.dumps({"steps": 3, "guidance": 1.5}))
    drawn = draw(opened, own, steps=0)
    assert (drawn["steps"][0], drawn["guidance"][0]) == (3, 1.5)


def test_size_is_drawn_as_asked(tiny_folder: Folder, opened: Open) -> None:
    drawn = draw(opened, tiny_folder("sd"), width=48, height=16)
    picture = opened(DecodeVae, DecodeParams(model=str(tiny_folder("sd")))).process(drawn)
    assert drawn["latents"][0].shape == (4, 4, 12)
    assert picture["image"][0].shape == (16, 48, 3)


def test_negative_prompt_of_the_row_wins(tiny_folder: Folder, opened: Open) -> None:
    folder = tiny_folder("sd")
    with_row = ONE.with_columns(negative_prompt=["dark"])
    by_row = draw(opened, folder, with_row, negative="wooden")["latents"][0]
    by_param = draw(opened, folder, negative="dark")["latents"][0]
    none = draw(opened, folder)["latents"][0]
    assert np.array_equal(by_row, by_param)
    assert not np.allclose(by_row, none)


def test_rows_with_and_without_negative_prompt_do_not_mix(
    tiny_folder: Folder, opened: Open
) -> None:
    rows = Batch(("a", "b"), {"prompt": ["a red cube"] * 2, "seed": [3, 4]})
    mixed = draw(opened, tiny_folder("sdxl"), rows.with_columns(negative_prompt=["", "dark"]))
    alone = draw(opened, tiny_folder("sdxl"))
    np.testing.assert_allclose(mixed["latents"][0], alone["latents"][0], atol=1e-4)


def test_embeddings_stand_in_for_the_prompt(tiny_folder: Folder, opened: Open) -> None:
    folder = tiny_folder("sd")
    stage = opened(Diffusers, Params(model=str(folder), steps=2))
    pipe = stage.sampler.pipe
    embeds = pipe.encode_prompt("a red cube", "cpu", 1, False)[0][0].detach().numpy()
    found = stage.process(ONE.with_columns(prompt=["nothing"], prompt_embeds=[embeds]))
    want = stage.process(ONE)
    np.testing.assert_allclose(found["latents"][0], want["latents"][0], atol=1e-3)


def test_embeddings_of_another_text_encoder_are_refused(tiny_folder: Folder, opened: Open) -> None:
    stage = opened(Diffusers, Params(model=str(tiny_folder("sd")), steps=1))
    rows = ONE.with_columns(prompt_embeds=[np.zeros((16, 16), np.float32)])
    stage.process(rows.with_columns(prompt_embeds_of=[stage.sampler.text_mark]))
    stage.process(ONE.with_columns(prompt_embeds_of=["another"]))
    with pytest.raises(BadParams, match="made by another text encoder"):
        stage.process(rows.with_columns(prompt_embeds_of=["another"]))


def test_embeddings_alone_are_refused_where_they_do_not_suffice(
    tiny_folder: Folder, opened: Open
) -> None:
    rows = ONE.with_columns(prompt_embeds=[np.zeros((16, 32), np.float32)])
    with pytest.raises(BadParams, match="cannot draw from prompt_embeds alone"):
        draw(opened, tiny_folder("sdxl"), rows)


def test_option_acts(tiny_folder: Folder, opened: Open) -> None:
    plain = draw(opened, tiny_folder("sd"))["latents"][0]
    rescaled = draw(opened, tiny_folder("sd"), option=("guidance_rescale=0.7",))["latents"][0]
    assert not np.allclose(plain, rescaled)


@pytest.mark.parametrize("family", ["sdxl", "sd3", "flux"])
def test_prompt_of_a_further_encoder_is_that_of_every_row(
    family: str, tiny_folder: Folder, opened: Open
) -> None:
    rows = Batch(("b", "a"), {"prompt": ["on a table", "a red cube"], "seed": [4, 3]})
    settings: dict[str, Any] = {"option": ("prompt_2=5",), "width": 32, "height": 32}
    both = draw(opened, tiny_folder(family), rows, **settings)["latents"][1]
    alone = draw(opened, tiny_folder(family), **settings)["latents"][0]
    assert np.abs(both - alone).max() <= 1e-4 * np.abs(alone).max()


@pytest.mark.parametrize("scheduler", ["dpm++", "flow-heun"])
def test_scheduler_that_the_pipeline_cannot_ask_is_named(
    scheduler: str, tiny_folder: Folder, opened: Open
) -> None:
    with pytest.raises(BadParams, match="cannot choose steps as FluxPipeline wants"):
        draw(opened, tiny_folder("flux"), scheduler=scheduler, width=32, height=32)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"option": ("guidence_rescale=1",)}, "takes no option 'guidence_rescale'"),
        ({"option": ("clip_skip",)}, "has no '='"),
        ({"option": ("guidance_rescale=much",)}, "takes a value like"),
        ({"option": ("latents=1",)}, "takes no option 'latents'"),
        ({"scheduler": "eulr"}, "scheduler 'eulr' is unknown"),
        ({"scheduler": "flow-euler"}, "does not fit this model"),
        ({"width": 30}, "width 30 is not a multiple of 8"),
        ({"scheduler": "pndm", "steps": 3}, "'pndm' takes 4 steps or more, not 3"),
    ],
)
def test_what_the_model_does_not_take_is_refused(
    values: dict[str, Any], message: str, tiny_folder: Folder, opened: Open
) -> None:
    with pytest.raises(BadParams, match=message):
        draw(opened, tiny_folder("sd"), **values)


def test_refusal_names_what_is_accepted(tiny_folder: Folder, opened: Open) -> None:
    with pytest.raises(BadParams) as caught:
        draw(opened, tiny_folder("sd"), option=("clip_skp=1",))
    assert "did you mean 'clip_skip'?" in caught.value.hint
    assert "guidance_rescale" in caught.value.hint


def test_negative_steps_are_refused() -> None:
    from imgtool.api import validate

    with pytest.raises(BadParams, match="steps"):
        validate(Params, {"steps": -1})


def test_folder_without_weights_is_refused(own: Path, opened: Open) -> None:
    next((own / "unet").glob("*.safetensors")).unlink()
    with pytest.raises(ModelUnusable, match="component 'unet' has no weights"):
        draw(opened, own)


def test_pickle_weights_are_refused(own: Path, opened: Open) -> None:
    for path in own.rglob("*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    with pytest.raises(ModelUnusable, match="pickle"):
        draw(opened, own)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("EvilPipeline", "is no pipeline of diffusers"),
        ("IFPipeline", "it draws pixels"),
        ("StableDiffusionUpscalePipeline", "ModelUnusable|cannot be loaded"),
    ],
)
def test_models_that_do_not_draw_latents_from_text_are_refused(
    name: str, message: str, own: Path, opened: Open
) -> None:
    index = json.loads((own / "model_index.json").read_text())
    (own / "model_index.json").write_text(json.dumps(index | {"_class_name": name}))
    with pytest.raises(ModelUnusable, match=message):
        draw(opened, own)


def test_model_of_a_sibling_task_is_loaded_for_text(own: Path, opened: Open) -> None:
    index = json.loads((own / "model_index.json").read_text())
    name = "StableDiffusionImg2ImgPipeline"
    (own / "model_index.json").write_text(json.dumps(index | {"_class_name": name}))
    stage = opened(Diffusers, Params(model=str(own), steps=1))
    assert stage.sampler.capability.pipeline == "StableDiffusionPipeline"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_model_that_gives_nan_fails_by_row(dtype: str, own: Path, tmp_path: Path) -> None:
    from imgtool.runtime.context import Runtime

    edit(own, "unet", lambda weights: weights["conv_out.bias"].fill_(float("nan")))
    stage = Diffusers()
    stage.open(Params(model=str(own), steps=1), Runtime(device="cpu", dtype=dtype).for_stage())
    result = stage.process(Batch(("a", "b"), {"prompt": ["x", "y"], "seed": [1, 2]}))
    stage.close()
    assert len(result) == 0
    assert set(result.failures) == {"a", "b"}
    assert "NaN" in result.failures["a"].reason


def test_overflow_in_half_precision_is_computed_again(own: Path, opened: Open) -> None:
    # Half precision ends at 65504: a bias beyond it is infinite there, and fine in float32.
    def spoil(weights: dict[str, torch.Tensor]) -> None:
        weights["post_quant_conv.bias"][0] = 1e5

    edit(own, "vae", spoil)
    decode = opened(DecodeVae, DecodeParams(model=str(own)), dtype="float16")
    result = decode.process(Batch(("a",), {"latents": [np.zeros((4, 8, 8), np.float32)]}))
    assert result.ids == ("a",)


def test_weights_have_the_format_they_had_after_rows_computed_again(
    tiny_folder: Folder, opened: Open
) -> None:
    params = Params(model=str(tiny_folder("pixart")), steps=2)
    sampler = opened(Diffusers, params, dtype="float16").sampler
    parts = [*sampler.pipe.text_encoder.parameters(), *sampler.pipe.transformer.parameters()]
    before = [part.dtype for part in parts]
    assert len(set(before)) == 2  # T5 keeps some in float32
    assert sampler._in_float32(list(ONE))[0].dtype == np.float32
    assert [part.dtype for part in parts] == before


def test_constant_picture_warns(own: Path, opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    edit(own, "vae", lambda weights: [w.zero_() for n, w in weights.items() if "decoder" in n])
    decode = opened(DecodeVae, DecodeParams(model=str(own)))
    with caplog.at_level(logging.WARNING, "imgtool.generate"):
        decode.process(Batch(("a",), {"latents": [np.zeros((4, 8, 8), np.float32)]}))
    assert "row a: the picture has one colour" in caplog.text


def test_long_prompt_is_said_to_be_cut(
    tiny_folder: Folder, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    rows = ONE.with_columns(prompt=["red cube " * 1000])
    with caplog.at_level(logging.WARNING, "imgtool.generate"):
        draw(opened, tiny_folder("sd"), rows)
    assert "row a: the prompt has 2002 tokens, the model reads the first 16" in caplog.text


def test_prompt_of_other_letters_is_counted_by_its_bytes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = pre_tokenizers.ByteLevel.alphabet()
    core = Tokenizer(models.BPE({letter: at for at, letter in enumerate(letters)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=16)
    pipe = SimpleNamespace(components={"tokenizer": tokenizer})
    rows = [Row("a", {"prompt": "桌上的红色方块"}), Row("b", {"prompt": "a red cube"})]
    given = Row("c", {"prompt": "red cube " * 100, "prompt_embeds": np.zeros((16, 4))})
    with caplog.at_level(logging.WARNING, "imgtool.generate"):
        for settings in ({}, {"max_sequence_length": 20}, {"max_sequence_length": 21}):
            warn_of_long_prompts(pipe, settings, [*rows, given])
    assert [record.getMessage() for record in caplog.records] == [
        "row a: the prompt has 21 tokens, the model reads the first 16",
        "row a: the prompt has 21 tokens, the model reads the first 20",
    ]


def test_tiles_decode_to_nearly_the_same_picture(tiny_folder: Folder, opened: Open) -> None:
    folder = tiny_folder("sd")
    rows = draw(opened, folder)
    whole = opened(DecodeVae, DecodeParams(model=str(folder))).process(rows)["image"][0]
    tiled = opened(DecodeVae, DecodeParams(model=str(folder), vae_tiling=True)).process(rows)
    assert tiled["image"][0].shape == whole.shape


def test_stages_share_the_nets_and_let_them_go(tiny_folder: Folder) -> None:
    from imgtool.runtime.context import Runtime
    from imgtool.runtime.shared import Shared

    runtime = Runtime(device="cpu", shared=Shared())
    one, two = Diffusers(), DecodeVae()
    one.open(Params(model=str(tiny_folder("sd")), steps=1), runtime.for_stage())
    two.open(DecodeParams(model=str(tiny_folder("sd"))), runtime.for_stage())
    assert one.sampler.pipe.vae is two.decoder.vae
    one.close()
    two.close()
    assert len(runtime.shared) == 0
