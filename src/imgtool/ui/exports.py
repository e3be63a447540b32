"""Pictures and maps of a run's rows to files, as their batches commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.errors import OutputUnwritable, UsageError
from imgtool.pictures.metadata import Level
from imgtool.pictures.patterns import check_distinct, check_target, parse_pattern
from imgtool.pictures.photo import FIELDS, carried
from imgtool.store.atomic import remove_leftovers
from imgtool.stream import plain
from imgtool.ui.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np

    from imgtool.batch import Batch, Row
    from imgtool.components import Component
    from imgtool.pictures.patterns import Pattern
    from imgtool.recipe import Lineage
    from imgtool.stream import Header

MAPS = ("NPY", "PFM")
"""Formats that hold numbers of any field."""


def check_pattern(text: str, exporters: Iterable[str] = (), which: str = "image") -> None:
    """Refuse an output pattern that nothing can be written to, before any work is done.

    `which` is the field that a pattern without `[field=NAME]` means.

    Raises
    ------
    UsageError, OutputUnwritable : as the names say.
    """
    pattern = parse_pattern(text, tuple(exporters))
    which = pattern.which or which
    if which != "image" and pattern.format in ("JPEG", "WEBP"):
        raise UsageError(f"output {text!r}: {pattern.format} does not hold {which}", "Write .png")
    check_target(pattern)


@dataclass
class PictureOutlet:
    """Writes a field of every row where a pattern says; a file that is right gets a new time.

    Attributes
    ----------
    output : the pattern, as given to `-o`.
    metadata : how much the files say: `none`, `public` or `full`.
    which : the field to write where the pattern names none.
    exporters : components of kind `exporter`, by the suffix that they write. Each is a function of
        a row's values that returns the bytes of a file; its `fields` are the arrays it needs.

    Raises
    ------
    UsageError, OutputUnwritable : nothing can be written to `output`.
    """

    output: str
    metadata: str = "full"
    which: str = "image"
    exporters: Mapping[str, Component] = field(default_factory=dict)
    paths: dict[Path, str] = field(default_factory=dict)
    without: int = 0
    _pattern: Pattern = field(init=False)
    _lineage: Lineage | None = None
    _tidied: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        check_pattern(self.output, self.exporters, self.which)
        self._pattern = parse_pattern(self.output, self.exporters)
        self.which = self._pattern.which or self.which

    @property
    def wanted(self) -> tuple[str, ...]:
        """What the files are made of."""
        return (*self._needed, *FIELDS)

    @property
    def _needed(self) -> tuple[str, ...]:
        exporter = self.exporters.get(self._pattern.format)
        return tuple(exporter.meta["fields"].split()) if exporter else (self.which,)

    def start(self, header: Header) -> None:
        """Open the store for recipes.

        Raises
        ------
        UsageError : the pattern names a field that no row will have.
        """
        from imgtool.fields import is_among
        from imgtool.recipe import SETTINGS, Lineage
        from imgtool.store import Store

        scores = {name for name in self._pattern.fields if is_among(name, header.fields)}
        self._pattern.check({*header.fields, *SETTINGS, *scores, "id", "sampler", "version"})

        self._lineage = Lineage(Store.open(Path(header.store), "r"))

    def batch(self, instance: str, name: str, batch: Batch) -> None:
        """Write the pictures of a batch.

        Raises
        ------
        UsageError : two rows would go to one file, or the pattern names no field.
        StorageFull, OutputUnwritable : as the names say.
        """
        from imgtool.pictures.writer import write_unless_equal

        assert self._lineage is not None
        settings = self._lineage.settings(instance)
        for row in batch:
            if any(row.values.get(name) is None for name in self._needed):
                self.without += 1
                continue
            scalars = {k: v for k, v in row.values.items() if not hasattr(v, "dtype")}
            values = {"id": row.id, **settings, **scalars}
            path = self._pattern.path(values)
            check_distinct(self._pattern, self.paths, path)
            data = self._encoded(row, values, self._lineage.recipe(instance, name, row.id))
            self._tidy(path.parent)
            write_unless_equal(path, data)
            self.paths[path] = row.id

    def _encoded(
        self, row: Row, values: Mapping[str, object], recipe: Mapping[str, object]
    ) -> bytes:
        """Bytes of the file of a row, whose scalars and settings are `values`."""
        from imgtool.pictures.maps import encode_map
        from imgtool.pictures.writer import encode

        kind = self._pattern.format
        if kind in self.exporters:
            return _by_plugin(self.exporters[kind], {**values, **row.values})
        array: np.ndarray = row.values[self.which]  # type: ignore[assignment]  # a field of arrays
        if self.which != "image" or kind in MAPS:
            return encode_map(array, self.which, kind, values, **self._pattern.options)
        sized = {**values, "width": array.shape[1], "height": array.shape[0]}
        # What pictures carry is strict JSON, which other programs read.
        said = plain(sized), plain(recipe)
        kept = carried(row.values)
        return encode(array, self._pattern, Level(self.metadata), *said, kept)  # type: ignore[arg-type]  # both are mappings

    def _tidy(self, folder: Path) -> None:
        if folder not in self._tidied:
            self._tidied.add(folder)
            remove_leftovers(folder)

    def end(self) -> None:
        """Every picture is on disk.

        Raises
        ------
        UsageError : rows came, and none had a picture.
        """
        if self.without and not self.paths:
            raise UsageError(
                f"the rows have no {self._nouns[1]} to write",
                f"End with a stage that gives {' and '.join(self._needed)}, or leave -o out",
            )

    def summary(self) -> str:
        """One line that says where the pictures are."""
        if not self.paths:
            return ""
        none = f"; {counted(self.without, 'row')} without {self._nouns[0]}" if self.without else ""
        if len(self.paths) == 1:
            return f"wrote {next(iter(self.paths))}{none}"
        folders = {path.parent for path in self.paths}
        where = next(iter(folders)) if len(folders) == 1 else f"{len(folders)} folders"
        return f"wrote {len(self.paths)} {self._nouns[1]} to {where}{none}"

    @property
    def _nouns(self) -> tuple[str, str]:
        """What one file is made of, and what many files are."""
        one = " and ".join(self._needed)
        return ("a picture", "pictures") if one == "image" else (one, f"files of {one}")


def _by_plugin(exporter: Component, values: Mapping[str, object]) -> bytes:
    from imgtool.components import load

    try:
        made: bytes = load(exporter.where)(values)
    except ValueError as err:
        raise OutputUnwritable(f"cannot write row {values['id']}: {err}") from err
    return made


def written(outlets: Iterable[object]) -> list[Path]:
    """The files that `outlets` have written, or found right."""
    files: list[Path] = []
    for outlet in outlets:
        if isinstance(outlet, PictureOutlet):
            files += outlet.paths
        elif isinstance(outlet, SheetOutlet) and outlet.images:
            files.append(outlet.path)
    return files


@dataclass
class SheetOutlet:
    """Collects small copies of a run's pictures into one contact sheet, under their prompts."""

    path: Path
    most: int = 64
    wanted: tuple[str, ...] = ("image",)
    images: list[np.ndarray] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)

    def start(self, header: Header) -> None:
        """Nothing to do."""

    def batch(self, instance: str, name: str, batch: Batch) -> None:
        """Keep the first pictures."""
        for row in batch:
            image = row.values.get("image")
            if image is not None and len(self.images) < self.most:
                self.images.append(image)  # type: ignore[arg-type]  # an array
                self.labels.append(str(row.values.get("prompt") or ""))

    def end(self) -> None:
        """Write the sheet.

        Raises
        ------
        StorageFull, OutputUnwritable : as the names say.
        """
        import io

        from imgtool.pictures.writer import contact_sheet, write_unless_equal

        if self.images:
            out = io.BytesIO()
            kind = parse_pattern(str(self.path)).format
            contact_sheet(self.images, self.labels).save(out, kind)
            write_unless_equal(self.path, out.getvalue())
