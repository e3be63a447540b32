"""The stage `rewrite.weights`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import (
    PROMPT,
    PROMPT_EMBEDS,
    Failure,
    Field,
    Help,
    Kind,
    ModelRef,
    Stage,
    optional,
)
from imgtool_rewrite.record import REWRITE, with_entry
from imgtool_rewrite.weights import Piece, Syntax, WeightError, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from imgtool.api import Batch, Row, Runtime
    from imgtool_rewrite.compiling import TextEncoder

log = logging.getLogger("imgtool.rewrite")
TASK = "text-to-image"
EMBEDS_OF = Field(
    "prompt_embeds_of", Kind.TEXT, summary="Mark of the text encoder that made prompt_embeds."
)


@dataclass(frozen=True)
class WeightsParams:
    """Parameters of `rewrite.weights`."""

    syntax: Annotated[Syntax, Help("How weights are written: they mean different things.")]
    model: Annotated[
        str, Help("Model that will draw: its text encoder is used."), ModelRef(TASK)
    ] = "tabletop"


class Weights(Stage[WeightsParams]):
    """Weighted prompts to prompt embeddings; the prompt becomes the text without its weights."""

    id, version = "rewrite.weights", 1
    summary = "Compile (weighted:1.3) prompts to embeddings that generate draws from."
    consumes = (PROMPT, optional(REWRITE))
    produces = (PROMPT, PROMPT_EMBEDS, EMBEDS_OF, REWRITE)
    check_params = MappingProxyType({"syntax": "a1111"})

    encoder: TextEncoder

    def open(self, params: WeightsParams, runtime: Runtime) -> None:
        """Load the text encoder.

        Raises
        ------
        ModelUnusable, NeedsConsent, UnknownComponent : it is not here, or of another kind.
        """
        self.params, self.runtime = params, runtime
        load: Any = runtime.component("text-encoder", "diffusers")
        self.encoder = load(runtime, params.model)

    def process(self, batch: Batch) -> Batch:
        """The rows with embeddings; a prompt that cannot be read fails by name."""
        read: list[list[Piece]] = []
        odd: dict[str, Failure] = {}
        for row_id, prompt in zip(batch.ids, batch.texts("prompt"), strict=True):
            try:
                read.append(parse(prompt, self.params.syntax))
            except WeightError as err:
                odd[row_id] = Failure(self.id, "RowError", f"weights: {err}")
        rows = batch.fail(odd)
        pairs = list(zip(rows, read, strict=True))
        # One after another: what a row becomes does not depend on its neighbours.
        embeds = self.runtime.halving(self._compiled, pairs, 1)
        return rows.with_columns(
            prompt=["".join(piece.text for piece in pieces) for pieces in read],
            prompt_embeds=embeds,
            prompt_embeds_of=[self.encoder.mark] * len(rows),
            rewrite=[self._record(row, pieces) for row, pieces in pairs],
        )

    def _compiled(self, pairs: Sequence[tuple[Row, list[Piece]]]) -> list[np.ndarray]:
        from imgtool_rewrite.compiling import compile_pieces

        found = []
        for row, pieces in pairs:
            made = compile_pieces(self.encoder, pieces, self.params.syntax)
            if made.cut:
                log.warning("row %s: the model does not read the last %d tokens", row.id, made.cut)
            found.append(made.embeds.numpy())
        return found

    def _record(self, row: Row, pieces: Sequence[Piece]) -> list[object]:
        weighted = [[piece.text, piece.weight] for piece in pieces if piece.weight != 1]
        status = "ok" if weighted else "unchanged"
        return with_entry(row, "weights", status, before=row["prompt"], weighted=weighted)

    def close(self) -> None:
        """Let go of the text encoder."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: WeightsParams, runtime: Runtime) -> int:
        """Size of the text encoder on disk; of a model in one file, of all of it."""
        model = runtime.model(params.model, TASK)
        files = list(model.path.glob("text_encoder/*.safetensors"))
        return sum(file.stat().st_size for file in files) or model.weight_bytes
