"""Pictures of a run's rows to files, as their batches commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imgtool.errors import UsageError
from imgtool.pictures.metadata import Level
from imgtool.pictures.patterns import check_distinct, check_target, parse_pattern
from imgtool.pictures.photo import FIELDS, carried
from imgtool.store.atomic import remove_leftovers
from imgtool.stream import plain
from imgtool.ui.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from imgtool.batch import Batch
    from imgtool.pictures.patterns import Pattern
    from imgtool.recipe import Lineage
    from imgtool.stream import Header


def check_pattern(text: str) -> None:
    """Refuse an output pattern that nothing can be written to, before any work is done.

    Raises
    ------
    UsageError, OutputUnwritable : as the names say.
    """
    check_target(parse_pattern(text))


@dataclass
class PictureOutlet:
    """Writes every row's picture where a pattern says; one that is right gets a new time.

    Attributes
    ----------
    output : the pattern, as given to `-o`.
    metadata : how much the files say: `none`, `public` or `full`.
    """

    output: str
    metadata: str = "full"
    wanted: tuple[str, ...] = ("image", *FIELDS)
    paths: dict[Path, str] = field(default_factory=dict)
    without: int = 0
    _pattern: Pattern | None = None
    _lineage: Lineage | None = None
    _tidied: set[Path] = field(default_factory=set)

    def start(self, header: Header) -> None:
        """Open the store for recipes."""
        from imgtool.recipe import Lineage
        from imgtool.store import Store

        self._pattern = parse_pattern(self.output)
        self._lineage = Lineage(Store.open(Path(header.store), "r"))

    def batch(self, instance: str, name: str, batch: Batch) -> None:
        """Write the pictures of a batch.

        Raises
        ------
        UsageError : two rows would go to one file, or the pattern names no field.
        StorageFull, OutputUnwritable : as the names say.
        """
        from imgtool.pictures.writer import encode, write_unless_equal

        assert self._pattern is not None
        assert self._lineage is not None
        settings = self._lineage.settings(instance)
        for row in batch:
            image = row.values.get("image")
            if image is None:
                self.without += 1
                continue
            scalars = {k: v for k, v in row.values.items() if not hasattr(v, "dtype")}
            path = self._pattern.path({"id": row.id, **settings, **scalars})
            check_distinct(self._pattern, self.paths, path)
            values = {"id": row.id, **settings, **scalars}
            values |= {"width": image.shape[1], "height": image.shape[0]}  # type: ignore[union-attr]  # an array
            recipe = self._lineage.recipe(instance, name, row.id)
            # What pictures carry is strict JSON, which other programs read.
            said = (plain(values), plain(recipe))
            kept = carried(row.values)
            data = encode(image, self._pattern, Level(self.metadata), *said, kept)  # type: ignore[arg-type]
            self._tidy(path.parent)
            write_unless_equal(path, data)
            self.paths[path] = row.id

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
                "the rows have no pictures to write",
                "End with a stage that gives an image, or leave -o out",
            )

    def summary(self) -> str:
        """One line that says where the pictures are."""
        if not self.paths:
            return ""
        none = f"; {counted(self.without, 'row')} without a picture" if self.without else ""
        if len(self.paths) == 1:
            return f"wrote {next(iter(self.paths))}{none}"
        folders = {path.parent for path in self.paths}
        where = next(iter(folders)) if len(folders) == 1 else f"{len(folders)} folders"
        return f"wrote {len(self.paths)} pictures to {where}{none}"


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
