"""Trains `tabletop/clip`: pictures and captions in one space, with hard negatives.

Its text tower, frozen, is the text encoder of the generators.
"""

import random
import re
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
from imgtool_tabletop.measures import CLIP_BARS
from imgtool_tabletop.training.bank import PictureBank, scene_at
from imgtool_tabletop.training.card import Card, Made, data_of, effort_of, write_card
from imgtool_tabletop.training.judge import detection
from imgtool_tabletop.training.loop import Budget, Optimiser, Report, Trainer
from imgtool_tabletop.training.saving import save_half
from imgtool_tabletop.training.tokenizer import POSITIONS, write_tokenizer
from imgtool_tabletop.training.vae import bank_batch
from imgtool_tabletop.world.facts import INVERSE, RELATIONS, Facts, scene_facts
from imgtool_tabletop.world.scene import COLOURS, SHAPES

MEAN, STD = [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]
CARD = Card(
    "tabletop/clip",
    "Pictures and captions of the tabletop world in one space of 128 numbers. CLIPModel; its "
    "frozen text tower, of 128 positions, is the text encoder of `tabletop`.",
    """
import torch
from transformers import CLIPModel, CLIPProcessor

model = CLIPModel.from_pretrained(folder, dtype=torch.float32)
processor = CLIPProcessor.from_pretrained(folder)
texts = ["a red cube", "a blue sphere"]
inputs = processor(text=texts, images=picture, padding=True, return_tensors="pt")
with torch.no_grad():
    likely = model(**inputs).logits_per_image.softmax(-1)
""",
    "First the text tower alone learns to say which solid a caption names first and which stands "
    "where; then both towers learn by contrast with captions made false by one change, to name "
    "what is there, and to find each solid in its patch. AdamW.",
    "It knows the words of the tabletop's captions and pictures of its solids, at 64×64; of other "
    "texts and pictures its numbers mean nothing.",
)


@dataclass(frozen=True)
class ClipTraining:
    """Settings; both towers have the same width.

    reading : share of the budget in which the text tower alone learns what captions say.
    start : folder whose text tower is kept as it is, for the generators that depend on it, while
    all else goes on from there; empty: random weights. measured : held-out captions at the end.
    """

    width: int = 128
    layers: int = 4
    heads: int = 4
    patch: int = 8
    projection: int = 128
    start: Path | None = None
    reading: float = 0.3
    batch: int = 64
    seed: int = 0
    measured: int = 100
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
    for subject, kind, other in facts.relations:
        label[1 + RELATIONS.index(kind), slots[subject]] = 1.0
        if kind in INVERSE:
            label[1 + RELATIONS.index(INVERSE[kind]), slots[other]] = 1.0
    around = {facts.table, facts.light, *facts.extras}
    return torch.cat((label.flatten(), torch.tensor([float(s in around) for s in SURROUNDINGS])))


@dataclass(frozen=True)
class Pairs:
    """Captions of pictures, a false caption of each, and labels [B, LABELS] of all three.

    answers : what `answers_of` gives for the true captions, then for the false ones.
    """

    true: list[str]
    false: list[str]
    image_labels: Tensor
    text_labels: Tensor
    answers: list[list[int] | None]


def pair_texts(bank: PictureBank, rows: list[int], step: int) -> Pairs:
    """Captions, true and false, for bank scenes `rows`."""
    true, false, seen, tellings, lies = [], [], [], [], []
    for row in rows:
        rng = random.Random(f"pair:{row}:{step}")
        facts = bank.facts(row)
        told = trim(facts, rng, EXTRAS)
        lie = swapped(told, rng)
        true.append(describe(told, rng))
        false.append(describe(lie, rng))
        seen.append(labels_of(facts))
        tellings.append(told)
        lies.append(lie)
    texts = [*zip(tellings, true, strict=True), *zip(lies, false, strict=True)]
    labels = torch.stack([labels_of(facts) for facts, _ in texts])
    answers = [answers_of(facts, text) for facts, text in texts]
    return Pairs(true, false, torch.stack(seen), labels, answers)


PADDED = 4
"""Captions of a batch that are read at their padding too, which generators attend to."""
NAMED = (len(COLOURS), len(SHAPES)) * 2
ANSWERS = (*NAMED, len(RELATIONS), *NAMED)
"""Classes of what `answers_of` gives."""


