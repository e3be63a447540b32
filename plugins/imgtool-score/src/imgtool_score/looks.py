"""`score.iqa`: how good a picture is by itself, without reference or prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from imgtool.api import IMAGE, BadParams, Choices, Help, ModelRef, ModelUnusable, Stage, score
from imgtool_score.record import About, Scored, fingerprint, info, with_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from imgtool.api import Batch, Runtime
    from imgtool_score.clip import Encoder

TASK = "image-text-similarity"
OWN = ("sharpness", "contrast", "colourfulness", "noise", "blockiness")
PYIQA = "pyiqa:"


@dataclass(frozen=True)
class IqaParams:
    """Parameters of `score.iqa`."""

    measure: Annotated[
        str,
        Help("A measure without weights; clipiqa; or pyiqa:NAME (not for commercial use)."),
        Choices((*OWN, "clipiqa"), closed=False),
    ] = "sharpness"
    clip: Annotated[str, Help("CLIP for clipiqa."), ModelRef(TASK)] = "tabletop/clip"
    good: Annotated[str, Help("For clipiqa: what a good picture is.")] = "Good photo."
    bad: Annotated[str, Help("For clipiqa: what a bad picture is.")] = "Bad photo."


class Iqa(Stage[IqaParams]):
    """One measure of the picture alone; the record says which, and whether lower is better."""

    id, version = "score.iqa", 1
    summary = "Score pictures by themselves: sharpness, contrast, colour, noise, or a model."
    consumes = (IMAGE,)
    produces = (score("iqa"), info("iqa"))

    compute: Callable[[Sequence[np.ndarray]], Sequence[float]]
    about: About

    def open(self, params: IqaParams, runtime: Runtime) -> None:
        """Load what the measure needs.

        Raises
        ------
        BadParams : there is no such measure.
        ModelUnusable : the CLIP cannot be loaded, or pyiqa is not installed.
        """
        from imgtool_score.quality import LIMITS, LOWER_IS_BETTER, MEASURES

        self.params, self.runtime = params, runtime
        name = params.measure
        low, high = LIMITS.get(name, (0.0, None))
        if name in MEASURES:
            measure = MEASURES[name]
            self.compute = lambda images: [measure(image) for image in images]
            better = "lower" if name in LOWER_IS_BETTER else "higher"
            self.about = About("iqa", name, fingerprint("iqa/1", name), low, high, better)
        elif name == "clipiqa":
            self.compute, digest = self._clipiqa()
            mark = fingerprint("iqa/1", name, digest, params.good, params.bad)
            self.about = About("iqa", f"clipiqa of {params.clip}", mark, low, high)
        elif name.startswith(PYIQA):
            self.compute, self.about = self._pyiqa(name.removeprefix(PYIQA))
        else:
            raise BadParams(
                f"score.iqa: no measure {name!r}", f"Measures: {', '.join(OWN)}, clipiqa, pyiqa:…"
            )

    def process(self, batch: Batch) -> Batch:
        """One score a row; None for pictures of less than 3 pixels."""
        from imgtool_score.quality import LEAST_EDGE

        images = batch.arrays("image")
        there = [at for at, image in enumerate(images) if min(image.shape[:2]) >= LEAST_EDGE]
        values = self.runtime.halving(self.compute, [images[at] for at in there]) if there else []
        found = dict(zip(there, values, strict=True))
        too_small = Scored(None, f"the picture has an edge of less than {LEAST_EDGE} pixels")
        notes = {"measure": self.params.measure}
        scored = [
            Scored(found[at], "", notes) if at in found else too_small for at in range(len(images))
        ]
        return with_scores(batch, self.about, scored)

    def _clipiqa(self) -> tuple[Callable[[Sequence[np.ndarray]], Sequence[float]], str]:
        from imgtool_score.clip import load_encoder

        encoder: Encoder = load_encoder(self.runtime, self.params.clip)
        pair = encoder.texts([self.params.good, self.params.bad]).cpu().double()

        def compute(images: Sequence[np.ndarray]) -> list[float]:
            cosines = encoder.images(images).cpu().double() @ pair.mT
            chances = (encoder.logit_scale * cosines).softmax(-1)
            return chances[:, 0].tolist()  # type: ignore[no-any-return]

        return compute, encoder.digest

    def _pyiqa(self, name: str) -> tuple[Callable[[Sequence[np.ndarray]], Sequence[float]], About]:
        try:
            import pyiqa  # type: ignore[import-not-found]  # an extra
        except ImportError:
            raise ModelUnusable(
                f"score.iqa: {PYIQA}{name} needs pyiqa, which is not installed",
                "pip install 'imgtool-score[pyiqa]'; its licence forbids commercial use",
            ) from None
        try:
            metric: Any = pyiqa.create_metric(name, device=self.runtime.torch_device)
        except (AssertionError, KeyError, ValueError, OSError) as err:
            raise ModelUnusable(f"pyiqa cannot make {name!r}: {err}") from err
        mark = fingerprint("iqa/1", PYIQA, name, getattr(pyiqa, "__version__", ""))
        better = "lower" if metric.lower_better else "higher"

        def compute(images: Sequence[np.ndarray]) -> list[float]:
            return [float(metric(_tensor(image)).item()) for image in images]

        return compute, About("iqa", f"{PYIQA}{name}", mark, None, None, better)

    def close(self) -> None:
        """Let go of the model."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: IqaParams, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        if params.measure != "clipiqa":
            return 0
        return runtime.model(params.clip, TASK).weight_bytes


def _tensor(image: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
