"""The declaration of `rewrite.shortcot`. What it does is in the modules beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from imgtool.api import (
    NEGATIVE_PROMPT,
    PROMPT,
    SEED,
    SOURCE_PROMPT,
    BadParams,
    Bounds,
    Help,
    ModelRef,
    PathTo,
    Stage,
    StageRef,
    optional,
)
from imgtool_rewrite.genpilot.stage import DRAWING, SEARCH, WRITING
from imgtool_rewrite.llm import MaxRequests, load_limited, who_is_asked
from imgtool_rewrite.record import REWRITE, require_words, with_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from imgtool.api import Batch, Row, Runtime
    from imgtool_rewrite.asking import Chat
    from imgtool_rewrite.shortcot.choosing import Asking, Chosen
    from imgtool_rewrite.shortcot.judging import Jury


WRITER = "tabletop/writer"
"""Plans where nobody else is named; it knows the tabletop world alone."""


@dataclass(frozen=True)
class ShortCotParams:
    """Parameters of `rewrite.shortcot`."""

    llm: Annotated[
        str,
        Help("Language model that plans: alias, hub id or folder; empty: tabletop/writer."),
        ModelRef(WRITING),
    ] = ""  # fmt: skip
    endpoint: Annotated[
        str, Help("Ask a service instead: base of its OpenAI-compatible address, ending in /v1.")
    ] = ""
    served: Annotated[str, Help("Model that the service is asked for.")] = ""
    replay: Annotated[
        str,
        Help("Or ask nobody: take the answers from rows of an earlier run, .jsonl."),
        PathTo("rows with answers"),
    ] = ""
    model: Annotated[
        str, Help("Model that draws: alias, hub id, folder or .safetensors file."),
        ModelRef(DRAWING),
    ] = "tabletop"  # fmt: skip
    draws: Annotated[int, Help("Plans to draw for each prompt."), Bounds(1, 256)] = 8
    rule: Annotated[
        Literal["shortcoti", "target", "cap"],
        Help("Length costs more where the prompt is easy; costs the same everywhere; or is cut."),
    ] = "shortcoti"
    target: Annotated[
        int, Help("Length of a plan that costs nothing; of 'cap', the longest."), Bounds(1, 10000)
    ] = 50
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
    ] = 0.0
    unit: Annotated[
        Literal["words", "tokens"], Help("What length is counted in; tokens are those of --llm.")
    ] = "words"
    near: Annotated[
        float, Help("Of values so near to the best the shortest plan wins."), Bounds(0)
    ] = 0.005
    form: Annotated[
        Literal["source-plan", "plan"], Help("The new prompt: prompt and plan, or the plan alone.")
    ] = "source-plan"
    system: Annotated[str, Help("Instruction to the model; empty: ours.")] = ""
    max_tokens: Annotated[int, Help("Tokens of a plan at most."), Bounds(1, 8192)] = 512
    max_requests: MaxRequests = 0
    judge: Annotated[
        str, Help("Stage that scores, as NAME or NAME:key=value,key=value."), StageRef()
    ] = "score.clip"
    by: Annotated[str, Help("Score to compare; empty: the judge's own.")] = ""
    steps: Annotated[int, Help("Denoising steps; 0: the model's own."), Bounds(0, 1000)] = 0
    draw: Annotated[
        str, Help("Stage that draws, as NAME or NAME:key=value,key=value."), StageRef()
    ] = "generate"


class ShortCot(Stage[ShortCotParams]):
    """ShortCoTI, arXiv 2510.05593, without training: the plan that is worth its length.

    Plans are drawn, a picture of each from the row's seed is scored, and what length costs is taken
    off. The prompt itself, with no plan, competes.
    """

    id, version = "rewrite.shortcot", 1
    summary = "Plan pictures in few words: draw plans, score their pictures, let length cost."
    consumes = (PROMPT, SEED, optional(SOURCE_PROMPT), optional(NEGATIVE_PROMPT), optional(REWRITE))
    produces = (PROMPT, REWRITE, SEARCH)
    check_params = MappingProxyType({"draws": 2, "steps": 1})

    chat: Chat
    jury: Jury
    asking: Asking

    def open(self, params: ShortCotParams, runtime: Runtime) -> None:
        """Load who plans, and the stages that draw and judge.

        Raises
        ------
        BadParams : more than one is named to ask; there are no tokens to count; the judge has no
            score.
        UnknownComponent, ModelUnusable, NeedsConsent, InputMissing, InputUnreadable : who is
            named cannot be asked, or the model cannot draw.
        """
        from imgtool_rewrite.shortcot.judging import Jury

        self.params, self.runtime = replace(params, llm=planner_of(params)), runtime
        params = self.params
        self.jury = Jury(runtime)
        self.asking = asking_of(params, counter(params, runtime))
        self.chat = load_limited(runtime, params, self.id)
        try:
            self.jury.open(params.draw, params.model, params.steps)
            self.jury.appoint(params.judge, params.by)
        except BaseException:
            self.jury.close()
            raise

    def process(self, batch: Batch) -> Batch:
        """The rows with planned prompts, and every plan with its picture and score."""
        require_words(batch, self.id)
        done = [self._row(row) for row in batch]
        return batch.with_columns(
            prompt=[prompt for prompt, _, _ in done],
            rewrite=[entry for _, entry, _ in done],
            search=[record for _, _, record in done],
        )

    def _row(self, row: Row) -> tuple[str, list[object], dict[str, Any] | None]:
        from imgtool_rewrite.shortcot.choosing import choose

        prompt = str(row.values.get("prompt") or "")
        if not prompt.strip():
            return prompt, with_entry(row, "shortcot", "failed", why="there is no prompt"), None
        found = choose(self.chat, self.jury, row, self.asking)
        record = {"by": f"{self.jury.by} without what length costs", "candidates": found.table()}
        return found.best.prompt, self._entry(row, found), record

    def _entry(self, row: Row, found: Chosen) -> list[object]:
        best, source = found.best, found.source
        return with_entry(
            row, "shortcot", found.status, why=found.why, before=row["prompt"],
            plan=best.plan.text, length=best.length, scorer=self.jury.by,
            score_before=source.seen.score, score_after=best.seen.score,
            value_before=source.value, value_after=best.value,
            cost={"calls": self.asking.draws, "images": len(found.candidates)},
            warnings=sorted(set(found.dropped)), model=who_is_asked(self.params),
            calls=found.calls,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the models."""
        self.jury.close()
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: ShortCotParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        named = ((params.model, DRAWING), (planner_of(params), WRITING))
        return sum(runtime.model(ref, task).weight_bytes for ref, task in named if ref)

    @classmethod
    def check_rows(cls, folder: Path) -> Sequence[Mapping[str, Any]]:
        """Prompts whose plans are in the file of `check_models`."""
        return [{"prompt": prompt, "seed": seed} for seed, prompt in enumerate(CHECKED)]

    @classmethod
    def check_models(cls, folder: Path) -> Mapping[str, object]:
        """Plans for the prompts of `check_rows`."""
        from imgtool_rewrite.asking import call_key
        from imgtool_rewrite.shortcot.plans import INSTRUCTION, question, seeds_of
        from imgtool_rewrite.spans import protect

        calls = [
            {
                "key": call_key(INSTRUCTION, question(protect(prompt), "source-plan"), drawn),
                "answer": f"{prompt}, {ending}",
            }
            for seed, prompt in enumerate(CHECKED)
            for drawn, ending in zip(seeds_of(seed, 2), ("in the middle", "far away"), strict=True)
        ]
        file = folder / "plans.jsonl"
        file.write_text(json.dumps({"rewrite": [{"calls": calls}]}), encoding="utf-8")
        return {"replay": str(file)}


