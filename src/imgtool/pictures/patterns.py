"""Where results go: `out/{id}-{seed}.png`, `x.jpg[Q=90]`, `d.png[field=depth]`, a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.errors import OutputUnwritable, UsageError, near

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".npy": "NPY", ".pfm": "PFM",
}  # fmt: skip
OPTIONS = {
    "PNG": {"compression": (0, 9)},
    "JPEG": {"Q": (1, 100), "subsampling": (0, 2), "progressive": (0, 1)},
    "WEBP": {"Q": (1, 100), "lossless": (0, 1), "method": (0, 6)},
}
WHICH = "field"
FIELD = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.-]*?)(?::(\.?\d+[a-z]?|0?\d*d))?\}")
SLUG = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Pattern:
    """A parsed output pattern.

    Attributes
    ----------
    template : path with `{field}` or `{field:.40}` (the first 40 letters) in it.
    format : Pillow's name of the file format, `NPY`, `PFM`, or the name of an exporter.
    options : writer options, all whole numbers.
    which : the field to write; empty: whatever the command's end is.
    """

    template: str
    format: str
    options: Mapping[str, int] = field(default_factory=dict)
    which: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that the template uses."""
        return tuple(match[1] for match in FIELD.finditer(self.template))

    def check(self, names: Collection[str]) -> None:
        """Check that rows with `names` fill the template.

        Raises
        ------
        UsageError : they have no such field.
        """
        for name in self.fields:
            if name not in names:
                raise UsageError(
                    f"the output pattern names {name!r}, which rows do not have",
                    f"{near(name, names)}Fields: {', '.join(sorted(names))}",
                )

    def path(self, values: Mapping[str, object]) -> Path:
        """The file of a row with these values (`id` among them).

        Raises
        ------
        UsageError : the row has no such field, or its value cannot be written in that form.
        """

        self.check(values)

        def fill(match: re.Match[str]) -> str:
            try:
                return _slug(values[match[1]], match[2])
            except ValueError:
                raise UsageError(
                    f"the output pattern's {match[0]!r} is no form for {values[match[1]]!r}",
                    f"Write {{{match[1]}:.3f}} for three decimals",
                ) from None

        return Path(FIELD.sub(fill, self.template))


def _slug(value: object, form: str | None) -> str:
    """A value as part of one file name: no separators, never a hidden or parent folder."""
    if isinstance(value, int) and form is not None and form.endswith("d"):
        return format(value, form)
    if isinstance(value, float):
        return f"{value:{form}}" if form else f"{value:.4g}"
    text = str(value)
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", text):
        text = SLUG.sub("-", text).strip("-") or "row"
    limit = int(form.lstrip(".")) if form and form.lstrip(".").isdigit() else 120
    return text[:limit].strip("-.") or "row"


def parse_pattern(text: str, exporters: Collection[str] = ()) -> Pattern:
    """The pattern that `-o` was given; a folder means `{id}.png` in it.

    `exporters` are the suffixes, without their dot, that plugins write.

    Raises
    ------
    UsageError : another format, an unknown writer option or a bad value.
    """
    body, _, tail = text.partition("[")
    given = tail.removesuffix("]") if tail else ""
    if tail and not tail.endswith("]"):
        raise UsageError(f"output {text!r}: '[' without ']'", "Write x.jpg[Q=90]")
    if body.endswith("/") or Path(body).is_dir() or not Path(body).suffix:
        body = f"{body.rstrip('/') or '.'}/{{id}}.png"
    suffix = Path(body).suffix.lower()
    kinds = {**FORMATS, **{f".{name}": name for name in exporters}}
    if suffix not in kinds:
        raise UsageError(f"output {text!r}: cannot write {suffix!r}", f"Known: {' '.join(kinds)}")
    kind = kinds[suffix]
    pieces = (piece.strip().partition("=") for piece in given.split(",") if piece.strip())
    parts = {name: value for name, _, value in pieces}
    which = parts.pop(WHICH, "")
    return Pattern(body, kind, _options(text, kind, parts), which)


def _options(text: str, kind: str, given: Mapping[str, str]) -> dict[str, int]:
    options: dict[str, int] = {}
    known = OPTIONS.get(kind, {})
    for name, value in given.items():
        if name not in known:
            raise UsageError(
                f"output {text!r}: {kind} has no option {name!r}",
                f"{near(name, known)}Options: {', '.join([*known, WHICH])}",
            )
        low, high = known[name]
        number = {"": 1, "true": 1, "false": 0}.get(value, value)
        if not str(number).isdigit() or not low <= int(number) <= high:
            raise UsageError(f"output {text!r}: {name} takes a whole number from {low} to {high}")
        options[name] = int(number)
    return options


def check_target(pattern: Pattern) -> None:
    """Raises OutputUnwritable where no file could be made, before any work is done."""
    import os

    folder = Path(FIELD.split(pattern.template, maxsplit=1)[0] or ".")
    folder = folder if pattern.template.startswith(str(folder) + "/") else folder.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OutputUnwritable(
            f"cannot write into {str(folder)!r}", "Choose a folder that you may write"
        )


def check_distinct(pattern: Pattern, paths: Collection[Path], path: Path) -> None:
    """Raises UsageError where `path` was already given to another row."""
    if path in paths:
        raise UsageError(
            f"two rows would both be written to {str(path)!r}", "Put {id} into the output pattern"
        )
