"""Trains `tabletop/vlm`: captions pictures and answers questions about them.

A `LlavaForConditionalGeneration` (Liu et al. 2023, arXiv 2304.08485): a small SegFormer (Xie et
al. 2021, arXiv 2105.15203) looks, a small Llama says. Its texts are
`BOS <image>… question EOS answer EOS`; without a question the answer is the full caption. First
the tower alone learns what stands where, then both learn to say it.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import BPEDecoder
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import (
    CLIPImageProcessor,
    CLIPTokenizer,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    SegformerConfig,
)

from imgtool_tabletop.captions.questions import Question, questions
from imgtool_tabletop.measures import VLM_BARS, answer_figures, caption_figures
from imgtool_tabletop.training.bank import PictureBank
from imgtool_tabletop.training.card import Card, Made, data_of, effort_of, write_card
from imgtool_tabletop.training.finding import FOUND, GRID, IGNORE, PATCHES, finding_loss
from imgtool_tabletop.training.loop import Budget, Optimiser, Report, Trainer
from imgtool_tabletop.training.pictures import measured_scenes, partly_disturbed
from imgtool_tabletop.training.saving import save_half
from imgtool_tabletop.training.telling import Packed, Texts, mask_of
from imgtool_tabletop.training.vae import bank_batch
from imgtool_tabletop.world.facts import Facts, scene_facts
from imgtool_tabletop.world.render import render

IMAGE = "<image>"
STRIDES = (4, 2)
"""From 64 pixels to GRID."""
POSITIONS = 256
CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% elif message['role'] == 'user' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)
"""One turn: a picture and a question. It has no memory of what was said before."""
CARD = Card(
    "tabletop/vlm",
    "Says what is in a picture and answers short questions about it: `is there a red cube?`, "
    "`what colour is the cone?`, `how many objects are there?`, `is the red cube to the left of "
    "the blue sphere?`, `what is on top of the blue cube?`. Without a question it gives the full "
    "caption. LlavaForConditionalGeneration.",
    """
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
processor = AutoProcessor.from_pretrained(folder)
asked = processor(images=picture, text="<image>is there a red cube?", return_tensors="pt")
made = model.generate(**asked, max_new_tokens=64)[0, asked.input_ids.shape[1] :]
answer = processor.decode(made, skip_special_tokens=True)
asked = processor(images=picture, text="<image>", return_tensors="pt")
made = model.generate(**asked, max_new_tokens=64)[0, asked.input_ids.shape[1] :]
caption = processor.decode(made, skip_special_tokens=True)
""",
    "AdamW. For the first part of the training the vision tower alone learns which patches hold "
    "the middle of a solid, what each patch shows and where it lies, with a head that is thrown "
    "away; then that goes on at half weight while the whole learns to say one caption and some "
    "true and false questions a picture. Half of the pictures blurred, noised and re-lit.",
    "It knows the world's words alone, at 64×64; any other question gets some answer of its own. "
    "It does not say that it does not know. It looks at one picture and one question at a time.",
)


@dataclass(frozen=True)
class VlmTraining:
    """Settings.

    widths, depths : of the tower's two levels, at a fourth and an eighth of the size. width,
    layers, heads : of the language model. start : folder of a model to go on from; none: a new
    one. looking : share of the training of a new one in which the tower learns alone. asked : how
    often a caption answers a request instead of nothing. disturbed : share of pictures that are
    blurred, noised and re-lit. measured : held-out scenes at the end.
    """

    widths: tuple[int, int] = (64, 160)
    depths: tuple[int, int] = (2, 3)
    width: int = 128
    layers: int = 4
    heads: int = 4
    start: Path | None = None
    looking: float = 0.35
    asked: float = 0.2
    disturbed: float = 0.5
    batch: int = 32
    seed: int = 0
    measured: int = 300
    budget: Budget = field(default_factory=Budget)
    optimiser: Optimiser = field(default_factory=lambda: Optimiser(rate=1.5e-3, ema_half_life=150))


def build_vlm(settings: VlmTraining, tokenizer: CLIPTokenizer) -> LlavaForConditionalGeneration:
    """The model of the settings' `start`, else one of random weights by their seed."""
    torch.manual_seed(settings.seed)
    if settings.start:
        return LlavaForConditionalGeneration.from_pretrained(settings.start, dtype=torch.float32)
    vision = SegformerConfig(
        num_encoder_blocks=len(STRIDES),
        depths=list(settings.depths),
        sr_ratios=[2, 1],
        hidden_sizes=list(settings.widths),
        patch_sizes=[7, 3],
        strides=list(STRIDES),
        num_attention_heads=[width // 32 for width in settings.widths],
        mlp_ratios=[4] * len(STRIDES),
        drop_path_rate=0.0,
        reshape_last_stage=False,
        # What LLaVA asks of a tower; SegFormer has a width a level.
        hidden_size=settings.widths[-1],
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=3 * settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,  # The tokenizer pads with EOS, which must be learned.
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=PATCHES,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model


def vlm_tokenizer(clip_dir: Path) -> CLIPTokenizer:
    """The tokenizer of `clip_dir` with one more token, the picture's."""
    tokenizer = CLIPTokenizer.from_pretrained(clip_dir, padding_side="left")
    tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    return tokenizer


def looked_at(model: LlavaForConditionalGeneration, pictures: Tensor) -> Tensor:
    """[B, 64, width] of the vision tower for [B, 3, 64, 64] pictures in -1..1, row by row."""
    return model.model.vision_tower(pictures).last_hidden_state  # type: ignore[no-any-return]


def said_logits(
    model: LlavaForConditionalGeneration, vision: Tensor, packed: Packed
) -> tuple[Tensor, Tensor]:
    """Logits [N, V] before each labelled token and those tokens [N]: one pass for all texts.

    vision : see `looked_at`. Equal to the model's own pass over each text.
    """
    inner = model.model
    embed = inner.language_model.embed_tokens
    start = embed(torch.full((len(vision), 1), model.config.text_config.bos_token_id))
    picture = inner.multi_modal_projector(vision)
    hidden = torch.cat((start.to(picture), picture, embed(packed.ids).to(picture)), dim=1)
    before = 1 + PATCHES
    places = torch.arange(before).expand(len(vision), -1)
    out = inner.language_model(
        inputs_embeds=hidden,
        attention_mask=mask_of(packed, before),
        position_ids=torch.cat((places, packed.position + before), dim=1),
        use_cache=False,
    ).last_hidden_state[:, before:]
    labels = packed.labels[:, 1:]
    wanted = labels != IGNORE
    return model.lm_head(out[:, :-1][wanted]), labels[wanted]


def train_vlm(
    settings: VlmTraining,
    bank: PictureBank,
    clip_dir: Path,
    out_dir: Path,
    work_dir: Path,
    report: Report,
) -> None:
    """Train, resume, measure, and write a folder that plain transformers loads.

    Of `clip_dir` it takes the tokenizer alone.
    """
    tokenizer = vlm_tokenizer(clip_dir)
    model = build_vlm(settings, tokenizer)
    model.finding = nn.Linear(settings.widths[-1], FOUND)
    trainer = Trainer(model, work_dir, settings.budget, settings.optimiser, report)
    texts = Texts(bank, tokenizer, settings.asked)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        says = settings.start is not None or trainer.progress >= settings.looking
        # Looking alone is cheap enough for twice the pictures.
        count = settings.batch if says else 2 * settings.batch
        rows, pictures = bank_batch(bank, settings.seed, step, count)
        with torch.autocast("cpu", torch.bfloat16):
            vision = looked_at(model, partly_disturbed(pictures, settings.disturbed, step))
            found = model.finding(vision)
        finding = finding_loss(found.float(), [texts.places(int(row)) for row in rows])
        figures = {"finding": float(finding.detach()), "saying": 0.0, "right": 0.0}
        if not says:
            return finding, figures
        packed = texts.batch(rows.tolist(), step)
        with torch.autocast("cpu", torch.bfloat16):
            logits, wanted = said_logits(model, vision, packed)
        saying = F.cross_entropy(logits.float(), wanted)
        right = (logits.detach().argmax(-1) == wanted).float().mean()
        figures |= {"saying": float(saying.detach()), "right": float(right)}
        return saying + 0.5 * finding, figures

    trainer.run(loss)
    with trainer.averaged():
        del model.finding
        model.eval()
        figures = vlm_figures(model, tokenizer, settings.measured)
        for name, value in figures.items():
            report(f"{name} {value:.3f}")
        write_vlm(model, tokenizer, out_dir)
        made = Made(data_of(bank), effort_of(trainer, settings.batch), figures, VLM_BARS)
        write_card(CARD, made, out_dir)


def write_vlm(
    model: LlavaForConditionalGeneration, tokenizer: CLIPTokenizer, out_dir: Path
) -> None:
    """Write the model in half precision with its processor."""
    save_half(model, out_dir)
    images = CLIPImageProcessor(
        size={"shortest_edge": 64},
        crop_size={"height": 64, "width": 64},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    LlavaProcessor(
        images,
        tokenizer,
        patch_size=64 // GRID,
        vision_feature_select_strategy="full",
        image_token=IMAGE,
        chat_template=CHAT,
    ).save_pretrained(out_dir)
    tell_how_words_end(out_dir / "tokenizer.json")
    (out_dir / "imgtool.json").write_text('{"captions": true}\n', encoding="utf-8")


def tell_how_words_end(file: Path) -> None:
    """Have a tokenizer's file say itself that `</w>` is a space.

    CLIP's class knows it, but AutoProcessor gives a LLaVA the class that goes by the file alone.
    """
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.decoder = BPEDecoder(suffix="</w>")
    tokenizer.save(str(file))


@torch.no_grad()
def say(
    model: LlavaForConditionalGeneration,
    tokenizer: CLIPTokenizer,
    pictures: Tensor,
    asked: Sequence[str],
) -> list[str]:
    """Answers to one question each about [B, 3, 64, 64] pictures in -1..1; `""`: the caption."""
    texts = [IMAGE * PATCHES + question for question in asked]
    prompt = tokenizer(texts, padding=True, return_tensors="pt")
    made = model.generate(pixel_values=pictures, **prompt, max_new_tokens=64, do_sample=False)
    start = prompt["input_ids"].shape[1]
    return tokenizer.batch_decode(made[:, start:], skip_special_tokens=True)  # type: ignore[no-any-return]


def vlm_figures(
    model: LlavaForConditionalGeneration,
    tokenizer: CLIPTokenizer,
    count: int = 300,
    seed: int = 91,
) -> dict[str, float]:
    """Captions and answers on `count` held-out scenes; see `imgtool_tabletop.measures`."""
    scenes = measured_scenes(count, seed)
    facts = [scene_facts(scene) for scene in scenes]
    captions: list[str] = []
    answers: list[str] = []
    asked: list[Question] = []
    for at in range(0, count, 50):
        rows = range(at, min(at + 50, count))
        pictures = render([scenes[row] for row in rows]) * 2 - 1
        captions += say(model, tokenizer, pictures, [""] * len(rows))
        mine = [(row - at, each) for row in rows for each in _asked_of(facts[row], (seed, row))]
        asked += [question for _, question in mine]
        for part in (mine[i : i + 100] for i in range(0, len(mine), 100)):
            shown = pictures[[row for row, _ in part]]
            answers += say(model, tokenizer, shown, [question.text for _, question in part])
    return {**caption_figures(captions, facts), **answer_figures(asked, answers)}


def _asked_of(facts: Facts, seed: object) -> list[Question]:
    return questions(facts, random.Random(f"held out:{seed}"))
