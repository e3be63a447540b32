"""`imgtool bench run`, `compare`, `subset` and `agree`.

Examples
--------
imgtool bench run tabletop --model tabletop --count 28 -o tabletop.json
imgtool bench compare tabletop.json other.json
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgtool.api import BadParams

if TYPE_CHECKING:
    from imgtool_score.suites.model import Suite
    from imgtool_score.suites.running import Judged, Places, Subject

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
OUTPUT = click.Path(path_type=Path, dir_okay=False)
AS_JSON = click.Option(["--json", "as_json"], is_flag=True, help="Print one JSON document.")
PARTIAL = click.Option(["--partial"], is_flag=True, help="Do with the pictures that there are.")
SHEET_ROWS = 32


def _run(
    suite: str,
    pipeline: str,
    model: str,
    judge: str,
    settings: tuple[str, ...],
    count: int,
    seeds: int,
    seed: int,
    output: Path | None,
    sheet: Path | None,
    as_json: bool,
    partial: bool,
    **places: Any,
) -> None:
    from imgtool_score.suites.find import find_suite
    from imgtool_score.suites.results import write_results
    from imgtool_score.suites.running import Subject
    from imgtool_score.suites.showing import show_results

    subject = Subject(pipeline, model, dict(_pair(text) for text in settings))
    found = _judged_by(find_suite(suite).first(count), judge)
    done = measured(found, subject, seeds or found.seeds, seed, _places(places), partial)
    if output is not None:
        write_results(output, done.results)
    if sheet is not None:
        _write_sheet(sheet, done)
    if as_json:
        click.echo(json.dumps(done.results.as_json(), sort_keys=True))
    else:
        show_results(done.results)


def measured(
    suite: Suite, subject: Subject, seeds: int, seed: int, places: Places, partial: bool
) -> Judged:
    """A run of the suite with its judge's own accuracy and the distance to truth.

    Raises
    ------
    StageFailed : pictures failed, and not `partial`.
    ImgtoolError : as the engine says.
    """
    from imgtool.api import current_registry
    from imgtool_score.suites.judge import features_of, judge_fields, try_judge
    from imgtool_score.suites.running import run_suite

    fields = judge_fields(current_registry().spec("stage", suite.judge.stage))
    done = run_suite(suite, subject, seeds, seed, places, partial)
    known = try_judge(suite, fields, subject.overrides, places)
    judge = {**done.results.judge, "accuracy": None if known is None else known.as_json()}
    results = replace(done.results, judge=judge)
    features = None if known is None else known.features
    made = features_of(done.run, suite.features)
    if features is not None and made is not None:
        from imgtool_score.suites.distance import distance_to

        items = list(done.run.rows.values("item"))
        results = replace(results, distance=distance_to(made, features, items))
    return replace(done, results=results)


def _judged_by(suite: Suite, judge: str) -> Suite:
    if not judge or judge == suite.judge.stage:
        return suite
    from imgtool_score.suites.model import Use

    # Another judge has other features, and truth is for the suite's own.
    return replace(suite, judge=Use(judge), features="", truth=None)


def _places(given: dict[str, Any]) -> Places:
    from imgtool_score.suites.running import Places

    store = given.pop("store")
    return Places(store, {name: value for name, value in given.items() if value})


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise BadParams(f"--set takes LABEL.KEY=VALUE, not {text!r}")
    return key.strip(), value


def _write_sheet(path: Path, done: Judged) -> None:
    from itertools import islice

    from imgtool.api import contact_sheet

    images = list(islice(done.run.rows.values("image"), SHEET_ROWS))
    prompts = list(islice(done.run.rows.values("prompt"), SHEET_ROWS))
    contact_sheet(images, prompts, columns=8, cell=128).save(path)


def _compare(a: Path, b: Path, as_json: bool, partial: bool) -> None:
    from imgtool_score.suites.comparing import compare, compare_distances, document
    from imgtool_score.suites.results import read_results
    from imgtool_score.suites.showing import show_comparison

    one, two = read_results(a), read_results(b)
    differences, distance = compare(one, two, partial), compare_distances(one, two)
    if as_json:
        click.echo(json.dumps(document(one, two, differences, distance), sort_keys=True))
    else:
        show_comparison(one, two, differences, distance)


def _subset(
    results: tuple[Path, ...],
    held_out: tuple[Path, ...],
    k: int,
    seed: int,
    suite: str,
    output: Path | None,
    as_json: bool,
) -> None:
    from imgtool_score.suites.find import find_suite, write_suite
    from imgtool_score.suites.results import read_results
    from imgtool_score.suites.showing import show_subset
    from imgtool_score.suites.subset import choose_prompts

    if bool(suite) != bool(output):
        raise BadParams("--suite and -o go together", "--suite SUITE -o FILE writes the prompts")
    whole = find_suite(suite) if suite else None
    chosen = choose_prompts(
        [read_results(path) for path in results],
        [read_results(path) for path in held_out],
        k,
        seed,
    )
    if whole is not None and output is not None:
        write_suite(output, whole.only(set(chosen["items"])))
    if as_json:
        click.echo(json.dumps(chosen, sort_keys=True))
    else:
        show_subset(chosen)


def _agree(
    human: Path,
    scores: tuple[Path, ...],
    metrics: tuple[str, ...],
    lower: tuple[str, ...],
    ties: Any,
    level: str,
    k: int,
    gain: str,
    as_json: bool,
) -> None:
    from imgtool_score.suites.agree import Settings, agree
    from imgtool_score.suites.grades import read_human, read_metrics
    from imgtool_score.suites.showing import show_agreement

    settings = Settings(ties, level, k, gain == "exponential")
    found = agree(read_human(human), read_metrics(scores, metrics), lower, settings)
    if as_json:
        click.echo(json.dumps(found, sort_keys=True))
    else:
        show_agreement(found)


def _number(name: str, least: int, default: int, help_: str) -> click.Option:
    kind = click.IntRange(min=least)
    return click.Option([name], type=kind, default=default, show_default=True, help=help_)


run = click.Command(
    "run",
    callback=_run,
    help="Draw the pictures of SUITE, have them judged, and print figures with intervals.\n\n"
    "SUITE is a name, a suite file, or LAYOUT:FOLDER of a published benchmark.",
    params=[
        click.Argument(["suite"]),
        click.Option(
            ["-p", "--pipeline"], default="", help="Pipeline that draws: NAME or FILE:NAME."
        ),
        click.Option(["--model"], default="", help="Model that draws, without a pipeline."),
        click.Option(["--judge"], default="", help="Stage that judges.  [default: the suite's]"),
        click.Option(
            ["--set", "settings"],
            multiple=True,
            metavar="LABEL.KEY=VALUE",
            help="Change a parameter of a stage or of the judge.",
        ),
        _number("--count", 0, 0, "Prompts, in turn from each category; 0: all."),
        _number("--seeds", 0, 0, "Pictures a prompt; 0: as the suite says."),
        _number("--seed", 0, 0, "Seed of all seeds."),
        click.Option(["-o", "--output"], type=OUTPUT, help="Write results to this JSON file."),
        click.Option(["--sheet"], type=OUTPUT, help="Write a contact sheet."),
        AS_JSON,
        PARTIAL,
        click.Option(["--store"], type=click.Path(path_type=Path), help="Keep pictures here."),
        click.Option(["--device"], default="", help="auto, cpu, cuda, mps…"),
        click.Option(["--dtype"], default="", help="Precision of models."),
        click.Option(["--deterministic"], is_flag=True, help="Same bits whatever the batch size."),
        click.Option(["--retry-failed"], is_flag=True, help="Try pictures again that failed."),
    ],
)
compare = click.Command(
    "compare",
    callback=_compare,
    help="Figures of results B less those of A, with paired intervals and wins by prompt.",
    params=[
        click.Argument(["a"], type=FILE),
        click.Argument(["b"], type=FILE),
        AS_JSON,
        PARTIAL,
    ],
)
subset = click.Command(
    "subset",
    callback=_subset,
    help="Choose K prompts that rank models as all do, from results of four models or more.",
    params=[
        click.Argument(["results"], type=FILE, nargs=-1, required=True),
        click.Option(
            ["--hold-out", "held_out"],
            type=FILE,
            multiple=True,
            help="Results of a model that has no part in the choice.",
        ),
        _number("-k", 1, 50, "Prompts to choose."),
        _number("--seed", 0, 0, "Seed of the search."),
        click.Option(["--suite"], default="", help="Suite of the results, to write it anew."),
        click.Option(["-o", "--output"], type=OUTPUT, help="Write the chosen prompts as a suite."),
        AS_JSON,
    ],
)
agree = click.Command(
    "agree",
    callback=_agree,
    help="How well SCORES agree with HUMAN rankings: pairs, SRCC, KRCC and nDCG.",
    params=[
        click.Argument(["human"], type=FILE),
        click.Argument(["scores"], type=FILE, nargs=-1, required=True),
        click.Option(["--metric", "metrics"], multiple=True, help="Column of SCORES to measure."),
        click.Option(["--lower"], multiple=True, help="Metric of which less is better."),
        click.Option(
            ["--metric-ties", "ties"],
            type=click.Choice(["half", "wrong", "drop"]),
            default="half",
            show_default=True,
            help="What a pair counts that the metric ties.",
        ),
        click.Option(
            ["--level"],
            type=click.Choice(["prompt", "model"]),
            default="prompt",
            show_default=True,
            help="Correlate within prompts, or mean scores of models.",
        ),
        _number("-k", 0, 0, "Items that count for nDCG; 0: all."),
        click.Option(
            ["--gain"],
            type=click.Choice(["linear", "exponential"]),
            default="linear",
            show_default=True,
            help="Gain of nDCG.",
        ),
        AS_JSON,
    ],
)
