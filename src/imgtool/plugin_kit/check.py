"""Every rule over every stage of a plugin, one finding a rule, as they are found."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.plugin_kit import declaration, results, sameness
from imgtool.plugin_kit.trial import Broken, NotApplicable, Trial, first_line

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


@dataclass(frozen=True)
class Finding:
    """One line of a check.

    Attributes
    ----------
    subject : the plugin, or the id of one of its components.
    check : name of the rule.
    reason : why it failed or does not apply; a note where it is kept.
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
) -> Iterator[Finding]:
    """Findings about a plugin, then about each of `stages`.

    Parameters
    ----------
    given : stage id to parameters that the user set.
    """
    problems = [problem for problem in registry.problems if problem.dist == plugin.dist]
    for problem in problems:
        yield Finding(
            problem.name or plugin.dist, "loads", State.FAILED, problem.reason, "mend the module"
        )
    if any(not problem.name for problem in problems):
        return
    modules = [plugin.module, *(spec.where.rpartition(":")[0] for spec in stages)]
    for module in dict.fromkeys(modules):
        yield _finding(plugin.dist, "import", partial(declaration.light_import, module))
    makers = [spec for spec in registry.specs("maker") if spec.dist == plugin.dist]
    for spec in makers:
        yield _finding(spec.id, "help", partial(declaration.helps, spec))
    for spec in stages:
        yield from check_stage(spec, plugin, registry, given.get(spec.id, {}))


def check_stage(
    spec: Spec, plugin: Plugin, registry: Registry, given: Mapping[str, object]
) -> Iterator[Finding]:
    """Findings about one stage. What needs results does not apply where it gives none."""
    with tempfile.TemporaryDirectory(prefix="imgtool-check-") as folder:
        trial = Trial(spec, plugin, registry, given, Path(folder))
        try:
            ran = _finding(spec.id, "runs", partial(results.runs, trial))
            for name, rule in ON_DECLARATION.items():
                yield _finding(spec.id, name, partial(rule, trial))
            yield ran
            for name, rule in ON_RESULTS.items():
                if ran.state is State.OK:
                    yield _finding(spec.id, name, partial(rule, trial))
                else:
                    yield Finding(spec.id, name, State.NOT_APPLICABLE, "it does not run")
        finally:
            trial.close()


def _finding(subject: str, check: str, rule: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, check, State.OK, rule())
    except NotApplicable as err:
        return Finding(subject, check, State.NOT_APPLICABLE, str(err))
    except Broken as err:
        return Finding(subject, check, State.FAILED, err.reason, err.hint)
    except Exception as err:  # noqa: BLE001 - the border to a plugin's code
        return Finding(subject, check, State.FAILED, f"it raises {first_line(err)}", "mend it")