CHECKED = ("a red cube", "a blue sphere", "a green cone left of a red cube")


def planner_of(params: ShortCotParams) -> str:
    """The language model that plans; empty: a service does, or the answers of an earlier run."""
    return params.llm or ("" if params.endpoint or params.replay else WRITER)


def asking_of(params: ShortCotParams, count: Callable[[str], int]) -> Asking:
    """How plans are drawn and compared."""
    from imgtool_rewrite.shortcot.choosing import Asking
    from imgtool_rewrite.shortcot.plans import INSTRUCTION
    from imgtool_rewrite.shortcot.rewards import Penalty

    return Asking(
        params.draws,
        params.system or INSTRUCTION,
        params.max_tokens,
        params.form,
        params.rule,
        Penalty(params.alpha, params.target, params.shape, gate=params.gate or None),
        params.near,
        count,
    )


def counter(params: ShortCotParams, runtime: Runtime) -> Callable[[str], int]:
    """What says how long a plan is.

    Raises
    ------
    BadParams : tokens are to be counted, and no language model is named.
    ModelUnusable, NeedsConsent : its tokenizer cannot be loaded.
    """
    from imgtool_rewrite.shortcot.lengths import token_counter, word_count

    if params.unit == "words":
        return word_count
    if not params.llm:
        raise BadParams("tokens are counted by the model that plans", "Name one: --llm MODEL")
    return token_counter(runtime.model(params.llm, WRITING).path)
