"""The declaration of `imgtool train shortcot`. What it does is in the modules beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from imgtool.api import (
    BadParams,
    Batch,
    Bounds,
    Help,
    InputUnreadable,
    Maker,
    ModelRef,
    PathTo,
    StageRef,
    derive_seed,
)
from imgtool_rewrite.genpilot.stage import DRAWING, WRITING
from imgtool_rewrite.shortcot.stage import WRITER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgtool.api import Row, Runtime
    from imgtool_rewrite.shortcot.choosing import Asking
    from imgtool_rewrite.training.grpo import Settings

SMOKE = ("a red cube", "a blue sphere left of a green cone")


@dataclass(frozen=True)
class TrainShortCotParams:
    """Parameters of `train.shortcot`."""

    llm: Annotated[
        str, Help("Causal language model to train, alias, hub id or folder."), ModelRef(WRITING)
    ] = WRITER
    prompts: Annotated[
        str, Help("Prompts to train on: .txt, one a line, or .jsonl."), PathTo("prompts")
    ] = ""
    model: Annotated[
        str, Help("Model that draws: alias, hub id, folder or .safetensors file."),
        ModelRef(DRAWING),
    ] = "tabletop/turbo"  # fmt: skip
    updates: Annotated[int, Help("Steps of the optimiser."), Bounds(1)] = 400
    group: Annotated[int, Help("Plans drawn of each prompt."), Bounds(2, 256)] = 8
    batch: Annotated[int, Help("Prompts a step."), Bounds(1, 1024)] = 2
    rate: Annotated[float, Help("Learning rate."), Bounds(0)] = 1e-6
    beta: Annotated[
        float, Help("Weight of the divergence from the model as it was."), Bounds(0)
    ] = 0.0  # fmt: skip
    temperature: Annotated[float, Help("Temperature of the draws."), Bounds(0.01, 10)] = 1.0
    rule: Annotated[
        Literal["shortcoti", "target"],
        Help("Length costs more where the prompt is easy, or the same everywhere."),
    ] = "shortcoti"
    target: Annotated[int, Help("Length that costs nothing, words."), Bounds(1, 10000)] = 50
    alpha: Annotated[
        float, Help("What a plan twice that long costs at most, in units of the score."), Bounds(0)
    ] = 0.1
    shape: Annotated[
        Literal["over", "linear"], Help("Count the length over the target, or all of it.")
    ] = "over"
    gate: Annotated[
        float,
        Help("Share of the score's range below which a plan's length costs nothing."),
        Bounds(0, 1),
    ] = 0.5
    scale: Annotated[
        Literal["none", "group", "batch"],
        Help("Divide advantages by the deviation of rewards; then hard prompts lose their plans."),
    ] = "none"
    fall: Annotated[
        float, Help("Stop where hard prompts lose this share of their score; 0: never."),
        Bounds(0, 1),
    ] = 0.1  # fmt: skip
    form: Annotated[
        Literal["source-plan", "plan"], Help("What is drawn: prompt and plan, or the plan alone.")
    ] = "source-plan"
    system: Annotated[str, Help("Instruction to the model; empty: ours.")] = ""
    max_tokens: Annotated[int, Help("Tokens of a plan at most."), Bounds(1, 8192)] = 256
    judge: Annotated[
        str, Help("Stage that scores, as NAME or NAME:key=value,key=value."), StageRef()
    ] = "score.clip"
    by: Annotated[str, Help("Score to compare; empty: the judge's own.")] = ""
    steps: Annotated[int, Help("Denoising steps; 0: the model's own."), Bounds(0, 1000)] = 0
    draw: Annotated[
        str, Help("Stage that draws, as NAME or NAME:key=value,key=value."), StageRef()
    ] = "generate"
    seed: Annotated[int, Help("Seed of draws and noises."), Bounds(0)] = 1
    smoke: Annotated[bool, Help("Two steps only, to see that everything works.")] = False


class TrainShortCot(Maker[TrainShortCotParams]):
    """A rewriter whose plans are worth their length; the model that draws stays as it is."""

    id = "train.shortcot"
    summary = "Train a language model by GRPO to plan pictures in few words."
    task = WRITING

    def make(
        self,
        params: TrainShortCotParams,
        inputs: Mapping[str, Path],
        out_dir: Path,
        runtime: Runtime,
    ) -> None:
        """Train, and write the model with what became of lengths and scores.

        Raises
        ------
        BadParams : no prompts are named, or the judge has no score of its own.
        ModelUnusable : trl is not installed, or a model cannot be loaded.
        InputUnreadable : the file holds no prompts.
        StageFailed : hard prompts lose their score.
        UnknownComponent, NeedsConsent : as the names say.
        """
        from imgtool_rewrite.shortcot.judging import Jury
        from imgtool_rewrite.training.grpo import loaded, train
        from imgtool_rewrite.training.reward import Rewards, Watch

        device = runtime.torch_device  # asking sets threads before torch computes anything
        rows, settings = rows_of(params), settings_of(params)
        writer = loaded(runtime.model(params.llm, WRITING).path, params.llm)
        watch = Watch(params.fall)
        jury = Jury(runtime)
        try:
            jury.open(params.draw, params.model, params.steps)
            jury.appoint(params.judge, params.by)
            rewards = Rewards(jury, rows, asking_of(params), watch)
            history = train(writer, rewards, settings, runtime.journal, device.type == "cpu")
        finally:
            jury.close()
            runtime.release()
        writer.save(out_dir)
        told = json.dumps({"lengths": watch.lengths(), "scores": watch.scores(), "log": history})
        (out_dir / "training.json").write_text(told + "\n", encoding="utf-8")


def rows_of(params: TrainShortCotParams) -> list[Row]:
    """A row for each prompt, with a noise of its own that all its plans share.

    Raises
    ------
    BadParams, InputUnreadable : see `TrainShortCot.make`.
    """
    if not params.prompts and not params.smoke:
        raise BadParams("there is nothing to train on", "Name prompts: --prompts FILE")
    prompts = read_prompts(Path(params.prompts)) if params.prompts else list(SMOKE)
    ids = tuple(map(str, range(len(prompts))))
    seeds = [derive_seed(params.seed, "train.shortcot", one) for one in ids]
    return list(Batch(ids, {"prompt": prompts, "source_prompt": prompts, "seed": seeds}))


def read_prompts(file: Path) -> list[str]:
    """The prompts of a file, without empty ones.

    Raises
    ------
    InputUnreadable : it cannot be read as text, a line is no record with a prompt, or all are
        empty.
    """
    try:
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        if file.suffix == ".jsonl":
            lines = [str(json.loads(line)["prompt"]) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise InputUnreadable(f"{str(file)!r} holds no prompts: {err!r}") from err
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise InputUnreadable(f"{str(file)!r} holds no prompts")
    return found


def asking_of(params: TrainShortCotParams) -> Asking:
    """How plans are asked for and what they are worth."""
    from imgtool_rewrite.shortcot.choosing import Asking
    from imgtool_rewrite.shortcot.plans import INSTRUCTION
    from imgtool_rewrite.shortcot.rewards import Penalty

    return Asking(
        system=params.system or INSTRUCTION,
        most_tokens=params.max_tokens,
        form=params.form,
        rule=params.rule,
        penalty=Penalty(params.alpha, params.target, params.shape, gate=params.gate or None),
    )


def settings_of(params: TrainShortCotParams) -> Settings:
    """What TRL is told."""
    from imgtool_rewrite.training.grpo import Settings

    if params.smoke:
        return Settings(updates=2, group=2, batch=1, most_tokens=min(params.max_tokens, 32))
    return Settings(
        params.updates, params.group, params.batch, params.rate, params.beta, params.temperature,
        params.max_tokens, params.scale, params.seed,
    )  # fmt: skip
