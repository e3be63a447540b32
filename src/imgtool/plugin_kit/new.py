"""A complete installable plugin from the files in `template/`."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from imgtool import __version__
from imgtool.errors import OutputUnwritable, UsageError
from imgtool.store.atomic import committed_folder, write_synced

TEMPLATE = Path(__file__).parent / "template"
PREFIX = "imgtool-"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
LONGEST = 40
FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "src/{package}/__init__.py": "init.py",
    "src/{package}/plugin.py": "plugin.py",
    "src/{package}/stage.py": "stage.py",
    "tests/test_stage.py": "test_stage.py",
}


def names_of(name: str) -> dict[str, str]:
    """What the template's marks stand for, for a plugin `name` (`sepia` or `imgtool-sepia`).

    Raises
    ------
    UsageError : it cannot name a distribution, a package and a class.
    """
    short = name.removeprefix(PREFIX)
    title = "".join(part.capitalize() for part in short.split("-"))
    if not NAME.fullmatch(short) or len(short) > LONGEST or keyword.iskeyword(title):
        raise UsageError(
            f"{name!r} cannot name a plugin",
            "Use small letters, digits and single hyphens, a letter first, such as film-look",
        )
    major, minor = (int(part) for part in __version__.split(".")[:2])
    return {
        "name": short,
        "dist": f"{PREFIX}{short}",
        "package": f"{PREFIX}{short}".replace("-", "_"),
        "class": title,
        "id": f"filter.{short}",
        "summary": "Tone pictures in sepia.",
        "low": f"{major}.{minor}",
        "high": f"{major}.{minor + 1}",
    }


def filled(template: str, names: dict[str, str]) -> str:
    """One file of the template with its marks filled in."""
    text = (TEMPLATE / f"{template}.tmpl").read_text(encoding="utf-8")
    for mark, value in names.items():
        text = text.replace("{{" + mark + "}}", value)
    return text


def write_package(name: str, folder: Path | None = None) -> Path:
    """Write the plugin `name` into `folder`, `imgtool-NAME` if None; the folder.

    All of it is there, or nothing.

    Raises
    ------
    UsageError : the name is not usable.
    OutputUnwritable : the folder is there already, or cannot be made.
    """
    names = names_of(name)
    target = folder or Path(names["dist"])
    if target.exists():
        raise OutputUnwritable(f"{str(target)!r} is there already", "Give another folder with -o")
    with committed_folder(target) as private:
        for path, template in FILES.items():
            file = private / path.format(**names)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_synced(file, filled(template, names).encode())
    return target
