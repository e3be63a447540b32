"""The trainers of vlm, depth and aesthetic: resumed as unbroken, loaded by plain transformers."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file

import imgtool_tabletop
from imgtool_tabletop import bench_models
from imgtool_tabletop.training import aesthetic, depth, finding, vlm
from imgtool_tabletop.training.bank import PictureBank, scene_at
from imgtool_tabletop.training.loop import Budget, Trainer
from imgtool_tabletop.training.pictures import KeptRows, partly_disturbed
from imgtool_tabletop.training.telling import pack
from imgtool_tabletop.world.render import render
from imgtool_tabletop.world.sample import BROAD
from imgtool_tabletop.world.scene import Scene, Solid

if TYPE_CHECKING:
    from collections.abc import Callable

CLIP = Path(imgtool_tabletop.__file__).parent / "weights" / "clip"
STEPS = 4
SMALL = {"batch": 4, "measured": 2}

NAMES = ("vlm", "depth", "aesthetic")


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> PictureBank:
    made = PictureBank(tmp_path_factory.mktemp("bank"), 1, 128, distribution=BROAD)
    made.fill(lambda line: None)
    return made


def train(name: str, bank: PictureBank, folder: Path, out: str) -> None:
    budget = Budget(steps=STEPS, log_every=1)
    rest = (bank, folder / out, folder / "journal", lambda line: None)
    if name == "vlm":
        settings = vlm.VlmTraining(looking=0.5, budget=budget, **SMALL)
        vlm.train_vlm(settings, rest[0], CLIP, *rest[1:])
    elif name == "depth":
        depth.train_depth(depth.DepthTraining(budget=budget, **SMALL), *rest)
    else:
        heads = aesthetic.AestheticTraining(budget=budget, **SMALL)
        aesthetic.train_aesthetic(heads, rest[0], CLIP, *rest[1:])


def stopped_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainers stop themselves, as a signal would, once they have done `steps`."""
    run = Trainer.run

    def short(self: Trainer, loss: Callable[[int], tuple[torch.Tensor, dict[str, float]]]) -> None:
        def counted(step: int) -> tuple[torch.Tensor, dict[str, float]]:
            if step + 1 == steps:
                self._stop.set()
            return loss(step)

        run(self, counted)

    monkeypatch.setattr(Trainer, "run", short)


@pytest.fixture(scope="module")
def trained(bank: PictureBank, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each model, trained without a break."""
    folders = {name: tmp_path_factory.mktemp(name.replace("/", "-")) for name in NAMES}
    for name, folder in folders.items():
        train(name, bank, folder, "whole")
    return {name: folder / "whole" for name, folder in folders.items()}


@pytest.mark.parametrize("name", NAMES)
def test_stopped_training_goes_on_to_the_same_weights(
    name: str,
    bank: PictureBank,
    trained: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        stopped_after(3, patch)
        train(name, bank, tmp_path, "made")
    assert not (tmp_path / "made" / "model.safetensors").exists()
    train(name, bank, tmp_path, "made")
    whole, made = (load_file(f / "model.safetensors") for f in (trained[name], tmp_path / "made"))
    assert whole.keys() == made.keys()
    assert all(torch.equal(whole[key], made[key]) for key in whole)
    assert len((tmp_path / "journal" / "log.csv").read_text().splitlines()) == 1 + STEPS


@pytest.mark.parametrize("name", NAMES)
def test_folder_has_a_card_with_data_recipe_figures_and_limits(
    name: str, trained: dict[str, Path]
) -> None:
    text = (trained[name] / "README.md").read_text(encoding="utf-8")
    assert f"# tabletop/{name}" in text
    assert all(word in text for word in ("**Data.** 128", "**Recipe.**", "4 steps", "**Limits.**"))
    assert "| aim |" in text


@pytest.mark.parametrize(("name", "mib"), [("vlm", 5.0), ("depth", 3.0), ("aesthetic", 0.5)])
def test_weights_are_small_and_of_half_precision(
    name: str, mib: float, trained: dict[str, Path]
) -> None:
    file = trained[name] / "model.safetensors"
    assert file.stat().st_size < mib * 2**20
    numbers = [tensor for tensor in load_file(file).values() if tensor.is_floating_point()]
    assert {tensor.dtype for tensor in numbers} == {torch.float16}


PLAIN = """
import sys
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor, AutoModelForDepthEstimation, AutoModelForImageTextToText, AutoProcessor,
    CLIPModel,
)
from safetensors.torch import load_file
vlm, depth, aesthetic, clip, file = sys.argv[1:]
picture = Image.open(file)

