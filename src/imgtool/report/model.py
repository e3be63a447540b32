"""What a report shows, as values: runs, columns, rows and their cells. No HTML, no store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"

SOURCE, ROW = 0, 1


@dataclass(frozen=True)
class Command:
    """Shell text that makes one row again, with holes for what differs between rows.

    Attributes
    ----------
    parts : text, `SOURCE` where the quoted source row goes, `ROW` where the row's id goes.
    """

    parts: tuple[str | int, ...]

    def text(self, source: str, row_id: str) -> str:
        """The command of the row `row_id`; `source` is the quoted source row."""
        fill = {SOURCE: source, ROW: row_id}
        return "".join(part if isinstance(part, str) else fill[part] for part in self.parts)


@dataclass(frozen=True)
class Picture:
    """A small copy of a picture.

    Attributes
    ----------
    uri : `data:` URI of the copy.
    width, height : of the copy, pixels.
    full : width and height of what the store holds, pixels.
    """

    uri: str
    width: int
    height: int
    full: tuple[int, int]


@dataclass(frozen=True)
class Step:
    """One stage of one run.

    Attributes
    ----------
    use : the stage's id.
    rows : rows that it has given so far.
    column : index of the column that shows it, or None.
    chooses : whether it keeps some rows and drops others.
    """

    label: str
    use: str
    params: Mapping[str, object]
    rows: int
    column: int | None = None
    chooses: bool = False


@dataclass(frozen=True)
class Run:
    """One run of the report.

    Attributes
    ----------
    variant : what sets it apart from the other runs, such as `steps=10`; empty when alone.
    steps : its stages in order.
    """

    name: str
    variant: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Column:
    """One stage of the grid; runs that share the stage share the column.

    Attributes
    ----------
    key : name of the instance in the store.
    title : label of the stage.
    use : the stage's id, and that of the decoder when latents are shown decoded.
    runs : indices of the runs that have it.
    variant : what sets it apart from columns of other runs; empty where all share it.
    scores : names of the scores that it adds.
    has_pictures : whether any cell has one.
    latents_only : whether it gives latents that nothing decodes.
    command : how to make a row of it again; None when the source row is not text alone.
    """

    key: str
    title: str
    use: str
    runs: tuple[int, ...]
    variant: str = ""
    scores: tuple[str, ...] = ()
    has_pictures: bool = False
    latents_only: bool = False
    command: Command | None = None


@dataclass(frozen=True)
class Cell:
    """What a stage made of a row.

    Attributes
    ----------
    row : id of the row there: the line's own id, or that of a row it descends from.
    picture : index into the report's pictures, or None.
    texts : text fields that the stage set or changed.
    scores : scores that it added; a number that JSON lacks is None.
    facts : other values that it set or changed.
    """

    row: str
    picture: int | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, float | None] = field(default_factory=dict)
    facts: Mapping[str, Plain] = field(default_factory=dict)


@dataclass(frozen=True)
class Fate:
    """How a row ended in one run.

    Attributes
    ----------
    state : `kept`, `dropped`, `failed`, or `waiting` when the run has not got there.
    stage : label of the stage that dropped or failed it.
    reason : why it failed.
    """

    state: str
    stage: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Line:
    """One row that no other row descends from.

    Attributes
    ----------
    prompt : the prompt as its last stage left it.
    lineage : ids from the source row to itself.
    cells : column index to cell.
    fates : run index to fate; a run that has no such row is missing.
    """

    id: str
    prompt: str
    seed: int | None
    lineage: tuple[str, ...]
    cells: Mapping[int, Cell]
    fates: Mapping[int, Fate]


@dataclass(frozen=True)
class Group:
    """A source row and what came of it.

    Attributes
    ----------
    source : the row as quoted JSON, for `Command.text`; empty when it is not text alone.
    """

    id: str
    prompt: str
    source: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Report:
    """Everything that the page shows."""

    store: str
    runs: tuple[Run, ...]
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    pictures: tuple[Picture, ...]

    @property
    def lines(self) -> int:
        """How many rows the grid has."""
        return sum(len(group.lines) for group in self.groups)
