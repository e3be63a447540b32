"""How one row came about: the stages and the source row that make it again.

A recipe is what a picture carries at `--metadata full`; `imgtool run --from` reads it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from imgtool import __version__
from imgtool.errors import InputUnreadable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool.store import Store

FORMAT = 1
KEPT_BATCHES = 8
# Parameters that the A1111 text of a picture has a name for.
SETTINGS = ("steps", "sampler", "scheduler", "guidance", "model")


class Lineage:
    """Recipes of rows of one store. Reads only; keeps the last few source batches."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._sources = lru_cache(maxsize=KEPT_BATCHES)(self._read_source)
        self.stages = lru_cache(maxsize=None)(self._walk)

    def recipe(self, instance: str, name: str, row_id: str) -> dict[str, Any]:
        """Stages and source row of a row of the batch `instance/name`."""
        source = self._sources(instance, name).get(row_id, {"id": row_id})
        return {
            "format": FORMAT,
            "imgtool": __version__,
            "id": row_id,
            "source": source,
            "stages": list(self.stages(instance)),
        }

    def settings(self, instance: str) -> dict[str, Any]:
        """Steps, guidance, model… of the stage that drew the row."""
        found: dict[str, Any] = {"version": f"imgtool {__version__}"}
        for stage in self.stages(instance):
            if stage["use"].partition(".")[0] == "generate":
                params = stage["params"]
                found |= {key: params[key] for key in SETTINGS if params.get(key) not in (None, "")}
        if "scheduler" in found:
            found.setdefault("sampler", found.pop("scheduler"))
        return found

    def _walk(self, instance: str) -> tuple[dict[str, Any], ...]:
        stages: list[dict[str, Any]] = []
        while not instance.startswith("source-"):
            about = self.store.instance(instance)
            stages.append(
                {"use": about["stage"], "version": about["version"], "params": about["params"]}
            )
            instance = about["upstream"]
        return tuple(reversed(stages))

    def _read_source(self, instance: str, name: str) -> dict[str, dict[str, Any]]:
        """Row ids of a batch to the source rows that they came from."""
        batch = self.store.read(instance, name, ())
        origin_of = {row_id: row_id for row_id in batch.ids}
        while upstream := self.store.upstream(instance, name):
            parent_of = dict(zip(batch.ids, batch.parents, strict=True))
            origin_of = {row_id: parent_of[at] for row_id, at in origin_of.items()}
            instance, name = upstream
            batch = self.store.read(instance, name, ())
        arrays = self.store.made_in(instance, name)
        extra = {"arrays": arrays} if arrays else {}
        sources = {row.id: {"id": row.id, **row.values, **extra} for row in batch}
        return {row_id: sources[origin] for row_id, origin in origin_of.items()}


def checked_recipe(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The recipe in a picture's record, its form checked: it comes from elsewhere.

    Raises
    ------
    InputUnreadable : there is none, or it has another form.
    """
    recipe = record.get("recipe")
    if not isinstance(recipe, dict) or not recipe:
        raise InputUnreadable(
            f"{where} carries no recipe", "Pictures written with --metadata full carry one"
        )
    if recipe.get("format") != FORMAT:
        raise InputUnreadable(f"{where} carries a recipe of format {recipe.get('format')!r}")
    stages, source = recipe.get("stages"), recipe.get("source")
    if (
        not are_stages(stages)
        or not isinstance(source, dict)
        or not isinstance(recipe.get("id"), str)
    ):
        raise InputUnreadable(f"{where} carries a damaged recipe")
    if source.get("arrays"):
        raise InputUnreadable(
            f"{where} was made from a file that its recipe does not hold: {source['arrays'][0]}",
            "Run the same stages on that file instead",
        )
    return recipe


def are_stages(stages: Sequence[object] | object) -> bool:
    """Whether what a picture's record has for stages is a list of them, each with its params."""
    return (
        isinstance(stages, list)
        and bool(stages)
        and all(
            isinstance(stage, dict)
            and isinstance(stage.get("use"), str)
            and isinstance(stage.get("params"), dict)
            for stage in stages
        )
    )
