"""Draws pictures of prompts for a search; what was drawn before a kill is not drawn again."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imgtool.api import IMAGE, LATENTS, Batch, RowError, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from imgtool.api import Runtime, Stage
    from imgtool_rewrite.genpilot.meter import Meter

Shot = tuple[str, int]
"""A prompt and a seed."""


@dataclass
class Studio:
    """The stages that draw, open."""

    runtime: Runtime
    stages: list[Stage[Any]] = field(default_factory=list)

    def open(self, draw: str, model: str, steps: int) -> None:
        """Open the stage `draw`, and one that decodes where it gives latents.

        Raises
        ------
        UnknownComponent, BadParams, ModelUnusable, NeedsConsent : see the stages.
        """
        given = {"steps": steps} if steps else {}
        self.stages.append(self.runtime.stage(draw, model=model, **given))
        if IMAGE.name not in {item.name for item in self.stages[0].produces}:
            self.stages.append(self.runtime.stage("decode", model=model))

    def close(self) -> None:
        """Close them."""
        while self.stages:
            self.stages.pop().close()

    def drawn(self, rows: Batch) -> dict[str, np.ndarray]:
        """Pictures by row id; rows that cannot be drawn have none."""
        for stage in self.stages:
            rows = self._done(stage, rows)
        return dict(zip(rows.ids, rows.arrays(IMAGE.name), strict=True)) if len(rows) else {}

    def _done(self, stage: Stage[Any], rows: Batch) -> Batch:
        if not len(rows):
            return rows
        stage.runtime.journal = self.runtime.journal / stage.id
        try:
            return stage.process(rows)
        except RowError as err:
            if err.row_id not in rows.ids:
                raise
            return self._done(
                stage, rows.keep([at for at, i in enumerate(rows.ids) if i != err.row_id])
            )


@dataclass
class Painter:
    """Pictures of one row's prompts, each drawn once.

    Attributes
    ----------
    values : what else the row says, such as a negative prompt.
    """

    studio: Studio
    row_id: str
    values: Mapping[str, Any]
    meter: Meter
    _seen: dict[Shot, np.ndarray | None] = field(default_factory=dict)

    def paint(self, shots: Sequence[Shot]) -> list[np.ndarray | None]:
        """[H, W, 3] uint8 of each; None where drawing failed or gave a black picture.

        Raises
        ------
        Spent : there are more new ones than pictures left.
        """
        new = [shot for shot in dict.fromkeys(shots) if shot not in self._seen]
        self.meter.spend_images(len(new))
        waiting = []
        for shot in new:
            self._seen[shot] = self._noted(shot)
            if self._seen[shot] is None:
                waiting.append(shot)
        self._seen |= zip(waiting, self._drawn(waiting), strict=True)
        images = [self._seen[shot] for shot in shots]
        return [image if image is not None and image.any() else None for image in images]

    def _drawn(self, shots: Sequence[Shot]) -> list[np.ndarray | None]:
        ids = tuple(f"{self.row_id}.{at}" for at in range(len(shots)))
        kept = {n: v for n, v in self.values.items() if n not in (IMAGE.name, LATENTS.name)}
        columns: dict[str, Any] = {name: [value] * len(shots) for name, value in kept.items()}
        columns |= {"prompt": [prompt for prompt, _ in shots], "seed": [seed for _, seed in shots]}
        found = self.studio.drawn(Batch(ids, columns))
        images = [found.get(row_id) for row_id in ids]
        for shot, image in zip(shots, images, strict=True):
            if image is not None:
                self._note(shot, image)
        return images

    def _noted(self, shot: Shot) -> np.ndarray | None:
        import numpy as np
        from PIL import Image

        file = self._file(shot)
        return np.asarray(Image.open(file)) if file.is_file() else None

    def _note(self, shot: Shot, image: np.ndarray) -> None:
        from PIL import Image

        data = io.BytesIO()
        Image.fromarray(image).save(data, "png")
        file = self._file(shot)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, data.getvalue())

    def _file(self, shot: Shot) -> Any:
        key = hashlib.blake2b(json.dumps([self.row_id, *shot]).encode(), digest_size=16)
        return self.studio.runtime.journal / "pictures" / f"{key.hexdigest()}.png"
