"""Pipelines: stages by name with their parameters, overrides, sweeps and checks."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.errors import BadParams, BadPipeline, ImgtoolError, UnknownComponent, near
from imgtool.params import cheap_check, check_value, find_param, parse_value
from imgtool.specs import ParamSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool.registry import Registry
    from imgtool.specs import Spec

DEFAULT_FILE = "pipelines.toml"
DEFAULT_TASK = "text-to-image"
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


def read_pipelines(path: str | Path) -> dict[str, Pipeline]:
    """The pipelines of one file by name; see `imgtool.pipeline_file.read_pipelines`."""
    from imgtool import pipeline_file

    return pipeline_file.read_pipelines(Path(path))


def find_pipeline(ref: str) -> Pipeline:
    """The pipeline that `ref` names, as written: `file.toml:name`, `name` or `file.toml`.

    Raises
    ------
    UnknownComponent : the file has no pipeline of that name.
    InputMissing, InputUnreadable, BadPipeline : the file is missing or wrong.
    """
    file, colon, name = ref.rpartition(":")
    if not colon:
        file, name = (ref, "") if ref.endswith(".toml") else (DEFAULT_FILE, ref)
    pipelines = read_pipelines(file)
    if not name and len(pipelines) == 1:
        return next(iter(pipelines.values()))
    if name not in pipelines:
        known = ", ".join(pipelines) or "none"
        what = f"has no pipeline {name!r}" if name else "has several pipelines"
        raise UnknownComponent(f"{file} {what}", f"{near(name, pipelines)}Pipelines: {known}")
    return pipelines[name]


def load_pipeline(
    ref: str, registry: Registry, overrides: Mapping[str, object] | None = None
) -> Pipeline:
    """The pipeline that `ref` names, with overrides and defaults in place, checked.

    Raises
    ------
    BadPipeline, BadParams, UnknownComponent : as the names say, with file and line.
    """
    return resolve(override(find_pipeline(ref), overrides or {}, registry), registry)


def override(
    pipeline: Pipeline, overrides: Mapping[str, object], registry: Registry | None = None
) -> Pipeline:
    """The pipeline with `label.key` (or a key of its own table, such as `model`) set.

    Texts are read as the parameter's type where a registry is given, else as JSON or text.

    Raises
    ------
    BadParams : a key names no stage, or no parameter of it, or the value has the wrong type.
    """
    for key, value in overrides.items():
        pipeline = _override_one(pipeline, key, value, registry)
    return pipeline


def sweep(
    pipeline: Pipeline,
    values: Mapping[str, Sequence[object]],
    registry: Registry | None = None,
) -> list[tuple[str, Pipeline]]:
    """One pipeline for every combination of values, with a suffix that tells them apart.

    Raises
    ------
    BadParams : as in `override`, or a key has no values.
    """
    for key, choices in values.items():
        if not choices:
            raise BadParams(f"sweep of {key!r} has no values", f"--sweep {key}=1,2,3")
    variants = []
    for combination in itertools.product(*values.values()):
        chosen = dict(zip(values, combination, strict=True))
        varied = override(pipeline, chosen, registry)
        suffix = ",".join(f"{_short(key, values)}={value}" for key, value in chosen.items())
        suffix = re.sub(r"[^\w.,=+-]", "_", suffix)
        variants.append((suffix, resolve(varied, registry) if registry else varied))
    return variants


def resolve(pipeline: Pipeline, registry: Registry) -> Pipeline:
    """The pipeline with its default model put where it applies, every name and value checked.

    Raises
    ------
    BadPipeline, UnknownComponent, AmbiguousComponent, BrokenPlugin : with file and line.
    """
    _check_defaults(pipeline)
    tasks: dict[str, str] = {}
    makers = []
    for maker in pipeline.makers:
        spec = _spec(pipeline, maker, registry)
        makers.append(_resolve_use(pipeline, maker, spec, registry, tasks))
        tasks[maker.name] = spec.task
    stages = [
        _resolve_use(pipeline, use, _spec(pipeline, use, registry), registry, tasks)
        for use in pipeline.stages
    ]
    return replace(pipeline, makers=tuple(makers), stages=tuple(stages))


def _check_defaults(pipeline: Pipeline) -> None:
    for key, value in pipeline.defaults.items():
        try:
            check_value(f"[{pipeline.name}]", DEFAULTS[key], value)
        except BadParams as err:
            place = _place(pipeline, pipeline.key_lines.get(key, 0))
            raise BadPipeline(f"{place}{err.message}", err.hint) from err


def _spec(pipeline: Pipeline, use: Any, registry: Registry) -> Spec:
    try:
        return registry.spec(use.kind, use.use)
    except ImgtoolError as err:
        line = use.key_lines.get("use", use.line)
        raise type(err)(f"{_where(pipeline, use, line)}: {err.message}", err.hint) from err


def _resolve_use(
    pipeline: Pipeline, use: Any, spec: Spec, registry: Registry, tasks: Mapping[str, str]
) -> Any:
    params = {name: value for name, value in use.params.items() if name not in use.inherited}
    model = pipeline.defaults.get("model")
    inherited = []
    for param in spec.params:
        if model and param.model_task == _task(str(model), registry, tasks) and not param.is_list:
            if param.name not in params:
                inherited.append(param.name)
    _check(pipeline, use, spec, params, tasks)
    params |= dict.fromkeys(inherited, model)
    return replace(use, params=params, inherited=tuple(inherited))


def _task(model: str, registry: Registry, tasks: Mapping[str, str]) -> str:
    """Task of a model reference; of one that is no alias, text-to-image."""
    if model.startswith("@"):
        return tasks.get(model[1:]) or DEFAULT_TASK
    for component in registry.components("model"):
        if component.name == model:
            return component.meta.get("task", DEFAULT_TASK)
    return DEFAULT_TASK


def _check(
    pipeline: Pipeline, use: Any, spec: Spec, params: Mapping[str, object], tasks: Mapping[str, str]
) -> None:
    """Check each value alone, so that the message has its line, then all together."""
    line = use.line
    try:
        for name, value in params.items():
            line = use.key_lines.get(name, use.line)
            param = find_param(spec.id, spec.params, name)
            check_value(spec.id, param, value)
            if isinstance(value, str) and value.startswith("@"):
                _check_made(param, value[1:], tasks)
        line = use.line
        cheap_check(spec, params)
    except BadParams as err:
        message = err.message.removeprefix(f"{spec.id}: ")
        raise BadPipeline(f"{_where(pipeline, use, line)}: {message}", err.hint) from err


def _check_made(param: ParamSpec, name: str, tasks: Mapping[str, str]) -> None:
    if not param.model_task:
        return
    if name not in tasks:
        hint = f"{near(name, tasks)}Declared before: {', '.join(tasks) or 'none'}"
        raise BadParams(f"{param.name} = '@{name}' names no model of this pipeline", hint)
    if tasks[name] and tasks[name] != param.model_task:
        raise BadParams(
            f"{param.name} = '@{name}' is a model for {tasks[name]}, not for {param.model_task}"
        )


def _where(pipeline: Pipeline, use: Any, line: int) -> str:
    if use.kind == "stage":
        number = next((i for i, u in enumerate(pipeline.stages, 1) if u.label == use.label), 0)
        return f"{_place(pipeline, line)}[{pipeline.name}] stage {number} ({use.label})"
    return f"{_place(pipeline, line)}[{pipeline.name}] model {use.name!r}"


def _place(pipeline: Pipeline, line: int) -> str:
    if pipeline.path is None:
        return ""
    return f"{pipeline.path}:{line}: " if line else f"{pipeline.path}: "


def _override_one(
    pipeline: Pipeline, key: str, value: object, registry: Registry | None
) -> Pipeline:
    label, dot, name = key.removeprefix("models.").rpartition(".")
    if not dot:
        if name not in DEFAULTS:
            labels = [*(u.label for u in pipeline.stages), *(u.name for u in pipeline.makers)]
            raise BadParams(
                f"{key!r} is no key of the pipeline {pipeline.name!r}",
                f"{near(name, [*DEFAULTS, *labels])}Write LABEL.KEY; stages: {', '.join(labels)}",
            )
        param = DEFAULTS[name]
        setting = parse_value(param, value) if isinstance(value, str) else value
        check_value(f"[{pipeline.name}]", param, setting)
        return replace(pipeline, defaults={**pipeline.defaults, name: setting})
    use = _find_use(pipeline, label, key)
    if registry is not None:
        value = _typed(registry.spec(use.kind, use.use), name, value)
    elif isinstance(value, str):
        value = _literal(value)
    changed = replace(
        use,
        params={**use.params, name: value},
        inherited=tuple(other for other in use.inherited if other != name),
    )
    if use.kind == "maker":
        return replace(pipeline, makers=tuple(changed if u is use else u for u in pipeline.makers))
    return replace(pipeline, stages=tuple(changed if u is use else u for u in pipeline.stages))


def _find_use(pipeline: Pipeline, label: str, key: str) -> Any:
    uses: list[Any] = [*pipeline.stages, *pipeline.makers]
    labels = [use.label for use in uses]
    found = [use for use in uses if use.label == label]
    found = found or [use for use in uses if use.use.rpartition(":")[2].partition(".")[0] == label]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(use.label for use in found)
        raise BadParams(f"{key!r} could mean several stages of {pipeline.name!r}", f"Say {names}")
    hint = f"{near(label, labels)}Stages: {', '.join(labels)}"
    raise BadParams(f"{key!r} names no stage of the pipeline {pipeline.name!r}", hint)


def _typed(spec: Spec, name: str, value: object) -> object:
    """`value` read as the parameter's type, checked."""
    param = find_param(spec.id, spec.params, name)
    if isinstance(value, str) and not value.startswith("@"):
        value = parse_value(param, value)
    check_value(spec.id, param, value)
    return value


def _literal(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _short(key: str, keys: Mapping[str, object]) -> str:
    name = key.rpartition(".")[2]
    return key if sum(other.rpartition(".")[2] == name for other in keys) > 1 else name
