"""Pipelines as values: stages and makers as they are used, before anything is looked up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imgtool.specs import ParamSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# label of the input rows, which no stage can have
SOURCE = "source"
# keys of a pipeline's own table that set how it runs
DEFAULTS: dict[str, ParamSpec] = {
    param.name: param
    for param in (
        ParamSpec("model", "str"),
        ParamSpec("seed", "int", low=0, high=2**63 - 1),
        ParamSpec("batch", "int", low=0),
        ParamSpec("device", "str"),
        ParamSpec("dtype", "str"),
        ParamSpec("attention", "str", choices=("auto", "xformers", "sdpa"), closed=True),
        ParamSpec("deterministic", "bool"),
        ParamSpec("on_error", "str", choices=("skip", "pass", "stop"), closed=True),
    )
}


@dataclass(frozen=True)
class StageUse:
    """One stage as a pipeline uses it.

    Attributes
    ----------
    use : stage id, bare family, or `dist:` and one of these.
    label : its name in this pipeline, unique.
    params : parameters that are given; `@name` refers to a model that a maker makes.
    upstream : label of the stage to branch from; None: the one before.
    named : whether the user chose the label.
    line : line in the pipelines file; 0 when there is none.
    key_lines : lines of its keys.
    inherited : names of parameters that came from the pipeline's defaults.
    """

    use: str
    label: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    upstream: str | None = None
    named: bool = False
    line: int = 0
    key_lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    inherited: tuple[str, ...] = field(default=(), compare=False, repr=False)

    kind = "stage"

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.use.rpartition(":")[2])


@dataclass(frozen=True)
class MakerUse:
    """One maker as a pipeline uses it; `name` is what `@name` refers to. Else as `StageUse`."""

    name: str
    use: str
    params: Mapping[str, object] = field(default_factory=dict)
    line: int = 0
    key_lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)
    inherited: tuple[str, ...] = field(default=(), compare=False, repr=False)

    kind = "maker"

    @property
    def label(self) -> str:
        """Its name in this pipeline."""
        return self.name


@dataclass(frozen=True)
class Pipeline:
    """A named list of stages.

    Attributes
    ----------
    makers : weights to make first.
    path : file that it was read from, if any.
    defaults : keys of its own table: the default model, seed, dtype…
    key_lines : lines of those keys in the file.
    """

    name: str
    description: str
    stages: tuple[StageUse, ...]
    makers: tuple[MakerUse, ...] = ()
    path: Path | None = None
    defaults: Mapping[str, object] = field(default_factory=dict)
    key_lines: Mapping[str, int] = field(default_factory=dict, compare=False, repr=False)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values, without places in files."""
        return {
            "name": self.name,
            "description": self.description,
            "defaults": dict(self.defaults),
            "models": {u.name: {"use": u.use, "params": dict(u.params)} for u in self.makers},
            "stages": [
                {"use": u.use, "name": u.label, "from": u.upstream, "params": dict(u.params)}
                for u in self.stages
            ],
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pipeline:
        """The inverse of `as_json`."""
        models = data.get("models", {}).items()
        return cls(
            name=data["name"],
            description=data.get("description", ""),
            stages=tuple(
                StageUse(
                    s["use"], s.get("name", ""), s.get("params", {}), s.get("from"), named=True
                )
                for s in data["stages"]
            ),
            makers=tuple(MakerUse(name, m["use"], m.get("params", {})) for name, m in models),
            defaults=data.get("defaults", {}),
        )
