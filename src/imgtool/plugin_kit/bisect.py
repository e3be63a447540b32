"""Which plugin makes a command fail: the command is run with fewer and fewer of them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgtool.errors import InputMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


@dataclass(frozen=True)
class Ending:
    """How one run of the command ended.

    Attributes
    ----------
    status : exit status; negative for a signal, None when it was ended at the time limit.
    error : its line on stderr that says what was wrong, or an empty text.
    """

    status: int | None
    error: str = ""

    @property
    def works(self) -> bool:
        """Whether the command did what it should."""
        return self.status == 0


@dataclass(frozen=True)
class Verdict:
    """What a bisection found.

    Attributes
    ----------
    whole : how the command ends with every plugin.
    guilty : plugins at fault together; empty when it works, or none is at fault.
    cured : whether the command works when `guilty` are left out. If not, it needs them, and fails
        the same way with them alone.
    """

    whole: Ending
    guilty: tuple[str, ...] = ()
    cured: bool = False


def runner(
    command: Sequence[str], limit_s: float | None = None
) -> Callable[[Sequence[str]], Ending]:
    """Runs `command` with only the plugins it is given, its output kept from the terminal.

    Raises
    ------
    InputMissing : when it is run; there is no such program.
    """

    def run(only: Sequence[str]) -> Ending:
        environment = {**os.environ, "IMGTOOL_PLUGINS": ",".join(only) or "none"}
        try:
            done = subprocess.run(  # noqa: S603 - the user's own command
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                timeout=limit_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Ending(None, f"not done in {limit_s:g} s")
        except (FileNotFoundError, PermissionError):
            raise InputMissing(
                f"cannot run {command[0]!r}", "Write the whole command after --, program first"
            ) from None
        return Ending(done.returncode, error_line(done.stderr.decode(errors="replace")))

    return run


def error_line(text: str) -> str:
    """The line of stderr that says what was wrong: `error: …`, else the last one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if line.startswith("error:")]
    return (named or lines[-1:] or [""])[0]


def bisect(plugins: Sequence[str], run: Callable[[Sequence[str]], Ending]) -> Verdict:
    """The fewest plugins found that make a command fail.

    Parameters
    ----------
    plugins : names of the plugins in use.
    run : runs the command with only the plugins it is given.
    """
    whole = run(plugins)
    if whole.works:
        return Verdict(whole)

    def cures(left_out: Sequence[str]) -> bool:
        return run([name for name in plugins if name not in left_out]).works

    for part in _parts(plugins):
        if cures(part):
            return Verdict(whole, _smallest(part, cures), cured=True)

    def fails_alike(only: Sequence[str]) -> bool:
        return run(only) == whole

    if fails_alike(()):
        return Verdict(whole)
    return Verdict(whole, _smallest(plugins, fails_alike))


def _parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """Halves, quarters and so on down to single names: a half may hold a plugin that is needed."""
    size = len(names)
    while size > 1:
        size = (size + 1) // 2
        yield from (names[at : at + size] for at in range(0, len(names), size))
    if len(names) == 1:
        yield names


def _smallest(names: Sequence[str], holds: Callable[[Sequence[str]], bool]) -> tuple[str, ...]:
    """A subset for which `holds`, none of whose names can be spared. It holds for `names`."""
    while len(names) > 1:
        middle = (len(names) + 1) // 2
        half = next((half for half in (names[:middle], names[middle:]) if holds(half)), None)
        if half is None:
            break
        names = half
    kept = list(names)
    for name in names:
        fewer = [other for other in kept if other != name]
        if fewer and holds(fewer):
            kept = fewer
    return tuple(kept)
