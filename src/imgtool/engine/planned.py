"""What a run would do and why, from names alone: nothing is computed, made or written."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.engine.facade import expansion, prepare_runtime
from imgtool.engine.make import derive
from imgtool.engine.plan import resolve_instances, unique_labels
from imgtool.engine.request import StreamSource
from imgtool.engine.source import (
    DEFAULT_ROWS,
    SOURCE_KEY,
    batches_leading_to,
    batches_of,
    leading_to,
    no_row,
    rows_of_lineage,
)
from imgtool.errors import ModelUnusable, StoreDamaged, StoreNotFound
from imgtool.store import Store
from imgtool.store.keys import source_batch_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool.engine.plan import Instance
    from imgtool.engine.request import RunRequest
    from imgtool.registry import Registry
    from imgtool.runtime.context import Runtime
    from imgtool.specs import Spec


@dataclass(frozen=True)
class PlannedInstance:
    """One stage of a plan.

    Attributes
    ----------
    rows : rows that reach it, by what its upstream says of expansion; selection is not foreseen.
    done, missing_batches : batches that are committed, and that are not.
    reason : why batches are missing, or that none is.
    est_seconds : from how long rows of the stage took before; None: never measured.
    est_bytes : bytes of the weights that it loads; None: it loads none.
    inserted : whether the planner put it in.
    """

    label: str
    key: str
    spec: Spec
    params: Mapping[str, object]
    rows: int
    done: int
    missing_batches: int
    reason: str
    est_seconds: float | None
    est_bytes: int | None
    inserted: bool

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values, the spec by its id."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "spec"}
        return {**values, "stage": self.spec.id, "params": dict(self.params)}


@dataclass(frozen=True)
class Plan:
    """What a run would do.

    Attributes
    ----------
    makers : names of models that have to be made first.
    """

    store: str
    run: str
    rows: int
    batches: int
    makers: tuple[str, ...]
    instances: tuple[PlannedInstance, ...]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "store": self.store,
            "run": self.run,
            "rows": self.rows,
            "batches": self.batches,
            "makers": list(self.makers),
            "stages": [item.as_json() for item in self.instances],
        }


def plan(
    request: RunRequest, registry: Registry, seconds_per_row: Mapping[str, float] | None = None
) -> Plan:
    """What `execute(request, registry)` would do.

    Parameters
    ----------
    seconds_per_row : stage id to how long one of its rows took before.

    Raises
    ------
    ImgtoolError : what `execute` would refuse before it computes anything.
    """
    try:
        store: Store | None = Store.open(request.store, "r")
    except StoreNotFound:
        store = None
    runtime = prepare_runtime(request, registry, 0)
    names, rows, fields, source_key = _source(request, registry, store)
    models = list(derive(request.makers, registry, runtime, request.store))
    made = {model.name: (str(model.folder), model.key) for model in models}
    missing = tuple(model.name for model in models if not model.folder.exists())
    instances = resolve_instances(
        unique_labels(request.stages), fields, source_key, registry, runtime, made, request.marks
    )
    found = _Names(store, instances, source_key, names, rows, request.retry_failed)
    planned = tuple(found.planned(i, runtime, seconds_per_row or {}) for i in instances)
    return Plan(str(request.store), request.name, rows, len(names), missing, planned)


def _source(
    request: RunRequest, registry: Registry, store: Store | None
) -> tuple[list[str], int, Sequence[str], str]:
    """Names of source batches, count of rows, their fields, and their instance."""
    names: list[str]
    if isinstance(request.rows, StreamSource):
        key, rows = request.rows.instance, 0
        if store is None:
            return list(request.rows.batches), rows, request.rows.fields, key
        names = list(batches_leading_to(store, request.rows, request.row))
        _require_any(names, request)
        rows = sum(len(rows_of_lineage(store.read(key, name), request.row)) for name in names)
        return names, rows, request.rows.fields, key
    size = request.batch or max(1, DEFAULT_ROWS // expansion(request, registry))
    rows, names = 0, []
    fields: tuple[str, ...] = ()
    for batch in batches_of(leading_to(request.rows, request.row), size):
        names.append(source_batch_name(batch.number, SOURCE_KEY, batch))
        rows += len(batch)
        fields = fields or tuple(batch.columns)
    _require_any(names, request)
    return names, rows, fields, SOURCE_KEY


def _require_any(names: Sequence[str], request: RunRequest) -> None:
    if not names and request.row is not None:
        raise no_row(request.row)


class _Names:
    """Names of every instance's batches, and which of them are there."""

    def __init__(
        self,
        store: Store | None,
        instances: Sequence[Instance],
        source_key: str,
        names: list[str],
        rows: int,
        retry_failed: bool,
    ) -> None:
        self.store, self.instances, self.retry_failed = store, instances, retry_failed
        self.names = {source_key: names}
        self.rows = {source_key: rows}
        self.missing: dict[str, set[str]] = {}

    def planned(
        self, instance: Instance, runtime: Runtime, seconds_per_row: Mapping[str, float]
    ) -> PlannedInstance:
        """One instance; those before it must have been asked for."""
        above = self.names[instance.upstream_key]
        names = instance.output_names(sorted(above) if instance.is_barrier else above)
        there = self.store.names(instance.key) if self.store else set()
        failed = self._failed(instance.key, there.intersection(names))
        missing = set(names) - there | failed
        if self.retry_failed:
            missing |= self._remade(instance, above, names)
        self.names[instance.key], self.missing[instance.key] = names, missing
        rows_in = self.rows[instance.upstream_key]
        self.rows[instance.key] = rows_in * max(1, int(str(instance.params.get("n", 1))))
        left = rows_in * len(missing) / len(names) if names else 0
        each = seconds_per_row.get(instance.spec.id)
        return PlannedInstance(
            label=instance.label,
            key=instance.key,
            spec=instance.spec,
            params=instance.params,
            rows=rows_in,
            done=len(names) - len(missing),
            missing_batches=len(missing),
            reason=self._reason(instance, names, missing, bool(there), bool(failed)),
            est_seconds=None if each is None else each * left,
            est_bytes=_weights(instance, runtime) if missing else None,
            inserted=instance.inserted,
        )

    def _failed(self, key: str, there: set[str]) -> set[str]:
        """Those of the committed batches that are tried again."""
        if not self.retry_failed or self.store is None or not self.store.has_failures(key):
            return set()
        return {name for name in there if self.store.failures(key, name)}

    def _remade(self, instance: Instance, above: Sequence[str], names: Sequence[str]) -> set[str]:
        """Batches that go with those that they were made of."""
        missing = self.missing.get(instance.upstream_key, set())
        if instance.is_barrier:
            return set(names) if missing else set()
        return {name for name, up in zip(names, above, strict=True) if up in missing}

    def _reason(
        self, instance: Instance, names: Sequence[str], missing: set[str], known: bool, failed: bool
    ) -> str:
        if not missing:
            return "done"
        if self.missing.get(instance.upstream_key):
            return f"follows {self._label(instance.upstream_key)}"
        if failed:
            return "rows failed before"
        if len(missing) < len(names):
            return f"{len(missing)} of {len(names)} batches are missing"
        if known:
            return "new rows"
        return self._changed(instance) or "not run before"

    def _label(self, key: str) -> str:
        return next((item.label for item in self.instances if item.key == key), "the source")

    def _changed(self, instance: Instance) -> str:
        """Which parameters differ from the nearest earlier instance of the stage."""
        if self.store is None:
            return ""
        family = instance.key.rpartition("-")[0]
        differences = []
        for key in self.store.instances():
            if key == instance.key or key.rpartition("-")[0] != family:
                continue
            try:
                about = self.store.instance(key)
            except StoreDamaged:  # that of another run; `store verify` tells
                continue
            if about["stage"] != instance.spec.id or about["upstream"] != instance.upstream_key:
                continue
            differences.append(_difference(about, instance))
        return min(differences, key=len, default="")


def _difference(about: Mapping[str, Any], instance: Instance) -> str:
    if about["version"] != instance.spec.version:
        return f"version {about['version']} → {instance.spec.version}"
    before, now = about["params"], dict(instance.params)
    changes = [f"{k}: {before.get(k)} → {v}" for k, v in now.items() if before.get(k) != v]
    return ", ".join(changes) or "its model or files changed"


def _weights(instance: Instance, runtime: Runtime) -> int | None:
    total = 0
    for param in instance.spec.params:
        value = instance.params.get(param.name)
        if not param.model_task or not value or isinstance(value, list):
            continue
        # A model that a maker has yet to make weighs nothing.
        with suppress(ModelUnusable):
            total += runtime.model(str(value), param.model_task).weight_bytes
    return total or None
