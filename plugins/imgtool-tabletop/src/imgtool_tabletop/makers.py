"""The family's trainers as makers: `imgtool train tabletop/clip -o clip/`, and so on.

A trainer that is stopped goes on where it was when the same command is given again.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from imgtool.api import Maker, quiet_libraries
from imgtool_tabletop import WEIGHTS
from imgtool_tabletop.trainer import Place, SharingMaker, TrainMaker, report

# Annotations of parameters are read when a maker is described.
from imgtool_tabletop.training.params import (
    AestheticParams,
    BudgetParams,
    ClipParams,
    GeneratorParams,
    LoraParams,
    MmditParams,
    StartedParams,
    TrainParams,
    TurboParams,
    VaeParams,
    beginning,
    budget_of,
    large,
    small,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgtool.api import Runtime
    from imgtool_tabletop.training.bank import PictureBank


class TrainClip(TrainMaker[ClipParams]):
    """`tabletop/clip`."""

    id = "train.tabletop/clip"
    summary = "Train the CLIPModel whose text tower the generators use."
    task = "image-text-similarity"
    broad = True

    def train(self, params: ClipParams, bank: PictureBank, place: Place) -> None:
        """See `imgtool_tabletop.training.clip`."""
        from imgtool_tabletop.training.clip import ClipTraining, train_clip

        settings = ClipTraining(
            seed=params.seed,
            budget=budget_of(params),
            start=beginning(params.start, WEIGHTS / "clip"),
            **small(params, batch=8, measured=10),
        )
        train_clip(settings, bank, place.out_dir, place.work_dir, report)


class TrainJudge(TrainMaker[TrainParams]):
    """The judge."""

    id = "train.tabletop/judge"
    summary = "Train the judge that reads objects from pictures."
    task = "object-detection"

    def train(self, params: TrainParams, bank: PictureBank, place: Place) -> None:
        """See `imgtool_tabletop.training.judge`."""
        from imgtool_tabletop.training.judge import JudgeTraining, train_judge

        settings = JudgeTraining(
            seed=params.seed, budget=budget_of(params), **small(params, batch=8, measured=20)
        )
        train_judge(settings, bank, place.out_dir, place.work_dir, report)


class TrainGenerator(TrainMaker[GeneratorParams]):
    """`tabletop`."""

    id = "train.tabletop"
    summary = "Train the generator: a StableDiffusionPipeline at 64×64."
    task = "text-to-image"
    accelerated = True

    def train(self, params: GeneratorParams, bank: PictureBank, place: Place) -> None:
        """See `imgtool_tabletop.training.generator`."""
        from imgtool_tabletop.training.generator import GeneratorTraining, train_generator

        clip = Path(params.clip) if params.clip else WEIGHTS / "clip"
        vae = Path(params.vae) if params.vae else WEIGHTS / "tabletop" / "vae"
        start = beginning(params.start, WEIGHTS / "tabletop")
        settings = GeneratorTraining(
            seed=params.seed,
            budget=budget_of(params),
            start=start and start / "unet",
            **small(params, batch=4),
            **large(params, batch=512),
        )
        train_generator(
            settings, bank, vae, clip, place.out_dir, place.work_dir, report, place.device
        )


class TrainVae(SharingMaker[VaeParams]):
    """The generator's autoencoder."""

    id = "train.tabletop/vae"
    summary = "Train the autoencoder of the generator."
    task = "autoencoder"
    broad = False

    def train(self, params: VaeParams, bank: PictureBank, place: Place) -> None:
        """See `imgtool_tabletop.training.vae`."""
        from imgtool_tabletop.training.vae import VaeTraining, train_vae

        settings = VaeTraining(
            seed=params.seed,
            budget=budget_of(params),
            teacher=beginning(params.teacher, WEIGHTS / "tabletop" / "vae"),
            **small(params, measured=8),
        )
        train_vae(settings, bank, place.out_dir, place.work_dir, report)


class TrainVlm(SharingMaker[StartedParams]):
    """`tabletop/vlm`."""

    id = "train.tabletop/vlm"
    summary = "Train the model that captions pictures and answers questions about them."
    task = "image-text-to-text"

    def train(self, params: StartedParams, bank: PictureBank, place: Place) -> None:
        """See `imgtool_tabletop.training.vlm`."""
        from imgtool_tabletop.training.vlm import VlmTraining, train_vlm

        settings = VlmTraining(
            seed=params.seed,
            budget=budget_of(params),
            start=beginning(params.start, WEIGHTS / "vlm"),
            **small(params, batch=4, measured=4),
        )
        train_vlm(settings, bank, WEIGHTS / "clip", place.out_dir, place.work_dir, report)


