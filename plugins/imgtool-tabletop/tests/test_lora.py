"""Pairs differ in their attribute alone, and LoRAs trained on them are folders for diffusers."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.captions.grammar import caption
from imgtool_tabletop.captions.words import EXTRA_PHRASES, FINISH_WORDS, LIGHT_PHRASES
from imgtool_tabletop.training.adapters import ADAPTER, adapted_unet, cut_rank, write_adapter
from imgtool_tabletop.training.attributes import ATTRIBUTES, PairBank
from imgtool_tabletop.training.log import keep_logs
from imgtool_tabletop.training.loop import Budget, Trainer
from imgtool_tabletop.training.lora import (
    LAYERS,
    LoraTraining,
    PairSource,
    silent_cases,
    slider_loss,
    train_lora,
)
from imgtool_tabletop.world.facts import scene_facts
from imgtool_tabletop.world.render import render

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAID = {
    "finish": [word for words in FINISH_WORDS.values() for word in words],
    "light": [phrase for phrases in LIGHT_PHRASES.values() for phrase in phrases],
    "clutter": [EXTRA_PHRASES["empty"], EXTRA_PHRASES["cluttered"]],
}
FILE = "pytorch_lora_weights.safetensors"
ENDS = ("morning", "evening")
STEPS = 3


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_scenes_of_a_pair_differ_in_the_attribute_alone(name: str, tmp_path: Path) -> None:
    bank = PairBank(tmp_path, 3, 32, attribute=name)
    for row in range(0, 32, 2):
        one, two = (bank.scene(index) for index in (row, row + 1))
        facts = [scene_facts(scene) for scene in (one, two)]
        assert facts[0] != facts[1]
        assert bank.facts(row) == bank.facts(row + 1)
        assert all(bank.facts(row).holds_in(each) for each in facts)
        assert (one.camera, one.table) == (two.camera, two.table)


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_captions_of_a_pair_do_not_say_the_attribute(name: str, tmp_path: Path) -> None:
    bank = PairBank(tmp_path, 3, 400, attribute=name)
    texts = [caption(bank.facts(row), row) for row in range(400)]
    texts += [text for text, _ in silent_cases(ATTRIBUTES[name], 40)]
    assert [text for text in texts if any(word in text for word in SAID[name])] == []


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_the_measure_is_larger_at_the_second_end(name: str, tmp_path: Path) -> None:
    bank = PairBank(tmp_path, 4, 48, attribute=name)
    measured = ATTRIBUTES[name].measure(render([bank.scene(row) for row in range(48)]))
    assert measured[1::2].mean() > 1.05 * measured[::2].mean()
    assert (measured[1::2] < measured[::2]).float().mean() < 0.25


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> PairBank:
    made = PairBank(tmp_path_factory.mktemp("bank"), 1, 16, attribute="light")
    made.fill(lambda line: None)
    return made


def train(bank: PairBank, folder: Path) -> Path:
    """A folder with both LoRAs after three steps each."""
    settings = LoraTraining(batch=2, measured=1, steps=1, budget=Budget(steps=STEPS, log_every=1))
    base, out, work = WEIGHTS / "tabletop", folder / "made", folder / "journal"
    train_lora(
        settings, bank, base, WEIGHTS / "clip", WEIGHTS / "judge", out, work, lambda line: None
    )
    keep_logs(work, out)
    return out


@pytest.fixture(scope="module")
def trained(bank: PairBank, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both LoRAs, trained without a break."""
    return train(bank, tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("name", ENDS)
def test_a_lora_is_small_and_of_half_precision_and_has_a_card(name: str, trained: Path) -> None:
    tensors = load_file(trained / name / FILE)
    card = (trained / name / "README.md").read_text(encoding="utf-8")

    assert (trained / name / FILE).stat().st_size < 220 * 1024
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert f"# tabletop/lora-{name}" in card
    assert "16 rendered scenes" in card
    assert all(f"| measure at weight {weight} |" in card for weight in (-1, 0, 1))
    assert (trained / name / "log.csv").read_text().startswith("step,seconds,loss")
    assert (trained / name / "loss.png").stat().st_size > 500


# peft warns of every second adapter.
@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
def test_diffusers_loads_both_and_moves_by_weight(trained: Path) -> None:
    unet = UNet2DConditionModel.from_pretrained(WEIGHTS / "tabletop" / "unet")
    for name in ENDS:
        unet.load_lora_adapter(trained / name, adapter_name=name, prefix="unet", weight_name=FILE)
    noise = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    states = torch.zeros(1, 4, unet.config.cross_attention_dim)
    made = []
    with torch.no_grad():
        for names, weights in (([ENDS[0]], [0.0]), ([ENDS[0]], [1.0]), (list(ENDS), [1.0, -1.0])):
            unet.set_adapters(names, weights)
            made.append(unet(noise, 500, states).sample)
    assert not torch.equal(made[0], made[1])
    assert not torch.equal(made[1], made[2])


def test_a_lora_cut_to_a_rank_is_the_nearest_of_that_rank(tmp_path: Path) -> None:
    unet = adapted_unet(WEIGHTS / "tabletop", LAYERS, 4, 0)
    layer = unet.down_blocks[0].resnets[0].conv1
    down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
    torch.nn.init.normal_(up, generator=torch.Generator().manual_seed(1))
    whole = (up.flatten(1) @ down.flatten(1)).detach()
    scales = torch.linalg.svdvals(whole)
    cut_rank(unet, 2)
    write_adapter(unet, tmp_path, 2)
    tensors = load_file(tmp_path / FILE)
    name = "unet.down_blocks.0.resnets.0.conv1"
    kept = [tensors[f"{name}.lora_{side}.weight"].float().flatten(1) for side in "BA"]

    assert [len(kept[1]), kept[0].shape[1]] == [2, 2]
    off = (whole - up.flatten(1) @ down.flatten(1)).norm()
    torch.testing.assert_close(off, scales[2:4].norm())
    torch.testing.assert_close(
        kept[0] @ kept[1], up.flatten(1) @ down.flatten(1), rtol=0.01, atol=0.01
    )


def test_stopped_training_goes_on_to_the_same_weights(
    bank: PairBank, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Trainer.run

    def short(self: Trainer, loss: Callable[[int], tuple[torch.Tensor, dict[str, float]]]) -> None:
        """Stops the second LoRA after two steps, as a signal would."""

        def counted(step: int) -> tuple[torch.Tensor, dict[str, float]]:
            if self.work_dir.name == ENDS[1] and step == 1:
                self._stop.set()
            return loss(step)

        run(self, counted)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(Trainer, "run", short)
        train(bank, tmp_path)
    assert not (tmp_path / "made").exists()
    made = train(bank, tmp_path)

    for name in ENDS:
        whole, again = (load_file(folder / name / FILE) for folder in (trained, made))
        assert all(torch.equal(whole[key], again[key]) for key in whole)
        assert (tmp_path / "journal" / name / "log.csv").read_text().count("\n") == 1 + STEPS


def test_a_lora_learns_its_end_at_weight_one_and_the_other_at_minus_one(bank: PairBank) -> None:
    settings = LoraTraining(batch=4)
    base = WEIGHTS / "tabletop"
    source = PairSource(bank, base / "vae", WEIGHTS / "clip", captions=1)
    unet = adapted_unet(base, LAYERS, settings.rank, settings.seed)
    losses = [slider_loss(unet, source, end, replace(settings, seed=2), 0) for end in (0, 1)]
    # An adapter that does nothing yet sees both pictures as the net alone does, at either end.
    torch.testing.assert_close(losses[0][0], losses[1][0])
    assert losses[0][1]["own"] != losses[1][1]["own"]
