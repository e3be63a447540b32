"""What every score row says of itself: metric, model, fingerprint, range, and why it is missing."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import BadParams, Choices, Field, Help, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool.api import Batch

log = logging.getLogger("imgtool.score")

Against = Annotated[
    str,
    Help("Text field to score against."),
    Choices(("source_prompt", "prompt"), closed=False),
]


def info(metric: str) -> Field:
    """The field that says how a metric's score came about."""
    return Field(
        f"score_info.{metric}", Kind.RECORD, summary="Metric, model, fingerprint and range."
    )


@dataclass(frozen=True)
class About:
    """One way of scoring. Scores are comparable when their fingerprints are equal.

    Attributes
    ----------
    metric : name after the dot of `score.<metric>`.
    model : reference of the model as written; empty where a formula does without.
    fingerprint : 16 hex digits of the metric's version, weights and settings.
    low, high : least and greatest value; None: unbounded.
    better : `higher` or `lower`.
    """

    metric: str
    model: str = ""
    fingerprint: str = ""
    low: float | None = None
    high: float | None = None
    better: str = "higher"

    def record(self, notes: Mapping[str, object]) -> dict[str, object]:
        """The row's record, with what there is to say of that row alone."""
        return {
            "metric": self.metric,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "range": [self.low, self.high],
            "better": self.better,
            **{name: value for name, value in notes.items() if value not in (None, "")},
        }


def fingerprint(*parts: object) -> str:
    """16 hex digits that depend on `parts`: metric and version, digests, settings."""
    text = json.dumps(parts, sort_keys=True, default=str).encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()


@dataclass(frozen=True)
class Scored:
    """A row's score, or why there is none, and notes for its record."""

    value: float | None
    why_not: str = ""
    notes: Mapping[str, object] | None = None


NO_NUMBER = Scored(None, "the model gave NaN")


def with_scores(batch: Batch, about: About, scored: Sequence[Scored]) -> Batch:
    """`batch` with `score.<metric>` and `score_info.<metric>`. A missing score is None, never 0."""
    scored = [NO_NUMBER if item.value != item.value else item for item in scored]
    missing = [item.why_not for item in scored if item.value is None]
    if missing:
        rows = "1 row has" if len(missing) == 1 else f"{len(missing)} rows have"
        log.warning("score.%s: %s none: %s", about.metric, rows, missing[0])
    columns: dict[str, list[Any]] = {
        f"score.{about.metric}": [item.value for item in scored],
        f"score_info.{about.metric}": [
            about.record({**(item.notes or {}), "error": item.why_not}) for item in scored
        ],
    }
    return batch.with_columns(**columns)


def texts_against(batch: Batch, field: str) -> list[str]:
    """The text that each row is scored against; `source_prompt` falls back to `prompt`.

    Raises
    ------
    BadParams : rows have no such field.
    """
    if field == "source_prompt":
        pairs = zip(batch.texts("source_prompt"), batch.texts("prompt"), strict=True)
        return [source or prompt for source, prompt in pairs]
    if field not in batch:
        raise BadParams(
            f"rows have no field {field!r} to score against",
            f"Fields: {', '.join(sorted(batch.columns))}",
        )
    return batch.texts(field)


def text_notes(against: str, tokens: int, limit: int) -> dict[str, object]:
    """What a row's record says of its text: its field, and how much of it the model read.

    Parameters
    ----------
    tokens, limit : of the text, where they are known, and of what is read.
    """
    cut = {"truncated": True, "tokens": tokens, "limit": limit} if tokens > limit else {}
    return {"against": against, **cut}


def warn_cut(count: int, limit: int) -> None:
    """Say once how many prompts of a batch are not read to their end."""
    if count:
        prompts = "1 prompt is" if count == 1 else f"{count} prompts are"
        log.warning(
            "%s longer than the %d tokens that the model reads: the rest is not scored; "
            "score.tit reads all",
            prompts, limit,
        )  # fmt: skip
