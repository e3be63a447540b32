"""Loops resume exactly, trainers run end to end, shipped weights load with nothing of ours."""

from __future__ import annotations

import contextlib
import multiprocessing
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from transformers import CLIPTokenizer

import imgtool_tabletop
from imgtool.api import BadParams, InputMissing
from imgtool.runtime.context import Runtime
from imgtool_tabletop.captions.parse import parse
from imgtool_tabletop.captions.words import all_words
from imgtool_tabletop.judge import Judge
from imgtool_tabletop.makers import TrainGenerator, TrainJudge, TrainVae
from imgtool_tabletop.training.attributes import PairBank
from imgtool_tabletop.training.bank import PictureBank, being_filled, scene_at
from imgtool_tabletop.training.clip import answers_of
from imgtool_tabletop.training.judge import judge_accuracy
from imgtool_tabletop.training.log import plot
from imgtool_tabletop.training.loop import Budget, Optimiser, Trainer
from imgtool_tabletop.training.params import (
    GeneratorParams,
    TrainParams,
    VaeParams,
    beginning,
    budget_of,
    seconds,
)
from imgtool_tabletop.training.tokenizer import write_tokenizer
from imgtool_tabletop.training.vae import VaeTraining, train_vae
from imgtool_tabletop.world.render import render
from imgtool_tabletop.world.sample import BROAD
from imgtool_tabletop.world.scene import COLOURS, SHAPES

WEIGHTS = Path(imgtool_tabletop.__file__).parent / "weights"


def trained(folder: Path, *steps: int) -> list[torch.Tensor]:
    """Weights of a small net after training in as many goes as there are `steps`."""
    for stop in steps:
        torch.manual_seed(0)
        net = torch.nn.Linear(4, 4)
        trainer = Trainer(
            net, folder, Budget(steps=stop, log_every=1), Optimiser(), lambda line: None
        )
        trainer.budget = Budget(steps=max(steps), log_every=1)

        def loss(
            step: int, net: torch.nn.Linear = net, stop: int = stop, trainer: Trainer = trainer
        ):  # type: ignore[no-untyped-def]
            if step + 1 == stop:
                trainer._stop.set()
            x = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
            return (net(x) - x.flip(1)).square().mean(), {}

        with contextlib.suppress(KeyboardInterrupt):
            trainer.run(loss)
    return [*trainer.weights, *trainer.average]


def test_resumed_training_equals_an_unbroken_one(tmp_path: Path) -> None:
    once, twice = trained(tmp_path / "a", 12), trained(tmp_path / "b", 5, 12)
    assert all(torch.equal(a, b) for a, b in zip(once, twice, strict=True))
    assert len((tmp_path / "b" / "log.csv").read_text().splitlines()) == 13


def test_steps_that_a_kill_undid_are_logged_once(tmp_path: Path) -> None:
    trained(tmp_path, 5, 12)
    whole = (tmp_path / "log.csv").read_bytes()
    checkpoint = (tmp_path / "checkpoint.safetensors").read_bytes()
    with (tmp_path / "log.csv").open("ab") as log:
        log.write(b"13,0.1,0.50000\r\n14,0.")
    trained(tmp_path, 12)

    assert (tmp_path / "log.csv").read_bytes() == whole
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == checkpoint


def test_a_plot_falls_with_the_loss() -> None:
    dark = np.asarray(plot([(step, 100 - step) for step in range(1, 101)]).convert("L")) < 100
    tops = [int(dark[:, column].argmax()) for column in (60, 200, 400)]
    assert tops == sorted(tops)
    assert tops[2] > tops[0] + 60


def test_bank_goes_on_where_it_was(tmp_path: Path) -> None:
    PictureBank(tmp_path, 1, 128).fill(lambda line: None)
    bank = PictureBank(tmp_path, 1, 128)
    assert bank.filled() == 128
    assert bank.reader()[:128].std() > 10
    with being_filled(bank, 128):
        assert not multiprocessing.active_children()


def test_a_bank_is_read_while_it_grows(tmp_path: Path) -> None:
    PictureBank(tmp_path, 1, 16, size=8).fill(lambda line: None)
    larger = PictureBank(tmp_path, 1, 40, size=8)
    assert len(larger.reader()) == 16
    with (tmp_path / "filled.json").open() as opened_before:
        larger.fill(lambda line: None)
        assert opened_before.read() == '{"filled": 16}'
    assert len(larger.reader()) == 40


