"""The stage `rewrite.llm`."""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from imgtool.api import (
    PROMPT,
    SEED,
    BadParams,
    Bounds,
    Help,
    InputUnreadable,
    ModelRef,
    PathTo,
    Stage,
    optional,
)
from imgtool_rewrite.asking import INSTRUCTION, Request, Rewritten, call_key, question, rewrite
from imgtool_rewrite.budget import Budget
from imgtool_rewrite.record import REWRITE, require_words, with_entry
from imgtool_rewrite.spans import protect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool.api import Batch, Row, Runtime
    from imgtool_rewrite.asking import Chat

log = logging.getLogger("imgtool.rewrite")
TASK = "text-generation"
MaxRequests = Annotated[
    int,
    Help("Requests of a command to the service at most, repeated ones too; 0: any number."),
    Bounds(0),
]


@dataclass(frozen=True)
class LlmParams:
    """Parameters of `rewrite.llm`."""

    llm: Annotated[
        str, Help("Language model, hub id or folder; empty: the endpoint."), ModelRef(TASK)
    ] = ""
    endpoint: Annotated[
        str, Help("Ask a service instead: base of its OpenAI-compatible address, ending in /v1.")
    ] = ""
    served: Annotated[str, Help("Model that the service is asked for.")] = ""
    replay: Annotated[
        str,
        Help("Ask nobody: take the answers from rows of an earlier run, .jsonl."),
        PathTo("rows with answers"),
    ] = ""
    system: Annotated[str, Help("Instruction to the model.")] = INSTRUCTION
    system_file: Annotated[
        str, Help("File with the instruction, in its place."), PathTo("an instruction")
    ] = ""
    n: Annotated[
        int, Help("Rewrites of each prompt; several are drawn by seed."), Bounds(1, 4096)
    ] = 1
    keep: Annotated[
        tuple[str, ...], Help("Words that stay wherever a prompt has them, besides names.")
    ] = ()
    tries: Annotated[
        int, Help("Answers asked for until one keeps all; then the prompt stays."), Bounds(1, 20)
    ] = 3
    max_tokens: Annotated[int, Help("Tokens of an answer at most."), Bounds(1, 8192)] = 512
    max_requests: MaxRequests = 0
    schema: Annotated[
        bool, Help("Have the service hold the answer to a JSON schema, if it can.")
    ] = False


