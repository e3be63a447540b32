"""What a plugin says of a folder that it made, for `imgtool show`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np


@dataclass(frozen=True)
class Shown:
    """What `imgtool show` prints of a folder.

    Returned by a function of the folder's path, registered as a component of kind `show` under the
    name of a file that such folders hold.

    Attributes
    ----------
    document : for `--json`.
    facts : names and values of the whole.
    columns, rows : a table.
    picture : [H, W, 3] uint8, previewed on a terminal and written by `-o`; None: there is none.
    """

    document: Mapping[str, object]
    facts: Sequence[tuple[str, object]]
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[object]] = ()
    picture: np.ndarray | None = None