def test_a_bank_knows_pictures_of_other_scenes(tmp_path: Path) -> None:
    bank = PictureBank(tmp_path, 1, 16)
    bank.fill(lambda line: None)
    assert bank.agrees()
    assert not PictureBank(tmp_path, 2, 16).agrees()
    assert not PictureBank(tmp_path, 1, 16, distribution=BROAD).agrees()
    assert not PairBank(tmp_path, 1, 16).agrees()


def test_a_trainer_refuses_pictures_of_another_seed(tmp_path: Path) -> None:
    PictureBank(tmp_path / "bank", 1, 16).fill(lambda line: None)
    params = VaeParams(bank=str(tmp_path / "bank"), seed=2, smoke=True)
    runtime = Runtime(device="cpu")
    runtime.journal = tmp_path / "journal"
    with pytest.raises(BadParams, match="other scenes than seed 2"):
        TrainVae().make(params, {}, tmp_path / "made", runtime)


@pytest.mark.parametrize(("text", "expected"), [("90s", 90), ("20m", 1200), ("1.5h", 5400)])
def test_budgets_are_times(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_a_budget_that_is_no_time_is_refused() -> None:
    with pytest.raises(BadParams, match="no time"):
        budget_of(TrainParams(budget="long"))


def test_the_budget_of_an_accelerator_is_refused_where_the_cpu_trains(tmp_path: Path) -> None:
    runtime = Runtime(device="cpu")
    with pytest.raises(BadParams, match="tabletop trains on the CPU"):
        TrainGenerator().make(GeneratorParams(budget="gpu"), {}, tmp_path, runtime)
    with pytest.raises(BadParams, match="tabletop/judge trains on the CPU"):
        TrainJudge().make(TrainParams(budget="gpu"), {}, tmp_path, runtime)


def test_a_beginning_is_none_or_our_own_or_a_folder_that_is_there(tmp_path: Path) -> None:
    assert beginning("", WEIGHTS) is None
    assert beginning("shipped", WEIGHTS) == WEIGHTS
    assert beginning(str(tmp_path), WEIGHTS) == tmp_path
    with pytest.raises(InputMissing, match="no folder 'nowhere'"):
        beginning("nowhere", WEIGHTS)


def test_an_autoencoder_learns_the_latents_of_another(tmp_path: Path) -> None:
    teacher = WEIGHTS / "tabletop" / "vae"
    bank = PictureBank(tmp_path / "bank", 1, 256)
    # Of other widths than the teacher, whose weights it would take over and be it.
    settings = VaeTraining(
        channels=(8, 16, 32, 32),
        teacher=teacher,
        measured=8,
        budget=Budget(steps=12, log_every=4),
    )
    said: list[str] = []
    with being_filled(bank, at_least=256):
        train_vae(settings, bank, tmp_path / "made", tmp_path / "work", said.append)
    missed = [float(line.rsplit("latents ")[-1]) for line in said]
    assert missed[-1] < missed[0]
    kept, made = (AutoencoderKL.load_config(folder) for folder in (teacher, tmp_path / "made"))
    assert kept["scaling_factor"] == made["scaling_factor"]


@pytest.mark.parametrize("name", ["judge", "vae", "clip", "", "turbo"])
def test_trainers_run_end_to_end(name: str, tmp_path: Path, warm_bin: Path) -> None:
    target = f"tabletop/{name}".rstrip("/")
    command = [warm_bin / "imgtool", "train", target, "--smoke", "-o", tmp_path / "made"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "made").rglob("*.safetensors"))
    assert (tmp_path / "made" / "captions.txt").is_file() == (not name)


