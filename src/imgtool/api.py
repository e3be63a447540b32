"""All that a plugin imports. The names here are frozen; importing this loads nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgtool.batch import Batch, Failure, Row, concatenate, derive_seed
from imgtool.components import Component
from imgtool.errors import (
    BadParams,
    BudgetEnded,
    EndpointDown,
    ImgtoolError,
    InputEmpty,
    InputMissing,
    InputUnreadable,
    MissingField,
    ModelUnusable,
    NeedsConsent,
    OutOfMemory,
    OutputUnwritable,
    RowError,
    StageFailed,
    UnknownComponent,
)
from imgtool.fields import (
    ALPHA,
    COC,
    DEEP,
    DEPTH,
    DEPTH_KIND,
    EXIF,
    IMAGE,
    LATENTS,
    MASK,
    NEGATIVE_PROMPT,
    PROMPT,
    PROMPT_EMBEDS,
    SEED,
    SOURCE_PROMPT,
    Field,
    Kind,
    optional,
    score,
)
from imgtool.hookspecs import hookimpl
from imgtool.shown import Shown
from imgtool.stages import (
    Bounds,
    Choices,
    FieldRef,
    Help,
    Maker,
    ModelRef,
    PathTo,
    Scope,
    Stage,
    StageRef,
)

if TYPE_CHECKING:
    from imgtool.cli.inside import current_registry, run_rows
    from imgtool.cli.stored import stored_rows
    from imgtool.params import as_json, validate
    from imgtool.paths import cache_dir
    from imgtool.pictures.deep import deep_of, in_8_bits
    from imgtool.pictures.photo import read_picture
    from imgtool.pictures.writer import contact_sheet
    from imgtool.runtime.attention import attention
    from imgtool.runtime.context import Runtime
    from imgtool.runtime.libraries import loading, quiet_libraries
    from imgtool.store.atomic import write_file

__all__ = [
    "ALPHA", "COC", "DEEP", "DEPTH", "DEPTH_KIND", "EXIF", "IMAGE", "LATENTS", "MASK",
    "NEGATIVE_PROMPT", "PROMPT", "PROMPT_EMBEDS", "SEED", "SOURCE_PROMPT", "BadParams", "Batch",
    "Bounds", "BudgetEnded", "Choices", "Component", "EndpointDown", "Failure", "Field",
    "FieldRef", "Help", "ImgtoolError", "InputEmpty", "InputMissing", "InputUnreadable", "Kind",
    "Maker", "MissingField", "ModelRef", "ModelUnusable", "NeedsConsent", "OutOfMemory",
    "OutputUnwritable", "PathTo", "Row", "RowError", "Runtime", "Scope", "Shown", "Stage",
    "StageFailed", "StageRef", "UnknownComponent", "as_json", "attention", "cache_dir",
    "concatenate", "contact_sheet", "current_registry", "deep_of", "derive_seed", "hookimpl",
    "in_8_bits", "loading", "optional", "quiet_libraries", "read_picture", "run_rows", "score",
    "stored_rows", "validate", "write_file",
]  # fmt: skip

LAZY = {
    "Runtime": "imgtool.runtime.context",
    "as_json": "imgtool.params",
    "attention": "imgtool.runtime.attention",
    "cache_dir": "imgtool.paths",
    "contact_sheet": "imgtool.pictures.writer",
    "current_registry": "imgtool.cli.inside",
    "deep_of": "imgtool.pictures.deep",
    "in_8_bits": "imgtool.pictures.deep",
    "loading": "imgtool.runtime.libraries",
    "quiet_libraries": "imgtool.runtime.libraries",
    "read_picture": "imgtool.pictures.photo",
    "run_rows": "imgtool.cli.inside",
    "stored_rows": "imgtool.cli.stored",
    "validate": "imgtool.params",
    "write_file": "imgtool.store.atomic",
}


def __getattr__(name: str) -> object:
    """Names that need more than the standard library, imported when first used."""
    if name in LAZY:
        import importlib

        return getattr(importlib.import_module(LAZY[name]), name)
    raise AttributeError(f"module 'imgtool.api' has no attribute {name!r}")
