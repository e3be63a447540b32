"""One stage under trial: opened, run on sample rows, its results kept for every rule."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from imgtool.batch import Batch, concatenate
from imgtool.components import is_file
from imgtool.declared import params_type
from imgtool.errors import BadParams, EndpointDown, ImgtoolError, ModelUnusable, NeedsConsent
from imgtool.fields import is_named
from imgtool.params import as_json, validate
from imgtool.plugin_kit.killed import Job, Outcome, run_here, run_job, write_job
from imgtool.plugin_kit.samples import batch_of, disguised, sample_rows, units
from imgtool.runtime.context import Runtime
from imgtool.runtime.device import usable_cores
from imgtool.stages import Scope

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imgtool.fields import Field
    from imgtool.plugin_kit.processes import Processes
    from imgtool.registry import Registry
    from imgtool.spec_cache import Plugin
    from imgtool.specs import Spec

# Batches that take less are killed as they begin.
SHORT_S = 0.05
# Enough to see whether a stage keeps the rules.
SMALLEST = {"steps": 2}
# What a stage needs and its author cannot bring along.
NOT_HERE = (EndpointDown, ModelUnusable, NeedsConsent)


class Broken(Exception):
    """A rule is broken: the reason, and what its author can do."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


class NotApplicable(Exception):
    """A rule says nothing about this stage; why."""


