"""The files that the rows of a command come from, for `--deps`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from imgtool.engine.request import RunRequest
    from imgtool.pipeline import MakerUse, StageUse
    from imgtool.registry import Registry
    from imgtool.specs import ParamSpec


def input_files(words: Iterable[str], bound: Mapping[str, str]) -> tuple[Path, ...]:
    """Files among a command's arguments: those it takes rows from, and those bound to fields."""
    from imgtool import inputs

    found = [Path(word) for word in words if inputs.is_path(word)]
    found += [Path(value) for name, value in bound.items() if _is_file(name, value)]
    return tuple(file for path in found for file in _inputs_of(path))


def param_files(request: RunRequest, registry: Registry) -> Iterator[Path]:
    """Files of the models, and other files, that parameters of stages and makers name.

    Models that the run's own makers make are none: they are made of what the makers name.
    """
    from imgtool.params import cheap_check

    uses: list[MakerUse | StageUse] = [*request.makers, *request.stages]
    for use in uses:
        spec = registry.spec(use.kind, use.use)
        params = cheap_check(spec, use.params)
        for param in spec.params:
            value = params[param.name]
            for word in value if isinstance(value, list) else [value]:
                if word and not str(word).startswith("@"):
                    yield from _of_param(param, str(word), request, registry)


def _of_param(
    param: ParamSpec, word: str, request: RunRequest, registry: Registry
) -> Sequence[Path]:
    if param.model_task:
        from imgtool.runtime.models import resolve_model

        path = resolve_model(word, param.model_task, registry, request.offline).path
        return [] if path is None else _files(path)
    return _files(Path(word)) if param.path_what else []


def _is_file(field: str, value: str) -> bool:
    """Whether the value bound to a field is read from a file, rather than taken as text."""
    from imgtool.fields import KNOWN
    from imgtool.inputs import is_path

    known = KNOWN.get(field)
    return (is_path(value) or (known is not None and known.is_array)) and Path(value).is_file()


def _inputs_of(path: Path) -> Sequence[Path]:
    from imgtool import inputs

    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.suffix.lower() in inputs.PICTURES)
    return [path]


def _files(path: Path) -> Sequence[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    return [path] if path.is_file() else []
