"""The family's trainers as makers: `imgtool train tabletop/clip -o clip/`, and so on.

A trainer that is stopped goes on where it was when the same command is given again.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar

from imgtool.api import BadParams, Bounds, Help, InputMissing, Maker, PathTo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgtool.api import Runtime
    from imgtool_tabletop.training.bank import PictureBank
    from imgtool_tabletop.training.loop import Budget

WEIGHTS = Path(__file__).parent / "weights"
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
TextTower = Annotated[
    str,
    Help("Folder of the text tower; the shipped one if empty."),
    PathTo("a CLIPModel folder"),
]
Autoencoder = Annotated[
    str,
    Help("Folder of the autoencoder; the shipped one if empty."),
    PathTo("an AutoencoderKL folder"),
]


@dataclass(frozen=True)
class BudgetParams:
    """Parameters of the trainers that need nothing made before."""

    budget: Annotated[str, Help("How long to train, such as 20m or 2h.")] = "20m"
    smoke: Annotated[bool, Help("A few steps only, to see that everything works.")] = False
    seed: Annotated[int, Help("Seed of scenes and weights."), Bounds(0)] = 1


@dataclass(frozen=True)
class TrainParams(BudgetParams):
    """Parameters of the trainers that need renders alone."""

    pictures: Annotated[int, Help("Scenes to render."), Bounds(256)] = 60_000


@dataclass(frozen=True)
class ClipParams(TrainParams):
    """Parameters of `train.tabletop/clip`."""

    start: Annotated[
        str,
        Help("Keep this model's text tower and go on with the rest; 'shipped' means tabletop's."),
    ] = ""


@dataclass(frozen=True)
class GeneratorParams(TrainParams):
    """Parameters of `train.tabletop`."""

    budget: Annotated[str, Help("How long to train, such as 20m or 2h.")] = "2h"
    clip: TextTower = ""
    vae: Autoencoder = ""
    start: Annotated[
        str, Help("Go on from this pipeline's net; 'shipped' means tabletop's own.")
    ] = ""


@dataclass(frozen=True)
class ModelParams(TrainParams):
    """Parameters of the trainers that may share the pictures of another."""

    budget: Annotated[str, Help("How long to train, such as 20m or 2h.")] = "1h"
    bank: Annotated[
        str,
        Help("Pictures of an earlier training of the same seed and kind, not rendered again."),
        PathTo("a folder of rendered pictures"),
    ] = ""


@dataclass(frozen=True)
class VlmParams(ModelParams):
    """Parameters of `train.tabletop/vlm`."""

    start: Annotated[str, Help("Go on from the model in this folder; 'shipped' means our own.")] = (
        ""
    )


@dataclass(frozen=True)
class TurboParams(ModelParams):
    """Parameters of `train.tabletop/turbo`."""

    clip: TextTower = ""
    teacher: Annotated[
        str,
        Help("Folder of the generator to distil; the shipped one if empty."),
        PathTo("a StableDiffusionPipeline folder"),
    ] = ""


@dataclass(frozen=True)
class MmditParams(ModelParams):
    """Parameters of `train.tabletop/mmdit`."""

    budget: Annotated[str, Help("How long to train, such as 20m or 2h.")] = "2h"
    clip: TextTower = ""
    vae: Autoencoder = ""
    start: Annotated[
        str, Help("Go on from this pipeline's net; 'shipped' means tabletop/mmdit's own.")
    ] = ""


@dataclass(frozen=True)
class LoraParams(ModelParams):
    """Parameters of `train.tabletop/lora-finish` and its like."""

    budget: Annotated[str, Help("How long to train both, such as 20m or 2h.")] = "20m"
    pictures: Annotated[int, Help("Pictures to render, two a pair."), Bounds(256)] = 2048
    clip: TextTower = ""
    base: Annotated[
        str,
        Help("Folder of the generator that the LoRAs are for; the shipped one if empty."),
        PathTo("a StableDiffusionPipeline folder"),
    ] = ""


@dataclass(frozen=True)
class AestheticParams(ModelParams):
    """Parameters of `train.tabletop/aesthetic`."""

    budget: Annotated[str, Help("How long to train, such as 20m or 2h.")] = "5m"
    clip: Annotated[
        str,
        Help("Folder of the picture tower; the shipped one if empty."),
        PathTo("a CLIPModel folder"),
    ] = ""


def seconds(text: str) -> float:
    """Seconds that a budget such as `90s`, `20m` or `1.5h` means.

    Raises
    ------
    BadParams : it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text)
    if match is None:
        raise BadParams(f"budget {text!r} is no time", "Write 90s, 20m or 2h")
    return float(match[1]) * UNITS[match[2]]


