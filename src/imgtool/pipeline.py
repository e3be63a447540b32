"""Pipelines: stages by name with their parameters, overrides, sweeps and checks."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.errors import BadParams, UnknownComponent, near
from imgtool.params import check_value, find_param, parse_value
from imgtool.pipeline_check import resolve
from imgtool.pipeline_model import DEFAULTS, MakerUse, Pipeline, StageUse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool.registry import Registry
    from imgtool.specs import Spec

__all__ = [
    "MakerUse", "Pipeline", "StageUse", "find_pipeline", "load_pipeline", "override",
    "read_pipelines", "resolve", "settings_name", "sweep",
]  # fmt: skip

DEFAULT_FILE = "pipelines.toml"
LONGEST_NAME = 80


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
        resolved = resolve(varied, registry) if registry else varied
        variants.append((settings_name(chosen), resolved))
    return variants


def settings_name(values: Mapping[str, object]) -> str:
    """What tells a pipeline with `values` set from others, for names: `steps=30,n=2`.

    Of long values it keeps the beginning, and a digest of the whole.
    """
    text = ",".join(f"{_short(key, values)}={value}" for key, value in values.items())
    name = re.sub(r"[^\w.,=+-]", "_", text)
    if len(name.encode()) <= LONGEST_NAME:
        return name
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    beginning = name.encode()[: LONGEST_NAME - len(digest) - 1].decode(errors="ignore")
    return f"{beginning}-{digest}"


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
