"""What a search tells of itself: the field `search`, which the report shows as tables."""

from __future__ import annotations

import base64
import hashlib
import io
from typing import TYPE_CHECKING, Any

from imgtool_rewrite.genpilot.agent import ASPECTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from imgtool_rewrite.genpilot.analysis import Finding
    from imgtool_rewrite.genpilot.pilot import Piloted
    from imgtool_rewrite.genpilot.search import Look, Outcome, Try
    from imgtool_rewrite.spans import Protected

EDGE, QUALITY = 96, 75
"""Longest edge of the copies of pictures, pixels."""
BY = "sum of three ratings, 3 to 15"


def thumbnail(image: np.ndarray | None) -> str:
    """A small copy of [H, W, 3] uint8 as a `data:` address; empty where there is no picture."""
    from PIL import Image

    if image is None:
        return ""
    copy = Image.fromarray(image)
    copy.thumbnail((EDGE, EDGE))
    out = io.BytesIO()
    copy.save(out, "webp", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"


def search_record(done: Piloted) -> dict[str, Any]:
    """Errors that were found, and every candidate with its picture and scores."""
    record: dict[str, Any] = {
        "by": BY,
        "picture": thumbnail(done.first),
        "caption": done.analysis.caption,
        "statements": [_statement(finding, done.hidden) for finding in done.analysis.findings],
        "candidates": [row for outcome in done.outcomes for row in _rows(outcome, done.hidden)],
        "ends": [_end(outcome, done.hidden) for outcome in done.outcomes],
    }
    return {name: value for name, value in record.items() if value not in ("", [])}


def _statement(finding: Finding, hidden: Protected) -> dict[str, Any]:
    asked = [
        f"{question} {said}" + (f": {why}" if why else "")
        for question, (said, why) in zip(finding.questions, finding.answers, strict=False)
    ]
    told = {
        "statement": finding.statement,
        "caption": finding.verdict,
        "questions": " ".join(asked) or "; ".join(finding.questions),
        "errors": "; ".join(finding.errors),
        "blamed": finding.span,
    }
    return {name: hidden.restore(text) for name, text in told.items()}


def _end(outcome: Outcome, hidden: Protected) -> dict[str, Any]:
    fault = outcome.fault
    return {
        "blamed": hidden.restore(fault.span),
        "errors": hidden.restore("; ".join(fault.errors)),
        "before": outcome.before,
        "after": outcome.after,
        "end": outcome.why,
    }


def _rows(outcome: Outcome, hidden: Protected) -> list[dict[str, Any]]:
    source = outcome.source
    rows = [
        {
            "picture": thumbnail(source[0].image),
            "round": "source",
            "words": hidden.restore(outcome.fault.span),
            "checked": outcome.before,
            "kept": outcome.best is None,
            **_seen(source),
        }
    ] if source else []  # fmt: skip
    return [*rows, *(_candidate(one, outcome, hidden) for one in outcome.tries)]


def _candidate(one: Try, outcome: Outcome, hidden: Protected) -> dict[str, Any]:
    row: dict[str, Any] = {
        "picture": thumbnail(next((x.image for x in one.looks if x.image is not None), None)),
        "round": one.round + 1,
        "words": hidden.restore(one.sentence),
        "score": one.score,
        "checked": one.checked,
        "kept": one is outcome.best,
        **_seen(one.looks),
        "remembered": one.remembered,
    }
    if one.label >= 0:
        row |= {"group": one.label + 1, "belief": round(one.belief, 4)}
    return row


def _seen(looks: Sequence[Look]) -> dict[str, Any]:
    """What was said of a candidate's pictures."""
    rated = [look.rating for look in looks if look.rating]
    means = {name: sum(r[name] for r in rated) / len(rated) for name in ASPECTS} if rated else {}
    return {
        **means,
        "answers": " ".join(said for look in looks for said, _ in look.answers),
        "reasons": " ".join(look.reasons for look in looks if look.reasons),
        "images": " ".join(digest(look.image) for look in looks if look.image is not None),
    }


def digest(image: np.ndarray) -> str:
    """Sixteen letters that tell one picture from another."""
    return hashlib.blake2b(image.tobytes(), digest_size=8).hexdigest()
