"""Stages of the tabletop suites: pictures of known scenes, and the judge that reads pictures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import (
    IMAGE,
    PROMPT,
    Bounds,
    Failure,
    Field,
    Help,
    Kind,
    ModelRef,
    Stage,
    optional,
    score,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np

    from imgtool.api import Batch, Runtime
    from imgtool_tabletop.judge import Judge, Seen

SCENE = Field("scene", Kind.RECORD, summary="Which scene: `seed`, `index`, `held_out`, `kind`.")
QUESTIONS = Field("questions", Kind.RECORD, summary="Questions about the picture, with parents.")
RECORD = Field("score_info.judge", Kind.RECORD, summary="Metric, model, fingerprint and range.")
FEATURES = Field("features.judge", Kind.ARRAY, ("D",), "float32", "The judge's features, pooled.")
TASK = "object-detection"
EDGE = 64


@dataclass(frozen=True)
class RenderParams:
    """Parameters of `render.tabletop`."""

    size: Annotated[int, Help("Edge, pixels."), Bounds(8, 1024)] = EDGE


class Render(Stage[RenderParams]):
    """Pictures of scenes that training never draws from, or of any other of the world's scenes."""

    id, version = "render.tabletop", 1
    summary = "Render scenes of the tabletop world by their number."
    consumes, produces = (SCENE,), (IMAGE,)

    def process(self, batch: Batch) -> Batch:
        """A picture of each scene; a record that names none fails its row."""
        from imgtool_tabletop.scenes import scene_of
        from imgtool_tabletop.world.render import render

        images: list[np.ndarray | None] = []
        odd: dict[str, Failure] = {}
        for row in batch:
            try:
                drawn = render([scene_of(row["scene"])], self.params.size)
            except ValueError as err:
                odd[row.id] = Failure(self.id, "RowError", f"the field 'scene' {err}")
                images.append(None)
                continue
            pixels = drawn[0].permute(1, 2, 0).mul(255).round()
            images.append(pixels.byte().numpy())
        return batch.with_columns(image=images).fail(odd)

    @classmethod
    def check_rows(cls, folder: Path) -> Sequence[Mapping[str, Any]]:
        """Four scenes."""
        return [
            {"scene": {"seed": 1, "index": i, "held_out": True, "kind": "first"}} for i in range(4)
        ]


@dataclass(frozen=True)
class JudgeParams:
    """Parameters of `judge.tabletop`."""

    model: Annotated[str, Help("Folder of the judge."), ModelRef(TASK)] = "tabletop/judge"


class JudgePictures(Stage[JudgeParams]):
    """The detector that no generator and no scorer was trained with or on.

    A question has `expects`; a row without questions is asked what its prompt says in the words of
    the tabletop world.
    """

    id, version = "judge.tabletop", 1
    summary = "Answer questions about solids on a table, by a detector that saw renders alone."
    consumes = (IMAGE, optional(PROMPT), optional(QUESTIONS))
    produces = (score("judge"), RECORD, FEATURES)

    judge: Judge
    fingerprint: str

    def open(self, params: JudgeParams, runtime: Runtime) -> None:
        """Load the detector.

        Raises
        ------
        ModelUnusable : the folder holds none.
        """
        from imgtool_tabletop.judge import Judge

        self.params, self.runtime = params, runtime
        model = runtime.model(params.model, TASK)
        device = runtime.torch_device
        key = (self.id, model.digest, str(device))
        self.judge = runtime.load_once(key, lambda: Judge.load(model.path).to(device))
        self.fingerprint = hashlib.blake2b(
            f"{self.id}/{self.version}/{model.digest}".encode(), digest_size=8
        ).hexdigest()

    def process(self, batch: Batch) -> Batch:
        """`score.judge`, the share of questions answered yes, and an answer to each."""
        seen = self.runtime.halving(self._look, batch.arrays("image"))
        scores: list[float | None] = []
        records: list[dict[str, Any]] = []
        odd: dict[str, Failure] = {}
        for row, (objects, _) in zip(batch, seen, strict=True):
            try:
                asked = row.values.get("questions")
                if asked is None:
                    from imgtool_tabletop.suite import questions_of

                    asked = questions_of(str(row.values.get("prompt") or ""))
                answers = self._answers(asked, objects)
            except ValueError as err:
                odd[row.id] = Failure(self.id, "RowError", f"the field 'questions' {err}")
                answers = []
            values = [float(answer["value"]) for answer in answers]
            scores.append(sum(values) / len(values) if values else None)
            records.append(self._record(answers))
        columns: dict[str, list[Any]] = {
            "score.judge": scores,
            RECORD.name: records,
            FEATURES.name: [features for _, features in seen],
        }
        return batch.with_columns(**columns).fail(odd)

    def _look(self, images: Sequence[np.ndarray]) -> list[tuple[list[Seen], np.ndarray]]:
        import numpy as np
        import torch
        from PIL import Image, ImageOps

        fitted = [np.asarray(ImageOps.fit(Image.fromarray(i), (EDGE, EDGE))) for i in images]
        pictures = torch.from_numpy(np.stack(fitted)).permute(0, 3, 1, 2).float() / 255
        seen, features = self.judge.look(pictures.to(self.runtime.torch_device))
        return list(zip(seen, features.cpu().numpy(), strict=True))

    def _answers(self, asked: object, objects: list[Seen]) -> list[dict[str, Any]]:
        from imgtool_tabletop.expecting import facts_seen, is_met

        if not isinstance(asked, list):
            raise ValueError("is no list of questions")
        there = facts_seen(objects)
        answers = []
        for at, question in enumerate(asked):
            if not isinstance(question, dict):
                raise ValueError(f"question {at} is no record")
            try:
                value = float(is_met(question.get("expects"), there))
            except ValueError as err:
                raise ValueError(f"question {at} {err}") from None
            facts = {name: str(question.get(name, "")) for name in ("text", "kind")}
            answers.append({**facts, "value": value})
        return answers

    def _record(self, answers: list[dict[str, Any]]) -> dict[str, Any]:
        record = {
            "metric": "judge",
            "model": self.params.model,
            "fingerprint": self.fingerprint,
            "range": [0.0, 1.0],
            "better": "higher",
            "questions": answers,
        }
        return record if answers else {**record, "error": "the row asks nothing"}

    def close(self) -> None:
        """Let go of the detector."""
        self.runtime.release()
