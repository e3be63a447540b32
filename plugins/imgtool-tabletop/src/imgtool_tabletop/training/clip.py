"""Trains `tabletop/clip`: pictures and captions in one space, with hard negatives.

Its text tower, frozen, is the text encoder of the generators.
"""

import copy
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPTokenizer,
    CLIPVisionConfig,
)

from imgtool_tabletop.captions.grammar import caption, describe, swapped, trim
from imgtool_tabletop.captions.words import EXTRA_PHRASES, LIGHT_PHRASES, TABLE_PHRASES
from imgtool_tabletop.training.bank import PictureBank, scene_at
from imgtool_tabletop.training.judge import detection
from imgtool_tabletop.training.loop import Budget, Optimiser, Report, Trainer
from imgtool_tabletop.training.tokenizer import POSITIONS, write_tokenizer
from imgtool_tabletop.training.vae import bank_batch
from imgtool_tabletop.world.facts import RELATIONS, Facts, scene_facts
from imgtool_tabletop.world.scene import COLOURS, SHAPES

MEAN, STD = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]


@dataclass(frozen=True)
class ClipTraining:
    """Settings; both towers have the same width.

    start : folder whose text tower is kept as it is, for the generators that depend on it, while
    all else goes on from there; empty: random weights.
    """

    width: int = 128
    layers: int = 4
    heads: int = 4
    patch: int = 8
    projection: int = 128
    start: str = ""
    batch: int = 64
    seed: int = 0
    budget: Budget = field(default_factory=Budget)
    optimiser: Optimiser = field(default_factory=lambda: Optimiser(rate=1e-3, ema_half_life=100))


