"""Runs a suite through the engine: pictures of its prompts, judged, in a store."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imgtool.api import BadParams, StageFailed, current_registry, derive_seed, run_rows
from imgtool_score.record import fingerprint
from imgtool_score.suites.figures import figures_of, picture_score
from imgtool_score.suites.judge import judge_fields, outcomes_of
from imgtool_score.suites.results import Results

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from imgtool_score.suites.judge import JudgeFields
    from imgtool_score.suites.model import Item, Suite


@dataclass(frozen=True)
class Subject:
    """What draws the pictures: a pipeline, or a model through a plain `generate`.

    Attributes
    ----------
    overrides : `{"generate.steps": "30"}`, for its stages and the judge's.
    """

    pipeline: str = ""
    model: str = ""
    overrides: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.pipeline) == bool(self.model):
            raise BadParams("give either a pipeline or a model to run", "--pipeline P or --model M")

    @property
    def name(self) -> str:
        """The pipeline or model, and what was set."""
        said = ",".join(f"{key}={value}" for key, value in sorted(self.overrides.items()))
        return (self.pipeline or self.model) + (f" {said}" if said else "")

    @property
    def stages(self) -> list[tuple[str, dict[str, object]]]:
        """Stages to put after the pipeline's."""
        return [("generate", {"model": self.model})] if self.model else []


@dataclass(frozen=True)
class Places:
    """Where and how a run is done.

    Attributes
    ----------
    settings : fields of the engine's request, such as `device`.
    """

    store: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def rows_of(suite: Suite, seeds: int, seed: int) -> Iterator[dict[str, Any]]:
    """One row a prompt and seed; equal for every model, so that results pair up."""
    for draw in range(seeds):
        for item in suite.items:
            yield _row(item, draw, seed)


def _row(item: Item, draw: int, seed: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": f"{item.id}-{draw}",
        "prompt": item.prompt,
        "seed": derive_seed("bench", seed, item.id, draw),
        "item": item.id,
        "category": item.category,
    }
    return {**row, "questions": list(item.questions)} if item.questions else row


@dataclass(frozen=True)
class Judged:
    """A finished run of a suite: its results, and the engine's rows for whoever wants arrays."""

    results: Results
    run: Any


def run_suite(
    suite: Suite, subject: Subject, seeds: int, seed: int, places: Places, partial: bool = False
) -> Judged:
    """Draw and judge what is missing, and aggregate.

    Parameters
    ----------
    partial : aggregate what there is although some pictures failed.

    Raises
    ------
    StageFailed : pictures failed, and not `partial`.
    ImgtoolError : as the engine says.
    """
    spec = current_registry().spec("stage", suite.judge.stage)
    fields = judge_fields(spec)
    run = run_rows(
        rows_of(suite, seeds, seed),
        pipeline=subject.pipeline,
        then=[*subject.stages, (suite.judge.stage, suite.judge.params)],
        overrides=subject.overrides,
        store=places.store,
        seed=seed,
        name=f"bench-{suite.name}-{fingerprint(subject.name, suite.digest)[:8]}".replace("/", "-"),
        **places.settings,
    )
    rows, failures, mark = _collected(run, suite, fields)
    _require_whole(failures, len(rows), partial)
    results = Results(
        suite={
            "name": suite.name,
            "digest": suite.digest,
            "prompts": len(suite.items),
            "rule": {**vars(suite.rule), "kinds": list(suite.rule.kinds)},
        },
        subject={
            "name": subject.name,
            "stages": [
                {"use": instance.spec.id, "params": dict(instance.params)}
                for instance in run.result.instances
            ],
        },
        judge={"stage": spec.id, "params": dict(suite.judge.params), "fingerprint": mark},
        seeds=seeds,
        seed=seed,
        figures=[figure.as_json() for figure in figures_of(rows, suite.rule)],
        rows=rows,
        failures=failures,
    )
    return Judged(results, run)


def _collected(
    run: Any, suite: Suite, fields: JudgeFields
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    """Rows of a results file, failures, and the judge's fingerprint."""
    rows: list[dict[str, Any]] = []
    failures = [{"id": name, "reason": why.reason} for name, why in sorted(run.failures.items())]
    siblings: Counter[str] = Counter()
    mark = ""
    for row in run.rows:
        given = row.id.partition(".")[0]
        siblings[given] += 1
        outcomes, own_mark = outcomes_of(row, fields)
        mark = mark or own_mark
        if not outcomes:
            failures.append({"id": row.id, "reason": "the judge gave no answer"})
            continue
        facts = {name: row[name] for name in ("item", "category", "seed")}
        score = picture_score(outcomes, suite.rule)
        place = int(given.rpartition("-")[2]), siblings[given] - 1
        rows.append({"id": row.id, **facts, "draw": place, "score": score, "outcomes": outcomes})
    # By the seed that `_row` gave: a picture that failed leaves its place empty, and results pair.
    most = max(siblings.values(), default=1)
    for found in rows:
        seed, child = found["draw"]
        found["draw"] = seed * most + child
    return rows, failures, mark


def _require_whole(failures: list[dict[str, Any]], judged: int, partial: bool) -> None:
    if not failures or (partial and judged):
        return
    first = failures[0]
    raise StageFailed(
        f"{len(failures)} of {len(failures) + judged} pictures were not judged; "
        f"row {first['id']}: {first['reason']}",
        "--retry-failed tries them again; --partial makes figures of the rest",
    )
