"""Every rule over every stage of a plugin, one finding a rule, as they are found."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.components import is_file
from imgtool.plugin_kit import declaration, results, sameness
from imgtool.plugin_kit.processes import Processes
from imgtool.plugin_kit.trial import Broken, NotApplicable, NotHere, Trial, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from imgtool.registry import Registry
    from imgtool.spec_cache import Plugin
    from imgtool.specs import Spec

Rule = Callable[[Trial], str]

ON_DECLARATION: dict[str, Rule] = {
    "declares": declaration.declares,
    "help": lambda trial: declaration.helps(trial.spec),
    "params": declaration.refuses_bad_params,
}
ON_RESULTS: dict[str, Rule] = {
    "fields": results.gives_declared_fields,
    "lineage": results.keeps_lineage,
    "inputs": results.leaves_inputs,
    "scores": results.scores_are_numbers,
    "seed": sameness.repeats,
    "batch": sameness.batch_equals_singles,
    "exact": sameness.exactly,
    "mates": sameness.ignores_mates,
    "resume": sameness.survives_kill,
}


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Finding:
    """One line of a check.

    Attributes
    ----------
    subject : the plugin, or the id of one of its components.
    check : name of the rule.
    reason : why it failed, does not apply or was not run; a note where it is kept.
    hint : what to do.
    """

    subject: str
    check: str
    state: State
    reason: str = ""
    hint: str = ""


def check_plugin(
    plugin: Plugin,
    registry: Registry,
    stages: Sequence[Spec],
    given: Mapping[str, Mapping[str, object]],
    processes: Processes,
) -> Iterator[Finding]:
    """Findings about a plugin, then about each of `stages`.

    Parameters
    ----------
    given : stage id to parameters that the user set.
    processes : where stages run what must not share a process with this check.
    """
    problems = [problem for problem in registry.problems if problem.dist == plugin.dist]
    for problem in problems:
        yield Finding(
            problem.name or plugin.dist, "loads", State.FAILED, problem.reason, _mend(plugin)
        )
    if any(not problem.name for problem in problems):
        return
    modules = [plugin.module, *(spec.where.rpartition(":")[0] for spec in stages)]
    with Processes(libraries=()) as light:
        for module in dict.fromkeys(modules):
            yield _finding(plugin.dist, "import", partial(declaration.light_import, light, module))
    makers = [spec for spec in registry.specs("maker") if spec.dist == plugin.dist]
    for spec in makers:
        yield _finding(spec.id, "help", partial(declaration.helps, spec))
    with tempfile.TemporaryDirectory(prefix="imgtool-check-") as folder:
        for spec in stages:
            place = Path(folder, spec.id)
            place.mkdir()
            params = given.get(spec.id, {})
            yield from check_stage(Trial(spec, plugin, registry, params, place, processes))


def check_stage(trial: Trial) -> Iterator[Finding]:
    """Findings about one stage. What needs results is not run where it gives none."""
    subject = trial.spec.id
    try:
        ran = _finding(subject, "runs", partial(results.runs, trial))
        for name, rule in ON_DECLARATION.items():
            yield _finding(subject, name, partial(rule, trial))
        yield ran
        for name, rule in ON_RESULTS.items():
            if ran.state is State.OK:
                yield _finding(subject, name, partial(rule, trial))
            else:
                yield Finding(subject, name, State.NOT_RUN, "needs what it makes of rows")
    finally:
        trial.close()


def summary(findings: Sequence[Finding]) -> str:
    """One line: what failed, and what could not be tried."""
    failed = sum(finding.state is State.FAILED for finding in findings)
    not_run = [finding.subject for finding in findings if finding.state is State.NOT_RUN]
    if not not_run:
        return f"{failed} failed" if failed else "every rule is kept"
    begin = f"{failed} failed," if failed else "no rule is broken, but"
    return f"{begin} {len(not_run)} were not run: {', '.join(dict.fromkeys(not_run))}"


def _mend(plugin: Plugin) -> str:
    if is_file(plugin.module):
        return "mend the file; of a package, install it and check it by its name"
    return "mend the module"


def _finding(subject: str, check: str, rule: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, check, State.OK, rule())
    except NotApplicable as err:
        return Finding(subject, check, State.NOT_APPLICABLE, str(err))
    except NotHere as err:
        return Finding(subject, check, State.NOT_RUN, err.reason, err.hint)
    except Broken as err:
        return Finding(subject, check, State.FAILED, err.reason, err.hint)
    except Exception as err:  # noqa: BLE001 - the border to a plugin's code
        return Finding(subject, check, State.FAILED, f"it raises {first_line(err)}", "mend it")