class NotHere(Exception):
    """A rule cannot be tried on this machine: the reason, and what would do."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


@dataclass
class Trial:
    """A stage of a plugin with the parameters and rows it is tried on.

    Attributes
    ----------
    given : parameters that the user set.
    folder : a private folder for everything that the trial writes.
    processes : where it runs what must not share a process with it.
    """

    spec: Spec
    plugin: Plugin
    registry: Registry
    given: Mapping[str, object]
    folder: Path
    processes: Processes
    _opened: dict[bool, Any] = field(default_factory=dict)
    _journals: int = 0

    @cached_property
    def stage_class(self) -> Any:
        """The class itself."""
        return self.registry.resolve("stage", self.spec.owned)

    @cached_property
    def params(self) -> dict[str, object]:
        """Parameters that are given: by the user, by the stage, or the smallest there are.

        Raises
        ------
        Broken : one that is required has no value, or a value is refused.
        """
        small = {name: value for name, value in SMALLEST.items() if self.spec.param(name)}
        params = {**small, **self.stage_class.check_params, **self.models, **self.given}
        missing = [p.name for p in self.spec.params if p.required and p.name not in params]
        if missing:
            raise Broken(
                f"{missing[0]!r} has no default to try it with",
                f"set check_params on the class, or --set {self.spec.id}.{missing[0]}=VALUE",
            )
        try:
            validate(params_type(self.stage_class), params)
        except BadParams as err:
            raise Broken(f"its own parameters are refused: {err.message}", err.hint) from err
        return params

    @cached_property
    def models(self) -> dict[str, object]:
        """Parameters that name weights which the stage made for this; none where the user did."""
        folder = self.folder / "models"
        folder.mkdir()
        made = dict(self.stage_class.check_models(folder))
        return {} if made.keys() & self.given.keys() else made

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The sample rows."""
        samples = self.folder / "samples"
        samples.mkdir()
        return sample_rows(self.spec, self.stage_class, samples)

    @cached_property
    def batch(self) -> Batch:
        """The sample rows as one batch."""
        return batch_of(self.rows)

    @cached_property
    def units(self) -> list[Batch]:
        """The sample rows in the smallest batches that the stage may be given."""
        return units(self.spec, self.batch)

    @cached_property
    def result(self) -> Batch:
        """What comes of all sample rows at once."""
        return self.process(self.batch)

    @cached_property
    def exact(self) -> Batch:
        """What comes of all sample rows at once with `--deterministic`."""
        return self.process(self.batch, deterministic=True)

    @cached_property
    def produced(self) -> tuple[Field, ...]:
        """What it produces; `score.*` as the scores that it gave, if any."""
        return tuple(item for field in self.spec.produces for item in self._given_as(field))

    @property
    def names(self) -> list[str]:
        """Names of the fields to compare."""
        return [field.name for field in self.produced]

    def _given_as(self, field: Field) -> list[Field]:
        if not field.name.endswith(".*"):
            return [field]
        given = [name for name in self.result.columns if is_named(name, [field])]
        return [replace(field, name=name) for name in given] or [field]

    def process(self, batch: Batch, deterministic: bool = False) -> Batch:
        """What the stage makes of `batch`, which it is given as a copy.

        Raises
        ------
        Broken : it cannot be opened, raises, fails a row, or gives no batch.
        NotHere : it needs a model or a service that is not at hand.
        """
        return self._process(self._open(deterministic), copied(batch))

    def process_itself(self, batch: Batch) -> Batch:
        """The same as `process`, on `batch` itself: whatever the stage does to it can be seen."""
        return self._process(self._open(False), batch)

    def once_more(self, **params: object) -> Batch:
        """What the stage, opened afresh with some parameters changed, makes of the sample rows."""
        stage = self.fresh(params)
        try:
            return self._process(stage, copied(self.batch))
        finally:
            stage.close()

    def fresh(self, changed: Mapping[str, object], deterministic: bool = False) -> Any:
        """The stage opened once more, with some parameters changed. Close it.

        Raises
        ------
        ImgtoolError : it refuses its parameters or cannot be opened.
        """
        values: Any = validate(params_type(self.stage_class), {**self.params, **changed})
        stage = self.stage_class()
        stage.runtime = Runtime(
            dtype="float32",
            deterministic=deterministic,
            threads=usable_cores(),
            registry=self.registry,
        ).for_stage()
        stage.params = values
        stage.open(values, stage.runtime)
        return stage

    def _open(self, deterministic: bool) -> Any:
        if deterministic not in self._opened:
            try:
                self._opened[deterministic] = self.fresh({}, deterministic)
            except ImgtoolError as err:
                if isinstance(err, NOT_HERE) and not self.models:
                    raise NotHere(err.message, MODELS_HINT) from err
                raise Broken(f"cannot be opened: {err.message}", err.hint) from err
            except Broken:
                raise
            except (Exception, SystemExit) as err:
                raise Broken(f"open raises {first_line(err)}") from err
        return self._opened[deterministic]

    def _process(self, stage: Any, batch: Batch) -> Batch:
        self._journals += 1
        stage.runtime.journal = self.folder / "journals" / str(self._journals)
        try:
            made = stage.process(batch)
        except (Exception, SystemExit) as err:
            raise Broken(f"process raises {first_line(err)} on sample rows", SAMPLES_HINT) from err
        if not isinstance(made, Batch):
            raise Broken(f"process gives {type(made).__name__}, not a Batch", "return the batch")
        for row_id, failure in made.failures.items():
            raise Broken(f"sample row {row_id!r} fails: {failure.reason}", SAMPLES_HINT)
        return made

    def in_parts(self, deterministic: bool) -> Batch:
        """What comes of the sample rows, each of the smallest batches alone."""
        return concatenate([self.process(part, deterministic) for part in self.units])

    def among_others(self, deterministic: bool) -> Batch:
        """What comes of the first two of the smallest batches, in other company and order."""
        first, second, *rest = self.units
        mates = [disguised(part, f"mate{i}-") for i, part in enumerate(rest or [first])]
        parts = [mates[0], second, *mates[1:], first]
        whole = self.process(concatenate(parts), deterministic)
        known = set(first.ids) | set(second.ids)
        return whole.keep([i for i, parent in enumerate(whole.parents) if parent in known])

    @cached_property
    def unbroken(self) -> Outcome:
        """What a run in this process left in `unbroken.zarr`.

        Raises
        ------
        Broken : it did not end well.
        """
        write_job(self.folder / "job", self._job())
        try:
            outcome = run_here(self.folder / "job", self.folder / "unbroken.zarr")
        except ImgtoolError as err:
            raise Broken(f"a run of it stops: {err.message}", err.hint) from err
        if outcome.failures:
            raise Broken(f"a row fails in a run: {outcome.failures[0]}", SAMPLES_HINT)
        return outcome

    @cached_property
    def killed(self) -> Path:
        """The store of a run in another process, killed inside the second of its batches.

        The first is committed.
        """
        seconds = sorted(self.unbroken.seconds)
        typical = seconds[len(seconds) // 2] if seconds else 0.0
        delays = (typical / 2, 0.0) if typical > SHORT_S else (0.0,)
        for number, delay in enumerate(delays):
            store = self.folder / f"killed{number}.zarr"
            status, _, _ = run_job(self.processes, self.folder / "job", store, delay)
            if status < 0:
                break
        return store

    def first_batches(self) -> tuple[Batch, Batch]:
        """The first batch as `unbroken` committed it, and as the process of `killed` did."""
        from imgtool.store import Store

        done = self.unbroken
        stores = [Store.open(path, "r") for path in (self.folder / "unbroken.zarr", self.killed)]
        here, elsewhere = (store.read(done.instance, done.batches[0], None) for store in stores)
        return here, elsewhere

    def _job(self) -> Job:
        files = (self.plugin.module,) if is_file(self.plugin.module) else ()
        size = len(self.units[0]) if self.spec.scope != Scope.RUN else (len(self.batch) + 1) // 2
        params = as_json(validate(params_type(self.stage_class), self.params))
        several = self.spec.scope != Scope.RUN and len(self.units) > 1
        return Job(files, self.spec.owned, params, size, 2 if several else 1, tuple(self.rows))

    def close(self) -> None:
        """Close what was opened."""
        for stage in self._opened.values():
            stage.close()


MODELS_HINT = "give its class check_models to try it on small ones, or name one with --set"
SAMPLES_HINT = "if sample rows do not suit it, give its class check_rows and check_params"


def copied(batch: Batch) -> Batch:
    """The same batch, sharing nothing that could be changed."""
    columns = {name: [copy.deepcopy(v) for v in values] for name, values in batch.columns.items()}
    return replace(batch, columns=columns)


def first_line(err: BaseException) -> str:
    """An error's class and the first line of its text."""
    lines = str(err).strip().splitlines()
    return f"{type(err).__name__}: {lines[0]}" if lines else type(err).__name__
