"""Rules about what a stage says of itself: import, help, fields, parameters."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from imgtool.components import import_plugin, is_file
from imgtool.errors import ImgtoolError, Status
from imgtool.fields import KNOWN
from imgtool.plugin_kit.processes import HEAVY
from imgtool.plugin_kit.trial import Broken, NotApplicable, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from imgtool.plugin_kit.processes import Processes
    from imgtool.plugin_kit.trial import Trial
    from imgtool.specs import ParamSpec, Spec

ID = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)+")
WRONG_TYPE: dict[str, object] = {
    "int": "many", "float": "many", "bool": "perhaps", "record": "text", "str": 5,
}  # fmt: skip


def light_import(processes: Processes, module: str) -> str:
    """Importing a module loads nothing heavy.

    Parameters
    ----------
    processes : those that have not been asked for anything heavy.
    """
    done = processes.run(f"{__name__}:say_heavy", module)
    if done.status != 0:
        last = done.err.strip().splitlines()[-1:] or ["no reason given"]
        raise Broken(f"importing {module} fails: {last[0]}", "mend the import")
    loaded = done.out.splitlines()[-1].split()
    if loaded:
        raise Broken(
            f"importing {module} loads {', '.join(loaded)}",
            "import it inside the functions that use it, so that help stays fast",
        )
    return module


def say_heavy(arguments: Sequence[str]) -> int:
    """The process of `light_import`: prints what is heavy and loaded now."""
    import_plugin(arguments[0])
    sys.stdout.write(" ".join(name for name in HEAVY if name in sys.modules) + "\n")
    return 0


def helps(spec: Spec) -> str:
    """A stage or maker says in one line what it does, and every parameter what it sets."""
    if not spec.summary.strip():
        raise Broken("has no summary", "set summary on the class, one line")
    if "\n" in spec.summary.strip():
        raise Broken("summary has several lines", "keep it to one; the docstring has room")
    silent = [param.name for param in spec.params if not param.help.strip()]
    if silent:
        raise Broken(
            f"no help for {', '.join(silent)}",
            f'write {silent[0]}: Annotated[TYPE, Help("What it sets.")]',
        )
    return ""


def declares(trial: Trial) -> str:
    """The id is `family.method`, and known fields are declared as everyone knows them."""
    spec = trial.spec
    if not ID.fullmatch(spec.id):
        raise Broken(
            f"id {spec.id!r} is not family.method", "use small letters, digits, '-' and '_'"
        )
    for field in (*spec.consumes, *spec.produces):
        known = KNOWN.get(field.name)
        mine = (field.kind, field.dims, field.dtype)
        if known is not None and mine != (known.kind, known.dims, known.dtype):
            raise Broken(
                f"declares {field.name!r} otherwise than imgtool.api does",
                f"use imgtool.api.{field.name.upper()}, or another name",
            )
    return ""


def refuses_bad_params(trial: Trial) -> str:
    """A wrong value is one line and exit status 2, whoever finds it."""
    if not trial.spec.params:
        raise NotApplicable("has no parameters")
    tried, shown = 0, None
    for param in trial.spec.params:
        for value, is_wrong in _odd_values(param):
            tried += 1
            refused = _refuses(trial, param, value)
            if is_wrong and not refused:
                raise Broken(f"takes {param.name} = {value!r}", "check it in Params.__post_init__")
            if refused and shown is None and param.item_type in ("int", "float", "record"):
                shown = param, value
    if shown is not None:
        _check_command(trial, *shown)
    return f"{tried} odd values"


def _odd_values(param: ParamSpec) -> Iterator[tuple[object, bool]]:
    """Values, and whether the declaration says that they are wrong."""

    def value_of(item: object) -> object:
        return [item] if param.is_list else item

    yield value_of(WRONG_TYPE[param.item_type]), True
    if param.item_type in ("int", "float"):
        yield value_of(-1 if param.low is None else param.low - 1), param.low is not None
        if param.high is not None:
            yield value_of(param.high + 1), True
    if param.item_type == "str":
        yield value_of("no-such((value"), param.closed


def _refuses(trial: Trial, param: ParamSpec, value: object) -> bool:
    what = f"{param.name} = {value!r}"
    try:
        stage = trial.fresh({param.name: value})
    except ImgtoolError as err:
        if err.status is not Status.USAGE or "\n" in err.message:
            raise Broken(
                f"{what} is refused with status {int(err.status)}: {err.message}",
                "raise BadParams, a single line",
            ) from err
        return True
    except Broken:
        raise
    except (Exception, SystemExit) as err:
        raise Broken(
            f"{what} ends in {first_line(err)}",
            "raise ValueError in Params.__post_init__, or BadParams in open",
        ) from err
    stage.close()
    return False


def _check_command(trial: Trial, param: ParamSpec, value: object) -> None:
    """The same refusal as a user meets it."""
    text = value[0] if isinstance(value, list) else value
    command = ["--plugin", trial.plugin.module] if is_file(trial.plugin.module) else []
    command += [trial.spec.owned, f"--{param.name.replace('_', '-')}={text}", "--", "a cube"]
    done = trial.processes.run("imgtool.cli.main:main", *command)
    lines = done.err.splitlines()
    if done.status != Status.USAGE or len(lines) > 2 or not lines[0].startswith("error: "):
        raise Broken(
            f"{param.name} = {value!r} ends a command with status {done.status} and "
            f"{len(lines)} lines",
            "raise BadParams, a single line",
        )
