"""The stages that compare a picture with its reference: PSNR, SSIM, LPIPS and DISTS."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, TypeVar

from imgtool.api import (
    IMAGE,
    BadParams,
    Failure,
    Field,
    Help,
    Kind,
    ModelRef,
    ModelUnusable,
    PathTo,
    Stage,
    optional,
    score,
)
from imgtool_score.record import About, Scored, fingerprint, info, with_scores
from imgtool_score.references import References, aligned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from torch import Tensor

    from imgtool.api import Batch, Row, Runtime

REFERENCE = Field(
    "reference", Kind.ARRAY, ("H", "W", "RGB"), "uint8", "Picture to compare with, sRGB."
)
Reference = Annotated[
    str,
    Help("Picture to compare with, or folder of them named like the rows."),
    PathTo("a picture or a folder of pictures"),
]
Align = Annotated[
    Literal["none", "crop", "resize"],
    Help("What to do where sizes differ: fail the row, cut both centres, resize the reference."),
]
Channels = Annotated[Literal["rgb", "y"], Help("All colours, or BT.601 luma alone.")]


class HasReference(Protocol):
    """Parameters of every stage that compares."""

    @property
    def reference(self) -> str:
        """Where the reference pictures are."""

    @property
    def align(self) -> str:
        """What to do where sizes differ."""


P = TypeVar("P", bound=HasReference)


class Comparison(Stage[P]):
    """What the stages share: finding references, aligning, and one pair at a time."""

    consumes = (IMAGE, optional(REFERENCE))
    metric: ClassVar[str]

    references: References

    def open(self, params: P, runtime: Runtime) -> None:
        """Find the references.

        Raises
        ------
        InputMissing, InputUnreadable : they are not there, or are no pictures.
        """
        self.params, self.runtime = params, runtime
        self.references = References(params.reference)

    def process(self, batch: Batch) -> Batch:
        """One score a row. A row without reference has none; one of another size fails.

        Raises
        ------
        BadParams : neither parameters nor rows name a reference.
        """
        if not self.params.reference and REFERENCE.name not in batch:
            raise BadParams(
                f"{self.id}: there is nothing to compare with",
                "Give --reference FILE, or a folder of files named like the rows",
            )
        pairs = [self._pair(row) for row in batch]
        odd = {
            row_id: Failure(self.id, "RowError", pair)
            for row_id, pair in zip(batch.ids, pairs, strict=True)
            if isinstance(pair, str)
        }
        scored = [self._scored(pair) for pair in pairs if not isinstance(pair, str)]
        return with_scores(batch.fail(odd), self.about(), scored)

    def _pair(self, row: Row) -> tuple[np.ndarray, np.ndarray] | str | None:
        image: Any = row["image"]
        reference = self.references.of(row)
        return None if reference is None else aligned(image, reference, self.params.align)

    def _scored(self, pair: tuple[np.ndarray, np.ndarray] | None) -> Scored:
        if pair is None:
            return Scored(None, "no reference is named like the row")
        try:
            value = self.measure(*(self._tensor(image) for image in pair))
        except ValueError as err:
            return Scored(None, str(err))
        # JSON has no infinity: the row's JSON shows null there, the record says what it means.
        return Scored(value, "", {"value": "infinite"} if math.isinf(value) else {})

    def _tensor(self, image: np.ndarray) -> Tensor:
        import torch

        # Formulas are cheap: float64, wherever the nets run.
        return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].double() / 255

    @classmethod
    def check_rows(cls, folder: Path) -> list[dict[str, Any]]:
        """Three gradients, and references that are a little darker."""
        import numpy as np
        from PIL import Image

        picture = Image.linear_gradient("L").convert("RGB")
        rows = []
        for edge in (24, 32, 40):
            image = np.asarray(picture.resize((edge, edge)))
            rows.append({"image": image, "reference": image - image // 8})
        return rows

    @abstractmethod
    def about(self) -> About:
        """How the stage scores."""

    @abstractmethod
    def measure(self, image: Tensor, reference: Tensor) -> float:
        """The score of [1, 3, H, W] pictures, 0..1.

        Raises
        ------
        ValueError : they are too small for the measure.
        """


@dataclass(frozen=True)
class PsnrParams:
    """Parameters of `score.psnr`."""

    reference: Reference = ""
    align: Align = "none"
    channels: Channels = "rgb"


class Psnr(Comparison[PsnrParams]):
    """Peak signal to noise ratio, dB; infinite for equal pictures."""

    id, version, metric = "score.psnr", 1, "psnr"
    summary = "Score how near pictures come to a reference, by PSNR."
    produces = (score("psnr"), info("psnr"))

    def about(self) -> About:
        """How the stage scores."""
        return About("psnr", "", fingerprint("psnr/1", self.params.channels), 0.0, None)

    def measure(self, image: Tensor, reference: Tensor) -> float:
        """PSNR of a pair."""
        from imgtool_score.fidelity import luma, psnr

        if self.params.channels == "y":
            image, reference = luma(image), luma(reference)
        return psnr(image, reference)[0]


@dataclass(frozen=True)
class SsimParams:
    """Parameters of `score.ssim`."""

    reference: Reference = ""
    align: Align = "none"
    channels: Channels = "rgb"
    scales: Annotated[
        Literal["one", "five"], Help("One scale, or five: MS-SSIM, edges of 161 pixels or more.")
    ] = "one"


class Ssim(Comparison[SsimParams]):
    """Structural similarity: window of 11 pixels, sigma 1.5, K 0.01 and 0.03."""

    id, version, metric = "score.ssim", 1, "ssim"
    summary = "Score how alike pictures and their references are, by SSIM or MS-SSIM."
    produces = (score("ssim"), info("ssim"))

    def about(self) -> About:
        """How the stage scores."""
        mark = fingerprint("ssim/1", self.params.channels, self.params.scales)
        return About("ssim", "", mark, 0.0 if self.params.scales == "five" else -1.0, 1.0)

    def measure(self, image: Tensor, reference: Tensor) -> float:
        """SSIM of a pair."""
        from imgtool_score.fidelity import luma, ms_ssim, ssim

        if self.params.channels == "y":
            image, reference = luma(image), luma(reference)
        return (ms_ssim if self.params.scales == "five" else ssim)(image, reference)[0]


class HasNet(HasReference, Protocol):
    """Parameters of a stage that compares by a net."""

    @property
    def model(self) -> str:
        """Folder or file of the net."""


N = TypeVar("N", bound=HasNet)


class NetComparison(Comparison[N]):
    """What LPIPS and DISTS share: a net whose weights are all in one folder of the user's."""

    heads: ClassVar[tuple[str, ...]]

    weights: Mapping[str, Tensor]
    digest: str

    def open(self, params: N, runtime: Runtime) -> None:
        """Load the weights.

        Raises
        ------
        ModelUnusable : none are named, or layers are missing.
        """
        super().open(params, runtime)
        if not params.model:
            raise ModelUnusable(
                f"{self.id}: no net is named",
                "Give --model FOLDER; the plugin's README says which files it holds",
            )
        model = runtime.model(params.model, "perceptual-distance")
        self.digest = model.digest
        key = ("perceptual", model.digest, str(runtime.torch_device))
        self.weights = runtime.load_once(key, lambda: load_weights(model.path, runtime))
        try:
            self._check()
        except ValueError as err:
            runtime.release()
            raise ModelUnusable(f"{params.model!r} does not serve {self.id}: {err}") from err

    def _check(self) -> None:
        from imgtool_score.perceptual import backbone_of

        backbone_of(self.weights)
        for name in self.heads:
            if name not in self.weights:
                raise ValueError(f"there is no {name!r}")

    def about(self) -> About:
        """How the stage scores."""
        mark = fingerprint(f"{self.metric}/1", self.digest)
        return About(self.metric, self.params.model, mark, 0.0, None, "lower")

    def _tensor(self, image: np.ndarray) -> Tensor:
        return super()._tensor(image).float().to(self.runtime.torch_device)

    def close(self) -> None:
        """Let go of the weights."""
        self.runtime.release()

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A VGG16 of random weights."""
        from imgtool_score.tiny import save_vgg

        return {"model": str(save_vgg(folder / "vgg"))}

    @classmethod
    def weight_bytes(cls, params: N, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        if not params.model:
            return 0
        return runtime.model(params.model, "perceptual-distance").weight_bytes


Net = Annotated[
    str,
    Help("Folder with the net and its weights of channels, .safetensors."),
    ModelRef("perceptual-distance"),
]


@dataclass(frozen=True)
class LpipsParams:
    """Parameters of `score.lpips`."""

    model: Net = ""
    reference: Reference = ""
    align: Align = "none"


class Lpips(NetComparison[LpipsParams]):
    """LPIPS 0.1, Zhang et al. (2018), on AlexNet or VGG16, whichever the folder holds."""

    id, version, metric = "score.lpips", 1, "lpips"
    summary = "Score how far pictures are from a reference, by LPIPS."
    produces = (score("lpips"), info("lpips"))
    heads = tuple(f"lin{layer}.model.1.weight" for layer in range(5))

    def measure(self, image: Tensor, reference: Tensor) -> float:
        """LPIPS of a pair."""
        from imgtool_score.perceptual import lpips

        return lpips(image, reference, self.weights)[0]


@dataclass(frozen=True)
class DistsParams:
    """Parameters of `score.dists`."""

    model: Net = ""
    reference: Reference = ""
    align: Align = "none"


class Dists(NetComparison[DistsParams]):
    """DISTS, Ding et al. (2020): structure and texture in the layers of VGG16."""

    id, version, metric = "score.dists", 1, "dists"
    summary = "Score how far pictures are from a reference, by DISTS."
    produces = (score("dists"), info("dists"))
    heads = ("alpha", "beta")

    def measure(self, image: Tensor, reference: Tensor) -> float:
        """DISTS of a pair."""
        from imgtool_score.perceptual import dists

        return dists(image, reference, self.weights)[0]


def load_weights(path: Any, runtime: Runtime) -> dict[str, Tensor]:
    """Every tensor of a file, or of all files of a folder, float32 on the runtime's device."""
    from safetensors.torch import load_file

    files: Sequence[Any] = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    found: dict[str, Tensor] = {}
    for file in files:
        found |= load_file(file)
    return {name: t.float().to(runtime.torch_device) for name, t in found.items()}