model = AutoModelForImageTextToText.from_pretrained(vlm, dtype=torch.float32)
processor = AutoProcessor.from_pretrained(vlm)
asked = processor(images=picture, text="<image>is there a red cube?", return_tensors="pt")
said = model.generate(**asked, max_new_tokens=3)
assert said.shape[1] > asked.input_ids.shape[1]
parts = [{"type": "image"}, {"type": "text", "text": "is there a red cube?"}]
turn = [{"role": "user", "content": parts}]
again = processor(
    images=picture, text=processor.apply_chat_template(turn, add_generation_prompt=True),
    return_tensors="pt",
)
assert torch.equal(asked.input_ids, again.input_ids)

processor = AutoImageProcessor.from_pretrained(depth)
model = AutoModelForDepthEstimation.from_pretrained(depth, dtype=torch.float32)
for size in (64, 160):
    large = picture.resize((size, size))
    with torch.no_grad():
        seen = model(**processor(images=large, return_tensors="pt"))
    metres = processor.post_process_depth_estimation(seen, [(size, size)])[0]["predicted_depth"]
    assert metres.shape == (size, size) and metres.min() > 0

tower = CLIPModel.from_pretrained(clip, dtype=torch.float32)
state = load_file(f"{aesthetic}/model.safetensors")
vector = torch.zeros(1, tower.config.projection_dim)
for index in (0, 2, 4, 6, 7):
    weight, bias = (state[f"layers.{index}.{name}"].float() for name in ("weight", "bias"))
    vector = vector @ weight.T + bias
