"""Field kinds: the named, typed columns that stages consume and produce. No arrays here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_NESTING = 32


class Kind(StrEnum):
    """How a field's values are kept: scalars in a batch's attributes, arrays in Zarr arrays."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    RECORD = "record"
    ARRAY = "array"


@dataclass(frozen=True)
class Field:
    """A named, typed column.

    Attributes
    ----------
    name : column name; `score.<metric>` for scores. `score.*`, produced, stands for any of them:
        parameters say which come.
    kind : where and how values are kept.
    dims : dimension names of one row's array, such as `("C", "h", "w")`; empty for scalars.
    dtype : numpy dtype name of an array field; empty: any dtype, kept as it comes.
    summary : what it holds, with units.
    optional : consumed where it exists, not demanded; produced for some rows, not for all.
    """

    name: str
    kind: Kind
    dims: tuple[str, ...] = ()
    dtype: str = ""
    summary: str = ""
    optional: bool = False

    @property
    def is_array(self) -> bool:
        """Whether rows of this field are arrays."""
        return self.kind is Kind.ARRAY


PROMPT = Field("prompt", Kind.TEXT, summary="What to draw.")
SOURCE_PROMPT = Field("source_prompt", Kind.TEXT, summary="What the user asked; never changed.")
NEGATIVE_PROMPT = Field("negative_prompt", Kind.TEXT, summary="What to keep out of the picture.")
SEED = Field("seed", Kind.INTEGER, summary="Seed of all randomness of the row.")
PROMPT_EMBEDS = Field("prompt_embeds", Kind.ARRAY, ("T", "D"), summary="Prompt embeddings.")
LATENTS = Field("latents", Kind.ARRAY, ("C", "h", "w"), summary="Latents, unpacked and scaled.")
IMAGE = Field("image", Kind.ARRAY, ("H", "W", "RGB"), "uint8", "Picture, sRGB.")
DEEP = Field(
    "deep", Kind.ARRAY, ("H", "W", "RGB"), "uint16",
    "Picture of 16 bits a channel, where a file has them; counts while it rounds to `image`.",
)  # fmt: skip
DEPTH = Field(
    "depth", Kind.ARRAY, ("H", "W"), "float32", "Depth; metres when `depth_kind` says so."
)
DEPTH_KIND = Field(
    "depth_kind", Kind.TEXT, summary="`metric`, `relative`, `disparity` or `logdepth`."
)
COC = Field("coc", Kind.ARRAY, ("H", "W"), "float32", "Circle of confusion, pixels, diameter.")
MASK = Field("mask", Kind.ARRAY, ("H", "W"), "float32", "Mask, 0 to 1.")
ALPHA = Field(
    "alpha", Kind.ARRAY, ("H", "W"), "float32", "Opacity, 0 to 1; `image` is laid on white."
)
ICC = Field("icc", Kind.ARRAY, ("byte",), "uint8", "Colour profile of the file, for its colours.")
EXIF = Field("exif", Kind.ARRAY, ("byte",), "uint8", "EXIF of the file that a picture is made of.")

KNOWN: dict[str, Field] = {
    field.name: field
    for field in (
        PROMPT,
        SOURCE_PROMPT,
        NEGATIVE_PROMPT,
        SEED,
        PROMPT_EMBEDS,
        LATENTS,
        IMAGE,
        DEPTH,
        DEPTH_KIND,
        COC,
        MASK,
        ALPHA,
        DEEP,
        ICC,
        EXIF,
    )
}


def score(metric: str) -> Field:
    """The field of one metric's scores."""
    return Field(f"score.{metric}", Kind.NUMBER, summary=f"Score by {metric}.")


def is_named(name: str, declared: Iterable[Field]) -> bool:
    """Whether a column is one of the `declared` fields, or one that a `score.*` stands for."""
    return is_among(name, [field.name for field in declared])


def is_among(name: str, names: Iterable[str]) -> bool:
    """Whether `name` is one of `names`, of which `score.*` stands for every score."""
    return any(
        name == other or (other.endswith(".*") and name.startswith(other[:-1])) for other in names
    )


def optional(field: Field) -> Field:
    """The same field, consumed only where it exists."""
    return Field(field.name, field.kind, field.dims, field.dtype, field.summary, optional=True)


def is_deep(value: object) -> bool:
    """Whether lists and mappings are nested deeper than any of ours: code that follows them down
    would not come back."""
    level = [value]
    for _ in range(MOST_NESTING):
        lists = [
            item if isinstance(item, list) else item.values()
            for item in level
            if isinstance(item, dict | list)
        ]
        level = [item for items in lists for item in items]
    return bool(level)
