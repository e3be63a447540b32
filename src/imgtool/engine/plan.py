"""What a run consists of: stages resolved to instances with names, before anything is loaded.

Planning computes names only. What is done and what is missing is the difference between these
names and a listing of the store.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imgtool import fields
from imgtool.engine.digests import execution_marks, input_digest
from imgtool.errors import BadPipeline, MissingField, near
from imgtool.params import cheap_check
from imgtool.pipeline import StageUse
from imgtool.pipeline_model import SOURCE
from imgtool.stages import Scope
from imgtool.store.keys import barrier_batch_names, batch_name, instance_key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from imgtool.registry import Registry
    from imgtool.runtime.context import Runtime
    from imgtool.specs import Spec


@dataclass(frozen=True)
class Instance:
    """A stage with its params, model and upstream: what a cached result belongs to.

    Attributes
    ----------
    label : name of the stage in this run, unique.
    spec : the declaration.
    params : every parameter with its value; model references made by a maker are paths.
    key : name of the instance in the store.
    upstream : position of the instance before it, or None for the source.
    upstream_key : name of that instance in the store.
    inserted : whether the planner put it in, to provide a field.
    """

    label: str
    spec: Spec
    params: Mapping[str, object]
    key: str
    upstream: int | None
    upstream_key: str
    inserted: bool = False

    @property
    def is_barrier(self) -> bool:
        """Whether it needs every row of the run at once."""
        return self.params.get("scope", self.spec.scope) == Scope.RUN

    def output_names(self, upstream_names: Sequence[str]) -> list[str]:
        """Names of its batches, one for each batch of its upstream."""
        if self.is_barrier:
            return barrier_batch_names(self.key, upstream_names)
        return [self.output_name(name) for name in upstream_names]

    def output_name(self, upstream_name: str) -> str:
        """Name of the batch made from `upstream_name`; not for barriers."""
        return batch_name(int(upstream_name.split("-", 1)[0]), self.key, upstream_name)

    def attributes(self) -> dict[str, object]:
        """What the store says about the instance, in clear."""
        return {
            "stage": self.spec.id,
            "version": self.spec.version,
            "params": dict(self.params),
            "upstream": self.upstream_key,
        }


def providers(registry: Registry, field: str) -> list[str]:
    """Ids of the installed stages that produce `field`."""
    specs = registry.specs("stage")
    return sorted({spec.id for spec in specs if fields.is_named(field, spec.produces)})


def resolve_instances(
    uses: Sequence[StageUse],
    source_fields: Collection[str],
    source_key: str,
    registry: Registry,
    runtime: Runtime,
    made: Mapping[str, tuple[str, str]] | None = None,
    marks: Sequence[str] = (),
) -> tuple[Instance, ...]:
    """Instances of `uses` in order, with a `decode` put in where only latents are at hand.

    Parameters
    ----------
    uses : the stages as written.
    source_fields : fields that the source rows have.
    source_key : name of the source instance.
    made : maker name to (path of the model it made, key of its derivation).
    marks : further facts of the run that all its results depend on.

    Raises
    ------
    MissingField : a stage consumes what nothing before it produces.
    BadPipeline : a label repeats or `from` names no earlier stage.
    BadParams, UnknownComponent, ModelUnusable : as the names say.
    """
    chain = _Chain(registry, runtime, dict(made or {}), source_key, set(source_fields), marks)
    for use in uses:
        chain.add(use)
    return tuple(chain.instances)


class _Chain:
    """Instances so far, the fields that each of them leaves to the next, and their parameters with
    made models by name: where a store keeps those changes nothing."""

    def __init__(
        self,
        registry: Registry,
        runtime: Runtime,
        made: dict[str, tuple[str, str]],
        source_key: str,
        source_fields: set[str],
        marks: Sequence[str],
    ) -> None:
        self.registry, self.runtime, self.made, self.marks = registry, runtime, made, marks
        self.source_key, self.source_fields = source_key, source_fields
        self.instances: list[Instance] = []
        self.fields: list[set[str]] = []
        self.written: list[dict[str, object]] = []

    def add(self, use: StageUse) -> None:
        spec = self.registry.spec("stage", use.use)
        upstream = self._upstream(use)
        have = self.source_fields if upstream is None else self.fields[upstream]
        for field in spec.consumes:
            if field.optional or fields.is_among(field.name, have):
                continue
            if field.name == fields.IMAGE.name and fields.LATENTS.name in have:
                upstream = self._append(self._decode_for(upstream), upstream, inserted=True)
                have = self.fields[upstream]
                continue
            self._refuse(use, spec, field.name, have)
        for param, name in _named_fields(spec, use.params):
            if not fields.is_among(name, have):
                self._refuse_named(use, spec, param, name, have)
        self._append(use, upstream)

    def _upstream(self, use: StageUse) -> int | None:
        if use.upstream is None:
            return len(self.instances) - 1 if self.instances else None
        for index, instance in enumerate(self.instances):
            if instance.label == use.upstream:
                return index
        raise BadPipeline(
            f"stage {use.use!r}: from = {use.upstream!r} names no earlier stage",
            f"Earlier stages: {', '.join(i.label for i in self.instances) or 'none'}",
        )

    def _refuse(self, use: StageUse, spec: Spec, field: str, have: set[str]) -> None:
        able = self._makers_of(field)
        hint = f"Put one of these before it: {', '.join(able)}. " if able else ""
        known = fields.KNOWN.get(field)
        value = "FILE" if known is not None and known.is_array else "TEXT|FILE"
        raise MissingField(
            f"{_shown(use, spec)} needs the field {field!r}; rows have {', '.join(sorted(have))}",
            f"{hint}Or bind it in a stage's command: --{field.replace('_', '-')} {value}",
        )

    def _refuse_named(
        self, use: StageUse, spec: Spec, param: str, field: str, have: set[str]
    ) -> None:
        able = [name for name in self._makers_of(field) if name != spec.id]
        before = f"Put one of these before it: {', '.join(able)}" if able else ""
        raise MissingField(
            f"{_shown(use, spec)}: {param} = {field!r} is no field here; "
            f"rows have {', '.join(sorted(have))}",
            near(field, have).strip() or before or "Name one of these",
        )

    def _makers_of(self, field: str) -> list[str]:
        """Stages that give `field` and do not need it themselves; for pictures also latents."""
        able = providers(self.registry, field)
        if field == fields.IMAGE.name:
            able = [*providers(self.registry, fields.LATENTS.name), *able]
        needs = {name: self.registry.spec("stage", name).consumes for name in able}
        return [n for n in able if all(f.optional or f.name != field for f in needs[n])]

    def _decode_for(self, upstream: int | None) -> StageUse:
        params: dict[str, object] = {}
        index = upstream
        while index is not None:
            instance = self.instances[index]
            if fields.LATENTS.name in {f.name for f in instance.spec.produces}:
                known = {param.name for param in self.registry.spec("stage", "decode").params}
                params = {name: v for name, v in self.written[index].items() if name in known}
                break
            index = instance.upstream
        return StageUse(use="decode", label="decode", params=params)

    def _append(self, use: StageUse, upstream: int | None, inserted: bool = False) -> int:
        spec = self.registry.spec("stage", use.use)
        refs = {name: v for name, v in use.params.items() if self._is_made(spec, name, v)}
        given, digests = dict(use.params), []
        for name, ref in refs.items():
            given[name], key = self._made(use, str(ref))
            digests.append(f"{name}={key}")
        params = cheap_check(spec, given)
        digests += input_digest(spec, params, refs, self.runtime)
        digests += [*execution_marks(spec, self.runtime), *self.marks]
        upstream_key = self.source_key if upstream is None else self.instances[upstream].key
        self.written.append({**params, **refs})
        key = instance_key(spec.id, spec.version, self.written[-1], "|".join(digests), upstream_key)
        label = self._label(use, inserted)
        self.instances.append(Instance(label, spec, params, key, upstream, upstream_key, inserted))
        before = self.source_fields if upstream is None else self.fields[upstream]
        self.fields.append(before | {field.name for field in spec.produces})
        return len(self.instances) - 1

    def _is_made(self, spec: Spec, name: str, value: object) -> bool:
        """Whether a value refers to a made model: other texts may begin with @ too."""
        if not isinstance(value, str) or not value.startswith("@"):
            return False
        param = spec.param(name)
        return value[1:] in self.made or (param is not None and bool(param.model_task))

    def _made(self, use: StageUse, value: str) -> tuple[str, str]:
        try:
            return self.made[value[1:]]
        except KeyError:
            raise BadPipeline(
                f"stage {use.label!r}: {value!r} names no model of this pipeline",
                f"Declared: {', '.join(sorted(self.made)) or 'none'}",
            ) from None

    def _label(self, use: StageUse, inserted: bool) -> str:
        taken = {SOURCE, *(instance.label for instance in self.instances)}
        if use.label not in taken:
            return use.label
        if not inserted and use.named:
            raise BadPipeline(f"two stages are named {use.label!r}", "Give one another name")
        return next(f"{use.label}-{n}" for n in range(2, 1000) if f"{use.label}-{n}" not in taken)


def _shown(use: StageUse, spec: Spec) -> str:
    return f"stage {use.label}" if use.label == spec.id else f"stage {use.label} ({spec.id})"


def _named_fields(spec: Spec, params: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Parameter and name of every field that the parameters name."""
    for param in spec.params:
        if param.is_field:
            value = params.get(param.name, param.default)
            names = value if isinstance(value, list | tuple) else [value]
            yield from ((param.name, name) for name in names if isinstance(name, str) and name)


def unique_labels(uses: Iterable[StageUse]) -> tuple[StageUse, ...]:
    """The same uses, labels made unique by a number."""
    seen: dict[str, int] = {}
    result = []
    for use in uses:
        seen[use.label] = seen.get(use.label, 0) + 1
        count = seen[use.label]
        result.append(use if count == 1 else replace(use, label=f"{use.label}-{count}"))
    return tuple(result)
