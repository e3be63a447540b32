"""Which files an output was made of, in the words of make: what `--deps FILE` writes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgtool.errors import UsageError
from imgtool.store.atomic import explained, make_folder, sync_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

# A backslash takes the meaning of these away, where they have one: `%` makes a target a pattern,
# `|` splits prerequisites. Backslashes before them must then be doubled.
IN_TARGETS = re.compile(r"(\\*)([ \t#:%])")
IN_PREREQUISITES = re.compile(r"(\\*)([ \t#:|])")
# `a=b: c` would set a variable, `a&: b` would group targets; an expansion is neither.
EXPANDED = re.compile(r"[=&]")
# What make has no way to say: line ends, a command's beginning, members of an archive.
UNSAYABLE = re.compile(r"[\r\n;\0]|[\\ \t]$|\(.*\)$", re.DOTALL)


@dataclass
class DepsFile:
    """The dependency file of one command: away while it works, there when all went well.

    A killed command thus never leaves a picture beside an older or missing word on what it was
    made of without the latter being seen.

    Attributes
    ----------
    made_of : output to the files that it was made of.
    whole : whether all that was added went well.
    """

    path: Path
    made_of: dict[str, tuple[str, ...]] = field(default_factory=dict)
    whole: bool = True

    def withdraw(self, files: Iterable[Path]) -> None:
        """Take the file away before anything is written.

        Raises
        ------
        UsageError : it is one of `files`, which are read.
        OutputUnwritable : it cannot be written.
        """
        if self.path in files:
            raise UsageError(
                f"--deps would overwrite {str(self.path)!r}, which is read", "Name another file"
            )
        with explained(self.path):
            make_folder(self.path.parent)
            if self.path.is_file() or self.path.is_dir():  # a device or pipe stays
                self.path.resolve().unlink()
                sync_folder(self.path.parent)

    def add(self, outputs: Iterable[Path], files: Iterable[Path], *, whole: bool) -> None:
        """Write what is known by now, unless something went wrong.

        Raises
        ------
        UsageError : make has no way to write one of the names.
        StorageFull, OutputUnwritable : as the names say.
        """
        self.whole = self.whole and whole
        names = tuple(dict.fromkeys(map(str, files)))
        self.made_of.update((str(output), names) for output in outputs)
        if self.whole:
            write_file(self.path, rules(self.made_of).encode())


def escaped(name: str, special: re.Pattern[str]) -> str:
    """A file's name as make reads it in a rule; `special` says on which side of the colon.

    Raises
    ------
    UsageError : make has no way to write such a name.
    """
    if UNSAYABLE.search(name):
        raise UsageError(
            f"a makefile cannot name the file {name!r}",
            "Rename it: no ';', no line's end, no space or backslash last, no '(…)' last",
        )
    quoted = special.sub(lambda found: f"{found[1] * 2}\\{found[2]}", name.replace("$", "$$"))
    return EXPANDED.sub(lambda found: f"$(or {found[0]})", quoted)


def rules(made_of: Mapping[str, Sequence[str]]) -> str:
    """A dependency file: a rule for every output, then an empty one for every prerequisite.

    The empty rules let make go on where a prerequisite was removed or renamed: what depended on
    it is made again.

    Parameters
    ----------
    made_of : output to the files that it was made of.

    Raises
    ------
    UsageError : make has no way to write one of the names.
    """
    lines = [_rule(output, files) for output, files in made_of.items()]
    known = dict.fromkeys(file for files in made_of.values() for file in files)
    lines += ["\n" + _rule(file, ()) for file in known if file not in made_of]
    return "".join(f"{line}\n" for line in lines)


def _rule(target: str, files: Iterable[str]) -> str:
    words = [escaped(target, IN_TARGETS) + ":"]
    return " ".join(words + [escaped(file, IN_PREREQUISITES) for file in files])
