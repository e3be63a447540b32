"""The declaration of `rewrite.genpilot`. What it does is in the modules beside it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from imgtool.api import (
    NEGATIVE_PROMPT,
    PROMPT,
    SEED,
    BadParams,
    Bounds,
    Field,
    Help,
    Kind,
    ModelRef,
    PathTo,
    Stage,
    StageRef,
    optional,
)
from imgtool_rewrite.record import REWRITE, require_words, with_entry

if TYPE_CHECKING:
    from imgtool.api import Batch, Row, Runtime
    from imgtool_rewrite.genpilot.agent import Agent
    from imgtool_rewrite.genpilot.painting import Studio
    from imgtool_rewrite.genpilot.search import Plan

log = logging.getLogger("imgtool.rewrite")
SEARCH = Field("search", Kind.RECORD, summary="Errors found, and every candidate with its scores.")
DRAWING, LOOKING, WRITING = "text-to-image", "image-text-to-text", "text-generation"
# T, C, K, and whether each question about a picture is a call of its own.
PRESETS = MappingProxyType({"paper": (10, 20, 5, True), "fast": (3, 6, 3, False)})


@dataclass(frozen=True)
class GenPilotParams:
    """Parameters of `rewrite.genpilot`."""

    model: Annotated[
        str, Help("Model that draws: alias, hub id, folder or .safetensors file."),
        ModelRef(DRAWING),
    ] = "tabletop"  # fmt: skip
    preset: Annotated[
        Literal["fast", "paper"], Help("Size of the search: what GenPilot's authors used, or less.")
    ] = "fast"
    rounds: Annotated[int, Help("Rounds for each error; 0: the preset's."), Bounds(0, 100)] = 0
    candidates: Annotated[
        int, Help("Candidates of a round; 0: the preset's."), Bounds(0, 256)
    ] = 0  # fmt: skip
    clusters: Annotated[
        int, Help("Groups of candidates at most; 0: the preset's."), Bounds(0, 8)
    ] = 0  # fmt: skip
    images: Annotated[int, Help("Pictures of each candidate."), Bounds(1, 16)] = 1
    stop: Annotated[
        float, Help("Mean rating, 1 to 5, that ends the search for one error."), Bounds(1, 5)
    ] = 4.7
    likelihood: Annotated[
        Literal["linear", "softmax"], Help("How a group's mean score moves the belief in it.")
    ] = "linear"
    tau: Annotated[float, Help("Temperature of 'softmax'."), Bounds(0.01, 100)] = 1.0
    prior: Annotated[
        Literal["carry", "none"], Help("Belief that a round begins with: the last one's, or none.")
    ] = "carry"
    memory: Annotated[bool, Help("Tell the agent what was tried and how it scored.")] = True
    compound: Annotated[bool, Help("Go on from the best words so far, not the prompt's.")] = False
    max_calls: Annotated[
        int, Help("Calls of models for each prompt at most; 0: as many as it takes."), Bounds(0)
    ] = 0
    max_images: Annotated[
        int, Help("Pictures for each prompt at most; 0: as many as it takes."), Bounds(0)
    ] = 0
    agent: Annotated[
        str, Help("Who analyses and proposes where no other model is named.")
    ] = "tabletop"  # fmt: skip
    endpoint: Annotated[
        str, Help("Ask a service instead: base of its OpenAI-compatible address, ending in /v1.")
    ] = ""
    served: Annotated[str, Help("Model that the service is asked for.")] = ""
    served_vlm: Annotated[
        str, Help("Model that the service is asked for about pictures; empty: the same.")
    ] = ""
    llm: Annotated[
        str, Help("Or a language model of your own, hub id or folder, with --vlm."),
        ModelRef(WRITING),
    ] = ""  # fmt: skip
    vlm: Annotated[
        str, Help("Model that looks at pictures: alias, hub id or folder; empty: the agent's."),
        ModelRef(LOOKING),
    ] = ""  # fmt: skip
    replay: Annotated[
        str,
        Help("Or ask nobody: take the answers from rows of an earlier run, .jsonl."),
        PathTo("rows with answers"),
    ] = ""
    max_tokens: Annotated[int, Help("Tokens of an answer at most."), Bounds(1, 8192)] = 1024
    schema: Annotated[
        bool, Help("Have the service hold answers to a JSON schema, if it can.")
    ] = False  # fmt: skip
    questions: Annotated[
        Literal["preset", "together", "each"],
        Help("Ask questions about a picture together, or each in a call; or as the preset does."),
    ] = "preset"
    steps: Annotated[int, Help("Denoising steps; 0: the model's own."), Bounds(0, 1000)] = 0
    draw: Annotated[
        str, Help("Stage that draws, as NAME or NAME:key=value,key=value."), StageRef()
    ] = "generate"

    @property
    def one_by_one(self) -> bool:
        """Whether each question about a picture is a call of its own."""
        return PRESETS[self.preset][3] if self.questions == "preset" else self.questions == "each"

    @property
    def plan(self) -> Plan:
        """How to search."""
        from imgtool_rewrite.genpilot.search import Plan

        rounds, candidates, clusters, _ = PRESETS[self.preset]
        return Plan(
            self.rounds or rounds,
            self.candidates or candidates,
            self.clusters or clusters,
            self.images,
            self.stop,
            self.tau if self.likelihood == "softmax" else 0.0,
            self.prior == "carry",
            self.memory,
            self.compound,
            self.one_by_one,
        )


class GenPilot(Stage[GenPilotParams]):
    """GenPilot, arXiv 2510.07217: test-time search over the words that a picture got wrong.

    The prompt itself competes: what comes out scores no less by the same judge over the same seeds.
    """

    id, version = "rewrite.genpilot", 1
    summary = "Find what a prompt's picture gets wrong, and search for words that help."
    consumes = (PROMPT, SEED, optional(NEGATIVE_PROMPT), optional(REWRITE))
    produces = (PROMPT, REWRITE, SEARCH)
    check_params = MappingProxyType({"steps": 1, "rounds": 1, "candidates": 2})

    helper: Agent
    studio: Studio

    def open(self, params: GenPilotParams, runtime: Runtime) -> None:
        """Load who is asked, and the stages that draw.

        Raises
        ------
        BadParams : more than one is named to ask, or a language model without one that looks.
        UnknownComponent, ModelUnusable, NeedsConsent, InputMissing, InputUnreadable : who is
            named cannot be asked, or the model cannot draw.
        """
        from imgtool_rewrite.genpilot.painting import Studio

        self.params, self.runtime = params, runtime
        self.studio = Studio(runtime)
        self.helper = load_agent(runtime, params)
        try:
            self.studio.open(params.draw, params.model, params.steps)
        except BaseException:
            self.studio.close()
            raise

    def process(self, batch: Batch) -> Batch:
        """The rows with prompts that serve them better, and how they were found."""
        require_words(batch, self.id)
        done = [self._row(row) for row in batch]
        return batch.with_columns(
            prompt=[prompt for prompt, _, _ in done],
            rewrite=[entry for _, entry, _ in done],
            search=[record for _, _, record in done],
        )

    def _row(self, row: Row) -> tuple[str, list[object], dict[str, Any] | None]:
        from imgtool_rewrite.genpilot.asking import Session
        from imgtool_rewrite.genpilot.meter import Meter
        from imgtool_rewrite.genpilot.painting import Painter
        from imgtool_rewrite.genpilot.pilot import Pilot
        from imgtool_rewrite.genpilot.trace import search_record

        prompt = str(row.values.get("prompt") or "")
        if not prompt.strip():
            entry = with_entry(row, "genpilot", "failed", why="there is no prompt")
            return prompt, entry, None
        meter = Meter(self.params.max_calls, self.params.max_images)
        session = Session(self.helper.metered(meter))
        painter = Painter(self.studio, row.id, row.values, meter)
        done = Pilot(session, painter, self.params.plan, row.seed).improve(prompt)
        if done.status in ("failed", "partial"):
            log.warning("rewrite.genpilot: row %s: %s", row.id, done.why)
        entry = with_entry(
            row, "genpilot", done.status, why=done.why, before=prompt, model=self.helper.name,
            score_before=done.before, score_after=done.after,
            cost={"calls": meter.calls, "images": meter.images},
            most={"calls": done.most.calls, "images": done.most.images} if done.most else None,
            warnings=session.warnings,
            calls=[{"key": key, "answer": said} for key, said in sorted(meter.answers.items())],
        )  # fmt: skip
        return done.prompt, entry, search_record(done)

    def close(self) -> None:
        """Let go of the models."""
        self.studio.close()
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: GenPilotParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        named = ((params.model, DRAWING), (params.llm, WRITING), (params.vlm, LOOKING))
        return sum(runtime.model(ref, task).weight_bytes for ref, task in named if ref)


def load_agent(runtime: Runtime, params: GenPilotParams) -> Agent:
    """Who analyses and proposes.

    Raises
    ------
    BadParams : more than one is named, or a language model without one that looks.
    UnknownComponent, ModelUnusable, NeedsConsent, InputMissing, InputUnreadable : it cannot be
        asked.
    """
    if not (params.llm or params.endpoint or params.replay):
        make: Any = runtime.component("prompt-agent", params.agent)
        agent: Agent = make(runtime, params.vlm)
        return agent
    from imgtool_rewrite.genpilot.chats import ChatAgent
    from imgtool_rewrite.llm import load_chat

    if params.llm and not params.vlm:
        raise BadParams(
            f"{GenPilot.id}: {params.llm!r} cannot look at pictures",
            "Name a model that can: --vlm MODEL",
        )
    writer = eyes = load_chat(runtime, params, GenPilot.id)
    name = f"{params.endpoint}#{params.served}" if params.endpoint else params.replay
    if params.llm:
        look: Any = runtime.component("chat", "transformers-vlm")
        eyes, name = look(runtime, params.vlm, ""), f"{params.llm} and {params.vlm}"
    elif params.endpoint and params.served_vlm:
        open_endpoint: Any = runtime.component("chat", "endpoint")
        eyes = open_endpoint(runtime, params.endpoint, params.served_vlm)
        name += f" and {params.served_vlm}"
    return ChatAgent(writer, eyes, name, params.max_tokens, params.schema, params.one_by_one)
