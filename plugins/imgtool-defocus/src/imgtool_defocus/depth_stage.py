"""The declaration of `depth.auto`, and what stages that estimate depth have in common.

What they do is in the modules beside it.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

from imgtool.api import (
    DEPTH,
    DEPTH_KIND,
    IMAGE,
    SEED,
    BadParams,
    Bounds,
    Choices,
    Failure,
    Field,
    Help,
    Kind,
    ModelRef,
    ModelUnusable,
    Stage,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import torch

    from imgtool.api import Batch, Row, Runtime
    from imgtool_defocus.estimate import DepthModel, Options

TASK = "depth-estimation"
FACTS = Field("depth_by", Kind.RECORD, summary="What estimated the depth, and what else it found.")


@dataclass(frozen=True)
class DepthParams:
    """Parameters of `depth.auto`."""

    model: Annotated[str, Help("Model of depth: alias, folder or hub id."), ModelRef(TASK)] = (
        "tabletop/depth"
    )
    backend: Annotated[
        str,
        Help("What runs the model; auto: told from its files."),
        Choices(("auto", "transformers", "marigold", "ppd"), closed=False),
    ] = "auto"
    size: Annotated[
        int, Help("Side at which the model looks, pixels; 0: its own."), Bounds(0, 8192)
    ] = 0
    steps: Annotated[
        int, Help("Steps of models that denoise; 0: the model's own."), Bounds(0, 1000)
    ] = 0
    ensemble: Annotated[
        int, Help("Estimates of Marigold to make one of; two help little."), Bounds(1, 64)
    ] = 1
    metric_from: Annotated[
        str, Help("Model of metres to which a map without units is fitted."), ModelRef(TASK)
    ] = ""


class HasModels(Protocol):
    """Parameters of a stage that estimates depth."""

    @property
    def model(self) -> str:
        """Reference to the model."""

    @property
    def metric_from(self) -> str:
        """Reference to a model of metres, or nothing."""


P = TypeVar("P", bound=HasModels)


class Estimating(Stage[P]):
    """Depth of pictures, at their own size, by a model whose numbers are known."""

    consumes = (IMAGE, SEED)
    produces = (DEPTH, DEPTH_KIND, FACTS)

    model: DepthModel
    metric: DepthModel | None

    @abstractmethod
    def backend(self, folder: Path) -> str:
        """Name of what runs the stage's own model in `folder`."""

    @abstractmethod
    def options(self) -> Options:
        """What the user set of it."""

    def open(self, params: P, runtime: Runtime) -> None:
        """Load the model, and the metric one where it is named.

        Raises
        ------
        ModelUnusable, NeedsConsent : a model cannot be loaded, or what it estimates is not known.
        BadParams : the model does not take a parameter, or metres are asked of one without, or
            for one that has them.
        UnknownComponent : no plugin has this backend.
        """
        self.params, self.runtime = params, runtime
        self.model = self._load(params.model, runtime.torch_dtype)
        self.metric = None
        if params.metric_from:
            if self.model.kind == "metric":
                raise BadParams(
                    f"--metric-from: {params.model} estimates metres itself", "Leave it out"
                )
            self.metric = self._load(params.metric_from, runtime.torch_dtype)
        if self.metric is not None and self.metric.kind != "metric":
            raise BadParams(
                f"--metric-from {params.metric_from}: it estimates {self.metric.kind} depth",
                "Name a model of metres",
            )

    def _load(self, ref: str, dtype: torch.dtype) -> DepthModel:
        from imgtool_defocus.estimate import COMPONENT, Options, backend_of

        resolved = self.runtime.model(ref, TASK)
        if not resolved.path.is_dir():
            raise ModelUnusable(f"{str(resolved.path)!r} is one file; name the model's folder")
        is_own = ref == self.params.model
        name = self.backend(resolved.path) if is_own else backend_of(resolved.path)
        options = self.options() if is_own else Options()
        device = self.runtime.torch_device
        load: Any = self.runtime.component(COMPONENT, name)
        model: DepthModel = self.runtime.load_once(
            ("depth", name, resolved.digest, options, str(device), str(dtype)),
            lambda: load(resolved.path, options, device, dtype),
        )
        return model

    def process(self, batch: Batch) -> Batch:
        """Depth, its kind and facts. A row whose depth cannot be estimated fails by name."""
        columns: dict[str, list[Any]] = {field.name: [] for field in self.produces}
        odd: dict[str, Failure] = {}
        for row in batch:
            values: Sequence[object] = (None, None, None)
            try:
                values = self.runtime.halving(self._estimated, [row], 1)[0]
            except ValueError as err:
                odd[row.id] = Failure(self.id, "RowError", str(err))
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        return batch.with_columns(**columns).fail(odd)

    def _estimated(self, rows: Sequence[Row]) -> list[tuple[np.ndarray, str, dict[str, object]]]:
        return [self._estimate(row) for row in rows]

    def _estimate(self, row: Row) -> tuple[np.ndarray, str, dict[str, object]]:
        depth, found = self._seen(self.model, self.params.model, row)
        kind = self.model.kind
        facts: dict[str, object] = {"model": self.params.model, "class": self.model.name, **found}
        if self.metric is not None:
            from imgtool_defocus.align import aligned

            metric, also = self._seen(self.metric, self.params.metric_from, row)
            fit = aligned(depth, kind, metric, row.generator("align"))
            depth, facts = fit.metres, {**also, **facts, "metric_from": self.params.metric_from}
            facts |= {"scale": fit.scale, "shift": fit.shift, "agreeing": fit.agreeing}
            kind = "metric"
        return depth.cpu().numpy(), kind, facts

    def _seen(
        self, model: DepthModel, ref: str, row: Row
    ) -> tuple[torch.Tensor, Mapping[str, object]]:
        """Depth at the picture's size, computed again in float32 where it is not finite."""
        import torch

        from imgtool_defocus.resample import resampled

        image: Any = row["image"]
        seen = model(image, row.generator("depth"))
        if not seen.values.isfinite().all() and self.runtime.torch_dtype != torch.float32:
            seen = self._load(ref, torch.float32)(image, row.generator("depth"))
        if not seen.values.isfinite().all():
            raise ValueError("the model gave numbers that are no numbers (NaN), in float32 too")
        height, width = image.shape[:2]
        size = {"looked_at": [seen.values.shape[1], seen.values.shape[0]]}
        depth = resampled(seen.values, model.kind, height, width, seen.margin)
        return depth, {**size, **seen.facts}

    def close(self) -> None:
        """Let go of the models."""
        self.runtime.release()

    @classmethod
    def weight_bytes(cls, params: P, runtime: Runtime) -> int:
        """Size of the weights on disk."""
        refs = filter(None, (params.model, params.metric_from))
        return sum(runtime.model(ref, TASK).weight_bytes for ref in refs)


class Auto(Estimating[DepthParams]):
    """By any model of depth: what runs it is told from its files."""

    id = "depth.auto"
    summary = "Estimate depth from a picture."
    default_of_family = True
    check_params = MappingProxyType({"steps": 0})

    def backend(self, folder: Path) -> str:
        """The one that was named, or the one for the files.

        Raises
        ------
        ModelUnusable : no backend of this plugin reads such files.
        """
        from imgtool_defocus.estimate import backend_of

        named = self.params.backend
        return backend_of(folder) if named == "auto" else named

    def options(self) -> Options:
        """Size, steps and estimates."""
        from imgtool_defocus.estimate import Options

        return Options(self.params.size, self.params.steps, self.params.ensemble)

    @classmethod
    def check_models(cls, folder: Path) -> dict[str, object]:
        """A Depth Anything of random weights."""
        from imgtool_defocus.tiny import save_depth

        return {"model": str(save_depth("depth_anything", folder / "depth"))}