assert vector.shape == (1, 1)
assert not [name for name in sys.modules if name.startswith("imgtool")]
"""


def test_folders_load_with_nothing_of_ours(
    trained: dict[str, Path], tmp_path: Path, warm_bin: Path
) -> None:
    picture = render([scene_at(2, 0, BROAD, held_out=True)])[0].permute(1, 2, 0).mul(255).byte()
    Image.fromarray(picture.numpy()).save(tmp_path / "picture.png")
    folders = [str(trained[name]) for name in NAMES]
    done = subprocess.run(
        [warm_bin / "python", "-c", PLAIN, *folders, str(CLIP), str(tmp_path / "picture.png")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_one_pass_over_all_texts_equals_a_pass_over_each() -> None:
    tokenizer = vlm.vlm_tokenizer(CLIP)
    model = vlm.build_vlm(vlm.VlmTraining(), tokenizer).eval()
    texts = [("is there a cone?", "yes"), ("", "a red cube"), ("what colour is the ball?", "blue")]
    pairs = [tuple(tokenizer(part).input_ids[1:] for part in text) for text in texts]
    picture = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        vision = vlm.looked_at(model, picture)
        together, wanted = vlm.said_logits(model, vision, pack([pairs]))
        alone = []
        for (question, _), (_, answer) in zip(texts, pairs, strict=True):
            prompt = tokenizer(vlm.IMAGE * finding.PATCHES + question).input_ids
            ids = torch.tensor([[*prompt, *answer]])
            out = model(input_ids=ids, pixel_values=picture).logits
            alone.append(out[0, -1 - len(answer) : -1])
    assert wanted.tolist() == [token for _, answer in pairs for token in answer]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-4)


def test_vlm_goes_on_from_the_model_that_it_is_given(trained: dict[str, Path]) -> None:
    start = trained["vlm"]
    model = vlm.build_vlm(vlm.VlmTraining(start=start), vlm.vlm_tokenizer(CLIP))
    kept = load_file(start / "model.safetensors")["multi_modal_projector.linear_1.weight"]
    assert torch.equal(model.model.multi_modal_projector.linear_1.weight.half(), kept)


def test_patches_show_the_nearest_solid() -> None:
    scene = Scene((Solid("cube", "red", 0.0, -0.08, "large"), Solid("sphere", "blue", 0.1, 0.1)))
    middles, shown = finding.places_of(scene)
    at = [scene.camera.project(solid.centre) for solid in scene.solids]
    cells = [int((y + 1) * 4) * 8 + int((x + 1) * 4) for x, y, _ in at]
    assert middles.nonzero()[:, 0].tolist() == sorted(cells)
    assert shown[cells[0]].tolist() == [1, 0, 2, 0]
    assert shown[cells[1]].tolist() == [0, 2, 1, 0]
    assert (shown[0] == finding.IGNORE).all()


def test_finding_what_is_there_costs_less_than_finding_nothing() -> None:
    places = finding.places_of(scene_at(3, 1, BROAD, held_out=False))
    middles, shown = places
    right = torch.zeros(1, 64, finding.FOUND)
    right[0, :, 0] = middles * 20 - 10
    right[0, :, 1] = torch.linspace(-1, 1, 8).repeat(8)
    right[0, :, 2] = torch.linspace(-1, 1, 8).repeat_interleave(8)
    start = 3
    for kind, size in enumerate(finding.KINDS):
        for patch in (shown[:, kind] >= 0).nonzero()[:, 0].tolist():
            right[0, patch, start + int(shown[patch, kind])] = 20.0
        start += size
    assert finding.finding_loss(right, [places]) < 0.01
    assert finding.finding_loss(torch.zeros_like(right), [places]) > 1.0


def test_kept_rows_are_computed_once_and_after_a_cut_again(tmp_path: Path) -> None:
    asked: list[list[int]] = []

    def compute(rows: np.ndarray) -> torch.Tensor:
        asked.append(rows.tolist())
        return torch.from_numpy(rows).float()[:, None].expand(-1, 3) + 1

    kept = KeptRows(tmp_path / "kept.f16", (8, 3), compute)
    assert kept.rows(np.array([2, 5, 2])).tolist() == [[3.0] * 3, [6.0] * 3, [3.0] * 3]
    kept._kept[5] = (6.0, 0.0, 0.0)
    again = KeptRows(tmp_path / "kept.f16", (8, 3), compute)
    assert again.rows(np.array([2, 5])).tolist() == [[3.0] * 3, [6.0] * 3]
    assert asked == [[2, 5], [5]]


def test_half_of_the_pictures_are_spoilt() -> None:
    pictures = render([scene_at(3, i, BROAD, held_out=False) for i in range(4)]) * 2 - 1
    made = partly_disturbed(pictures, 0.5, step=7)
    assert torch.equal(made[2:], pictures[2:])
    assert not torch.equal(made[:2], pictures[:2])
    assert torch.equal(made, partly_disturbed(pictures, 0.5, step=7))


def test_affine_head_is_affine_and_the_other_is_not() -> None:
    torch.manual_seed(0)
    heads = aesthetic.Heads(16, aesthetic.AestheticTraining())
    a, b = torch.randn(2, 8, 16)
    middle, ends = heads((a + b) / 2), [heads(a), heads(b)]
    torch.testing.assert_close(middle[0], (ends[0][0] + ends[1][0]) / 2)
    assert not torch.allclose(middle[1], (ends[0][1] + ends[1][1]) / 2, atol=1e-5)


def test_written_heads_are_read_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(0)
    heads = aesthetic.Heads(16, aesthetic.AestheticTraining()).half().float()
    aesthetic.write_heads(heads, CLIP, tmp_path)
    vectors = torch.randn(4, 16)
    for one, other in zip(heads(vectors), aesthetic.load_heads(tmp_path)(vectors), strict=True):
        torch.testing.assert_close(one, other)


def test_bank_of_another_training_must_be_there(tmp_path: Path, warm_bin: Path) -> None:
    command = [warm_bin / "imgtool", "train", "tabletop/depth", "--smoke"]
    command += ["--bank", str(tmp_path), "-o", str(tmp_path / "made")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "holds no rendered pictures" in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_trainer_and_its_bench_run_as_commands(
    name: str, bank: PictureBank, tmp_path: Path, warm_bin: Path
) -> None:
    def imgtool(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [warm_bin / "imgtool", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    made = str(tmp_path / "made")
    shared = ("--bank", str(bank.folder))
    trained = imgtool("train", f"tabletop/{name}", "--smoke", *shared, "-o", made)
    assert trained.returncode == 0, trained.stderr
    rest = ("--generated", "0") if name == "aesthetic" else ()
    measured = imgtool("bench", f"tabletop/{name}", "--model", made, "--count", "3", *rest)
    assert measured.returncode == 1, measured.stderr
    assert "MISSED" in measured.stdout
    absent = imgtool("bench", f"tabletop/{name}", "--model", str(tmp_path / "none"), *rest)
    assert absent.returncode == 2
    assert "holds no" in absent.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_bench_of_no_scenes_is_refused(name: str) -> None:
    done = CliRunner().invoke(getattr(bench_models, name), ["--count", "0"])
    assert (done.exit_code, "--count" in done.output) == (2, True)


@torch.no_grad()
def test_untrained_depth_already_depends_on_the_picture(bank: PictureBank) -> None:
    model = depth.build_depth(depth.DepthTraining()).eval()
    pictures = render([bank.scene(row) for row in range(8)]) * 2 - 1
    assert model(pictures).predicted_depth.std(dim=0).mean() > 0.1
