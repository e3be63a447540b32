"""Trains `tabletop/writer`: plans pictures of captions, in sentences.

A small LFM2 (Liquid AI 2025) whose texts are `BOS caption EOS plan EOS`, so a caption between the
tokenizer's own marks is the question. Its first layer is a short convolution: attention finds what
followed a word without having to learn first which word came before (H3, arXiv 2212.14052). After
500 steps the loss is 0.28; of a Llama of this size it is 0.48. It sees no pictures: scenes are
drawn anew at every step, and `imgtool_tabletop.captions.plans` writes of each a caption and a plan.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tokenizers.decoders import BPEDecoder, Fuse, Replace
from tokenizers.decoders import Sequence as Decoders
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPTokenizer, Lfm2Config, Lfm2ForCausalLM, PreTrainedTokenizerFast

from imgtool_tabletop.captions.plans import Planned, names_differ, planned
from imgtool_tabletop.measures import WRITER_BARS, plan_figures
from imgtool_tabletop.training.bank import scene_at
from imgtool_tabletop.training.card import Card, Made, effort_of, write_card
from imgtool_tabletop.training.finding import IGNORE
from imgtool_tabletop.training.loop import Budget, Optimiser, Report, Trainer
from imgtool_tabletop.training.pictures import measured_scenes
from imgtool_tabletop.training.saving import save_half
from imgtool_tabletop.training.tokenizer import BOS, EOS, write_tokenizer
from imgtool_tabletop.world.facts import scene_facts
from imgtool_tabletop.world.sample import BROAD

POSITIONS = 2048
"""Of caption and plan; rewrite.shortcot leaves room for 512 tokens of plan."""
MOST_TOKENS = 160
TOP_P = 0.95
"""Of its words the likeliest of so much are drawn from, where nothing else is asked for."""
CONVOLVED = 4
"""Tokens that the convolution sees, the last of them its own."""
TOGETHER = 8
"""Batches that are drawn together and sorted by length."""
CHAT = (
    "{{ bos_token }}{{ messages[-1]['content'].split('<prompt ')[-1].split('>\\n')[-1]"
    ".split('\\n</prompt')[0] }}{{ eos_token }}"
)
"""The text between the marks of rewrite.shortcot's questions, or all of a text without marks."""
CARD = Card(
    "tabletop/writer",
    "Plans pictures of the tabletop world: to a caption it writes sentences that say the same and, "
    "drawn at random, some of what the caption leaves open: table, light, framing, finish, sizes, "
    "further relations. `imgtool rewrite.shortcot --llm tabletop/writer`. Lfm2ForCausalLM.",
    """
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
asked = tokenizer("a red cube left of a blue sphere", return_tensors="pt")
made = model.generate(**asked, do_sample=True, max_new_tokens=128)[0, asked.input_ids.shape[1] :]
plan = tokenizer.decode(made, skip_special_tokens=True)
""",
    "AdamW on the tokens of the plan; a new caption and a new plan of a new scene each time.",
    "It knows the world's words and forms of captions alone: of any other text it makes some plan "
    "of its own. It follows no instructions, and has no memory of what was said before. It needs "
    "transformers 5.",
)

NOTES = (
    "`kept` is the share of plans, drawn as `generation_config.json` says, that say every solid "
    "and relation of their caption, and no more solids; `words` their mean length, `varied` the "
    "share of four plans of a caption that are unlike each other. Captions that give two solids "
    "one name are left out: what is said of either cannot be told."
)
DRAWS = 4
"""Plans of each caption that are measured."""


@dataclass(frozen=True)
class WriterTraining:
    """Settings.

    width, layers, heads, inner : of the language model, whose first layer is a convolution.
    measured : held-out scenes at the end.
    """

    width: int = 96
    layers: int = 3
    heads: int = 4
    inner: int = 192
    batch: int = 16
    seed: int = 0
    measured: int = 100
    budget: Budget = field(default_factory=Budget)
    optimiser: Optimiser = field(
        default_factory=lambda: Optimiser(rate=4e-3, warmup_steps=50, ema_half_life=60)
    )


def writer_tokenizer() -> PreTrainedTokenizerFast:
    """The family's tokenizer, which sets no space before a stop or comma when it decodes."""
    with TemporaryDirectory() as folder:
        write_tokenizer(Path(folder))
        pieces = CLIPTokenizer.from_pretrained(folder).backend_tokenizer
    glued = [Replace(f" {sign}", sign) for sign in (".", ",")]
    pieces.decoder = Decoders([BPEDecoder(suffix="</w>"), Fuse(), *glued, Replace(" - ", "-")])
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=EOS,
        padding_side="left",
        model_max_length=POSITIONS,
        chat_template=CHAT,
    )


def build_writer(settings: WriterTraining, tokenizer: PreTrainedTokenizerFast) -> Lfm2ForCausalLM:
    """A model of random weights by the settings' seed."""
    torch.manual_seed(settings.seed)
    config = Lfm2Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.width,
        intermediate_size=settings.inner,
        block_auto_adjust_ff_dim=False,
        num_hidden_layers=settings.layers,
        layer_types=["conv", *["full_attention"] * (settings.layers - 1)],
        conv_L_cache=CONVOLVED,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.heads,
        max_position_embeddings=POSITIONS,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,  # The tokenizer pads with EOS, which must be learned.
    )
    model = Lfm2ForCausalLM(config)
    model.generation_config.update(
        pad_token_id=tokenizer.pad_token_id, do_sample=True, top_p=TOP_P, top_k=0
    )
    return model


