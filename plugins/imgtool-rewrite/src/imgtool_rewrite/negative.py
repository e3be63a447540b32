"""The stage `rewrite.negative`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from imgtool.api import (
    NEGATIVE_PROMPT,
    PROMPT,
    Bounds,
    Help,
    ModelRef,
    PathTo,
    Stage,
    optional,
)
from imgtool_rewrite.pairs import OWN, Pair, nearest, read_pairs
from imgtool_rewrite.record import REWRITE, with_entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from imgtool.api import Batch, Row, Runtime

EMBEDDING = "text-embedding"


class Embedder(Protocol):
    """What the component `transformers` of the kind `text-embedder` makes."""

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """[N, D] unit vectors, float64."""


@dataclass(frozen=True)
class NegativeParams:
    """Parameters of `rewrite.negative`."""

    pairs: Annotated[
        str,
        Help("Pairs to look up, .jsonl of positive and negative; empty: a short list of ours."),
        PathTo("pairs of prompts"),
    ] = ""
    embedder: Annotated[
        str, Help("Text encoder: alias, hub id or folder."), ModelRef(EMBEDDING)
    ] = "minilm"
    least: Annotated[
        float, Help("Least cosine with a pair; below it the row gets none."), Bounds(-1, 1)
    ] = 0.2
    existing: Annotated[
        Literal["keep", "append", "replace"], Help("What becomes of a row's own negative prompt.")
    ] = "keep"


class Negative(Stage[NegativeParams]):
    """The negative prompt that belongs to the most similar prompt of a list."""

    id, version = "rewrite.negative", 1
    summary = "Look up what to keep out of a picture by the most similar prompt of a list."
    consumes = (PROMPT, optional(NEGATIVE_PROMPT), optional(REWRITE))
    produces = (NEGATIVE_PROMPT, REWRITE)

    found: list[Pair]
    embedder: Embedder
    vectors: Tensor

    def open(self, params: NegativeParams, runtime: Runtime) -> None:
        """Read the pairs and load the encoder.

        Raises
        ------
        InputMissing, InputUnreadable : the file holds no pairs.
        ModelUnusable, NeedsConsent, UnknownComponent : the encoder is not here.
        """
        self.params, self.runtime = params, runtime
        self.found = read_pairs(Path(params.pairs) if params.pairs else OWN)
        load: Any = runtime.component("text-embedder", "transformers")
        self.embedder = load(runtime, params.embedder)
        self.vectors = self.embedder.vectors([pair.positive for pair in self.found])

    def process(self, batch: Batch) -> Batch:
        """The rows with `negative_prompt`; `prompt` stays as it is."""
        pairs = zip(batch, batch.texts("prompt"), strict=True)
        made = [self._looked_up(row, prompt) for row, prompt in pairs]
        return batch.with_columns(
            negative_prompt=[text for text, _ in made], rewrite=[record for _, record in made]
        )

    def _looked_up(self, row: Row, prompt: str) -> tuple[str, list[object]]:
        own = str(row.values.get("negative_prompt") or "")
        if own and self.params.existing == "keep":
            return own, with_entry(row, "negative", "unchanged", why="the row brings its own")
        if not prompt.strip():
            return own, with_entry(row, "negative", "unchanged", why="the row has no prompt")
        ((index, cosine),) = nearest(self.embedder.vectors([prompt]), self.vectors)
        pair = self.found[index]
        notes = {"positive": pair.positive, "cosine": cosine}
        if cosine < self.params.least:
            why = f"no pair is as near as {self.params.least:g}"
            return own, with_entry(row, "negative", "unchanged", why=why, **notes)
        text = pair.negative
        if own and self.params.existing == "append":
            text = f"{own}, {text}"
        return text, with_entry(row, "negative", "ok", **notes)

    def close(self) -> None:
        """Let go of the encoder."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: NegativeParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        return runtime.model(params.embedder, EMBEDDING).weight_bytes
