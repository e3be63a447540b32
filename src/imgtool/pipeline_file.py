"""Reads `pipelines.toml`. Every complaint names file and line."""

from __future__ import annotations

import io
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from imgtool.errors import BadPipeline, InputMissing, InputUnreadable, near
from imgtool.fields import is_deep
from imgtool.pipeline_model import DEFAULTS, SOURCE, MakerUse, Pipeline, StageUse
from imgtool.toml_lines import Lines, Table, find_lines

if TYPE_CHECKING:
    from pathlib import Path

PIPELINE_KEYS = ("description", "stage", "models", *DEFAULTS)
STAGE_KEYS = ("use", "name", "from")
MOST_BYTES = 1 << 20
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def read_pipelines(path: Path) -> dict[str, Pipeline]:
    """The pipelines of one file by name, as written: nothing is looked up yet.

    Raises
    ------
    InputMissing, InputUnreadable : there is no such file, or it is no UTF-8 text.
    BadPipeline : the file is not valid; the message names the line.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8").read()
    except (FileNotFoundError, NotADirectoryError) as err:
        raise InputMissing(
            f"there is no pipelines file {str(path)!r}",
            "Write one here, or name another: FILE.toml:NAME",
        ) from err
    except (OSError, UnicodeDecodeError) as err:
        raise InputUnreadable(f"{str(path)!r} cannot be read: {err}") from err
    if len(data) > MOST_BYTES:
        raise InputUnreadable(f"{str(path)!r} is longer than {MOST_BYTES >> 20} MiB")
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        raise _toml_error(path, err) from err
    except ValueError as err:
        raise BadPipeline(f"{path}: a number has too many digits") from err
    except RecursionError:
        tables = None
    if tables is None or is_deep(tables):
        raise BadPipeline(f"{path}: tables or lists are nested too deeply")
    reader = _Reader(path, find_lines(text))
    return {name: reader.pipeline(name, table) for name, table in tables.items()}


def _toml_error(path: Path, err: tomllib.TOMLDecodeError) -> BadPipeline:
    found = re.search(r"\(at line (\d+), column (\d+)\)", str(err))
    place = f"{path}:{found[1]}:{found[2]}" if found else f"{path} (at its end)"
    reason = re.sub(r"\s*\(at .*\)$", "", str(err))
    return BadPipeline(f"{place}: not valid TOML: {reason}")


@dataclass(frozen=True)
class _Reader:
    path: Path
    lines: Lines

    def pipeline(self, name: str, table: Any) -> Pipeline:
        if not isinstance(table, dict):
            what = f"{name!r} stands outside any pipeline"
            hint = "A pipeline is a table: [NAME], then [[NAME.stage]]"
            self._refuse(self.lines.line_of(name), what, hint)
        for key in table:
            if key not in PIPELINE_KEYS:
                hint = f"{near(key, PIPELINE_KEYS)}Keys: {', '.join(PIPELINE_KEYS)}"
                self._refuse(self._key_line(name, key), f"[{name}] unknown key {key!r}", hint)
        stages = table.get("stage", [])
        if not isinstance(stages, list) or not all(isinstance(item, dict) for item in stages):
            hint = f"Write [[{name}.stage]] before each stage"
            what = f"[{name}] 'stage' is no list of tables"
            self._refuse(self._key_line(name, "stage"), what, hint)
        if not stages:
            hint = f'Add [[{name}.stage]] with use = "…"'
            self._refuse(self.lines.line_of(name), f"[{name}] has no stages", hint)
        description = table.get("description", "")
        if not isinstance(description, str):
            self._refuse(self._key_line(name, "description"), f"[{name}] 'description' takes text")
        return Pipeline(
            name=name,
            description=description,
            stages=self._stages(name, stages),
            makers=self._makers(name, table.get("models", {})),
            path=self.path,
            defaults={key: table[key] for key in DEFAULTS if key in table},
            key_lines={key: self._key_line(name, key) for key in table},
        )

    def _stages(self, pipeline: str, items: list[dict[str, Any]]) -> tuple[StageUse, ...]:
        places = self.lines.elements(pipeline, "stage")
        if len(places) != len(items):  # written inline: stage = [{…}, {…}]
            places = [Table((), self.lines.line_of(pipeline, "stage"))] * len(items)
        uses: list[StageUse] = []
        for number, (item, place) in enumerate(zip(items, places, strict=True), start=1):
            uses.append(self._stage(f"[{pipeline}] stage {number}", item, place, uses))
        return tuple(uses)

    def _stage(
        self, where: str, item: dict[str, Any], place: Table, earlier: list[StageUse]
    ) -> StageUse:
        taken = {stage.label for stage in earlier}
        lines = {key: place.keys.get(key, place.line) for key in STAGE_KEYS}
        use = self._text(item, "use", where, lines["use"])
        label = self._text(item, "name", where, lines["name"]) if "name" in item else ""
        if label and not NAME.fullmatch(label):
            hint = "Names have letters, digits, '_', '-' and '.'"
            self._refuse(lines["name"], f"{where}: {label!r} is no name", hint)
        if label == SOURCE:
            self._refuse(lines["name"], f"{where}: the input rows are named {label!r} already")
        if label in taken:
            self._refuse(lines["name"], f"{where}: an earlier stage is named {label!r}")
        upstream = self._text(item, "from", where, lines["from"]) if "from" in item else None
        if upstream is not None and upstream not in taken:
            hint = f"{near(upstream, taken)}Earlier stages: {', '.join(sorted(taken)) or 'none'}"
            what = f"{where} ({use}): from = {upstream!r} names no earlier stage"
            self._refuse(lines["from"], what, hint)
        return StageUse(
            use=use,
            label=label or _free_label(use, taken),
            params={key: value for key, value in item.items() if key not in STAGE_KEYS},
            upstream=upstream,
            named=bool(label),
            line=place.line,
            key_lines=dict(place.keys),
        )

    def _makers(self, pipeline: str, tables: Any) -> tuple[MakerUse, ...]:
        if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
            hint = f'Write [{pipeline}.models.NAME] with use = "…"'
            what = f"[{pipeline}] 'models' is no table of tables"
            self._refuse(self._key_line(pipeline, "models"), what, hint)
        uses = []
        for name, item in tables.items():
            line = self.lines.line_of(pipeline, "models", name)
            places = self.lines.elements(pipeline, "models", name)
            keys = places[0].keys if places else {}
            use = self._text(item, "use", f"[{pipeline}] model {name!r}", keys.get("use", line))
            params = {key: value for key, value in item.items() if key != "use"}
            uses.append(MakerUse(name, use, params, line=line, key_lines=dict(keys)))
        return tuple(uses)

    def _text(self, item: dict[str, Any], key: str, where: str, line: int) -> str:
        value = item.get(key)
        if not isinstance(value, str) or not value:
            what = f"{key!r} takes text, not {value!r}" if key in item else f"{key!r} is missing"
            self._refuse(line, f"{where}: {what}")
        return value

    def _key_line(self, pipeline: str, key: str) -> int:
        return self.lines.line_of(pipeline, key)

    def _refuse(self, line: int, what: str, hint: str = "") -> NoReturn:
        raise BadPipeline(f"{self.path}:{line}: {what}", hint)


def _free_label(use: str, taken: set[str]) -> str:
    label = use.rpartition(":")[2]
    if label not in taken:
        return label
    return next(f"{label}-{n}" for n in range(2, len(taken) + 3) if f"{label}-{n}" not in taken)
