"""How unlike rows are: hashes of pictures, vectors, and distances from 0 to 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    import numpy as np

    # The distances [N] of all rows, from 0 to 1, from the row at an index.
    From: TypeAlias = Callable[[int], np.ndarray]


def difference_hash(image: object) -> int:
    """64 bits: whether each of 8×8 cells is brighter than its right neighbour; Krawetz (2013)."""
    import numpy as np
    from PIL import Image

    grey = Image.fromarray(image).convert("L")  # type: ignore[arg-type]  # a numpy picture
    cells = np.asarray(grey.resize((9, 8), Image.Resampling.BOX), dtype=np.int16)
    bits = (cells[:, :-1] > cells[:, 1:]).flatten()
    return sum(1 << i for i, bit in enumerate(bits) if bit)


def unlike_pictures(images: Sequence[object]) -> From:
    """Distance of pictures: the share of bits in which their difference hashes differ."""
    import numpy as np

    hashes = np.array([difference_hash(image) for image in images], dtype=np.uint64)
    bits = np.unpackbits(hashes.view(np.uint8).reshape(len(hashes), -1), axis=1)
    return lambda index: (bits != bits[index]).mean(axis=1)


def unlike_vectors(vectors: np.ndarray) -> From:
    """Distance of the rows of [N, D]: their angle, as a share of half a turn.

    A zero vector stands at a right angle to all others.
    """
    import numpy as np

    directions = unit(vectors)

    def distances(index: int) -> np.ndarray:
        # einsum adds up in one order whatever the number of rows; BLAS does not.
        cosines = np.clip(np.einsum("nd,d->n", directions, directions[index]), -1.0, 1.0)
        turned: np.ndarray = np.arccos(cosines) / np.pi
        turned[index] = 0.0
        return turned

    return distances


def unit(vectors: np.ndarray) -> np.ndarray:
    """The rows of [N, D] at length 1; a zero vector stays zero."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: np.ndarray = vectors / np.where(lengths > 0, lengths, 1.0)
    return directions


def stacked(values: Sequence[Any]) -> np.ndarray | None:
    """[N, D] of vectors, lists or arrays of one size; None where they are nothing of the kind."""
    import numpy as np

    try:
        flat = [np.asarray(value, dtype=np.float64).reshape(-1) for value in values]
    except (TypeError, ValueError):
        return None
    sizes = {vector.size for vector in flat}
    if len(sizes) != 1 or sizes == {0}:
        return None
    table = np.stack(flat)
    return table if bool(np.isfinite(table).all()) else None
