"""Rules about what results depend on: seeds, neighbours, kills."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.plugin_kit.compare import difference
from imgtool.plugin_kit.killed import run_job
from imgtool.plugin_kit.trial import Broken, NotApplicable
from imgtool.stages import Scope

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool.plugin_kit.trial import Trial


def repeats(trial: Trial) -> str:
    """Same seed, same result: here once more, opened afresh, and in another process."""
    twice = trial.once_more()
    hint = "draw from row.random(salt) or row.generator(salt) alone; keep nothing between batches"
    how = difference(trial.result, twice, trial.names, exact=False)
    if how:
        raise Broken(f"the same rows give another result the second time: {how}", hint)
    if trial.spec.scope == Scope.RUN:
        return ""
    how = difference(*trial.first_batches(), trial.names, exact=False)
    if how:
        raise Broken(f"the same rows give another result in another process: {how}", hint)
    return ""


def batch_equals_singles(trial: Trial) -> str:
    """A batch gives what its rows give alone, to the tolerance of `compare`."""
    return _batch_equals_singles(trial, deterministic=False)


def exactly(trial: Trial) -> str:
    """With `--deterministic`, a batch gives the very bytes that its rows give alone."""
    return _batch_equals_singles(trial, deterministic=True)


def _batch_equals_singles(trial: Trial, deterministic: bool) -> str:
    _needs_parts(trial)
    whole = trial.exact if deterministic else trial.result
    parts = trial.in_parts(deterministic)
    how = difference(whole, parts, trial.names, exact=deterministic)
    if not how:
        return "bytes equal" if deterministic else "to 0.001 of the range, 2 levels of pictures"
    alone = "a family alone" if trial.spec.scope == Scope.SIBLINGS else "a row alone"
    if deterministic:
        raise Broken(
            f"with --deterministic, {alone} gives other bytes than in a batch: {how}",
            "compute rows runtime.rows_at_once(n) at a time",
        )
    raise Broken(
        f"{alone} gives another result than in a batch: {how}",
        "let a row depend on its own seed, params and inputs alone",
    )


def ignores_mates(trial: Trial) -> str:
    """The result of a row does not depend on the rows beside it, nor on its place."""
    _needs_parts(trial)
    for deterministic in (False, True):
        whole = trial.exact if deterministic else trial.result
        among = trial.among_others(deterministic)
        how = difference(among, whole, trial.names, exact=deterministic)
        if how:
            raise Broken(
                f"the result depends on the rows beside it: {how}",
                "let a row depend on its own seed, params and inputs alone",
            )
    return ""


def _needs_parts(trial: Trial) -> None:
    if trial.spec.scope == Scope.RUN:
        raise NotApplicable("its scope is the whole run")
    if len(trial.units) < 2:
        raise Broken("sample rows are one batch", "let check_rows give three rows or more")


def survives_kill(trial: Trial) -> str:
    """A run killed inside a batch and started again ends with the bytes of an unbroken one."""
    from imgtool.store import Store

    whole, store = trial.folder / "unbroken.zarr", trial.killed
    status, outcome, error = run_job(trial.processes, trial.folder / "job", store)
    hint = "what outlives a kill is runtime.journal: write notes there whole, and keep no state"
    if outcome is None:
        raise Broken(f"after a kill, the run ends with {status}: {error}", hint)
    if outcome.failures:
        raise Broken(f"after a kill, a row fails: {outcome.failures[0]}", hint)
    Store.open(store, "a").tidy()
    for file in sorted({*_files(whole), *_files(store)}):
        ends = [root / file for root in (whole, store)]
        if not all(end.exists() for end in ends) or ends[0].read_bytes() != ends[1].read_bytes():
            raise Broken(f"after a kill, the run ends with other bytes in {file}", hint)
    return ""


def _files(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
