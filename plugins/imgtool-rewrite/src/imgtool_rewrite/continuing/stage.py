"""The declarations of `rewrite.expand` and `rewrite.promptist`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from imgtool.api import (
    PROMPT,
    SEED,
    Bounds,
    Help,
    InputUnreadable,
    ModelRef,
    PathTo,
    Stage,
    optional,
)
from imgtool_rewrite.record import REWRITE, require_words, with_entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgtool.api import Batch, Row, Runtime
    from imgtool_rewrite.continuing.expanding import Expander, Expansion
    from imgtool_rewrite.continuing.loading import LanguageModel

TASK = "text-generation"
STYLES = Path(__file__).parent.with_name("styles.txt")
Tokenizer = Annotated[
    str, Help("Folder or model with the tokenizer; empty: the model's own."), ModelRef("tokenizer")
]


@dataclass(frozen=True)
class ExpandParams:
    """Parameters of `rewrite.expand`."""

    llm: Annotated[str, Help("Causal language model, hub id or folder."), ModelRef(TASK)]
    vocabulary: Annotated[
        str, Help("File of words to choose from, one a line; empty: ours."), PathTo("words")
    ] = ""
    n: Annotated[int, Help("Expansions of each prompt."), Bounds(1, 4096)] = 1
    fill: Annotated[
        int, Help("Tokens that prompt and words fill, or a multiple of them."), Bounds(1, 4096)
    ] = 75
    words: Annotated[int, Help("Words to append at most; 0: as many as fit."), Bounds(0, 4096)] = 0
    top_k: Annotated[
        int, Help("Likeliest tokens of the words that one is drawn from."), Bounds(1, 100_000)
    ] = 100
    temperature: Annotated[
        float, Help("Above 1 bolder words, below 1 likelier ones."), Bounds(0.01, 100)
    ] = 1.0
    tokenizer: Tokenizer = ""


class Expand(Stage[ExpandParams]):
    """Words of a list after the prompt, as a language model would go on; the prompt stays."""

    id, version = "rewrite.expand", 1
    summary = "Append style words to prompts, chosen by a language model from a list."
    consumes = (PROMPT, SEED, optional(REWRITE))
    produces = (PROMPT, REWRITE)

    expander: Expander
    expansion: Expansion

    def open(self, params: ExpandParams, runtime: Runtime) -> None:
        """Load the model and the words.

        Raises
        ------
        InputUnreadable : the file holds no words, or the tokenizer can write none of them.
        ModelUnusable, NeedsConsent, UnknownComponent : the model cannot be loaded.
        """
        from imgtool_rewrite.continuing.expanding import Expander, Expansion
        from imgtool_rewrite.continuing.loading import load_model

        self.params, self.runtime = params, runtime
        words = read_words(Path(params.vocabulary) if params.vocabulary else STYLES)
        self.expander = Expander(load_model(runtime, params.llm, params.tokenizer), words)
        if not self.expander.paths:
            raise InputUnreadable(f"{params.llm!r} can write none of the words as its own tokens")
        self.expansion = Expansion(params.fill, params.words, params.top_k, params.temperature)

    def process(self, batch: Batch) -> Batch:
        """The rows, or `n` children of each, with words appended."""
        require_words(batch, self.id)
        children = batch.repeat(self.params.n)
        made = self.runtime.halving(
            lambda rows: [self._expanded(row) for row in rows], list(children), 1
        )
        return children.with_columns(
            prompt=[prompt for prompt, _ in made], rewrite=[entry for _, entry in made]
        )

    def _expanded(self, row: Row) -> tuple[str, list[object]]:
        prompt = str(row.values.get("prompt") or "")
        made = self.expander.expand(prompt, self.expansion, row.generator("expand"))
        if made == prompt:
            why = "no word fits" if prompt.strip() else "there is no prompt"
            return prompt, with_entry(row, "expand", "unchanged", why=why)
        return made, with_entry(row, "expand", "ok", before=prompt, model=self.params.llm)

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: ExpandParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        return runtime.model(params.llm, TASK).weight_bytes

    @classmethod
    def check_models(cls, folder: Path) -> Mapping[str, object]:
        """A random GPT-2."""
        from imgtool_rewrite.continuing.loading import save_tiny

        return {"llm": str(save_tiny(folder / "gpt2"))}


@dataclass(frozen=True)
class PromptistParams:
    """Parameters of `rewrite.promptist`."""

    llm: Annotated[
        str, Help("Promptist in .safetensors, folder or hub id, or a model of its form."),
        ModelRef(TASK),
    ]  # fmt: skip
    tokenizer: Tokenizer = ""
    beams: Annotated[int, Help("Beams of the search, as published 8."), Bounds(1, 64)] = 8
    max_tokens: Annotated[int, Help("Tokens of a new prompt at most."), Bounds(1, 8192)] = 75


class Promptist(Stage[PromptistParams]):
    """Promptist, arXiv 2212.09611: a language model trained to rephrase prompts for pictures."""

    id, version = "rewrite.promptist", 1
    summary = "Rephrase prompts by Promptist, a language model trained for it."
    consumes = (PROMPT, optional(REWRITE))
    produces = (PROMPT, REWRITE)

    llm: LanguageModel

    def open(self, params: PromptistParams, runtime: Runtime) -> None:
        """Load the model.

        Raises
        ------
        ModelUnusable, NeedsConsent, UnknownComponent : it cannot be loaded.
        """
        from imgtool_rewrite.continuing.loading import load_model

        self.params, self.runtime = params, runtime
        self.llm = load_model(runtime, params.llm, params.tokenizer)

    def process(self, batch: Batch) -> Batch:
        """The rows with new prompts; one that loses names, numbers or quotes is not taken."""
        require_words(batch, self.id)
        made = self.runtime.halving(
            lambda rows: [self._rephrased(row) for row in rows], list(batch), 1
        )
        return batch.with_columns(
            prompt=[prompt for prompt, _ in made], rewrite=[entry for _, entry in made]
        )

    def _rephrased(self, row: Row) -> tuple[str, list[object]]:
        from imgtool_rewrite.continuing.rephrasing import rephrase

        prompt = str(row.values.get("prompt") or "")
        found = rephrase(self.llm, prompt, self.params.beams, self.params.max_tokens)
        status = "ok" if found.prompt not in ("", prompt) else "unchanged"
        entry = with_entry(
            row, "promptist", status, why=found.why_not, before=prompt, model=self.params.llm,
            beam=found.beam if found.prompt else None,
        )  # fmt: skip
        return found.prompt or prompt, entry

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: PromptistParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        return runtime.model(params.llm, TASK).weight_bytes

    @classmethod
    def check_models(cls, folder: Path) -> Mapping[str, object]:
        """A random GPT-2."""
        from imgtool_rewrite.continuing.loading import save_tiny

        return {"llm": str(save_tiny(folder / "gpt2"))}


def read_words(file: Path) -> list[str]:
    """The lines of a file, once each, empty ones and `#` comments left out.

    Raises
    ------
    InputUnreadable : it is not UTF-8 text, or holds no words.
    """
    try:
        lines = [line.strip() for line in file.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as err:
        raise InputUnreadable(f"{str(file)!r} cannot be read as UTF-8 text") from err
    words = list(dict.fromkeys(" ".join(s.split()) for s in lines if s and not s.startswith("#")))
    if not words:
        raise InputUnreadable(f"{str(file)!r} holds no words")
    return words
