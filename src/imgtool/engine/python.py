"""What Python users get: `imgtool.run(…)` and `imgtool.stage(…)`, over the same engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, overload

from imgtool.errors import MissingField, UnknownComponent, near

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from PIL.Image import Image

    from imgtool.batch import Batch, Row, Value
    from imgtool.engine.events import Observer
    from imgtool.engine.result import RunResult
    from imgtool.pipeline import Pipeline
    from imgtool.registry import Registry
    from imgtool.runtime.context import Runtime
    from imgtool.stages import Stage


@dataclass(frozen=True)
class RunRow:
    """One row of a finished run; fields are attributes or items, arrays are read when asked."""

    id: str
    _read: Any
    _index: int

    def __getitem__(self, name: str) -> Any:
        return self._read(name)[name][self._index]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except MissingField as err:
            raise AttributeError(err.message) from err

    @property
    def image(self) -> Image:
        """The picture.

        Raises
        ------
        MissingField : the stage gives none; end the pipeline with `decode`.
        """
        from PIL import Image

        return Image.fromarray(self["image"])


class StageRows(Sequence[RunRow]):
    """Rows of one stage of a finished run. A field as an attribute is one value a row, in order.

    Scalars are in memory; arrays are read batch by batch when asked.
    """

    def __init__(self, result: RunResult, label: str) -> None:
        self._result, self._label = result, label
        self._key = result.instance_name(label)

    @cached_property
    def _batches(self) -> list[tuple[str, Batch]]:
        names = self._result.batches[self._label]
        return [(name, self._result.store.read(self._key, name)) for name in names]

    def __len__(self) -> int:
        return sum(len(batch) for _, batch in self._batches)

    @overload
    def __getitem__(self, index: int) -> RunRow: ...
    @overload
    def __getitem__(self, index: slice) -> list[RunRow]: ...
    def __getitem__(self, index: int | slice) -> RunRow | list[RunRow]:
        return self._rows[index]

    @cached_property
    def _rows(self) -> list[RunRow]:
        return [
            RunRow(row_id, self._reader(name, batch), index)
            for name, batch in self._batches
            for index, row_id in enumerate(batch.ids)
        ]

    def _reader(self, name: str, batch: Batch) -> Any:
        def read(field: str) -> Batch:
            return batch if field in batch else self._result.store.read(self._key, name, (field,))

        return read

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.values(name)

    def values(self, name: str) -> Iterator[Any]:
        """The field `name` of every row, one batch in memory at a time.

        Raises
        ------
        MissingField : rows have no such field.
        """
        for batch_name, batch in self._batches:
            yield from self._reader(batch_name, batch)(name)[name]


class Run:
    """A finished run: `run.rows` at its end, `run["label"]` at any stage, `run.failures`."""

    def __init__(self, result: RunResult) -> None:
        self.result = result
        self.failures = dict(result.failures)

    @cached_property
    def rows(self) -> StageRows:
        """Rows of the last stage."""
        return StageRows(self.result, self.result.last)

    def __getitem__(self, label: str) -> StageRows:
        if label not in self.result.batches:
            known = list(self.result.batches)
            raise UnknownComponent(
                f"the run has no stage {label!r}", f"{near(label, known)}Stages: {', '.join(known)}"
            )
        return StageRows(self.result, label)


def run(
    pipeline: str | Pipeline,
    prompts: Iterable[str] = (),
    *,
    rows: Iterable[Mapping[str, Value]] = (),
    overrides: Mapping[str, object] | None = None,
    store: str | Path | None = None,
    seed: int | None = None,
    registry: Registry | None = None,
    observers: Iterable[Observer] = (),
    **settings: Any,
) -> Run:
    """Run a pipeline over prompts or rows, as `imgtool run` does.

    Parameters
    ----------
    pipeline : `FILE.toml:NAME`, a name in `pipelines.toml`, or one that is resolved already.
    prompts : several, or one text.
    rows : mappings of fields, beside or instead of `prompts`; `id` and `seed` are derived.
    overrides : `{"generate.steps": 20}`.
    store : where results are kept; None: the cache's.
    seed : of rows that bring none; None: the pipeline's, or 0.
    registry : the components to use; None: those of this environment.
    observers : called with every event of the run.
    settings : fields of `imgtool.engine.request.RunRequest`, such as `device` or `deterministic`;
        what is not given is as the pipeline's own table says.

    Raises
    ------
    ImgtoolError : as the command would report it.
    """
    from imgtool.engine.facade import execute
    from imgtool.engine.request import RunRequest
    from imgtool.inputs import finished_rows
    from imgtool.pipeline import load_pipeline, settings_name
    from imgtool.registry import Registry
    from imgtool.unnamed import in_use, unnamed_store

    registry = registry or Registry.load()
    loaded = pipeline
    if isinstance(loaded, str):
        loaded = load_pipeline(loaded, registry, dict(overrides or {}))
    given: list[dict[str, Any]] = [
        *({"prompt": prompt} for prompt in ([prompts] if isinstance(prompts, str) else prompts)),
        *(dict(row) for row in rows),
    ]
    own: dict[str, Any] = {k: v for k, v in loaded.defaults.items() if k != "model"}
    own_seed = own.pop("seed", 0)
    request = RunRequest(
        stages=loaded.stages,
        makers=loaded.makers,
        rows=finished_rows(given, own_seed if seed is None else seed),
        store=Path(store) if store is not None else unnamed_store(),
        name="-".join(filter(None, (loaded.name, settings_name(overrides or {})))),
    )
    with in_use(request.store):
        return Run(execute(replace(request, **{**own, **settings}), registry, observers))


class StageCall:
    """A stage opened once and called on fields: `blur(image=picture, depth=depth)`."""

    def __init__(self, opened: Stage[Any], runtime: Runtime) -> None:
        self._stage, self._runtime = opened, runtime

    def __call__(self, *, seed: int = 0, **values: Any) -> Row | list[Row]:
        """One row in: its row out, or its children.

        Raises
        ------
        RowError : the stage could not do it.
        """
        import numpy as np

        from imgtool.batch import Batch

        columns = {
            name: [np.asarray(value) if hasattr(value, "getbands") else value]
            for name, value in values.items()
        }
        # Notes of one call, as of one batch of a run, are none of the next.
        with TemporaryDirectory(prefix="imgtool-") as journal:
            self._stage.runtime.journal = Path(journal)
            made = list(self._stage.process(Batch(("0",), {"seed": [seed], **columns})))
        return made[0] if len(made) == 1 else made

    def close(self) -> None:
        """Free the stage's models."""
        self._stage.close()

    def __enter__(self) -> StageCall:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stage(name: str, *, device: str = "auto", dtype: str = "auto", **params: object) -> StageCall:
    """One stage by name, opened, as a function of fields.

    Raises
    ------
    UnknownComponent, BadParams, ModelUnusable : as the names say.
    """
    from imgtool.registry import Registry
    from imgtool.runtime.context import Runtime

    runtime = Runtime(device=device, dtype=dtype, registry=Registry.load())
    return StageCall(runtime.stage(name, **params), runtime)