def answers_of(facts: Facts, text: str) -> list[int] | None:
    """What a caption of two related solids says, in the order of its words and in space.

    Colour and shape of the solid named first, of the other, and the relation between them; colour
    and shape of the solid to the left, in front or on top, and of the other. None where there are
    not two, or colours do not tell them apart.
    """
    words = re.findall(r"\w+", text.lower())
    colours = [str(fact.colour) for fact in facts.objects]
    if len(colours) != 2 or len(set(colours)) != 2 or not facts.relations:
        return None
    if not set(colours) <= set(words):
        return None
    names = [(COLOURS.index(str(f.colour)), SHAPES.index(str(f.shape))) for f in facts.objects]
    first = min((0, 1), key=lambda index: words.index(colours[index]))
    subject, kind, _ = min(facts.relations)
    if subject != first and kind not in INVERSE:
        return None
    said = kind if subject == first else INVERSE[kind]
    near = first if said in ("left of", "in front of", "on top of") else 1 - first
    place = RELATIONS.index(said)
    return [*names[first], *names[1 - first], place, *names[near], *names[1 - near]]


class Reader(nn.Module):
    """Heads that tell from a caption's last states what it says.

    Every state from the end token on must tell all, up to the longest padding: a generator sees
    each of them, and with causal attention no earlier one knows the whole caption. Which solid is
    named first, and which stands where, are asked apart: from the labels alone, a tower goes on
    for long without telling "a left of b" from "b left of a".
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.labels = nn.Linear(width, LABELS)
        self.answers = nn.Linear(width, sum(ANSWERS))

    def loss(self, model: CLIPModel, tokenizer: CLIPTokenizer, pairs: "Pairs") -> Tensor:
        """How badly they tell."""
        texts = [*pairs.true, *pairs.false]
        short = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        ends = short.attention_mask.sum(1) - 1
        states = model.text_model(**short).last_hidden_state[torch.arange(len(ends)), ends]
        value = _binary(self.labels(states), pairs.text_labels)
        long = tokenizer(texts[:PADDED], padding="max_length", truncation=True, return_tensors="pt")
        after = long.attention_mask.cumsum(1) == long.attention_mask.sum(1, keepdim=True)
        padding = model.text_model(long.input_ids).last_hidden_state[after]
        labels = pairs.text_labels[:PADDED, None].expand(*after.shape, -1)[after]
        value = value + _binary(self.labels(padding), labels)
        asked = [index for index, answer in enumerate(pairs.answers) if answer]
        if not asked:
            return value
        answers = torch.tensor([answer for answer in pairs.answers if answer])
        parts = self.answers(states[asked]).float().split(ANSWERS, -1)
        wrong = [F.cross_entropy(part, answers[:, at]) for at, part in enumerate(parts)]
        return value + torch.stack(wrong).sum()


def _binary(found: Tensor, labels: Tensor) -> Tensor:
    each = F.binary_cross_entropy_with_logits(found.float(), labels, reduction="none")
    return each.sum(-1).mean()


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
    if settings.start:
        CLIPTokenizer.from_pretrained(settings.start).save_pretrained(out_dir)
    else:
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
    # shapes; reading makes text states tell what the pooled vector need not. All three heads are
    # thrown away.
    model.naming = nn.Linear(settings.projection, LABELS)
    model.finding = nn.Linear(settings.width, 1 + len(SHAPES) + len(COLOURS))
    model.reader = Reader(settings.width)
    grid = 64 // settings.patch
    trainer = Trainer(model, work_dir, settings.budget, settings.optimiser, report)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        rows, pictures = bank_batch(bank, settings.seed, step, settings.batch)
        pairs = pair_texts(bank, rows.tolist(), step)
        words = torch.zeros(())
        if not settings.start:
            with torch.autocast("cpu", torch.bfloat16):
                words = model.reader.loss(model, tokenizer, pairs)
            if trainer.progress < settings.reading:
                return words, {"words": float(words.detach())}
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
        return value + naming + finding + words, {
            "naming": float(naming.detach()),
            "found": right,
            "top1": float(ranks.float().mean()),
            "beats_false": float(beats.float().mean()),
        }

    trainer.run(loss)
    with trainer.averaged():
        del model.naming, model.finding, model.reader
        write_clip(model, out_dir)
        figures = {"retrieval_top1": retrieval(model, tokenizer, settings.seed, settings.measured)}
        made = Made(data_of(bank), effort_of(trainer, settings.batch), figures, CLIP_BARS)
        write_card(CARD, made, out_dir)


def _unit(vectors: Tensor) -> Tensor:
    return F.normalize(vectors.float(), dim=-1)


def write_clip(model: CLIPModel, out_dir: Path) -> None:
    """Write the model in half precision with its image processor."""
    save_half(model, out_dir)
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