class TrainDepth(SharingMaker[StartedParams]):
    """`tabletop/depth`."""

    id = "train.tabletop/depth"
    summary = "Train the model that tells each pixel's depth in metres."
    task = "depth-estimation"

    def train(self, params: StartedParams, bank: PictureBank, place: Place) -> None:
        """See `imgtool_tabletop.training.depth`."""
        from imgtool_tabletop.training.depth import DepthTraining, train_depth

        settings = DepthTraining(
            seed=params.seed,
            budget=budget_of(params),
            start=beginning(params.start, WEIGHTS / "depth"),
            **small(params, batch=4, measured=4),
        )
        train_depth(settings, bank, place.out_dir, place.work_dir, report)


class TrainTurbo(SharingMaker[TurboParams]):
    """`tabletop/turbo`."""

    id = "train.tabletop/turbo"
    summary = "Distil the generator into a LoRA that draws in one to four steps."
    task = "text-to-image"
    broad = False

    def train(self, params: TurboParams, bank: PictureBank, place: Place) -> None:
        """See `imgtool_tabletop.training.turbo`."""
        from imgtool_tabletop.training.turbo import TurboTraining, train_turbo

        clip = Path(params.clip) if params.clip else WEIGHTS / "clip"
        teacher = Path(params.teacher) if params.teacher else WEIGHTS / "tabletop"
        settings = TurboTraining(
            seed=params.seed, budget=budget_of(params), **small(params, batch=4)
        )
        train_turbo(settings, bank, teacher, clip, place.out_dir, place.work_dir, report)


class TrainMmdit(SharingMaker[MmditParams]):
    """`tabletop/mmdit`."""

    id = "train.tabletop/mmdit"
    summary = "Train the generator with joint attention: a StableDiffusion3Pipeline at 64×64."
    task = "text-to-image"
    broad = False
    accelerated = True

    def train(self, params: MmditParams, bank: PictureBank, place: Place) -> None:
        """See `imgtool_tabletop.training.mmdit`."""
        from imgtool_tabletop.training.mmdit import MmditTraining, train_mmdit

        clip = Path(params.clip) if params.clip else WEIGHTS / "clip"
        vae = Path(params.vae) if params.vae else WEIGHTS / "tabletop" / "vae"
        start = beginning(params.start, WEIGHTS / "mmdit")
        settings = MmditTraining(
            seed=params.seed,
            budget=budget_of(params),
            start=start and start / "transformer",
            teacher=beginning(params.teacher, WEIGHTS / "tabletop"),
            **small(params, batch=4),
        )
        train_mmdit(settings, bank, vae, clip, place.out_dir, place.work_dir, report, place.device)


class _TrainLora(SharingMaker[LoraParams]):
    task = "lora"
    broad = False
    attribute: ClassVar[str]
    """A key of `imgtool_tabletop.training.attributes.ATTRIBUTES`."""

    def bank(self, folder: Path, seed: int, count: int) -> PictureBank:
        """Pairs of pictures."""
        from imgtool_tabletop.training.attributes import PairBank

        return PairBank(folder, seed, count, attribute=self.attribute)

    def train(self, params: LoraParams, bank: PictureBank, place: Place) -> None:
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
        train_lora(
            settings, bank, base, clip, WEIGHTS / "judge", place.out_dir, place.work_dir, report
        )


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


class TrainAesthetic(SharingMaker[AestheticParams]):
    """`tabletop/aesthetic`."""

    id = "train.tabletop/aesthetic"
    summary = "Train heads that score pictures by a written preference, over tabletop/clip."
    task = "aesthetic-head"

    def train(self, params: AestheticParams, bank: PictureBank, place: Place) -> None:
        """See `imgtool_tabletop.training.aesthetic`."""
        from imgtool_tabletop.training.aesthetic import AestheticTraining, train_aesthetic

        clip = Path(params.clip) if params.clip else WEIGHTS / "clip"
        settings = AestheticTraining(
            seed=params.seed, budget=budget_of(params), **small(params, batch=8, measured=4)
        )
        train_aesthetic(settings, bank, clip, place.out_dir, place.work_dir, report)


class TrainWriter(Maker[BudgetParams]):
    """`tabletop/writer`."""

    id = "train.tabletop/writer"
    summary = "Train the language model that plans pictures."
    task = "text-generation"

    def make(
        self, params: BudgetParams, inputs: Mapping[str, Path], out_dir: Path, runtime: Runtime
    ) -> None:
        """See `imgtool_tabletop.training.writer`."""
        quiet_libraries("transformers")
        from imgtool_tabletop.training.log import keep_logs
        from imgtool_tabletop.training.writer import WriterTraining, train_writer

        runtime.torch_device  # noqa: B018 - sets threads before torch computes anything
        settings = WriterTraining(
            seed=params.seed, budget=budget_of(params), **small(params, measured=2)
        )
        train_writer(settings, out_dir, runtime.journal, report)
        keep_logs(runtime.journal, out_dir)