def test_shipped_weights_load_with_plain_libraries(warm_bin: Path) -> None:
    script = f"""
import sys
import torch
from diffusers import LCMScheduler, StableDiffusion3Pipeline, StableDiffusionPipeline
from transformers import AutoImageProcessor, AutoModelForDepthEstimation, CLIPModel, CLIPTokenizer
from transformers import AutoModelForImageTextToText, AutoProcessor
pipe = StableDiffusionPipeline.from_pretrained({str(WEIGHTS / "tabletop")!r})
pipe.set_progress_bar_config(disable=True)
image = pipe("a red cube", num_inference_steps=2, output_type="np").images[0]
assert image.shape == (64, 64, 3) and (image == image).all()
pipe.load_lora_weights({str(WEIGHTS / "lora-finish" / "shiny")!r}, adapter_name="shiny")
pipe.unload_lora_weights()
pipe.load_lora_weights({str(WEIGHTS / "turbo")!r})
pipe.scheduler = LCMScheduler.from_pretrained({str(WEIGHTS / "turbo" / "scheduler")!r})
image = pipe("a red cube", num_inference_steps=4, guidance_scale=1, output_type="np").images[0]
assert image.std() > 0.01
none = {{"text_encoder_3": None, "tokenizer_3": None}}
joint = StableDiffusion3Pipeline.from_pretrained({str(WEIGHTS / "mmdit")!r}, **none)
joint.set_progress_bar_config(disable=True)
assert joint("a red cube", num_inference_steps=2, output_type="np").images[0].std() > 0.01
CLIPModel.from_pretrained({str(WEIGHTS / "clip")!r})
CLIPTokenizer.from_pretrained({str(WEIGHTS / "clip")!r})
depth = AutoModelForDepthEstimation.from_pretrained({str(WEIGHTS / "depth")!r})
looks = AutoImageProcessor.from_pretrained({str(WEIGHTS / "depth")!r})
seen = depth(**looks(images=(255 * image).astype("uint8"), return_tensors="pt")).predicted_depth
assert seen.std() > 0.01
vlm = AutoModelForImageTextToText.from_pretrained({str(WEIGHTS / "vlm")!r})
processor = AutoProcessor.from_pretrained({str(WEIGHTS / "vlm")!r})
asked = processor(images=image, text="<image>is there a red cube?", return_tensors="pt")
said = vlm.generate(**asked, max_new_tokens=4)[0, asked.input_ids.shape[1] :]
assert processor.decode(said, skip_special_tokens=True) in ("yes", "no")
assert not [name for name in sys.modules if name.startswith("imgtool")]
"""
    done = subprocess.run(
        [warm_bin / "python", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_shipped_weights_of_all_plugins_are_small_and_none_is_kept_twice() -> None:
    plugins = Path(__file__).parents[2]
    files = {path.resolve() for path in plugins.glob("*/src/*/weights/**/*.safetensors")}
    assert {path.resolve() for path in WEIGHTS.rglob("*.safetensors")} <= files
    sizes = [path.stat().st_size for path in files]
    assert max(sizes) < 16 * 2**20
    assert sum(sizes) < 32 * 2**20
    assert len({path.read_bytes() for path in files}) == len(files)


def test_latents_have_unit_spread_in_every_direction() -> None:
    vae = AutoencoderKL.from_pretrained(WEIGHTS / "tabletop" / "vae", torch_dtype=torch.float32)
    pictures = render([scene_at(5, i, held_out=False) for i in range(48)]) * 2 - 1
    with torch.no_grad():
        latents = vae.encode(pictures).latent_dist.mean * vae.config.scaling_factor
        made = vae.decode(latents / vae.config.scaling_factor).sample
    spread = torch.linalg.eigvalsh(torch.cov(latents.transpose(0, 1).flatten(1)))
    assert 0.8 < float(latents.std()) < 1.25
    assert spread.min() > 0.05
    assert -10 * torch.log10((made - pictures).square().mean() / 4) > 30


def test_judge_reads_held_out_renders() -> None:
    assert judge_accuracy(Judge.load(WEIGHTS / "judge"), 120) >= 0.92


def test_a_tokenizer_is_the_same_every_time_and_keeps_words_whole(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_tokenizer(tmp_path / name)

    one, two = ((tmp_path / name / "tokenizer.json").read_bytes() for name in ("one", "two"))
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path / "one")
    assert one == two
    assert all(len(tokenizer(word).input_ids) == 3 for word in all_words())


@pytest.mark.parametrize(
    ("text", "first", "near"),
    [
        ("a red cube left of a blue sphere", ("red", "cube"), ("red", "cube")),
        ("a red cube with a blue sphere to its left", ("red", "cube"), ("blue", "sphere")),
        ("a blue sphere behind a red cube", ("blue", "sphere"), ("red", "cube")),
    ],
)
def test_captions_answer_who_is_named_first_and_who_stands_where(
    text: str, first: tuple[str, str], near: tuple[str, str]
) -> None:
    answers = answers_of(parse(text), text)

    assert answers is not None
    assert (COLOURS[answers[0]], SHAPES[answers[1]]) == first
    assert (COLOURS[answers[5]], SHAPES[answers[6]]) == near


def test_captions_that_colours_do_not_tell_apart_answer_nothing() -> None:
    text = "a red cube left of a red sphere"
    assert answers_of(parse(text), text) is None