def laid_out(tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Planned]) -> tuple[Tensor, Tensor]:
    """Tokens [B, L] int64 of captions with plans, and labels: -100 where nothing is to be said."""
    captions = tokenizer([pair.caption for pair in pairs]).input_ids
    plans = tokenizer([pair.plan for pair in pairs]).input_ids
    rows = [(asked, plan[1:]) for asked, plan in zip(captions, plans, strict=True)]
    length = max(len(asked) + len(plan) for asked, plan in rows)
    ids = torch.full((len(rows), length), tokenizer.eos_token_id)
    labels = torch.full((len(rows), length), IGNORE)
    for at, (asked, plan) in enumerate(rows):
        end = len(asked) + len(plan)
        ids[at, :end] = torch.tensor([*asked, *plan])
        labels[at, len(asked) : end] = torch.tensor(plan)
    return ids, labels


class Texts:
    """Captions with plans, some batches at a time, so that those of a batch are about as long."""

    def __init__(self, settings: WriterTraining) -> None:
        self.settings = settings
        self._turn, self._drawn = -1, list[Planned]()

    def batch(self, step: int) -> list[Planned]:
        """Those of a step; they depend on it and the seed alone."""
        size = self.settings.batch
        turn, place = divmod(step, TOGETHER)
        if turn != self._turn:
            first = turn * TOGETHER * size
            drawn = [self._pair(index) for index in range(first, first + TOGETHER * size)]
            self._turn, self._drawn = turn, sorted(drawn, key=lambda pair: len(pair.plan))
        at = random.Random(f"turn:{turn}").sample(range(TOGETHER), TOGETHER)[place] * size
        return self._drawn[at : at + size]

    def _pair(self, index: int) -> Planned:
        seed = self.settings.seed
        scene = scene_at(seed, index, BROAD, held_out=False)
        return planned(scene_facts(scene), random.Random(f"plan:{seed}:{index}"))


def train_writer(settings: WriterTraining, out_dir: Path, work_dir: Path, report: Report) -> None:
    """Train, resume, measure, and write a folder that plain transformers loads."""
    tokenizer = writer_tokenizer()
    model = build_writer(settings, tokenizer)
    trainer = Trainer(model, work_dir, settings.budget, settings.optimiser, report)
    texts = Texts(settings)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        ids, labels = laid_out(tokenizer, texts.batch(step))
        # What follows a row's end is looked at by nothing before it: no mask is needed.
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels[:, 1:] != IGNORE
        logits = model.lm_head(hidden[wanted])
        true = labels[:, 1:][wanted]
        right = (logits.detach().argmax(-1) == true).float().mean()
        return F.cross_entropy(logits, true), {"right": float(right)}

    trainer.run(loss)
    with trainer.averaged():
        model.eval()
        figures = writer_figures(model, tokenizer, settings.measured)
        for name, value in figures.items():
            report(f"{name} {value:.3f}")
        save_half(model, out_dir)
        tokenizer.save_pretrained(out_dir)
        data = (
            f"{trainer.step * settings.batch:,} captions with plans, each of a scene of its own, "
            f"seed {settings.seed}: every table, light and framing often"
        )
        effort = effort_of(trainer, settings.batch, "captions")
        write_card(CARD, Made(data, effort, figures, WRITER_BARS, NOTES), out_dir)


@torch.no_grad()
def plans_of(
    model: Lfm2ForCausalLM, tokenizer: PreTrainedTokenizerFast, captions: Sequence[str], seed: int
) -> list[str]:
    """A plan of each caption, drawn as the model's own settings say."""
    asked = tokenizer(list(captions), padding=True, return_tensors="pt")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = model.generate(
            input_ids=asked.input_ids,
            attention_mask=asked.attention_mask,
            max_new_tokens=MOST_TOKENS,
        )
    start = asked.input_ids.shape[1]
    return tokenizer.batch_decode(made[:, start:], skip_special_tokens=True)


def writer_figures(
    model: Lfm2ForCausalLM, tokenizer: PreTrainedTokenizerFast, count: int = 100, seed: int = 95
) -> dict[str, float]:
    """Plans of captions of `count` held-out scenes; see `imgtool_tabletop.measures`.

    Captions are left out that give two solids one name: what is said of either cannot be told.
    """
    drawn = [
        planned(scene_facts(scene), random.Random(f"measured:{at}"))
        for at, scene in enumerate(measured_scenes(count, seed))
    ]
    pairs = [pair for pair in drawn if names_differ(pair.told)]
    made: list[list[str]] = [[] for _ in pairs]
    for at in range(0, len(pairs), 25):
        part = [pair.caption for pair in pairs[at : at + 25] for _ in range(DRAWS)]
        plans = plans_of(model, tokenizer, part, seed + at)
        for row in range(len(part) // DRAWS):
            made[at + row] = plans[row * DRAWS : (row + 1) * DRAWS]
    return plan_figures(made, [pair.told for pair in pairs])
