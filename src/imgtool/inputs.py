"""Rows from what users give: prompt text, `.txt`, `.csv`, `.jsonl`, pictures, folders of pictures.

Rows come one at a time, so that a file of any length needs little memory.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from imgtool.batch import derive_seed
from imgtool.errors import (
    BadRowId,
    InputEmpty,
    InputMissing,
    InputUnreadable,
    UsageError,
    near,
)
from imgtool.fields import KNOWN, Kind, is_deep
from imgtool.pictures.patterns import SLUG
from imgtool.runtime.digest import file_hash

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

TEXTS = {".txt"}
TABLES = {".csv", ".jsonl"}
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
STORES = {".zarr"}
READ = sorted(TEXTS | TABLES | PICTURES | STORES)
SUFFIXES = {*READ, ".json", ".toml", ".npy", ".pfm"}
AS_TEXT = "To use it as prompt text, put -- before it"
FILE_LIKE = re.compile(r"\S+\.[A-Za-z][A-Za-z0-9]{1,7}")
ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")
HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair: UTF-8 cannot hold it

Row = dict[str, Any]
PATH_DIGEST = "path_digest"
MOST_LINE = 4 << 20
LONGEST_SLUG = 120
LONGEST_NAME = 255  # bytes of a file's name, nearly everywhere


def is_path(word: str) -> bool:
    """Whether a positional argument means a path: a known suffix, or a slash and no space.

    One with a part that is longer than any file's name means none.
    """
    if (
        "\n" in word
        or len(word) > 1000
        or any(len(part.encode()) > LONGEST_NAME for part in word.split("/"))
    ):
        return False
    return Path(word).suffix.lower() in SUFFIXES or ("/" in word and " " not in word)


def is_store(word: str) -> bool:
    """Whether a positional argument names a store."""
    return is_path(word) and (Path(word) / "zarr.json").is_file()


def read_rows(
    words: Sequence[str],
    texts: Sequence[str] = (),
    bound: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Iterator[Row]:
    """Rows of all `words` (paths or prompts) and `texts` (always prompts), with fields bound.

    Every row has `id` and `seed`; rows with a prompt also have `source_prompt`. Where nothing but
    fields is given, there is a row for each line of a text file bound to one, else one row.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty, BadRowId : as the names say, before the first row
        where possible.
    """
    for word in words:
        _check_word(word)
    parts = [_rows_of_path(Path(w)) if is_path(w) else iter([{"prompt": w}]) for w in words]
    parts += [iter([{"prompt": text}]) for text in texts]
    if not parts and bound:
        parts = [({} for _ in range(_most_lines(bound)))]
    return bind(finished_rows(itertools.chain.from_iterable(parts), seed), bound or {})


def _most_lines(bound: Mapping[str, str]) -> int:
    """Lines of the longest text file that is bound; 1 where none is."""
    files = [Path(value) for name, value in bound.items() if _is_text_file(name, value)]
    return max((sum(1 for _ in _nonempty(file)) for file in files), default=1)


def _check_word(word: str) -> None:
    """Refuse a path to nothing, and a word that is more likely a file than a prompt."""
    if is_path(word):
        if not Path(word).exists():
            raise InputMissing(f"no such file: {word!r}", AS_TEXT)
    elif FILE_LIKE.fullmatch(word) and len(word) < LONGEST_NAME:
        suffix = Path(word).suffix.lower()
        raise InputUnreadable(
            f"{word!r} looks like a file, and {suffix} is none that rows are read from",
            f"{near(suffix, READ)}{AS_TEXT}",
        )


def rows_of_lines(
    lines: Iterable[str], bound: Mapping[str, str] | None = None, seed: int = 0
) -> Iterator[Row]:
    """Rows of stdin: JSON objects if the first line is one, else one prompt a line."""
    iterator = (line.rstrip("\r\n") for line in lines)
    full = (line for line in iterator if line.strip())
    first = next(full, None)
    if first is None:
        raise InputEmpty("stdin holds no rows", "Give one prompt a line")
    every = itertools.chain([first], full)
    raw = (
        _jsonl(every, "stdin") if first.lstrip().startswith("{") else ({"prompt": t} for t in every)
    )
    return bind(finished_rows(raw, seed), bound or {})


def finished_rows(rows: Iterable[Row], seed: int) -> Iterator[Row]:
    """Rows with an `id` (their place where they bring none), a `seed` and a `source_prompt`.

    Those that name a file in `path` and are not read yet have its digest as `path_digest`, so that
    what a store keeps of one file is not taken for another of its name.

    Raises
    ------
    BadRowId, InputUnreadable : an id, a seed or a text is not usable.
    """
    for number, row in enumerate(rows):
        row_id = checked_id(str(row.pop("id", number)))
        for name, value in row.items():
            kind = getattr(KNOWN.get(name), "kind", None)
            if isinstance(value, list | dict) and kind is Kind.TEXT:
                raise InputUnreadable(f"row {row_id!r}: {name} is no text")
            if isinstance(value, str) and name != "path" and (half := HALF.search(value)):
                raise InputUnreadable(
                    f"row {row_id!r}: {name} holds \\u{ord(half[0]):04x}, half of a character",
                    "Write the character whole, or leave it out",
                )
            if isinstance(value, str) and kind is Kind.ARRAY:
                raise InputUnreadable(
                    f"row {row_id!r}: {name} is a text, and no array of numbers",
                    "Name pictures in the field `path`, and read them by image.read",
                )
        given = row.pop("seed", None)
        if given in (None, ""):
            own_seed = derive_seed(seed, row_id)
        else:
            own_seed = _whole(given, row_id)
        if "prompt" in row:
            row.setdefault("source_prompt", row["prompt"])
        if "path" in row and "image" not in row:
            row.update(_digest_of(str(row["path"])))
        yield {"id": row_id, **row, "seed": own_seed}


def _digest_of(path: str) -> Row:
    """None of what is no file here, or cannot be read: a stage that needs it will say so."""
    try:
        return {PATH_DIGEST: file_hash(Path(path)).hex()[:32]} if Path(path).is_file() else {}
    except OSError:
        return {}


def _whole(value: object, row_id: str) -> int:
    try:
        seed = int(str(value))
    except ValueError:
        seed = -1
    if not 0 <= seed < 2**63:
        raise InputUnreadable(
            f"row {row_id!r}: seed {value!r} is no whole number from 0 to {2**63 - 1}",
            "Leave it empty to have one derived",
        )
    return seed


def checked_id(row_id: str) -> str:
    """The id itself.

    Raises
    ------
    BadRowId : it could not name a file, or would name one elsewhere.
    """
    if not _is_usable(row_id):
        raise BadRowId(
            f"row id {row_id!r} is not usable", "Use letters, digits, '_', '-' and single '.'"
        )
    return row_id


def _is_usable(row_id: str) -> bool:
    return ID.fullmatch(row_id) is not None and ".." not in row_id


def _rows_of_path(path: Path) -> Iterator[Row]:
    suffix = path.suffix.lower()
    if path.is_dir():
        return _folder(path)
    if suffix in TEXTS:
        return ({"prompt": line} for line in _nonempty(path))
    if suffix == ".csv":
        return _csv(path)
    if suffix == ".jsonl":
        return _jsonl(_nonempty(path), str(path))
    if suffix in PICTURES:
        return iter([_picture(path)])
    raise InputUnreadable(
        f"cannot take rows from {str(path)!r}",
        "Known: .txt .csv .jsonl, pictures, a store, a folder",
    )


def _picture(path: Path) -> Row:
    from imgtool.pictures.photo import read_photo

    return {"path": str(path), **read_photo(path)}


def _folder(path: Path) -> Iterator[Row]:
    """Pictures by name; an id is the file's stem, or what can be kept of it."""
    found = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES)
    if not found:
        raise InputEmpty(f"folder {str(path)!r} holds no pictures")
    taken = {file.stem for file in found if _is_usable(file.stem)}
    for file in found:
        row_id = file.stem
        if row_id not in taken:
            row_id = _free_id(SLUG.sub("-", row_id).strip("-")[:LONGEST_SLUG] or "picture", taken)
            taken.add(row_id)
        yield {**_picture(file), "id": row_id}


