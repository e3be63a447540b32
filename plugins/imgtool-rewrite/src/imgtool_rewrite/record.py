"""What every rewriting stage notes of a row, in the field `rewrite`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.api import PROMPT_EMBEDS, BadParams, Field, Kind

if TYPE_CHECKING:
    from imgtool.api import Batch, Row

REWRITE = Field("rewrite", Kind.RECORD, summary="How the prompt was rewritten, an entry a stage.")


def with_entry(row: Row, strategy: str, status: str, **notes: object) -> list[object]:
    """The row's record with one more entry.

    Parameters
    ----------
    status : `ok`; `unchanged`: there was nothing to do; `failed`: the prompt stays as it was.
    notes : left out where they are empty.
    """
    earlier = row.values.get("rewrite")
    kept = {name: value for name, value in notes.items() if value not in (None, "", [], {})}
    entry: dict[str, object] = {"strategy": strategy, "status": status, **kept}
    return [*(earlier if isinstance(earlier, list) else []), entry]


def require_words(batch: Batch, stage: str) -> None:
    """Raises BadParams where rows bring embeddings: new words would change nothing in pictures."""
    if any(embeds is not None for embeds in batch.columns.get(PROMPT_EMBEDS.name, ())):
        raise BadParams(
            f"{stage}: rows have prompt_embeds, which are drawn from whatever the prompt says",
            f"Put {stage} before the stage that makes them",
        )
