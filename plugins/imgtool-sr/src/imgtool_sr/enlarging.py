"""What every stage of this plugin shares: sizes, transparency, limits and the record."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from imgtool.api import ALPHA, DEEP, IMAGE, BadParams, Failure, Field, Kind, Stage, optional
from imgtool_sr.sizes import target_of

if TYPE_CHECKING:
    import numpy as np

    from imgtool.api import Batch, Row, Runtime
    from imgtool_sr.sizes import Target

FACTS = Field("sr", Kind.RECORD, summary="How the picture was enlarged: model, sizes, settings.")


class HasTarget(Protocol):
    """Parameters of every stage that enlarges."""

    @property
    def scale(self) -> float | None:
        """Enlargement."""

    @property
    def size(self) -> str:
        """Size of the result, WxH."""

    @property
    def max_megapixels(self) -> float:
        """Largest result, millions of pixels."""


P = TypeVar("P", bound=HasTarget)


class Enlarging(Stage[P]):
    """A picture, its transparency and its 16 bits, at another size.

    Attributes
    ----------
    target : what was asked for.
    place : number of the row in hand, and how many there are in its batch.
    """

    consumes: ClassVar[tuple[Field, ...]] = (IMAGE, optional(ALPHA), optional(DEEP))
    produces = (IMAGE, optional(ALPHA), optional(DEEP), FACTS)

    target: Target
    place: tuple[int, int] = (0, 1)

    def open(self, params: P, runtime: Runtime) -> None:
        """Read what was asked for.

        Raises
        ------
        BadParams : scale and size are both given, or the size means nothing.
        """
        self.params, self.runtime = params, runtime
        try:
            self.target = target_of(params.scale, params.size)
        except ValueError as err:
            raise BadParams(str(err)) from None

    def process(self, batch: Batch) -> Batch:
        """Every picture at its new size. One that would be too large, or that gives NaN, fails."""
        made: list[dict[str, Any]] = []
        odd: dict[str, Failure] = {}
        for at, row in enumerate(batch):
            self.place = (at, len(batch))
            try:
                made.append(self._row(row))
            except ValueError as err:
                odd[row.id] = Failure(self.id, "RowError", str(err))
                made.append({})
        found = {
            field.name: [row.get(field.name) for row in made]
            for field in self.produces
            if not field.optional or field.name in batch.columns
        }
        return batch.with_columns(**found).fail(odd)

    def _row(self, row: Row) -> dict[str, Any]:
        from imgtool.api import deep_of, in_8_bits

        image: Any = row["image"]
        alpha: Any = row.values.get("alpha")
        height, width = image.shape[:2]
        if not width or not height:
            raise ValueError("the picture has no pixels")
        size = self.target.of(width, height, self.native)
        if size[0] * size[1] > self.params.max_megapixels * 1e6:
            raise ValueError(
                f"the result would have {size[0]}×{size[1]} pixels; "
                f"--max-megapixels allows {self.params.max_megapixels:g} million"
            )
        deep = deep_of(row.values)
        made, said = self.enlarge(row, image if deep is None else deep, size)
        return {
            "image": made if deep is None else in_8_bits(made),
            "deep": None if deep is None else made,
            "alpha": None if alpha is None else self._opacity(alpha, size),
            "sr": {"from": [width, height], "to": list(size), **said},
        }

    def _opacity(self, alpha: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        from imgtool_sr.finishing import resized

        return resized(alpha, size).clip(0.0, 1.0)

    @property
    @abstractmethod
    def native(self) -> int:
        """The scale where none is asked for."""

    @abstractmethod
    def enlarge(
        self, row: Row, source: np.ndarray, size: tuple[int, int]
    ) -> tuple[np.ndarray, dict[str, object]]:
        """The row's picture at width and height `size`, and what to record.

        Parameters
        ----------
        source : [·, ·, 3] uint8 or uint16; the result has as many bits.

        Raises
        ------
        ValueError : the row cannot be done.
        """
