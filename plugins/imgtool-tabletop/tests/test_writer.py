"""`tabletop/writer`: the plans it learns, and the folder that its trainer writes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file

from imgtool_tabletop.captions.parse import parse
from imgtool_tabletop.captions.plans import Planned, names_differ, planned
from imgtool_tabletop.measures import plan_figures
from imgtool_tabletop.training import writer
from imgtool_tabletop.training.finding import IGNORE
from imgtool_tabletop.training.loop import Budget
from imgtool_tabletop.training.pictures import measured_scenes
from imgtool_tabletop.world.facts import Facts, ObjectFact, scene_facts

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerFast

SETTINGS = writer.WriterTraining(
    batch=4, measured=1, budget=Budget(steps=3, log_every=1), width=32, layers=2, inner=32
)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return writer.writer_tokenizer()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three steps' training."""
    folder = tmp_path_factory.mktemp("writer")
    writer.train_writer(SETTINGS, folder / "made", folder / "journal", lambda line: None)
    return folder / "made"


def pairs(count: int) -> list[Planned]:
    scenes = measured_scenes(count, 5)
    return [planned(scene_facts(one), random.Random(at)) for at, one in enumerate(scenes)]


def test_plan_says_what_the_caption_does_and_names_no_more_solids() -> None:
    told = [one for one in pairs(120) if names_differ(one.told)]
    assert len(told) > 90
    for one in told:
        said = parse(one.plan)
        assert one.told.holds_in(said), one
        assert len(said.objects) == len(one.told.objects), one


def test_plan_names_solids_in_the_order_of_the_caption() -> None:
    for one in pairs(120):
        if names_differ(one.told):
            asked, said = parse(one.caption).objects, parse(one.plan).objects
            assert [(a.colour, a.shape) for a in asked] == [(b.colour, b.shape) for b in said], one


def test_plan_is_true_of_its_scene() -> None:
    scenes = [one for one in measured_scenes(100, 6) if len(one.solids) < 3]
    for at, scene in enumerate(scenes):
        facts = scene_facts(scene)
        if names_differ(facts):
            assert parse(planned(facts, random.Random(at)).plan).holds_in(facts)


def test_plans_of_one_caption_differ_in_what_it_leaves_open() -> None:
    facts = scene_facts(measured_scenes(1, 5)[0])
    plans = {planned(facts, random.Random(at)).plan for at in range(20)}
    assert len(plans) > 15
    assert len({len(plan.split(".")) for plan in plans}) > 2


def test_equal_solids_are_counted() -> None:
    facts = Facts((ObjectFact("cube", "red"), ObjectFact("cube", "red")))
    plans = [planned(facts, random.Random(at)).plan for at in range(8)]
    assert any(
        plan.startswith(("there are two red cubes.", "there are two red boxes.")) for plan in plans
    )


def test_what_is_decoded_is_what_was_written(tokenizer: PreTrainedTokenizerFast) -> None:
    for one in pairs(20):
        for text in (one.caption, one.plan):
            assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


@pytest.mark.parametrize(
    "text", ["a red cube", "It is data.\n<prompt ab>\na red cube\n</prompt ab>"]
)
def test_chat_reads_the_prompt_between_its_marks(
    text: str, tokenizer: PreTrainedTokenizerFast
) -> None:
    turn = [{"role": "user", "content": text}]
    asked = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    plain = tokenizer("a red cube").input_ids
    assert tokenizer(asked, add_special_tokens=False).input_ids == plain


def test_plans_alone_are_learned(tokenizer: PreTrainedTokenizerFast) -> None:
    one, two = Planned("a red cube", Facts(()), "it is centred."), pairs(1)[0]
    ids, labels = writer.laid_out(tokenizer, [one, two])
    asked = len(tokenizer(one.caption).input_ids)
    said = labels[0][labels[0] != IGNORE]
    assert (labels[0, :asked] == IGNORE).all()
    assert tokenizer.decode(said, skip_special_tokens=True) == one.plan
    assert int(said[-1]) == tokenizer.eos_token_id
    assert torch.equal(ids[labels != IGNORE], labels[labels != IGNORE])


def test_batches_depend_on_seed_and_step_alone() -> None:
    texts = writer.Texts(SETTINGS)
    seen = [texts.batch(step) for step in range(writer.TOGETHER + 1)]
    assert writer.Texts(SETTINGS).batch(writer.TOGETHER) == seen[-1]
    captions = [one.caption for batch in seen for one in batch]
    assert len(set(captions)) > 0.8 * len(captions)


def test_folder_loads_with_plain_transformers(
    trained: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(trained)
    asked = AutoTokenizer.from_pretrained(trained)("a red cube", return_tensors="pt")
    assert asked.input_ids[0].tolist() == tokenizer("a red cube").input_ids
    assert model.dtype == torch.float32
    assert model.generate(**asked, max_new_tokens=3, do_sample=False).shape[1] <= 3 + 5
    kept = load_file(trained / "model.safetensors").values()
    assert {tensor.dtype for tensor in kept} == {torch.float16}
    card = (trained / "README.md").read_text(encoding="utf-8")
    assert "12 captions with plans" in card
    assert "| kept |" in card


def test_default_model_is_small(tokenizer: PreTrainedTokenizerFast) -> None:
    model = writer.build_writer(writer.WriterTraining(), tokenizer)
    assert sum(weight.numel() for weight in model.parameters()) < 400_000


def test_figures_are_shares_of_plans() -> None:
    told = Facts((ObjectFact("cube", "red"),))
    made = [["there is a red cube.", "there is a red cube.", "a red cube and a cone", "a cube"]]
    figures = plan_figures(made, [told])
    assert figures == {"kept": 0.5, "varied": 0.75, "words": 4.5}
