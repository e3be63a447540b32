"""Checks a pipeline against what is installed. Every complaint names file and line."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imgtool.errors import BadParams, BadPipeline, ImgtoolError, near
from imgtool.params import cheap_check, check_value, find_param
from imgtool.pipeline_model import DEFAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgtool.pipeline_model import Pipeline
    from imgtool.registry import Registry
    from imgtool.specs import ParamSpec, Spec

DEFAULT_TASK = "text-to-image"


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
