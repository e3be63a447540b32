"""How stages and makers declare themselves. Light to import: no torch, numpy or pydantic."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from imgtool.batch import Batch, Value
    from imgtool.fields import Field
    from imgtool.runtime.context import Runtime

P = TypeVar("P")


@dataclass(frozen=True)
class Help:
    """One line of help for a parameter, in the imperative or as a noun phrase."""

    text: str


@dataclass(frozen=True)
class Bounds:
    """Inclusive limits of a numeric parameter; None leaves a side open."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ModelRef:
    """Marks a text parameter as a model reference of one task, such as `text-to-image`."""

    task: str


@dataclass(frozen=True)
class StageRef:
    """Marks a text parameter as another stage: `NAME`, or `NAME:key=value,key=value`.

    What that stage's results depend on, those of the marked one then depend on too.
    """


@dataclass(frozen=True)
class FieldRef:
    """Marks a text parameter, or a list of texts, as names of fields that rows must have.

    A name that no stage before gives is refused before anything runs.
    """


@dataclass(frozen=True)
class PathTo:
    """Marks a text parameter as a path; `what` names its content. It must exist when `existing`."""

    what: str
    existing: bool = True


@dataclass(frozen=True)
class Choices:
    """Values offered by completion; others are refused when `closed`."""

    values: tuple[str, ...]
    closed: bool = True


class Scope(StrEnum):
    """How far a stage looks: one row, the children of one parent, or every row of the run."""

    ROW = "row"
    SIBLINGS = "siblings"
    RUN = "run"


class Stage(Generic[P]):
    """One operation on rows. Subclass it, declare the class attributes, write `process`.

    A stage that makes children of its rows names the parameter that says how many `n`; one whose
    user chooses between `siblings` and `run` names that parameter `scope`.

    Attributes
    ----------
    id : `family.method`.
    version : bump it when results change; cached results of older versions are then not used.
    summary : one line for help.
    scope : `row`, `siblings` (of one parent, always in one batch) or `run` (a barrier).
    consumes, produces : fields; optional ones are consumed where they exist. `score("*")` in
        produces: parameters say which scores come.
    default_of_family : whether a bare family name means this stage.
    check_params : parameters for `imgtool plugin check`, where defaults will not do.
    params, runtime : the values of this instance and what it runs on, set before `open`.
    """

    id: ClassVar[str]
    version: ClassVar[int] = 1
    summary: ClassVar[str] = ""
    scope: ClassVar[str] = "row"
    consumes: ClassVar[tuple[Field, ...]] = ()
    produces: ClassVar[tuple[Field, ...]] = ()
    default_of_family: ClassVar[bool] = False
    check_params: ClassVar[Mapping[str, object]] = {}

    params: P
    runtime: Runtime

    def open(self, params: P, runtime: Runtime) -> None:
        """Load weights. Called once a process, before the first batch."""

    @abstractmethod
    def process(self, batch: Batch) -> Batch:
        """The same rows, children (`batch.repeat`) or fewer (`batch.keep`), with fields added.

        Raises
        ------
        RowError : one row cannot be done; the engine records it and goes on with the others.
        """

    def close(self) -> None:
        """Free what `open` took. Called once, also after an error."""

    @classmethod
    def weight_bytes(cls, params: P, runtime: Runtime) -> int:
        """Memory that the opened stage holds; decides what stays resident together."""
        return 0

    @classmethod
    def check_rows(cls, folder: Path) -> Sequence[Mapping[str, Value]]:
        """Rows for `imgtool plugin check`, where rows made up from `consumes` will not do.

        Three or more mappings of fields; `id` and `seed` are added where they are missing. Files
        that rows name may be written into `folder`. No rows: they are made up.
        """
        return ()

    @classmethod
    def check_models(cls, folder: Path) -> Mapping[str, object]:
        """Parameters for `imgtool plugin check` that name weights, where no default is at hand.

        They are written into `folder`: as small as can be, random, in the format of real ones. A
        user who gives one of these parameters gives them all.
        """
        return {}


class Maker(Generic[P]):
    """One operation that makes weights before rows run. Cached by derivation like a batch.

    Attributes
    ----------
    id, version, summary : as for a stage.
    task : the task of the model it makes, as in `ModelRef`.
    """

    id: ClassVar[str]
    version: ClassVar[int] = 1
    summary: ClassVar[str] = ""
    task: ClassVar[str] = ""

    @abstractmethod
    def make(self, params: P, inputs: Mapping[str, Path], out_dir: Path, runtime: Runtime) -> None:
        """Fill `out_dir` with a complete model folder. The engine commits it by one rename."""