def budget_of(params: BudgetParams) -> Budget:
    """The training loop's budget."""
    from imgtool_tabletop.training.loop import Budget

    if params.smoke:
        return Budget(steps=4, log_every=2)
    return Budget(seconds=seconds(params.budget))


def small(params: BudgetParams, **settings: int) -> dict[str, Any]:
    """`settings` where a training is only tried, else none."""
    return settings if params.smoke else {}


P = TypeVar("P", bound=TrainParams)


class _Trainer(Maker[P], Generic[P]):
    broad: ClassVar[bool] = False
    """Whether training sees every table, light and framing often, not the first few mostly."""

    def make(self, params: P, inputs: Mapping[str, Path], out_dir: Path, runtime: Runtime) -> None:
        """Render in one process, train in this one."""
        from imgtool_tabletop.training.bank import being_filled
        from imgtool_tabletop.training.log import keep_logs

        runtime.torch_device  # noqa: B018 - sets threads before torch computes anything
        count = 128 if params.smoke else params.pictures
        folder = self.bank_folder(params, runtime.journal)
        bank = self.bank(folder, params.seed, count)
        with being_filled(bank, at_least=min(count, 2048)):
            self.train(params, bank, out_dir, runtime.journal)
        keep_logs(runtime.journal, out_dir)

    def bank_folder(self, params: P, journal: Path) -> Path:
        """Where the pictures are or will be."""
        return journal / "bank"

    def bank(self, folder: Path, seed: int, count: int) -> PictureBank:
        """The pictures to train on."""
        from imgtool_tabletop.training.bank import PictureBank
        from imgtool_tabletop.world.sample import BROAD, FIRST

        return PictureBank(folder, seed, count, distribution=BROAD if self.broad else FIRST)

    @abstractmethod
    def train(self, params: P, bank: PictureBank, out_dir: Path, work_dir: Path) -> None:
        """Train on the bank's pictures; `work_dir` holds checkpoints and `log.csv`."""


class TrainClip(_Trainer[ClipParams]):
    """`tabletop/clip`."""

    id = "train.tabletop/clip"
    summary = "Train the CLIPModel whose text tower the generators use."
    task = "image-text-similarity"
    broad = True

    def train(self, params: ClipParams, bank: PictureBank, out_dir: Path, work_dir: Path) -> None:
        """See `imgtool_tabletop.training.clip`."""
        from imgtool_tabletop.training.clip import ClipTraining, train_clip

        start = str(WEIGHTS / "clip") if params.start == "shipped" else params.start
        settings = ClipTraining(
            seed=params.seed,
            budget=budget_of(params),
            start=start,
            **small(params, batch=8, measured=10),
        )
        train_clip(settings, bank, out_dir, work_dir, report)


class TrainVae(_Trainer[TrainParams]):
    """The generator's autoencoder."""

    id = "train.tabletop/vae"
    summary = "Train the autoencoder of the generator."
    task = "autoencoder"

    def train(self, params: TrainParams, bank: PictureBank, out_dir: Path, work_dir: Path) -> None:
        """See `imgtool_tabletop.training.vae`."""
        from imgtool_tabletop.training.vae import VaeTraining, train_vae

        settings = VaeTraining(
            seed=params.seed, budget=budget_of(params), **small(params, measured=8)
        )
        train_vae(settings, bank, out_dir, work_dir, report)


class TrainJudge(_Trainer[TrainParams]):
    """The judge."""

    id = "train.tabletop/judge"
    summary = "Train the judge that reads objects from pictures."
    task = "object-detection"

    def train(self, params: TrainParams, bank: PictureBank, out_dir: Path, work_dir: Path) -> None:
        """See `imgtool_tabletop.training.judge`."""
        from imgtool_tabletop.training.judge import JudgeTraining, train_judge

        settings = JudgeTraining(
            seed=params.seed, budget=budget_of(params), **small(params, batch=8, measured=20)
        )
        train_judge(settings, bank, out_dir, work_dir, report)


