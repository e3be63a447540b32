"""Pictures from files that rows name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from imgtool.api import (
    IMAGE,
    Batch,
    Field,
    Help,
    InputMissing,
    InputUnreadable,
    Kind,
    RowError,
    Stage,
)

if TYPE_CHECKING:
    from imgtool.batch import Value

PATH = Field("path", Kind.TEXT, summary="File that the row names.")


@dataclass(frozen=True)
class ReadParams:
    """Parameters of `image.read`."""

    folder: Annotated[
        str,
        Help(
            "Folder that relative paths start from. A file that changes is read again where paths "
            "start from the current folder, as is the case with '.'."
        ),
    ] = "."


class Read(Stage[ReadParams]):
    """The picture at each row's `path`, upright and in sRGB.

    The source gives rows the digest of their file, `path_digest`, so that stores tell files of one
    name apart.
    """

    id = "image.read"
    summary = "Read the pictures that rows name."
    consumes = (PATH,)
    produces = (IMAGE,)
    default_of_family = True

    @classmethod
    def check_rows(cls, folder: Path) -> list[dict[str, Value]]:
        """Three small pictures of different sizes, of which one has an alpha channel."""
        from PIL import Image

        for number, mode in enumerate(("RGB", "L", "RGBA")):
            picture = Image.linear_gradient("L").resize((12 + number, 8)).convert(mode)
            picture.save(folder / f"{number}.png")
        return [{"path": str(folder / f"{number}.png")} for number in range(3)]

    def process(self, batch: Batch) -> Batch:
        """Raises RowError for a row whose picture is missing or unreadable."""
        from imgtool.pictures.photo import read_picture

        images = []
        for row in batch:
            try:
                images.append(read_picture(Path(self.params.folder) / str(row["path"])))
            except (InputMissing, InputUnreadable) as err:
                raise RowError(row.id, err.message) from err
        return batch.with_columns(image=images)
