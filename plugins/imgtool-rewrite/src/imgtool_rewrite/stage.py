"""The stage `rewrite.template`."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from imgtool.api import (
    PROMPT,
    BadParams,
    Batch,
    Bounds,
    Help,
    InputUnreadable,
    PathTo,
    RowError,
    Stage,
)
from imgtool_rewrite.record import require_words
from imgtool_rewrite.template import TemplateError, draw, every, parse

if TYPE_CHECKING:
    from imgtool.api import Row


@dataclass(frozen=True)
class TemplateParams:
    """Parameters of `rewrite.template`."""

    mode: Annotated[
        Literal["all", "draw"], Help("'all' combinations, or 'draw' some of them at random.")
    ] = "all"
    draws: Annotated[int, Help("Prompts to draw for each template."), Bounds(1, 100_000)] = 1
    most: Annotated[int, Help("Refuse a template with more combinations."), Bounds(1)] = 1000
    wildcards: Annotated[
        str, Help("Folder of NAME.txt files for __NAME__."), PathTo("wildcard files")
    ] = ""


class Template(Stage[TemplateParams]):
    """Each prompt read as a template; every text that it stands for becomes a child."""

    id, version = "rewrite.template", 2
    summary = "Expand {a|b}, __wildcards__ and ${variables} in prompts."
    consumes = (PROMPT,)
    produces = (PROMPT,)
    default_of_family = True

    def process(self, batch: Batch) -> Batch:
        """Children of each row; a prompt that stands for one text keeps its row."""
        require_words(batch, self.id)
        texts = [self._texts(row) for row in batch]
        children = batch.expand([len(found) for found in texts])
        return children.with_columns(prompt=list(itertools.chain.from_iterable(texts)))

    def _texts(self, row: Row) -> list[str]:
        folder = self.params.wildcards
        try:
            tree = parse(str(row["prompt"]))
            if self.params.mode == "draw":
                return [
                    draw(tree, lambda name: lines_of(folder, name), row.random(f"template:{k}"))
                    for k in range(self.params.draws)
                ]
            pairs = every(tree, lambda name: lines_of(folder, name))
            found = [text for text, _ in itertools.islice(pairs, self.params.most + 1)]
        except TemplateError as err:
            raise RowError(row.id, f"template: {err}") from err
        except RecursionError as err:
            raise RowError(row.id, "template: a wildcard contains itself") from err
        if len(found) > self.params.most:
            raise RowError(row.id, f"template: more than {self.params.most} combinations")
        return list(dict.fromkeys(found))


@lru_cache(maxsize=256)
def lines_of(folder: str, name: str) -> tuple[str, ...]:
    """Lines of a wildcard file, empty ones and `#` comments left out.

    Raises
    ------
    BadParams : there is no such file.
    InputUnreadable : it is not UTF-8, or holds no lines.
    """
    if not folder:
        raise BadParams(f"wildcard __{name}__ needs a folder", "Give --wildcards FOLDER")
    path = Path(folder, f"{name}.txt")
    if not path.is_file() or not path.resolve().is_relative_to(Path(folder).resolve()):
        raise BadParams(f"wildcard __{name}__: no file {str(path)!r}", "Write one choice a line")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise InputUnreadable(f"{str(path)!r} is not UTF-8 text") from None
    lines = tuple(s for line in text.splitlines() if (s := line.strip()) and not s.startswith("#"))
    if not lines:
        raise InputUnreadable(f"{str(path)!r} holds no lines")
    return lines
