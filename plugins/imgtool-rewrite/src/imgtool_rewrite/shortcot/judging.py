"""Draws a row's prompts from one seed and has the pictures scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.api import IMAGE, PROMPT, SOURCE_PROMPT, BadParams, Batch
from imgtool_rewrite.genpilot.meter import Meter
from imgtool_rewrite.genpilot.painting import Painter, Studio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from imgtool.api import Row, Stage


@dataclass(frozen=True)
class Seen:
    """A prompt's picture, and its score.

    Attributes
    ----------
    image : [H, W, 3] uint8; None: it cannot be drawn.
    score : None: there is no picture, or it cannot be judged.
    low, high : ends of the judge's range; None: it has none.
    """

    image: np.ndarray | None = None
    score: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass
class Jury(Studio):
    """The stages that draw, and one that judges.

    Attributes
    ----------
    by : name of the score that is compared.
    """

    by: str = ""
    judge: Stage[Any] | None = None

    def appoint(self, judge: str, by: str) -> None:
        """Open the stage `judge`; `by` names its score, empty: its own.

        Raises
        ------
        BadParams : it gives no score of its own, and none is named.
        UnknownComponent, ModelUnusable, NeedsConsent : see the stage.
        """
        self.judge = self.runtime.stage(judge)
        own = [item.name for item in self.judge.produces if item.name.startswith("score.")]
        self.by = by or next((name for name in own if not name.endswith("*")), "")
        if not self.by:
            raise BadParams(f"{judge!r} has no score of its own", "Name one with --by score.NAME")

    def close(self) -> None:
        """Close every stage."""
        super().close()
        if self.judge is not None:
            self.judge.close()
            self.judge = None

    def look(self, row: Row, prompts: Sequence[str]) -> list[Seen]:
        """Each prompt's picture, from the row's seed, and its score against what the user asked.

        Raises
        ------
        BadParams : the judge's score is better when it is lower.
        """
        painter = Painter(self, row.id, row.values, Meter())
        images = painter.paint([(prompt, row.seed) for prompt in prompts])
        there = {f"{row.id}.{at}": at for at, image in enumerate(images) if image is not None}
        asked = row.values.get(SOURCE_PROMPT.name) or row[PROMPT.name]
        columns: dict[str, Any] = {n: [v] * len(there) for n, v in row.values.items()}
        columns |= {
            PROMPT.name: [prompts[at] for at in there.values()],
            SOURCE_PROMPT.name: [asked] * len(there),
            IMAGE.name: [images[at] for at in there.values()],
        }
        assert self.judge is not None
        judged = {one.id: one for one in self._done(self.judge, Batch(tuple(there), columns))}
        return [
            self._seen(image, judged[f"{row.id}.{at}"].values)
            if f"{row.id}.{at}" in judged
            else Seen(image)
            for at, image in enumerate(images)
        ]

    def _seen(self, image: np.ndarray | None, values: Mapping[str, Any]) -> Seen:
        score, info = values.get(self.by), values.get(self.by.replace("score.", "score_info.", 1))
        if info and info.get("better") == "lower":
            raise BadParams(f"{self.by} is better when it is lower", "Name another --judge or --by")
        low, high = (info or {}).get("range") or (None, None)
        return Seen(image, None if score is None or score != score else float(score), low, high)
