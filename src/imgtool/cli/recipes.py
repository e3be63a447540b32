"""`imgtool run --from PICTURE`: a picture's recipe again, as one that cannot be trusted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imgtool.errors import NeedsConsent, UsageError
from imgtool.params import cheap_check, parse_reference

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import click

    from imgtool.cli.options import RunOptions
    from imgtool.pipeline import StageUse
    from imgtool.registry import Registry
    from imgtool.specs import ParamSpec, Spec

ENDPOINTS = ("url", "endpoint", "base_url", "api_base", "backend")


def run_recipe(
    ctx: click.Context, picture: Path, inputs: tuple[str, ...], consent: bool, options: RunOptions
) -> int:
    """Make a picture's row again; the exit status.

    Raises
    ------
    InputUnreadable : the picture carries no usable recipe.
    NeedsConsent : the recipe names files, folders or endpoints of this machine or elsewhere.
    """
    from imgtool.cli.loaded import load_registry
    from imgtool.cli.sources import Source
    from imgtool.cli.work import Job, perform
    from imgtool.pictures.metadata import read_metadata
    from imgtool.recipe import checked_recipe

    if inputs:
        raise UsageError("--from takes its rows from the picture; give no other input")
    recipe = checked_recipe(read_metadata(picture).get("record", {}), repr(str(picture)))
    stages = _uses(recipe, load_registry(ctx), consent)
    row = _row(recipe["source"])
    fields = tuple(name for name in row if name != "id")
    source = Source([row], fields, (str(picture),), untrusted=not consent, files=(picture,))
    options = replace(options, row=options.row or recipe["id"])
    return perform(ctx, Job("recipe", stages, source), options)


def _uses(recipe: Mapping[str, Any], registry: Registry, consent: bool) -> tuple[StageUse, ...]:
    from imgtool.pipeline import StageUse

    uses = []
    for number, stage in enumerate(recipe["stages"], start=1):
        spec = registry.spec("stage", stage["use"])
        params = cheap_check(spec, stage["params"])
        if not consent:
            _refuse_risks(spec, params, registry)
        uses.append(StageUse(use=spec.id, label=f"{spec.family}-{number}", params=params))
    return tuple(uses)


def _refuse_risks(spec: Spec, params: Mapping[str, object], registry: Registry) -> None:
    """Refuse what a recipe must not do by itself, also by the stages that its parameters name.

    Raises
    ------
    NeedsConsent : with the parameter.
    """
    for param in spec.params:
        value = params[param.name]
        if value == param.default:
            continue
        if reason := _risk(param, value, registry):
            raise NeedsConsent(
                f"stage {spec.id} of the recipe {reason}: {param.name} = {value!r}",
                "If you trust where the picture came from, add --consent",
            )
        for text in _listed(value) if param.is_stage else ():
            inner, given = parse_reference(str(text), lambda name: registry.spec("stage", name))
            _refuse_risks(inner, cheap_check(inner, given), registry)


def _risk(param: ParamSpec, value: object, registry: Registry) -> str:
    """Why a parameter of a stranger's recipe is not taken without consent; empty: it is fine."""
    if not value:
        return ""
    if param.path_what:
        return "names a file"
    if param.name in ENDPOINTS:
        return "calls an endpoint"
    aliases = {item.name for item in registry.components("model")}
    if param.model_task and any(str(item) not in aliases for item in _listed(value)):
        return "loads a model that no plugin brings"
    return ""


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _row(source: Mapping[str, Any]) -> dict[str, Any]:
    from imgtool.inputs import PATH_DIGEST, finished_rows

    left = ("arrays", "path", PATH_DIGEST)
    row = {str(name): value for name, value in source.items() if name not in left}
    return next(finished_rows([{"id": "0", **row}], 0))