def build_clip(settings: ClipTraining, tokenizer: CLIPTokenizer) -> CLIPModel:
    """An untrained model for the tokenizer's vocabulary."""
    torch.manual_seed(settings.seed)
    shape = {
        "hidden_size": settings.width,
        "intermediate_size": 4 * settings.width,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "projection_dim": settings.projection,
    }
    text = CLIPTextConfig(
        **shape,
        vocab_size=len(tokenizer),
        max_position_embeddings=POSITIONS,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(**shape, image_size=64, patch_size=settings.patch)
    config = CLIPConfig(
        text_config=text.to_dict(),
        vision_config=vision.to_dict(),
        projection_dim=settings.projection,
    )
    return CLIPModel(config)


EXTRAS = 0.25
"""How often a caption says each true word of framing, clutter and harmony."""
COMBINATIONS = [(colour, shape) for colour in COLOURS for shape in SHAPES]
SURROUNDINGS = [*TABLE_PHRASES, *LIGHT_PHRASES, *EXTRA_PHRASES]
LABELS = len(COMBINATIONS) * (1 + len(RELATIONS)) + len(SURROUNDINGS)


def labels_of(facts: Facts) -> Tensor:
    """[LABELS] 0 or 1: which coloured shapes there are, in which relations, and what is around."""
    label = torch.zeros(1 + len(RELATIONS), len(COMBINATIONS))
    slots = [COMBINATIONS.index((str(f.colour), str(f.shape))) for f in facts.objects]
    label[0, slots] = 1.0
    for subject, kind, _ in facts.relations:
        label[1 + RELATIONS.index(kind), slots[subject]] = 1.0
    around = {facts.table, facts.light, *facts.extras}
    return torch.cat((label.flatten(), torch.tensor([float(s in around) for s in SURROUNDINGS])))


@dataclass(frozen=True)
class Pairs:
    """Captions of pictures, a false caption of each, and labels [B, LABELS] of all three."""

    true: list[str]
    false: list[str]
    image_labels: Tensor
    text_labels: Tensor


def pair_texts(bank: PictureBank, rows: list[int], step: int) -> Pairs:
    """Captions, true and false, for bank scenes `rows`."""
    true, false, seen, said, denied = [], [], [], [], []
    for row in rows:
        rng = random.Random(f"pair:{row}:{step}")
        facts = bank.facts(row)
        told = trim(facts, rng, EXTRAS)
        lie = swapped(told, rng)
        true.append(describe(told, rng))
        false.append(describe(lie, rng))
        seen.append(labels_of(facts))
        said.append(labels_of(told))
        denied.append(labels_of(lie))
    return Pairs(true, false, torch.stack(seen), torch.stack(said + denied))


def contrastive(image: Tensor, text: Tensor, false: Tensor, scale: Tensor) -> Tensor:
    """Symmetric cross-entropy, Radford et al. (2021), fig. 3; images also against `false`."""
    target = torch.arange(len(image))
    to_text = scale * image @ torch.cat((text, false)).T
    to_image = scale * text @ image.T
    return 0.5 * (F.cross_entropy(to_text, target) + F.cross_entropy(to_image, target))


def pooled_texts(model: CLIPModel, tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """[B, projection] of `texts`, computed in four groups of like length: padding costs time."""
    ids = tokenizer(texts, truncation=True).input_ids
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    groups = [group.tolist() for group in torch.tensor(order).tensor_split(4) if len(group)]
    pooled = []
    for group in groups:
        tokens = tokenizer.pad({"input_ids": [ids[i] for i in group]}, return_tensors="pt")
        pooled.append(model.text_projection(model.text_model(**tokens).pooler_output))
    return torch.cat(pooled)[torch.tensor(order).argsort()]


def train_clip(
    settings: ClipTraining, bank: PictureBank, out_dir: Path, work_dir: Path, report: Report
) -> None:
    """Train, resume, and write the folder: model, tokenizer, image processor."""
    write_tokenizer(out_dir)
    tokenizer = CLIPTokenizer.from_pretrained(out_dir)
    model = build_clip(settings, tokenizer)
    if settings.start:
        model.load_state_dict(
            CLIPModel.from_pretrained(settings.start, dtype=torch.float32).state_dict()
        )
        model.text_model.requires_grad_(False)
    # Naming what is there, from either side's vector, aligns the towers long before the
    # contrastive loss alone would; finding each solid in its patch teaches the first layers
    # shapes. Both heads are thrown away.
    model.naming = nn.Linear(settings.projection, LABELS)
    model.finding = nn.Linear(settings.width, 1 + len(SHAPES) + len(COLOURS))
    grid = 64 // settings.patch
    trainer = Trainer(model, work_dir, settings.budget, settings.optimiser, report)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        rows, pictures = bank_batch(bank, settings.seed, step, settings.batch)
        pairs = pair_texts(bank, rows.tolist(), step)
        with torch.autocast("cpu", torch.bfloat16):
            vision = model.vision_model(pictures)
            image = _unit(model.visual_projection(vision.pooler_output))
            text = _unit(pooled_texts(model, tokenizer, [*pairs.true, *pairs.false]))
            found = model.finding(vision.last_hidden_state[:, 1:]).float()
        scenes = [bank.scene(int(row)) for row in rows]
        finding, right = detection(found.mT.unflatten(-1, (grid, grid)), scenes)
        good, bad = text.split(len(rows))
        scale = model.logit_scale.exp().clamp(max=100.0)
        value = contrastive(image, good, bad, scale)
        named = model.naming(torch.cat((image, text)) * 12.0)
        labels = torch.cat((pairs.image_labels, pairs.text_labels))
        naming = F.binary_cross_entropy_with_logits(named, labels) * LABELS / 10.0
        ranks = (image @ good.T).argmax(-1) == torch.arange(len(image))
        beats = (image * good).sum(-1) > (image * bad).sum(-1)
        return value + naming + finding, {
            "naming": float(naming.detach()),
            "found": right,
            "top1": float(ranks.float().mean()),
            "beats_false": float(beats.float().mean()),
        }

    trainer.run(loss)
    with trainer.averaged():
        del model.naming, model.finding
        write_clip(model, out_dir)


def _unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors.float(), dim=-1)


def write_clip(model: CLIPModel, out_dir: Path) -> None:
    """Write the model in half precision with its image processor."""
    copy.deepcopy(model).half().save_pretrained(out_dir)
    CLIPImageProcessor(
        size={"shortest_edge": 64},
        crop_size={"height": 64, "width": 64},
        image_mean=MEAN,
        image_std=STD,
    ).save_pretrained(out_dir)


@torch.no_grad()
def retrieval(model: CLIPModel, tokenizer: CLIPTokenizer, seed: int, count: int = 100) -> float:
    """Top-1 accuracy of picture-to-text retrieval among `count` distinct held-out captions."""
    from imgtool_tabletop.world.render import render

    scenes, texts = [], []
    index = 0
    while len(texts) < count:
        scene = scene_at(seed, index, held_out=True)
        text = caption(scene_facts(scene), (seed, index))
        index += 1
        if text not in texts:
            scenes.append(scene)
            texts.append(text)
    pictures = render(scenes) * 2 - 1
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    image = _unit(model.visual_projection(model.vision_model(pictures).pooler_output))
    text_units = _unit(model.text_projection(model.text_model(**tokens).pooler_output))
    return float(((image @ text_units.T).argmax(-1) == torch.arange(count)).float().mean())


def write_figures(out_dir: Path, figures: dict[str, float]) -> None:
    """Measured quality, beside the weights."""
    (out_dir / "figures.json").write_text(json.dumps(figures, sort_keys=True) + "\n")
