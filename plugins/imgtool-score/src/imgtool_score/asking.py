"""`score.vqa`: how likely a model answers yes when asked whether the picture shows the prompt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from imgtool.api import (
    IMAGE,
    PROMPT,
    SOURCE_PROMPT,
    BadParams,
    Bounds,
    Failure,
    Field,
    Help,
    Kind,
    Stage,
    optional,
    score,
)
from imgtool_score.consistency import SEEING, EndpointUrl, Model, Served
from imgtool_score.decompose import Question, given_questions, questions_of, settled
from imgtool_score.record import (
    NO_NUMBER,
    About,
    Against,
    Scored,
    fingerprint,
    info,
    texts_against,
    with_scores,
)

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool.api import Batch, Row, Runtime
    from imgtool_score.seeing import Chance, Seer

# Lin et al. (2024), arXiv 2404.01291, in the words of the authors' later releases.
TEMPLATE = 'Does this figure show "{}"? Please answer Yes or No.'
QUESTIONS = Field("questions", Kind.RECORD, summary="Questions about the picture, with parents.")


@dataclass(frozen=True)
class VqaParams:
    """Parameters of `score.vqa`."""

    model: Model = "tabletop/vlm"
    question: Annotated[str, Help("What is asked; {} stands for the prompt.")] = TEMPLATE
    decompose: Annotated[
        Literal["none", "rules", "given"],
        Help("Ask one question; several made by rules; or those in each row's `questions`."),
    ] = "none"
    pass_at: Annotated[
        float, Help("Least share of yes with which a question passes."), Bounds(0, 1)
    ] = 0.5
    endpoint: EndpointUrl = ""
    served: Served = ""
    against: Against = "source_prompt"


class Vqa(Stage[VqaParams]):
    """VQAScore: P(yes) from the next token; decomposed: the mean over dependent questions."""

    id, version = "score.vqa", 1
    summary = "Score how surely a model says that pictures show their prompts, whole or in parts."
    consumes = (IMAGE, PROMPT, optional(SOURCE_PROMPT), optional(QUESTIONS))
    produces = (score("vqa"), score("vqa_pass"), info("vqa"))

    seer: Seer

    def open(self, params: VqaParams, runtime: Runtime) -> None:
        """Load the model.

        Raises
        ------
        ModelUnusable, NeedsConsent : it cannot be loaded, or is not here.
        BadParams : the question has no place for the prompt.
        """
        from imgtool_score.seeing import load_seer

        self.params, self.runtime = params, runtime
        if params.decompose == "none" and "{}" not in params.question:
            raise BadParams(
                f"score.vqa: question {params.question!r} has no place for the prompt",
                "Write {} where the prompt goes",
            )
        self.seer = load_seer(runtime, params.model, params.endpoint, params.served)

    def process(self, batch: Batch) -> Batch:
        """`score.vqa`, and `score.vqa_pass`: 1 where every question passes, else 0."""
        prompts = texts_against(batch, self.params.against)
        asked: list[list[Question]] = []
        odd: dict[str, Failure] = {}
        for row, prompt in zip(batch, prompts, strict=True):
            try:
                asked.append(self._questions(row, prompt))
            except ValueError as err:
                asked.append([])
                odd[row.id] = Failure(self.id, "RowError", f"the field 'questions' {err}")
        answers = iter(self._chances(batch, asked))
        chances = [[next(answers) for _ in questions] for questions in asked]
        rows = [
            self._scored(questions, found)
            for row_id, questions, found in zip(batch.ids, asked, chances, strict=True)
            if row_id not in odd
        ]
        done = with_scores(batch.fail(odd), self._about(), [scored for scored, _ in rows])
        return done.with_columns(**{"score.vqa_pass": [passed for _, passed in rows]})

    def _questions(self, row: Row, prompt: str) -> list[Question]:
        if self.params.decompose == "given":
            return given_questions(row.values.get("questions"))
        if not prompt.strip():
            return []
        if self.params.decompose == "rules":
            return questions_of(prompt)
        return [Question(self.params.question.replace("{}", prompt), "whole")]

    def _chances(self, batch: Batch, asked: list[list[Question]]) -> list[Chance]:
        from imgtool_score.seeing import Ask

        pairs = zip(batch.arrays("image"), asked, strict=True)
        return self.seer.chances([Ask(image, q.text, 1) for image, qs in pairs for q in qs])

    def _scored(
        self, questions: list[Question], found: list[Chance]
    ) -> tuple[Scored, float | None]:
        if not questions:
            return Scored(None, "the row has no prompt"), None
        if any(math.isnan(chance.yes + chance.no) for chance in found):
            return NO_NUMBER, None
        pass_at = self.params.pass_at
        if self.params.decompose == "none":
            chance = found[0]
            notes: dict[str, object] = {"yes": chance.yes, "no": chance.no, "share": chance.share}
            return Scored(chance.yes, "", notes), float(chance.share >= pass_at)
        values = settled([chance.share for chance in found], questions, pass_at)
        records = [
            {"text": q.text, "kind": q.kind, "parents": list(q.parents), "yes": c.yes, "no": c.no,
             "value": value}
            for q, c, value in zip(questions, found, values, strict=True)
        ]  # fmt: skip
        mean = sum(values) / len(values)
        passed = all(value >= pass_at for value in values)
        return Scored(mean, "", {"questions": records}), float(passed)

    def _about(self) -> About:
        params = self.params
        mark = fingerprint(
            "vqa/1", self.seer.digest, params.question, params.decompose, params.pass_at
        )
        model = f"{params.endpoint}#{params.served}" if params.endpoint else params.model
        return About("vqa", model, mark, 0.0, 1.0)

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A model that looks, of random weights."""
        from imgtool_score.tiny import save_git

        return {"model": str(save_git(folder / "git"))}

    @classmethod
    def weight_bytes(cls, params: VqaParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        if params.endpoint:
            return 0
        return runtime.model(params.model, SEEING).weight_bytes