class Llm(Stage[LlmParams]):
    """Prompts rewritten by a language model; what the user named and counted stays."""

    id, version = "rewrite.llm", 1
    summary = "Rewrite prompts by a language model, keeping names, numbers and quoted text."
    consumes = (PROMPT, SEED, optional(REWRITE))
    produces = (PROMPT, REWRITE)

    chat: Chat
    request: Request

    def open(self, params: LlmParams, runtime: Runtime) -> None:
        """Load the model, or the answers.

        Raises
        ------
        BadParams : nobody is named to ask, or more than one; the address is none.
        ModelUnusable, NeedsConsent, UnknownComponent, InputMissing, InputUnreadable : who is
            named cannot be asked.
        """
        self.params, self.runtime = params, runtime
        system = _read(params.system_file) if params.system_file else params.system
        self.request = Request(system, params.keep, params.tries, params.max_tokens, params.schema)
        self.chat = load_limited(runtime, params)

    def process(self, batch: Batch) -> Batch:
        """The rows, or `n` children of each, with new prompts and how they came about."""
        require_words(batch, self.id)
        rows = list(batch.repeat(self.params.n))
        with ThreadPoolExecutor(self.chat.at_once) as pool:
            found = list(pool.map(self._rewritten, rows))
        failed = [one.why_not for one in found if one.why_not]
        if failed:
            log.warning("rewrite.llm: %d prompts stay as they are: %s", len(failed), failed[0])
        pairs = list(zip(rows, found, strict=True))
        return batch.repeat(self.params.n).with_columns(
            prompt=[one.prompt or row["prompt"] for row, one in pairs],
            rewrite=[self._record(row, one) for row, one in pairs],
        )

    def _rewritten(self, row: Row) -> Rewritten:
        prompt = str(row.values.get("prompt") or "")
        if not prompt.strip():
            return Rewritten()
        seed = row.seed if self.params.n > 1 else None
        return rewrite(self.chat, prompt, self.request, seed)

    def _record(self, row: Row, one: Rewritten) -> list[object]:
        new = one.prompt not in ("", row["prompt"])
        status = "failed" if one.why_not else "ok" if new else "unchanged"
        return with_entry(
            row, "llm", status, why=one.why_not, before=row["prompt"],
            model=who_is_asked(self.params), calls=one.calls,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: LlmParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        return runtime.model(params.llm, TASK).weight_bytes if params.llm else 0

    @classmethod
    def check_rows(cls, folder: Path) -> Sequence[Mapping[str, Any]]:
        """Prompts that are answered in the file of `check_models`."""
        return [{"prompt": prompt} for prompt in CHECKED]

    @classmethod
    def check_models(cls, folder: Path) -> Mapping[str, object]:
        """Answers for the prompts of `check_rows`."""
        request, calls = Request(INSTRUCTION), []
        for prompt in CHECKED:
            text = question(protect(prompt), request)
            answer = json.dumps({"prompt": f"{prompt}, at dusk"})
            calls.append({"key": call_key(INSTRUCTION, text, None), "answer": answer})
        file = folder / "answers.jsonl"
        file.write_text(json.dumps({"rewrite": [{"calls": calls}]}), encoding="utf-8")
        return {"replay": str(file)}


CHECKED = ("a red cube", "two cones near Paris", "a sign that says 'open'")


class NamesChat(Protocol):
    """Parameters that name who is asked, one of three."""

    @property
    def llm(self) -> str:
        """Language model of transformers."""

    @property
    def endpoint(self) -> str:
        """Address of a service."""

    @property
    def served(self) -> str:
        """Model that the service is asked for."""

    @property
    def replay(self) -> str:
        """Rows with answers."""


class Limits(NamesChat, Protocol):
    """Parameters that also limit requests."""

    @property
    def max_requests(self) -> int:
        """Requests to the service at most; 0: any number."""


def who_is_asked(params: NamesChat) -> str:
    """The one that is named, in a row's record."""
    named = f"{params.endpoint}#{params.served}" if params.endpoint else params.llm
    return named or f"replay of {params.replay}"


def load_chat(runtime: Runtime, params: NamesChat, stage: str = Llm.id) -> Chat:
    """Who is asked.

    Raises
    ------
    BadParams : nobody is named, or more than one.
    """
    named = {
        "transformers": params.llm, "endpoint": params.endpoint, "replay": params.replay
    }  # fmt: skip
    given = [(name, ref) for name, ref in named.items() if ref]
    if len(given) != 1:
        raise BadParams(
            f"{stage}: {'more than one' if given else 'nobody'} is named to ask",
            "Give --endpoint URL, --llm MODEL or --replay FILE",
        )
    name, ref = given[0]
    make: Any = runtime.component("chat", name)
    chat: Chat = make(runtime, ref, params.served)
    return chat


def load_limited(runtime: Runtime, params: Limits, stage: str = Llm.id) -> Chat:
    """Who is asked; a service, at most as often as the parameters allow.

    Raises
    ------
    BadParams : nobody is named, or more than one.
    """
    chat: Any = load_chat(runtime, params, stage)
    if params.endpoint and params.max_requests:
        chat = chat.limited(Budget(params.max_requests).spend)
    limited: Chat = chat
    return limited


def _read(file: str) -> str:
    try:
        text = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as err:
        raise InputUnreadable(f"{file!r} cannot be read as UTF-8 text") from err
    if not text:
        raise InputUnreadable(f"{file!r} holds no instruction")
    return text
