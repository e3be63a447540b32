"""From tables of stages to what a report shows: columns, source rows, lines, fates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool.errors import UsageError
from imgtool.report import commands, model
from imgtool.report.columns import find_columns
from imgtool.report.lineage import Kinship, fate_of
from imgtool.report.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from imgtool.report.columns import Draft
    from imgtool.report.commands import SpecOf
    from imgtool.report.pictures import Album
    from imgtool.report.reading import Table
    from imgtool.store import Store

LABEL_LENGTH = 40


def collect(store: Store, names: Sequence[str], album: Album, spec_of: SpecOf) -> model.Report:
    """What a report of the runs `names` of a store shows.

    Parameters
    ----------
    names : runs that are there.
    album : takes the pictures.
    spec_of : declaration of a stage, None where its plugin is not at hand.

    Raises
    ------
    UsageError : the runs began with different prompts.
    StoreDamaged : a batch cannot be read.
    """
    reader = Reader(store, album)
    runs = [reader.tables(store.run(name) or {}) for name in names]
    check_same_rows(names, runs)
    variants = variant_names(names, runs, spec_of)
    columns = find_columns(runs)
    shown = [column for column in columns if column.is_shown]
    kin = Kinship(runs)
    return model.Report(
        store=store.path.name,
        runs=tuple(
            model.Run(name, variant, _steps(tables, at, shown, spec_of))
            for at, (name, variant, tables) in enumerate(zip(names, variants, runs, strict=True))
        ),
        columns=tuple(_column(column, runs, variants, spec_of) for column in shown),
        groups=tuple(_group(root, ids, runs, shown, kin) for root, ids in kin.families()),
        pictures=tuple(album.pictures),
    )


def check_same_rows(names: Sequence[str], runs: Sequence[Sequence[Table]]) -> None:
    """Raises UsageError where two runs have one row with different prompts at its source."""
    first = runs[0][0]
    for name, tables in zip(names[1:], runs[1:], strict=True):
        for row_id, row in tables[0].rows.items():
            other = first.rows.get(row_id)
            if other and other.values.get("prompt") != row.values.get("prompt"):
                raise UsageError(
                    f"runs {names[0]!r} and {name!r} began with different prompts in row {row_id}",
                    "Give runs of one pipeline over the same input",
                )


def variant_names(
    names: Sequence[str], runs: Sequence[Sequence[Table]], spec_of: SpecOf
) -> list[str]:
    """What sets each run apart: the parameters that differ, else its name; empty when alone."""
    if len(names) == 1:
        return [""]
    shapes = {tuple((table.label, table.use) for table in tables) for tables in runs}
    if len(shapes) > 1:
        return list(names)
    found: list[list[str]] = [[] for _ in names]
    for stages in zip(*runs, strict=True):
        for key in dict.fromkeys(key for stage in stages for key in stage.params):
            values = [stage.params.get(key) for stage in stages]
            if any(value != values[0] for value in values):
                for texts, value in zip(found, values, strict=True):
                    texts.append(f"{key}={_short(value)}")
    joined = [", ".join(texts) for texts in found]
    return joined if all(joined) and len(set(joined)) == len(joined) else list(names)


def _short(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LABEL_LENGTH else f"{text[: LABEL_LENGTH - 1]}…"


def _group(
    root: str,
    ids: Iterable[str],
    runs: Sequence[Sequence[Table]],
    columns: Sequence[Draft],
    kin: Kinship,
) -> model.Group:
    table = next((tables[0] for tables in runs if root in tables[0].rows), None)
    values = table.rows[root].values if table else {}
    held = sorted(table.made) if table else []
    return model.Group(
        root,
        str(values.get("prompt") or ""),
        commands.source_command({"id": root, **values}, held),
        tuple(_line(row_id, runs, columns, kin) for row_id in ids),
    )


def _line(
    row_id: str, runs: Sequence[Sequence[Table]], columns: Sequence[Draft], kin: Kinship
) -> model.Line:
    chain = kin.lineage(row_id)
    cells = {}
    for at, column in enumerate(columns):
        nearest = next((name for name in reversed(chain) if name in column.cells), None)
        if nearest is not None:
            cells[at] = column.cells[nearest]
    values = _last_values(chain, runs)
    seed = values.get("seed")
    fates = {at: fate_of(chain, tables) for at, tables in enumerate(runs) if _has(tables, chain)}
    prompt = str(values.get("prompt") or "")
    return model.Line(row_id, prompt, seed if isinstance(seed, int) else None, chain, cells, fates)


def _last_values(chain: Sequence[str], runs: Sequence[Sequence[Table]]) -> Mapping[str, Any]:
    for row_id in reversed(chain):
        for tables in runs:
            for table in reversed(tables):
                if row_id in table.rows:
                    return table.rows[row_id].values
    return {}


def _has(tables: Sequence[Table], chain: Sequence[str]) -> bool:
    return any(chain[0] in table.rows for table in tables)


def _steps(
    tables: Sequence[Table], run: int, columns: Sequence[Draft], spec_of: SpecOf
) -> tuple[model.Step, ...]:
    place = {
        stage.key: at
        for at, column in enumerate(columns)
        for stage in column.stages
        if run in column.runs
    }
    return tuple(
        model.Step(
            table.label,
            table.use,
            commands.given_params(table.params, spec_of(table.use)),
            len(table.rows),
            place.get(table.key),
            table.family == "select",
        )
        for table in tables
    )


def _column(
    draft: Draft, runs: Sequence[Sequence[Table]], variants: Sequence[str], spec_of: SpecOf
) -> model.Column:
    first, last = draft.stages[0], draft.stages[-1]
    above = {table.key: table for table in runs[draft.runs[0]]}
    chain: list[Table] = []
    table: Table | None = above[last.key]
    while table is not None and table.use != "source":
        chain.insert(0, table)
        table = above.get(table.upstream or "")
    shared = len(draft.runs) == len(runs)
    return model.Column(
        key=last.key,
        title=first.label,
        use=" → ".join(stage.use for stage in draft.stages),
        runs=tuple(draft.runs),
        variant="" if shared else " | ".join(variants[at] for at in draft.runs),
        scores=tuple(dict.fromkeys(n for cell in draft.cells.values() for n in cell.scores)),
        has_pictures=draft.has_pictures,
        latents_only=draft.gives_latents and not draft.has_pictures,
        command=commands.command(
            [(stage.use, stage.params) for stage in chain],
            spec_of,
            draft.has_pictures or draft.gives_latents,
        )
        if chain
        else None,
    )
