"""`score.tit` and `score.tit-llm`: describe the picture, compare the description with the prompt.

Text-image-text consistency, arXiv 2510.02987.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar

from imgtool.api import (
    IMAGE,
    PROMPT,
    SOURCE_PROMPT,
    BadParams,
    Bounds,
    Field,
    Help,
    Kind,
    ModelRef,
    Stage,
    optional,
    score,
)
from imgtool_score.describing import Described, Request, describe, word_range
from imgtool_score.record import (
    About,
    Against,
    Scored,
    fingerprint,
    info,
    text_notes,
    texts_against,
    with_scores,
)

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool.api import Batch, Runtime
    from imgtool_score.embedding import Embedder
    from imgtool_score.judging import LocalJudge, RemoteJudge
    from imgtool_score.seeing import Seer

SEEING = "image-text-to-text"
DESCRIPTION = Field("description", Kind.TEXT, summary="What a model says is in the picture.")
Model = Annotated[
    str, Help("Model that looks at pictures: alias, hub id or folder."), ModelRef(SEEING)
]
EndpointUrl = Annotated[
    str, Help("Ask a service instead: base of its OpenAI-compatible address, ending in /v1.")
]
Served = Annotated[str, Help("Model that the service is asked for.")]
Description = Annotated[
    str, Help("Text field that holds descriptions already; empty: ask the model.")
]
Words = Annotated[str, Help("Words of a description, such as 250-350; empty: as the prompt has.")]
Ask = Annotated[str, Help("Request in place of the usual one; {low} and {high} are word counts.")]
MostTokens = Annotated[int, Help("Tokens of a description at most."), Bounds(1, 8192)]


class HasSeer(Protocol):
    """Parameters of both stages."""

    @property
    def model(self) -> str:
        """Model that looks at pictures."""

    @property
    def endpoint(self) -> str:
        """Service in its place."""

    @property
    def served(self) -> str:
        """Model that the service is asked for."""

    @property
    def description(self) -> str:
        """Field that holds descriptions already."""

    @property
    def words(self) -> str:
        """Range of words."""

    @property
    def request(self) -> str:
        """Request in place of the usual one."""

    @property
    def max_tokens(self) -> int:
        """Tokens at most."""

    @property
    def against(self) -> str:
        """Field to compare with."""


P = TypeVar("P", bound=HasSeer)


class Consistency(Stage[P]):
    """What both stages share: getting a description of each picture."""

    consumes = (IMAGE, PROMPT, optional(SOURCE_PROMPT))

    seer: Seer | None
    wanted: Request

    def open(self, params: P, runtime: Runtime) -> None:
        """Load the model that looks, unless rows bring descriptions.

        Raises
        ------
        ModelUnusable, NeedsConsent : it cannot be loaded, or is not here.
        BadParams : the range of words or the endpoint cannot be read.
        """
        from imgtool_score.seeing import load_seer

        self.params, self.runtime = params, runtime
        if params.words:
            word_range(params.words)
        self.wanted = Request(params.words, params.request, params.max_tokens)
        self.seer = None
        if not params.description:
            self.seer = load_seer(runtime, params.model, params.endpoint, params.served)

    def described(self, batch: Batch) -> list[Described]:
        """A description of each row that has a prompt.

        Raises
        ------
        BadParams : rows lack the field that should hold descriptions.
        """
        prompts = texts_against(batch, self.params.against)
        if self.seer is None:
            return [Described(text, "" if text.strip() else "the row has no description")
                    for text in texts_against(batch, self.params.description)]  # fmt: skip
        there = [index for index, prompt in enumerate(prompts) if prompt.strip()]
        images = batch.arrays("image")
        made = describe(
            self.seer, [images[i] for i in there], [prompts[i] for i in there], self.wanted
        )
        found = dict(zip(there, made, strict=True))
        missing = Described("", "the row has no prompt")
        return [found.get(index, missing) for index in range(len(batch))]

    def pairs(self, batch: Batch) -> tuple[list[Described], list[int], list[tuple[str, str]]]:
        """Descriptions, the rows that can be compared, and their (prompt, description)."""
        prompts, found = texts_against(batch, self.params.against), self.described(batch)
        found = [
            item if prompt.strip() else Described("", "the row has no prompt")
            for item, prompt in zip(found, prompts, strict=True)
        ]
        there = [index for index, item in enumerate(found) if not item.why_not]
        return found, there, [(prompts[i], found[i].text) for i in there]

    @property
    def seen_by(self) -> str:
        """Who described, for the record."""
        params = self.params
        if params.description:
            return f"field {params.description}"
        return f"{params.endpoint}#{params.served}" if params.endpoint else params.model

    @property
    def seeing_mark(self) -> tuple[object, ...]:
        """What descriptions depend on."""
        params = self.params
        if self.seer is None:
            return ("field", params.description)
        return (self.seer.digest, params.words, params.request, params.max_tokens)

    def close(self) -> None:
        """Let go of the models."""
        self.runtime.release()


@dataclass(frozen=True)
class TitParams:
    """Parameters of `score.tit`."""

    model: Model = "tabletop/vlm"
    embedder: Annotated[
        str, Help("Text encoder: alias, hub id or folder."), ModelRef("text-embedding")
    ] = "minilm"
    reading: Annotated[
        Literal["windows", "sentences", "cut"],
        Help("Long texts: average windows; match sentences with sentences; or cut, and say so."),
    ] = "windows"
    endpoint: EndpointUrl = ""
    served: Served = ""
    description: Description = ""
    words: Words = ""
    request: Ask = ""
    max_tokens: MostTokens = 512
    against: Against = "source_prompt"


class Tit(Consistency[TitParams]):
    """TIT-Score: the cosine of the prompt and of what a model sees, told nothing of the prompt."""

    id, version = "score.tit", 1
    summary = "Score how well a description of the picture agrees with the prompt, long ones too."
    produces = (score("tit"), info("tit"))
    # Prompts stand in for descriptions: a check needs no model that looks.
    check_params = MappingProxyType({"model": "", "description": "prompt"})

    embedder: Embedder

    def open(self, params: TitParams, runtime: Runtime) -> None:
        """Load the text encoder, then the model that looks.

        Raises
        ------
        ModelUnusable, NeedsConsent : one cannot be loaded, or is not here.
        BadParams : the range of words or the endpoint cannot be read.
        """
        from imgtool_score.embedding import load_embedder

        super().open(params, runtime)
        self.embedder = load_embedder(runtime, params.embedder)

    def process(self, batch: Batch) -> Batch:
        """One cosine a row; None where there is no prompt or no description."""
        found, there, pairs = self.pairs(batch)
        values = self.embedder.similarities(pairs, self.params.reading)
        compared = dict(zip(there, values, strict=True))
        scored = [
            self._scored(item, *compared[index], pairs[there.index(index)])
            if index in compared
            else Scored(None, item.why_not)
            for index, item in enumerate(found)
        ]
        return with_scores(batch, self._about(), scored)

    def _scored(self, item: Described, value: float, cut: bool, pair: tuple[str, str]) -> Scored:
        tokens = max(self.embedder.tokens(text) for text in pair) if cut else 0
        notes = text_notes(self.params.against, tokens, self.embedder.limit)
        return Scored(value, "", {**notes, **item.notes})

    def _about(self) -> About:
        params = self.params
        mark = fingerprint("tit/1", self.embedder.digest, params.reading, *self.seeing_mark)
        return About("tit", f"{params.embedder} of {self.seen_by}", mark, -1.0, 1.0)

    @classmethod
    def weight_bytes(cls, params: TitParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        named = [(params.embedder, "text-embedding")]
        if not (params.endpoint or params.description):
            named.append((params.model, SEEING))
        return sum(runtime.model(ref, task).weight_bytes for ref, task in named)


@dataclass(frozen=True)
class TitLlmParams:
    """Parameters of `score.tit-llm`."""

    model: Model = "tabletop/vlm"
    llm: Annotated[
        str, Help("Language model that judges, hub id or folder; empty: the endpoint."),
        ModelRef("text-generation"),
    ] = ""  # fmt: skip
    endpoint: EndpointUrl = ""
    served: Served = ""
    judge: Annotated[str, Help("Model that the service is asked to judge; empty: `served`.")] = ""
    description: Description = ""
    words: Words = ""
    request: Ask = ""
    max_tokens: MostTokens = 512
    against: Against = "source_prompt"


class TitLlm(Consistency[TitLlmParams]):
    """TIT-Score-LLM: a language model says how far a description means what the prompt means."""

    id, version = "score.tit-llm", 1
    summary = "Score by a language model how well a description of the picture fits the prompt."
    # A hyphen would read as minus in the conditions of `select.where`.
    produces = (score("tit_llm"), info("tit_llm"))
    check_params = Tit.check_params

    by: LocalJudge | RemoteJudge

    def open(self, params: TitLlmParams, runtime: Runtime) -> None:
        """Load the judge, then the model that looks.

        Raises
        ------
        ModelUnusable, NeedsConsent : one cannot be loaded, or is not here.
        BadParams : nobody is named to judge, or the endpoint or the range of words is unreadable.
        """
        from imgtool_score.endpoint import Endpoint
        from imgtool_score.judging import RemoteJudge, load_judge
        from imgtool_score.remote import RemoteChat

        if not params.llm and not params.endpoint:
            raise BadParams(
                "score.tit-llm: nobody is named to judge", "Give --llm MODEL or --endpoint URL"
            )
        super().open(params, runtime)
        if params.llm:
            self.by = load_judge(runtime, params.llm)
        else:
            served = params.judge or params.served
            self.by = RemoteJudge(RemoteChat(Endpoint(params.endpoint, served), runtime))

    def process(self, batch: Batch) -> Batch:
        """One score a row in 0..1; None where the judge twice gave nothing that can be read."""
        found, there, pairs = self.pairs(batch)
        verdicts: dict[int, Any] = dict(zip(there, self.by.verdicts(pairs), strict=True))
        scored = []
        for index, item in enumerate(found):
            if index not in verdicts:
                scored.append(Scored(None, item.why_not))
                continue
            verdict = verdicts[index]
            notes = {"against": self.params.against, **item.notes, **verdict.notes}
            scored.append(Scored(verdict.value, verdict.why_not, notes))
        return with_scores(batch, self._about(), scored)

    def _about(self) -> About:
        judge = self.params.llm or self.params.judge or self.params.served
        mark = fingerprint("tit-llm/1", self.by.digest, *self.seeing_mark)
        return About("tit_llm", f"{judge} of {self.seen_by}", mark, 0.0, 1.0)

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A judge of random weights."""
        from imgtool_score.tiny import save_llm

        return {"llm": str(save_llm(folder / "llm"))}

    @classmethod
    def weight_bytes(cls, params: TitLlmParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        named = [(params.llm, "text-generation")] if params.llm else []
        if not (params.endpoint or params.description):
            named.append((params.model, SEEING))
        return sum(runtime.model(ref, task).weight_bytes for ref, task in named)