class TrainGenerator(_Trainer[GeneratorParams]):
    """`tabletop`."""

    id = "train.tabletop"
    summary = "Train the generator: a StableDiffusionPipeline at 64×64."
    task = "text-to-image"

    def train(
        self, params: GeneratorParams, bank: PictureBank, out_dir: Path, work_dir: Path
    ) -> None:
        """See `imgtool_tabletop.training.generator`."""
        from imgtool_tabletop.training.generator import GeneratorTraining, train_generator

        clip = Path(params.clip) if params.clip else WEIGHTS / "clip"
        vae = Path(params.vae) if params.vae else WEIGHTS / "tabletop" / "vae"
        start = WEIGHTS / "tabletop" if params.start == "shipped" else params.start
        settings = GeneratorTraining(
            seed=params.seed,
            budget=budget_of(params),
            start=f"{start}/unet" if start else "",
            **small(params, batch=4),
        )
        train_generator(settings, bank, vae, clip, out_dir, work_dir, report)


Q = TypeVar("Q", bound=ModelParams)


class _SharingTrainer(_Trainer[Q], Generic[Q]):
    broad = True

    def bank_folder(self, params: Q, journal: Path) -> Path:
        """The folder that `bank` names, else one's own.

        Raises
        ------
        InputMissing : it holds no pictures.
        """
        if not params.bank:
            return super().bank_folder(params, journal)
        if not (Path(params.bank) / "pictures.u8").is_file():
            raise InputMissing(
                f"{params.bank!r} holds no rendered pictures",
                "Name the folder NAME.journal/bank of another training",
            )
        return Path(params.bank)


class TrainVlm(_SharingTrainer[VlmParams]):
    """`tabletop/vlm`."""

    id = "train.tabletop/vlm"
    summary = "Train the model that captions pictures and answers questions about them."
    task = "image-text-to-text"

    def train(self, params: VlmParams, bank: PictureBank, out_dir: Path, work_dir: Path) -> None:
        """See `imgtool_tabletop.training.vlm`."""
        from imgtool_tabletop.training.vlm import VlmTraining, train_vlm

        settings = VlmTraining(
            seed=params.seed,
            budget=budget_of(params),
            start=str(WEIGHTS / "vlm") if params.start == "shipped" else params.start,
            **small(params, batch=4, measured=4),
        )
        train_vlm(settings, bank, WEIGHTS / "clip", out_dir, work_dir, report)


class TrainDepth(_SharingTrainer[ModelParams]):
    """`tabletop/depth`."""

    id = "train.tabletop/depth"
    summary = "Train the model that tells each pixel's depth in metres."
    task = "depth-estimation"

    def train(self, params: ModelParams, bank: PictureBank, out_dir: Path, work_dir: Path) -> None:
        """See `imgtool_tabletop.training.depth`."""
        from imgtool_tabletop.training.depth import DepthTraining, train_depth

        settings = DepthTraining(
            seed=params.seed, budget=budget_of(params), **small(params, batch=4, measured=4)
        )
        train_depth(settings, bank, out_dir, work_dir, report)


class TrainTurbo(_SharingTrainer[TurboParams]):
    """`tabletop/turbo`."""

    id = "train.tabletop/turbo"
    summary = "Distil the generator into a LoRA that draws in one to four steps."
    task = "text-to-image"
    broad = False

    def train(self, params: TurboParams, bank: PictureBank, out_dir: Path, work_dir: Path) -> None:
        """See `imgtool_tabletop.training.turbo`."""
        from imgtool_tabletop.training.turbo import TurboTraining, train_turbo

        clip = Path(params.clip) if params.clip else WEIGHTS / "clip"
        teacher = Path(params.teacher) if params.teacher else WEIGHTS / "tabletop"
        settings = TurboTraining(
            seed=params.seed, budget=budget_of(params), **small(params, batch=4)
        )
        train_turbo(settings, bank, teacher, clip, out_dir, work_dir, report)


