"""Where a set comes from: a folder of pictures, a store, or a file of statistics."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.api import (
    BadParams,
    InputEmpty,
    InputMissing,
    InputUnreadable,
    read_picture,
    stored_rows,
)
from imgtool_score.references import SUFFIXES
from imgtool_score.sets.saved import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np


class Place(StrEnum):
    """What a set is read from."""

    FOLDER = "folder"
    STORE = "store"
    STATISTICS = "statistics"


@dataclass(frozen=True)
class Picture:
    """One picture of a set, not read yet.

    Attributes
    ----------
    name : its file's name or its row's id; the same in any copy of the set.
    read : [H, W, 3] uint8; raises InputUnreadable.
    """

    name: str
    read: Callable[[], np.ndarray]


def place_of(word: str) -> tuple[Place, Path]:
    """What kind of set `word` names.

    Raises
    ------
    InputMissing, InputUnreadable : there is nothing, or nothing that is a set.
    """
    path = Path(word).expanduser()
    if not path.exists():
        raise InputMissing(f"no such folder or file: {word!r}", "Check the path")
    if path.is_dir():
        return (Place.STORE if (path / "zarr.json").is_file() else Place.FOLDER), path
    if path.suffix == SUFFIX:
        return Place.STATISTICS, path
    raise InputUnreadable(
        f"{word!r} is no set of pictures",
        f"Give a folder, a store, or a file of statistics ({SUFFIX})",
    )


def pictures_in(place: Place, path: Path) -> Iterator[Picture]:
    """The pictures of a folder by name, or of the rows that a store's newest run ended with.

    Raises
    ------
    InputEmpty, StoreNotFound, StoreDamaged : as the names say.
    """
    return _rows(path) if place is Place.STORE else _files(path)


def require_pairs(one: tuple[Place, Path], two: tuple[Place, Path]) -> None:
    """Raises BadParams where the pictures of two sets are not called the same."""
    names, others = (_stems(*place) for place in (one, two))
    for odd, where in ((names - others, two), (others - names, one)):
        if odd:
            raise BadParams(
                f"{str(where[1])!r} lacks {len(odd)} of the other's pictures, such as {min(odd)!r}",
                "A reconstruction is named like its picture; the suffix does not matter",
            )


def _stems(place: Place, path: Path) -> set[str]:
    if place is Place.STORE:
        return {row.id for row in stored_rows(path)}
    return {file.stem for file in _listed(path)}


def _listed(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)


def _files(folder: Path) -> Iterator[Picture]:
    files = _listed(folder)
    if not files:
        raise InputEmpty(f"folder {str(folder)!r} holds no pictures")
    for file in files:
        yield Picture(file.name, lambda file=file: read_picture(file))  # type: ignore[misc]  # bound now


def _rows(store: Path) -> Iterator[Picture]:
    for row in stored_rows(store, ("image",)):
        image: Any = row.values.get("image")
        yield Picture(row.id, lambda image=image, row=row: _image(image, row.id, store))  # type: ignore[misc]


def _image(image: Any, row_id: str, store: Path) -> np.ndarray:
    if image is None:
        raise InputUnreadable(
            f"row {row_id!r} of {str(store)!r} has no picture", "End its pipeline with decode"
        )
    found: np.ndarray = image
    return found
