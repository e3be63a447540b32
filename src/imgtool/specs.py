"""What is known of a stage or maker without importing it: light values that go through JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from imgtool.fields import Field, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class ParamSpec:
    """One parameter of a stage or maker.

    Attributes
    ----------
    type : `int`, `float`, `str`, `bool`, `record`, or `list[…]` of one of them.
    default : value when not given; None also when `required`.
    low, high : inclusive limits, of the items of a list too.
    choices : values offered; others are refused when `closed`.
    model_task : task of the model that it refers to, or empty.
    is_stage : whether it names another stage, with parameters.
    is_field : whether it names fields that rows must have.
    path_what : what the file that it names holds, or empty.
    path_existing : whether that file must exist.
    nullable : whether None is a value.
    """

    name: str
    type: str
    default: Any = None
    help: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    closed: bool = False
    model_task: str = ""
    path_what: str = ""
    path_existing: bool = False
    required: bool = False
    nullable: bool = False
    is_stage: bool = False
    is_field: bool = False

    @property
    def item_type(self) -> str:
        """Type of one value: of the items, for a list."""
        return self.type[5:-1] if self.is_list else self.type

    @property
    def is_list(self) -> bool:
        """Whether it takes several values."""
        return self.type.startswith("list[")


@dataclass(frozen=True)
class Spec:
    """The declaration of one stage or maker, computed from its class.

    Attributes
    ----------
    kind : `stage`, `maker` or another kind whose classes have params.
    where : `package.module:Class`.
    dist : distribution that owns it.
    default : whether the bare family name means it.
    task : for a maker, task of the model that it makes.
    """

    kind: str
    id: str
    version: int
    summary: str
    scope: str
    consumes: tuple[Field, ...]
    produces: tuple[Field, ...]
    params: tuple[ParamSpec, ...]
    dist: str
    where: str
    default: bool = False
    task: str = ""

    @property
    def family(self) -> str:
        """The part of the id before the first dot."""
        return self.id.partition(".")[0]

    @property
    def owned(self) -> str:
        """The id with its owner, `dist:id`: one stage even where two plugins have the id."""
        return f"{self.dist}:{self.id}" if self.dist else self.id

    def param(self, name: str) -> ParamSpec | None:
        """The parameter `name`, if there is one."""
        return next((param for param in self.params if param.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Spec:
        """The inverse of `as_json`, also after a round trip through text."""
        return cls(
            **{
                **data,
                "consumes": tuple(_field(item) for item in data["consumes"]),
                "produces": tuple(_field(item) for item in data["produces"]),
                "params": tuple(
                    ParamSpec(**{**item, "choices": tuple(item["choices"])})
                    for item in data["params"]
                ),
            }
        )


def _field(data: Mapping[str, Any]) -> Field:
    return Field(**{**data, "kind": Kind(data["kind"]), "dims": tuple(data["dims"])})