class TrainMmdit(_SharingTrainer[MmditParams]):
    """`tabletop/mmdit`."""

    id = "train.tabletop/mmdit"
    summary = "Train the generator with joint attention: a StableDiffusion3Pipeline at 64×64."
    task = "text-to-image"
    broad = False

    def train(self, params: MmditParams, bank: PictureBank, out_dir: Path, work_dir: Path) -> None:
        """See `imgtool_tabletop.training.mmdit`."""
        from imgtool_tabletop.training.mmdit import MmditTraining, train_mmdit

        clip = Path(params.clip) if params.clip else WEIGHTS / "clip"
        vae = Path(params.vae) if params.vae else WEIGHTS / "tabletop" / "vae"
        start = WEIGHTS / "mmdit" if params.start == "shipped" else params.start
        settings = MmditTraining(
            seed=params.seed,
            budget=budget_of(params),
            start=f"{start}/transformer" if start else "",
            **small(params, batch=4),
        )
        train_mmdit(settings, bank, vae, clip, out_dir, work_dir, report)


class _TrainLora(_SharingTrainer[LoraParams]):
    task = "lora"
    broad = False
    attribute: ClassVar[str]
    """A key of `imgtool_tabletop.training.attributes.ATTRIBUTES`."""

    def bank(self, folder: Path, seed: int, count: int) -> PictureBank:
        """Pairs of pictures."""
        from imgtool_tabletop.training.attributes import PairBank

        return PairBank(folder, seed, count, attribute=self.attribute)

    def train(self, params: LoraParams, bank: PictureBank, out_dir: Path, work_dir: Path) -> None:
        """See `imgtool_tabletop.training.lora`."""
        from imgtool_tabletop.training.attributes import PairBank
        from imgtool_tabletop.training.lora import LoraTraining, train_lora

        assert isinstance(bank, PairBank)
        base = Path(params.base) if params.base else WEIGHTS / "tabletop"
        clip = Path(params.clip) if params.clip else WEIGHTS / "clip"
        settings = LoraTraining(
            seed=params.seed,
            budget=budget_of(params),
            **small(params, batch=4, measured=2, steps=2),
        )
        train_lora(settings, bank, base, clip, WEIGHTS / "judge", out_dir, work_dir, report)


class TrainFinish(_TrainLora):
    """`tabletop/lora-matte` and `tabletop/lora-shiny`."""

    id = "train.tabletop/lora-finish"
    summary = "Train two LoRAs for the generator: matte and shiny solids."
    attribute = "finish"


class TrainLight(_TrainLora):
    """`tabletop/lora-morning` and `tabletop/lora-evening`."""

    id = "train.tabletop/lora-light"
    summary = "Train two LoRAs for the generator: morning and evening light."
    attribute = "light"


class TrainClutter(_TrainLora):
    """`tabletop/lora-empty` and `tabletop/lora-cluttered`."""

    id = "train.tabletop/lora-clutter"
    summary = "Train two LoRAs for the generator: an empty and a cluttered table."
    attribute = "clutter"


class TrainAesthetic(_SharingTrainer[AestheticParams]):
    """`tabletop/aesthetic`."""

    id = "train.tabletop/aesthetic"
    summary = "Train heads that score pictures by a written preference, over tabletop/clip."
    task = "aesthetic-head"

    def train(
        self, params: AestheticParams, bank: PictureBank, out_dir: Path, work_dir: Path
    ) -> None:
        """See `imgtool_tabletop.training.aesthetic`."""
        from imgtool_tabletop.training.aesthetic import AestheticTraining, train_aesthetic

        clip = Path(params.clip) if params.clip else WEIGHTS / "clip"
        settings = AestheticTraining(
            seed=params.seed, budget=budget_of(params), **small(params, batch=8, measured=4)
        )
        train_aesthetic(settings, bank, clip, out_dir, work_dir, report)


class TrainWriter(Maker[BudgetParams]):
    """`tabletop/writer`."""

    id = "train.tabletop/writer"
    summary = "Train the language model that plans pictures."
    task = "text-generation"

    def make(
        self, params: BudgetParams, inputs: Mapping[str, Path], out_dir: Path, runtime: Runtime
    ) -> None:
        """See `imgtool_tabletop.training.writer`."""
        from imgtool_tabletop.training.log import keep_logs
        from imgtool_tabletop.training.writer import WriterTraining, train_writer

        runtime.torch_device  # noqa: B018 - sets threads before torch computes anything
        settings = WriterTraining(
            seed=params.seed, budget=budget_of(params), **small(params, measured=2)
        )
        train_writer(settings, out_dir, runtime.journal, report)
        keep_logs(runtime.journal, out_dir)


def report(line: str) -> None:
    """Progress of a training, to the log."""
    import logging

    logging.getLogger("imgtool.train").info(line)
