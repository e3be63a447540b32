"""What a result depends on beside its parameters: weights, files named, how it is computed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.components import is_file
from imgtool.params import cheap_check, parse_reference
from imgtool.runtime.digest import file_hash
from imgtool.store.keys import instance_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imgtool.runtime.context import Runtime
    from imgtool.specs import Spec


def input_digest(
    spec: Spec, params: Mapping[str, object], written: Mapping[str, object], runtime: Runtime
) -> list[str]:
    """`name=digest` for each model, stage and file that `params` name, made models excepted.

    Raises
    ------
    ModelUnusable : a model reference names nothing usable.
    UnknownComponent, BadParams : so does the name of a stage, or what is given to it.
    """
    found = []
    for param in spec.params:
        value = params.get(param.name)
        if not value or str(written.get(param.name, "")).startswith("@"):
            continue
        values = value if isinstance(value, list | tuple) else [value]
        if param.model_task:
            found += [
                f"{param.name}={runtime.model(str(v), param.model_task).digest}" for v in values
            ]
        elif param.is_stage:
            found += [f"{param.name}={stage_digest(str(v), runtime)}" for v in values]
        elif param.path_what:
            found += [f"{param.name}={content_digest(Path(str(v)))}" for v in values]
    return found


def stage_digest(text: str, runtime: Runtime) -> str:
    """What the results of the stage that `text` names depend on, with the parameters it gives.

    Raises
    ------
    UnknownComponent, BadParams, ModelUnusable : as the names say.
    """
    spec, given = parse_reference(text, runtime.spec)
    params = cheap_check(spec, given)
    marks = [*input_digest(spec, params, given, runtime), *execution_marks(spec, runtime)]
    return instance_key(spec.id, spec.version, params, "|".join(marks), None)


def content_digest(path: Path) -> str:
    """Digest of a file's bytes, or of the names and bytes of all files of a folder."""
    total = hashlib.blake2b(digest_size=16)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        if file.is_file():
            total.update(str(file.relative_to(path) if path.is_dir() else file.name).encode())
            total.update(file_hash(file))
    return total.hexdigest()


def execution_marks(spec: Spec, runtime: Runtime) -> list[str]:
    """How numbers are computed, where it is not the default.

    Of stages that run a model, dtype and determinism. Of stages in a file given with `--plugin`,
    the file: who tries a stage edits it more often than its version.
    """
    module = spec.where.rpartition(":")[0]
    marks = [f"file={content_digest(Path(module))}"] if is_file(module) else []
    if not any(param.model_task for param in spec.params):
        return marks
    if runtime.dtype != "auto":
        marks.append(f"dtype={runtime.dtype}")
    if runtime.deterministic:
        marks.append("deterministic")
    return marks
