"""The engine over small real stages: planning, failures, memory, scopes, branches."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pytest

from imgtool import fields
from imgtool.batch import derive_seed
from imgtool.components import Component
from imgtool.declared import spec_of
from imgtool.engine import events
from imgtool.engine.digests import execution_marks
from imgtool.engine.facade import execute
from imgtool.engine.plan import resolve_instances
from imgtool.engine.request import OnError, RunRequest, Schedule
from imgtool.engine.retry import Retry
from imgtool.errors import (
    BadPipeline,
    BadRowId,
    InputEmpty,
    MissingField,
    OutOfMemory,
    RowError,
    StageFailed,
)
from imgtool.pipeline import StageUse
from imgtool.runtime.context import Runtime
from imgtool.runtime.device import DTYPES
from imgtool.specs import ParamSpec, Spec
from imgtool.stages import Bounds, Help, Stage

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool.batch import Batch


@dataclass(frozen=True)
class NoiseParams:
    n: Annotated[int, Help("Children."), Bounds(1)] = 1
    model: str = "m"


class Noise(Stage[NoiseParams]):
    id = "generate.noise"
    consumes = (fields.PROMPT,)
    produces = (fields.LATENTS,)

    def process(self, batch: Batch) -> Batch:
        many = batch.repeat(self.params.n)
        return many.with_columns(
            latents=[np.full((4, 2, 2), r.random("x").random(), np.float32) for r in many]
        )


@dataclass(frozen=True)
class DecodeParams:
    model: str = "other"


class Decode(Stage[DecodeParams]):
    id = "decode.flat"
    consumes = (fields.LATENTS,)
    produces = (fields.IMAGE,)
    default_of_family = True

    def process(self, batch: Batch) -> Batch:
        grey = [int(a.mean() * 255) for a in batch.arrays("latents")]
        return batch.with_columns(image=[np.full((8, 8, 3), g, np.uint8) for g in grey])


@dataclass(frozen=True)
class NoParams:
    pass


class Bright(Stage[NoParams]):
    id = "score.bright"
    consumes = (fields.IMAGE,)
    produces = (fields.score("bright"),)

    def process(self, batch: Batch) -> Batch:
        return batch.with_columns(score__bright=[float(a.mean()) for a in batch.arrays("image")])


class Top(Stage[NoParams]):
    id = "select.three"
    scope = "run"
    consumes = (fields.score("bright"),)

    def process(self, batch: Batch) -> Batch:
        values = batch.numbers("score.bright")
        return batch.keep(sorted(sorted(range(len(batch)), key=lambda i: -values[i])[:3]))


class Flaky(Stage[NoParams]):
    """Fails on prompts that say so; `broken` is what is wrong with the world at the moment."""

    id = "check.flaky"
    consumes = (fields.PROMPT,)
    broken = True

    def process(self, batch: Batch) -> Batch:
        if self.broken and any("bad" in text for text in batch.texts("prompt")):
            raise ZeroDivisionError("bad prompt")
        return batch


class Judge(Stage[NoParams]):
    """Looks at all rows, notes that in its journal, and fails those that are bad."""

    id = "check.judge"
    scope = "run"
    consumes = (fields.PROMPT,)

    def process(self, batch: Batch) -> Batch:
        self.runtime.journal.mkdir(parents=True, exist_ok=True)
        bad = [row.id for row in batch if "bad" in str(row["prompt"])]
        if bad:
            raise RowError(bad[0], "it is bad")
        return batch


class Every(Stage[NoParams]):
    id = "select.every"
    scope = "run"
    consumes = (fields.PROMPT,)

    def process(self, batch: Batch) -> Batch:
        return batch


class Last(Stage[NoParams]):
    """Keeps the one row whose prompt ends with the last letter."""

    id = "select.last"
    scope = "run"
    consumes = (fields.PROMPT,)

    def process(self, batch: Batch) -> Batch:
        ends = [text[-1] for text in batch.texts("prompt")]
        return batch.keep([ends.index(max(ends))])


class Greedy(Stage[NoParams]):
    id = "check.greedy"
    consumes = (fields.PROMPT,)
    room = 3
    sizes: list[int] = []  # noqa: RUF012 - filled by the test that reads it

    def process(self, batch: Batch) -> Batch:
        if len(batch) > self.room:
            raise MemoryError
        self.sizes.append(len(batch))
        return batch


class Waiting(Stage[NoParams]):
    """Computes only when the stage after it has loaded its weights."""

    id = "check.waiting"
    consumes = (fields.PROMPT,)
    next_is_open = threading.Event()

    def process(self, batch: Batch) -> Batch:
        assert self.next_is_open.wait(30)
        return batch


class Ready(Stage[NoParams]):
    id = "check.ready"
    consumes = (fields.PROMPT,)

    def open(self, params: NoParams, runtime: Runtime) -> None:
        Waiting.next_is_open.set()

    def process(self, batch: Batch) -> Batch:
        return batch


STAGES: tuple[type[Stage[Any]], ...] = (
    Noise,
    Decode,
    Bright,
    Top,
    Every,
    Last,
    Flaky,
    Judge,
    Greedy,
    Waiting,
    Ready,
)


class SmallRegistry:
    """The stages of this file, without plugins."""

    def components(self, kind: str) -> list[Component]:
        return [Component("stage", cls.id, "here:it") for cls in STAGES] if kind == "stage" else []

    def specs(self, kind: str) -> list[Spec]:
        return [self.spec(kind, c.name) for c in self.components(kind)]

    def spec(self, kind: str, name: str) -> Spec:
        cls = self.resolve(kind, name)
        return spec_of(Component(kind, cls.id, "here:it"), cls)

    def resolve(self, kind: str, name: str) -> type[Stage[Any]]:
        return next(
            c for c in STAGES if c.id == name or (c.id.startswith(name) and c.default_of_family)
        )

    def notify(self, event: str, **arguments: object) -> None:
        pass


def rows(*prompts: str) -> list[dict[str, Any]]:
    return [{"id": str(i), "prompt": p, "seed": derive_seed(0, i)} for i, p in enumerate(prompts)]


def run(store: Path, uses: list[StageUse], given: list[dict[str, Any]], **more: Any) -> Any:
    seen: list[events.Event] = []
    request = RunRequest(tuple(uses), given, store, **more)
    result = execute(request, SmallRegistry(), [seen.append])  # type: ignore[arg-type]
    return result, seen


def labels(seen: list[events.Event], kind: type) -> list[str]:
    return [e.label for e in seen if isinstance(e, kind)]  # type: ignore[attr-defined]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "s.zarr"


SEARCH = [
    StageUse("generate.noise", params={"n": 4}),
    StageUse("score.bright"),
    StageUse("select.three"),
]


@pytest.mark.parametrize("schedule", list(Schedule))
def test_barrier_sees_every_row_and_batches_keep_their_numbers(
    store: Path, schedule: Schedule
) -> None:
    result, _ = run(store, SEARCH, rows(*"abcdefghij"), schedule=schedule)
    found = list(result.rows())
    every = [row for batch in result.read("score.bright") for row in batch]
    best = sorted(every, key=lambda row: -row["score.bright"])[:3]
    assert sorted(row.id for row in found) == sorted(row.id for row in best)
    assert [name[:6] for name in result.batches["select.three"]] == ["000000", "000001", "000002"]


def test_decode_is_inserted_with_the_model_that_made_the_latents(store: Path) -> None:
    uses = [StageUse("generate.noise", params={"model": "mine"}), StageUse("score.bright")]
    result, _ = run(store, uses, rows("a"))
    inserted = [i for i in result.instances if i.inserted]
    assert [(i.spec.id, i.params["model"]) for i in inserted] == [("decode.flat", "mine")]


def test_stages_after_a_barrier_find_arrays_made_before_it(store: Path) -> None:
    result, _ = run(store, SEARCH, rows(*"abcdef"))
    for row in result.rows(("image", "latents")):
        assert row["image"].shape == (8, 8, 3)
        assert row["latents"].shape == (4, 2, 2)


def test_bad_row_fails_alone_and_is_tried_again_on_request(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uses = [StageUse("check.flaky"), StageUse("generate.noise")]
    result, _ = run(store, uses, rows("a", "bad", "c"))
    assert {k: v.reason for k, v in result.failures.items()} == {
        "1": "ZeroDivisionError: bad prompt"
    }
    assert [row.id for row in result.rows()] == ["0", "2"]
    again, seen = run(store, uses, rows("a", "bad", "c"))
    assert set(again.failures) == {"1"}
    assert not labels(seen, events.StageOpened)
    monkeypatch.setattr(Flaky, "broken", False)
    mended, _ = run(store, uses, rows("a", "bad", "c"), retry_failed=True)
    assert not mended.failures
    assert [row.id for row in mended.rows()] == ["0", "1", "2"]


MENDED = [StageUse("check.flaky"), StageUse("select.every"), StageUse("generate.noise")]


def mend(store: Path, patch: pytest.MonkeyPatch, **more: Any) -> Any:
    """Try the failed rows of three again, in a world that is no longer broken."""
    patch.setattr(Flaky, "broken", False)
    return run(store, MENDED, rows("a", "bad", "c"), batch=1, retry_failed=True, **more)


@pytest.mark.parametrize("schedule", [Schedule.STREAM, Schedule.STAGE])
def test_failed_rows_are_tried_again_whatever_the_last_run_of_that_name_was(
    store: Path, monkeypatch: pytest.MonkeyPatch, schedule: Schedule
) -> None:
    run(store, MENDED, rows("a", "bad", "c"), batch=1)
    run(store, MENDED, rows("something", "else"), batch=1)
    mended, seen = mend(store, monkeypatch, schedule=schedule)
    assert not mended.failures
    assert [row.id for row in mended.rows()] == ["0", "1", "2"]
    again = [e.name[:6] for e in seen if isinstance(e, events.BatchStarted)]
    assert sorted(again) == ["000000", "000001", "000001"]  # the barrier, and the row in two stages


def test_parts_of_a_barrier_that_a_row_changes_are_made_again(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uses = [StageUse("check.flaky"), StageUse("select.last"), StageUse("check.greedy")]
    given = rows("c", "a", "bad, but last: z")
    first, _ = run(store, uses, given, batch=1)
    assert [row.id for row in first.rows()] == ["0"]
    monkeypatch.setattr(Flaky, "broken", False)
    mended, _ = run(store, uses, given, batch=1, retry_failed=True)
    assert [row.id for row in mended.rows()] == ["2"]
    plain, seen = run(store, uses, given, batch=1)
    assert [row.id for row in plain.rows()] == ["2"]
    assert not labels(seen, events.StageOpened)


def test_what_another_pipeline_made_of_a_mended_batch_is_made_again(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = [StageUse("check.flaky"), StageUse("check.greedy")]
    run(store, other, rows("a", "bad", "c"), batch=1)
    mend(store, monkeypatch)
    result, seen = run(store, other, rows("a", "bad", "c"), batch=1)
    assert [row.id for row in result.rows()] == ["0", "1", "2"]
    assert [e.name[:6] for e in seen if isinstance(e, events.BatchStarted)] == ["000001"]


def test_rows_that_fail_again_are_tried_once_a_run(store: Path) -> None:
    given = rows("a", "bad", "c")
    for count in (3, 1, 1):
        result, seen = run(store, [StageUse("check.flaky")], given, batch=1, retry_failed=True)
        assert set(result.failures) == {"1"}
        assert len(labels(seen, events.BatchStarted)) == count


def test_a_row_that_failed_alone_is_tried_again_alone(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(store, MENDED, rows("a", "bad", "c"), batch=1, row="1")
    mended, _ = mend(store, monkeypatch, row="1")
    assert [row.id for row in mended.rows()] == ["1"]


def test_a_batch_that_failed_again_in_another_process_is_not_tried_again(store: Path) -> None:
    result, _ = run(store, [StageUse("check.flaky")], rows("a", "bad"))
    key, name = result.instances[0].key, result.batches["check.flaky"][0]
    later = Retry(result.store)
    assert later.is_due(key, name, set())
    os.utime(store / key / name / "zarr.json", (time.time() + 60,) * 2)
    assert not later.is_due(key, name, set())


def test_failed_row_passes_or_stops_when_told_to(store: Path, tmp_path: Path) -> None:
    uses = [StageUse("check.flaky")]
    passed, _ = run(store, uses, rows("a", "bad"), on_error=OnError.PASS)
    assert sorted(row.id for row in passed.rows()) == ["0", "1"]
    assert set(passed.failures) == {"1"}
    with pytest.raises(StageFailed, match="row 1: ZeroDivisionError"):
        run(tmp_path / "other.zarr", uses, rows("a", "bad"), on_error=OnError.STOP)


def test_what_a_failed_row_does_is_never_that_of_an_earlier_run(store: Path) -> None:
    uses, given = [StageUse("check.flaky")], rows("a", "bad")
    for on_error, ids in ((OnError.SKIP, ["0"]), (OnError.PASS, ["0", "1"]), (OnError.SKIP, ["0"])):
        result, _ = run(store, uses, given, on_error=on_error)
        assert ([row.id for row in result.rows()], set(result.failures)) == (ids, {"1"})
    with pytest.raises(StageFailed, match="row 1: ZeroDivisionError"):
        run(store, uses, given, on_error=OnError.STOP)


def test_a_barrier_tells_of_failed_rows_and_drops_its_journal(store: Path) -> None:
    _, seen = run(store, [StageUse("check.judge")], rows("a", "bad", "c"), batch=1)
    assert [e.row_id for e in seen if isinstance(e, events.RowFailed)] == ["1"]
    done = [e for e in seen if isinstance(e, events.BatchDone) and e.label == "check.judge"]
    assert [(e.rows, e.failed, e.cached) for e in done] == [(1, 0, 0), (0, 1, 0), (1, 0, 0)]
    assert not [p for p in store.with_name("s.zarr.d").glob("journals/*/*")]


def test_any_number_of_rows_may_fail_in_one_batch(store: Path) -> None:
    many = rows(*["bad"] * 1200, "good")
    result, _ = run(store, [StageUse("check.judge")], many, batch=len(many))
    assert ([row.id for row in result.rows()], len(result.failures)) == (["1200"], 1200)


def test_a_failed_row_of_a_barrier_stops_the_run_when_told_to(store: Path) -> None:
    with pytest.raises(StageFailed, match="row 1: it is bad"):
        run(store, [StageUse("check.judge")], rows("a", "bad"), on_error=OnError.STOP)


def test_short_memory_halves_what_is_computed_at_once(store: Path) -> None:
    Greedy.sizes.clear()
    result, _ = run(store, [StageUse("check.greedy")], rows(*"abcdefgh"))
    assert [row.id for row in result.rows()] == [str(i) for i in range(8)]
    assert max(Greedy.sizes) == 2


def test_row_that_does_not_fit_alone_stops_the_run(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Greedy, "room", 0)
    with pytest.raises(OutOfMemory, match="row 0 alone"):
        run(store, [StageUse("check.greedy")], rows("a", "b"))


def test_missing_field_names_the_stages_that_could_give_it(store: Path) -> None:
    with pytest.raises(MissingField) as caught:
        run(store, [StageUse("score.bright")], rows("a"))
    assert "'image'" in caught.value.message
    assert "decode.flat" in caught.value.hint


def test_branches_start_from_the_labelled_stage(store: Path) -> None:
    uses = [
        StageUse("generate.noise", label="draw", named=True),
        StageUse("score.bright", label="first", named=True),
        StageUse("score.bright", label="second", named=True, upstream="draw"),
    ]
    result, _ = run(store, uses, rows("a"))
    assert [i.upstream for i in result.instances] == [None, 0, 1, 0, 3]


def test_branch_from_nowhere_is_refused(store: Path) -> None:
    with pytest.raises(BadPipeline, match="names no earlier stage"):
        run(store, [StageUse("generate.noise", upstream="x")], rows("a"))


def test_no_rows_and_repeated_ids_are_refused(store: Path) -> None:
    with pytest.raises(InputEmpty):
        run(store, [StageUse("generate.noise")], [])
    with pytest.raises(BadRowId, match="comes twice"):
        run(store, [StageUse("generate.noise")], [*rows("a"), *rows("b")])


def test_stages_work_at_the_same_time(store: Path) -> None:
    _, seen = run(store, SEARCH[:2], rows(*(str(i) for i in range(40))), batch=2)
    last_of_first = max(
        e.at for e in seen if isinstance(e, events.BatchDone) and e.label == "generate.noise"
    )
    first_of_last = min(
        e.at for e in seen if isinstance(e, events.BatchStarted) and e.label == "score.bright"
    )
    assert first_of_last < last_of_first


def test_a_stage_loads_while_those_before_it_compute(store: Path) -> None:
    _, seen = run(store, [StageUse("check.waiting"), StageUse("check.ready")], rows(*"ab"))
    assert [e.failed for e in seen if isinstance(e, events.BatchDone)] == [0, 0, 0]


def test_one_row_is_computed_alone_with_the_same_result(store: Path, tmp_path: Path) -> None:
    whole, _ = run(store, SEARCH[:2], rows(*"abc"))
    wanted = {row.id: row["score.bright"] for row in whole.rows()}
    alone, _ = run(tmp_path / "alone.zarr", SEARCH[:2], rows(*"abc"), row="1.2")
    assert [(row.id, row["score.bright"]) for row in alone.rows()] == [("1.2", wanted["1.2"])]


def test_a_row_in_the_middle_brings_all_that_is_made_of_it(store: Path) -> None:
    twice = [StageUse("generate.noise", label=name, params={"n": 2}) for name in ("one", "two")]
    result, _ = run(store, twice, rows("a", "b"), row="1.0")
    assert [row.id for row in result.rows()] == ["1.0.0", "1.0.1"]


def test_a_row_computed_alone_is_never_taken_for_its_whole_batch(store: Path) -> None:
    drawn = [StageUse("generate.noise", params={"n": 3})]
    for row, ids in (("0.1", ["0.1"]), (None, ["0.0", "0.1", "0.2"]), ("0.2", ["0.2"])):
        result, _ = run(store, drawn, rows("a"), row=row)
        assert [found.id for found in result.rows()] == ids


def test_plugins_are_told_of_the_end_of_a_run_that_was_stopped(store: Path) -> None:
    told: list[Any] = []

    class Listening(SmallRegistry):
        def notify(self, event: str, **arguments: object) -> None:
            told.append((event, arguments.get("run")))

    request = RunRequest((StageUse("check.flaky"),), rows("bad"), store, on_error=OnError.STOP)
    with pytest.raises(StageFailed):
        execute(request, Listening())  # type: ignore[arg-type]
    assert told[-1] == ("imgtool_run_finished", events.RunFinished("run", 3, 1))


def test_a_text_may_begin_like_the_name_of_a_made_model(store: Path) -> None:
    result, _ = run(store, [StageUse("generate.noise", params={"model": "@home"})], rows("a"))
    assert result.instances[0].params["model"] == "@home"


def test_no_name_in_a_store_depends_on_where_made_models_are_kept() -> None:
    uses = [StageUse("generate.noise", params={"model": "@slim"}), StageUse("score.bright")]
    keys = set()
    for folder in ("/here/slim", "/there/slim"):
        registry: Any = SmallRegistry()
        runtime = Runtime(registry=registry)
        made = {"slim": (folder, "slim-1")}
        found = resolve_instances(uses, ["prompt"], "source", registry, runtime, made)
        assert found[1].inserted
        assert found[1].params["model"] == folder
        keys.add(tuple(instance.key for instance in found))
    assert len(keys) == 1


def test_a_precision_that_is_asked_for_is_never_that_of_another_device() -> None:
    model = ParamSpec("model", "str", "m", model_task="toy")
    spec = Spec("stage", "draw.toy", 1, "", "row", (), (), (model,), "toy", "toy:Draw")
    marks = {str(execution_marks(spec, Runtime(dtype=name))) for name in DTYPES}
    assert len(marks) == len(DTYPES)