def _free_id(slug: str, taken: Collection[str]) -> str:
    """`slug`, or with the first number from 2 on that makes it none of `taken`."""
    numbered = (f"{slug}-{number}" for number in itertools.count(2))
    return next(name for name in itertools.chain([slug], numbered) if name not in taken)


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        yield from decoded_lines(file, str(path))


def decoded_lines(file: BinaryIO, name: str) -> Iterator[str]:
    """Lines of UTF-8 text, with their ends.

    Raises
    ------
    InputUnreadable : it is no UTF-8, or a line is longer than any prompt.
    """
    for number in itertools.count(1):
        line = file.readline(MOST_LINE + 1)
        if not line:
            return
        if len(line) > MOST_LINE:
            raise InputUnreadable(
                f"{name}:{number} is longer than {MOST_LINE >> 20} MiB", "Write one row a line"
            )
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise InputUnreadable(
                f"{name}:{number} is not UTF-8 text", "Convert it with iconv -t UTF-8"
            ) from None


def _nonempty(path: Path) -> Iterator[str]:
    empty = True
    for line in _lines(path):
        text = line.rstrip("\r\n")
        if text.strip():
            empty = False
            yield text
    if empty:
        raise InputEmpty(f"{str(path)!r} holds no rows", "Write one row a line")


