"""Where rows come from: texts, files, a store, stdin, or an upstream command's stream."""

from __future__ import annotations

import itertools
import logging
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.engine.request import StreamSource
from imgtool.errors import InputEmpty, InputUnreadable, UsageError
from imgtool.stream import StreamReader, is_stream, read_header

if TYPE_CHECKING:
    from imgtool.cli.options import RunOptions

log = logging.getLogger("imgtool.cli")
Rows = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Source:
    """Rows for a run.

    Attributes
    ----------
    rows : mappings, or batches that are committed already.
    fields : names of fields that the rows have.
    what : what was given, in words that are equal for equal commands.
    store : the store that they come from.
    reader : the upstream's stream, if there is one.
    untrusted : whether it came with a recipe that must not download anything.
    files : files that the rows come from.
    """

    rows: Rows | StreamSource
    fields: tuple[str, ...]
    what: tuple[object, ...] = ()
    store: Path | None = None
    reader: StreamReader | None = None
    untrusted: bool = False
    files: tuple[Path, ...] = ()

    @property
    def is_committed(self) -> bool:
        """Whether the rows are batches of a store already."""
        return isinstance(self.rows, StreamSource)

    @property
    def was_cut(self) -> bool:
        """Whether an upstream command ended before its trailer."""
        return self.reader is not None and self.reader.cut

    def check_whole(self) -> None:
        """Raises StreamCut when an upstream command ended before its trailer."""
        if self.reader is not None:
            self.reader.check_whole()


def takes_stdin(inputs: tuple[str, ...], texts: tuple[str, ...]) -> bool:
    """Whether rows come from stdin where no field is bound.

    Raises
    ------
    UsageError : another input stands beside `-`.
    """
    if "-" not in inputs[: len(inputs) - len(texts)]:
        return not inputs
    if len(inputs) > 1:
        raise UsageError("'-' reads all rows from stdin; give no other input beside it")
    return True


def open_source(
    inputs: tuple[str, ...],
    texts: tuple[str, ...],
    bound: Mapping[str, str],
    options: RunOptions,
    stdin: Iterable[str] | None = None,
    *,
    alone: bool = False,
) -> Source:
    """Rows that a command's arguments name.

    Parameters
    ----------
    inputs : positional arguments, those behind `--` (`texts`) last.
    bound : field name to the file or value given by `--FIELD`.
    stdin : the lines of stdin, where it has been read.
    alone : whether what is bound is all that is needed, so that stdin is left to others: that of
        a loop in a shell, or one that never ends.

    Raises
    ------
    InputMissing, InputUnreadable, InputEmpty, BadRowId : as the names say.
    """
    from imgtool import inputs as reading
    from imgtool.cli.prerequisites import input_files

    words = inputs[: len(inputs) - len(texts)]
    if takes_stdin(inputs, texts):
        lines = lines_of_stdin() if stdin is None else iter(stdin)
        if inputs or not bound:
            return _from_stdin(lines, bound, options)
        # What is bound makes a row by itself where nothing comes.
        lines = itertools.dropwhile(str.isspace, lines if _is_piped() and not alone else ())
        if (first := next(lines, None)) is not None:
            return _from_stdin(itertools.chain([first], lines), bound, options)
    if len(words) == 1 and not texts and reading.is_store(words[0]):
        return _placed(of_store(Path(words[0])), bound, options)
    rows = reading.read_rows(words, texts=texts, bound=bound, seed=options.seed)
    _note_files_taken_as_prompts(words)
    what = (words, texts, sorted(bound.items()))
    return _from_rows(rows, what, input_files(words, bound))


def _note_files_taken_as_prompts(words: tuple[str, ...]) -> None:
    from imgtool.inputs import is_path

    for word in words:
        if word != "-" and not is_path(word) and _is_here(word):
            log.warning("%r is taken as a prompt; the file of that name is ./%s", word, word)


def _is_here(word: str) -> bool:
    try:
        return Path(word).exists()
    except (OSError, ValueError):  # a prompt that no file could be named by
        return False


def _from_rows(rows: Rows, what: tuple[object, ...], files: tuple[Path, ...] = ()) -> Source:
    iterator = iter(rows)
    first = next(iterator, None)
    if first is None:
        raise InputEmpty("the input holds no rows", "Give a prompt, a file or a stream")
    names = tuple(name for name in first if name != "id")
    return Source(itertools.chain([first], iterator), names, what, files=files)


def _from_stdin(lines: Iterator[str], bound: Mapping[str, str], options: RunOptions) -> Source:
    from imgtool import inputs as reading
    from imgtool.cli.prerequisites import input_files

    first = next(lines, "")
    if not is_stream(first):
        rows = reading.rows_of_lines(itertools.chain([first], lines), bound, options.seed)
        return _from_rows(rows, ("-",), input_files((), bound))
    header = read_header(first)
    reader = StreamReader(lines, header)
    stream = StreamSource(header.instance, reader.batches(), header.fields)
    what = (header.store, header.run)
    source = Source(stream, header.fields, what, Path(header.store), reader)
    return _placed(source, bound, options)


def _placed(source: Source, bound: Mapping[str, str], options: RunOptions) -> Source:
    """A store's rows as they are; read out of it for another store, or to have fields bound."""
    from imgtool import inputs as reading
    from imgtool.cli.prerequisites import input_files

    stream, store = source.rows, source.store
    assert isinstance(stream, StreamSource)
    assert store is not None
    is_there = options.store is None or options.store.absolute() == store.absolute()
    if is_there and not bound:
        return source
    return replace(
        source,
        rows=reading.bind(_stored_rows(store, stream.instance, iter(stream.batches)), bound),
        fields=(*source.fields, *reading.bound_fields(bound)),
        what=(*source.what, *sorted(bound.items())),
        files=(*source.files, *input_files((), bound)),
    )


def of_store(path: Path, run: str | None = None, label: str | None = None) -> Source:
    """Rows of a run that a store holds; of the newest, after its last stage, unless said."""
    from imgtool.cli.stored import last_batches

    found = last_batches(path, run, label)
    stream = StreamSource(found.instance, found.names, found.fields)
    record = path / "runs" / found.run / "zarr.json"
    return Source(stream, found.fields, (str(path), found.run, label), path, files=(record,))


def _stored_rows(store: Path, instance: str, names: Iterator[str]) -> Iterator[dict[str, Any]]:
    from imgtool.store import Store

    opened = Store.open(store, "r")
    for name in names:
        for row in opened.read(instance, name, None):
            yield {"id": row.id, **row.values}


def stream_on_stdin() -> StreamReader:
    """The stream of an upstream command.

    Raises
    ------
    InputUnreadable : stdin is something else.
    """
    lines = lines_of_stdin()
    first = next(lines, "")
    if not is_stream(first):
        raise InputUnreadable("stdin is no imgtool stream", "Pipe an imgtool command into this one")
    return StreamReader(lines, read_header(first))


def _is_piped() -> bool:
    """Whether stdin is a pipe or a file: nobody is asked for rows that may not be meant."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def lines_of_stdin() -> Iterator[str]:
    """Lines of stdin as they come.

    Raises
    ------
    InputEmpty : it is a terminal, or closed.
    """
    from imgtool.inputs import decoded_lines

    if sys.stdin is None or sys.stdin.isatty():
        raise InputEmpty(
            "no input", "Give a prompt in quotes, a file (.txt .csv .jsonl, a picture) or a pipe"
        )
    # A reader of its own: where the run stops while it waits for a line, nobody else must close it.
    with open(sys.stdin.fileno(), "rb", closefd=False) as file:
        yield from decoded_lines(file, "stdin")
