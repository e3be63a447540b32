"""`search.bestofn` as a stage: what it opens, keeps in its journal, stores, and reports."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from imgtool.api import Batch, Failure, ImgtoolError, Runtime
from imgtool.engine.facade import execute
from imgtool.engine.request import RunRequest
from imgtool.pipeline import StageUse
from imgtool.registry import Registry
from imgtool.report.collect import collect
from imgtool.report.pictures import Album
from imgtool_search.notes import packed, unpacked
from imgtool_search.stage import BestOfN, BestOfNParams

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgtool.engine.result import RunResult

EASEL = Path(__file__).with_name("easel.py")
ROWS = [
    {"id": str(at), "prompt": "x", "source_prompt": "x", "seed": 10 * at + 1} for at in range(3)
]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The installed components and those of the easel, found once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGTOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("IMGTOOL_PLUGINS", "imgtool-search,imgtool-tabletop")
        loaded = Registry.load([str(EASEL)])
        loaded.specs("stage")
        return loaded


@pytest.fixture
def searched(registry: Registry, tmp_path: Path) -> Callable[..., RunResult]:
    """Runs the stage over three rows in one store."""

    def run(**params: Any) -> RunResult:
        given = {"draw": "paint.easel", "judge": "score.light", "n": 8, **params}
        use = StageUse(use="search.bestofn", label="search", params=given)
        request = RunRequest(stages=(use,), rows=ROWS, store=tmp_path / "s.zarr", name="r")
        return execute(request, registry)

    return run


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Lines that the easel has written since it was last asked."""
    file = tmp_path / "easel.log"
    monkeypatch.setenv("IMGTOOL_EASEL_LOG", str(file))

    def read() -> list[str]:
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    return read


def test_the_best_candidate_of_each_row_is_stored_with_its_picture(
    searched: Callable[..., RunResult],
) -> None:
    rows = list(searched(n=8).rows(arrays=("image",)))
    best = [
        max(range(10 * at + 1, 10 * at + 9), key=lambda seed: seed * 37 % 251) for at in range(3)
    ]
    assert [row.seed for row in rows] == best
    assert [row.id for row in rows] == [f"{at}.{seed % 10 - 1}" for at, seed in enumerate(best)]
    assert [int(row["image"][0, 0, 0]) for row in rows] == [seed * 37 % 251 for seed in best]  # type: ignore[index,call-overload]


def test_a_report_shows_the_candidates_as_a_table(searched: Callable[..., RunResult]) -> None:
    result = searched(n=3)
    found = collect(result.store, ["r"], Album(64), lambda use: None)
    (line,) = found.groups[0].lines
    (cell,) = line.cells.values()
    table = cell.facts["search"]["candidates"]  # type: ignore[index,call-overload]
    assert [entry["candidate"] for entry in table] == ["0.0", "0.1", "0.2"]
    assert [entry["kept"] for entry in table].count(True) == 1
    assert all({"seed", "steps", "score.light"} <= entry.keys() for entry in table)
    assert cell.picture is not None
    assert line.fates[0].state == "kept"


def test_a_killed_search_draws_only_what_it_had_not_drawn(
    registry: Registry, tmp_path: Path, log: Callable[[], list[str]]
) -> None:
    def opened() -> BestOfN:
        runtime = Runtime(registry=registry).for_stage()
        runtime.journal = tmp_path / "journal"
        stage = BestOfN()
        stage.open(BestOfNParams(draw="paint.easel", judge="score.light", n=8), runtime)
        return stage

    batch = Batch(("0", "1", "2"), {"prompt": ["x"] * 3, "seed": [1, 11, 21]})
    stage = opened()
    judge, parts = stage.studio._judge.process, iter(range(1))

    def killed(rows: Batch) -> Batch:
        if next(parts, None) is None:
            raise KeyboardInterrupt
        return judge(rows)

    stage.studio._judge.process = killed  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        stage.process(batch)
    assert sum(line.startswith("paint") for line in log()) == 24

    again = opened().process(batch)
    assert [line for line in log() if line.startswith("paint")] == [
        f"paint-9 2.{child}" for child in range(8)
    ]
    untouched = BestOfN()
    untouched.open(opened().params, Runtime(registry=registry).for_stage())
    assert packed(again) == packed(untouched.process(batch))


def test_a_search_again_does_nothing_and_another_judge_does_all(
    searched: Callable[..., RunResult], log: Callable[[], list[str]]
) -> None:
    keys = [searched().instances[0].key]
    assert len(log()) == 48
    for params, lines in (
        ({"judge": "score.light:dark=no"}, 48),  # another text, the same judge
        ({}, 0),
        ({"judge": "score.light:dark=yes"}, 48),
        ({"draw": "paint.easel:steps=4"}, 48),
    ):
        keys.append(searched(**params).instances[0].key)
        assert len(log()) == lines
    assert keys[0] == keys[2]
    assert len({keys[0], *keys[3:]}) == 3


def test_a_condition_ends_the_search(
    searched: Callable[..., RunResult], log: Callable[[], list[str]]
) -> None:
    searched(until="score.light > 0.4", wave=2)
    drawn = [line.split()[1] for line in log() if line.startswith("paint")]
    # two rows a batch, since each becomes eight
    assert drawn[:6] == ["0.0", "0.1", "1.0", "1.1", "0.2", "0.3"]
    assert drawn[6:] == ["2.0", "2.1", "2.2", "2.3"]


def test_failed_candidates_are_left_out(searched: Callable[..., RunResult]) -> None:
    result = searched(draw="paint.easel:fails=5")
    assert not result.failures
    (row, *_) = result.rows()
    failed = [e for e in row["search"]["candidates"] if "failed" in e]  # type: ignore[index,call-overload]
    assert [e["candidate"] for e in failed] == ["0.4"]
    assert failed[0]["failed"] == "that seed will not do"


def test_a_row_without_candidates_fails(searched: Callable[..., RunResult]) -> None:
    result = searched(draw="paint.easel:fails=1", n=2)
    assert sorted(result.failures) == ["0", "1", "2"]
    assert list(result.rows()) == []


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"judge": "paint.easel"}, "no score of its own"),
        ({"judge": "score.light:darkness=1"}, "unknown parameter 'darkness'"),
        ({"draw": "paint.easel:model=x"}, "'x'"),
        ({"draw": "paint.easel:model=tabletop"}, "'model' is given twice"),
        ({"preview": 5, "rounds": 2, "steps": 10}, "a preview of 10 steps is no shorter"),
        ({"by": "score.dark"}, "no field 'score.dark'"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    searched: Callable[..., RunResult], params: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ImgtoolError, match=reason):
        searched(**params)


def test_a_note_gives_back_what_was_noted() -> None:
    images = [np.arange(12, dtype=np.uint8).reshape(2, 2, 3), None]
    columns = {"image": images, "score.a": [0.1, None], "a/b": [{"x": [1]}, "é"]}
    batch = Batch(("0.1", "1"), columns, ("0", "1"), {"2": Failure("s", "c", "r")}, 7)
    again = unpacked(packed(batch))
    assert np.array_equal(again["image"][0], images[0])  # type: ignore[arg-type]
    assert again["image"][1] is None
    assert [again["score.a"], again["a/b"]] == [[0.1, None], [{"x": [1]}, "é"]]
    assert (again.ids, again.parents, again.number) == (batch.ids, batch.parents, 7)
    assert again.failures == batch.failures