def _jsonl(lines: Iterable[str], name: str) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as err:
            raise InputUnreadable(f"{name}:{number} is not JSON: {err.msg}") from None
        except ValueError:
            raise InputUnreadable(f"{name}:{number} has a number of too many digits") from None
        except RecursionError:
            raise InputUnreadable(f"{name}:{number} is not JSON: nested too deeply") from None
        if is_deep(row):
            raise InputUnreadable(f"{name}:{number} is nested too deeply")
        if not isinstance(row, dict):
            raise InputUnreadable(f"{name}:{number} is not a JSON object", 'Write {"prompt": "…"}')
        yield row


def _csv(path: Path) -> Iterator[Row]:
    reader = csv.DictReader(_lines(path), strict=True)
    empty = True
    try:
        for row in reader:
            if None in row or None in row.values():
                raise InputUnreadable(
                    f"{path}:{reader.line_num} has another count of cells than the header",
                    "Quote cells that hold commas",
                )
            empty = False
            yield {
                name: _cell(name, value, f"{path}:{reader.line_num}") for name, value in row.items()
            }
    except csv.Error as err:
        raise InputUnreadable(f"{path}:{reader.line_num}: {err}") from None
    if empty:
        raise InputEmpty(f"{str(path)!r} holds no rows", "Write a header line, then one row a line")


def _cell(name: str, value: str, where: str) -> object:
    field = KNOWN.get(name)
    number = name.startswith("score.") or (field is not None and field.kind is Kind.NUMBER)
    if not number or not value:
        return value
    try:
        return float(value)
    except ValueError:
        raise InputUnreadable(f"{where}: {name} {value!r} is no number") from None


def bind(rows: Iterable[Row], bound: Mapping[str, str]) -> Iterator[Row]:
    """`rows` with each field of `bound` read from its file or taken as a value.

    A picture is the same for every row, and what it says of its field too, such as `depth_kind`. A
    text file gives row i its line i. A row that has no `source_prompt` gets the prompt bound to it.

    Raises
    ------
    InputMissing, InputUnreadable, UsageError : as the names say.
    """
    fixed: Row = {}
    for name, value in bound.items():
        fixed[name], told = _bound_value(name, value)
        fixed = {**told, **fixed}
    columns = {n: iter(v) for n, v in fixed.items() if isinstance(v, list)}
    for row in rows:
        values = {name: value for name, value in fixed.items() if name not in columns}
        for name, column in columns.items():
            try:
                values[name] = next(column)
            except StopIteration:
                raise UsageError(f"{bound[name]!r} has fewer lines than there are rows") from None
        if "prompt" in values and row.get("source_prompt") is None:
            row = {**row, "source_prompt": values["prompt"]}
        yield {**row, **values}


def bound_fields(bound: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the fields that `bind` gives every row."""
    return (*bound, "source_prompt") if "prompt" in bound else tuple(bound)


def _is_text_file(name: str, value: str) -> bool:
    field = KNOWN.get(name)
    return not (field and field.is_array) and is_path(value) and Path(value).is_file()


def _bound_value(name: str, value: str) -> tuple[Any, dict[str, str]]:
    """What is bound, and texts that come with it."""
    if _is_text_file(name, value):
        return list(_nonempty(Path(value))), {}
    field = KNOWN.get(name)
    if field is None or not field.is_array:
        return int(value) if field is not None and field.kind is Kind.INTEGER else value, {}
    path = Path(value)
    if not path.is_file():
        raise InputMissing(f"no such file: {value!r}", f"--{name.replace('_', '-')} takes a file")
    from imgtool.pictures.read import read_map

    return read_map(path, field)
