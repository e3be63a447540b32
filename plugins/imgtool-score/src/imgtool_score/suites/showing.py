"""Prints results, comparisons, choices and agreement for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgtool_score.suites.comparing import Change, Difference
    from imgtool_score.suites.results import Results


def show_results(results: Results) -> None:
    """One line a figure, after what the judge is worth."""
    accuracy = results.judge.get("accuracy")
    if accuracy:
        asked = _many(accuracy["questions"], "question")
        click.echo(
            f"{'judge':10} {accuracy['balanced']:7.1%}  of {asked} with known answers, yes and no "
            "alike"
        )
    as_share = _is_share(results)
    for figure in results.figures:
        click.echo(_figure_line(figure, as_share))
    if results.distance is not None:
        click.echo(_distance_line(results.distance))
    if results.failures:
        click.echo(f"{_many(len(results.failures), 'picture')} failed, counted nowhere")


def _figure_line(figure: Mapping[str, Any], as_share: bool) -> str:
    line = f"{figure['name']:10} {_said(figure['value'], as_share):>7}  "
    line += _bounds(figure["low"], figure["high"], as_share)
    if figure["seeds_low"] is not None:
        line += f"  seeds {_bounds(figure['seeds_low'], figure['seeds_high'], as_share)}"
    about = "answer" if figure["about"] == "kind" else "picture"
    return f"{line}  {_many(figure['prompts'], 'prompt')}, {_many(figure['pictures'], about)}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _distance_line(distance: Mapping[str, Any]) -> str:
    note = ""
    if distance["pictures"] <= distance["features"]:
        note = f"; too few for {distance['features']} features to mean much"
    return (
        f"{'frechet':10} {distance['value']:7.3f}  "
        f"{_bounds(distance['low'], distance['high'], False)}  "
        f"{_many(distance['pictures'], 'picture')} to {distance['truth']} true ones{note}"
    )


def _is_share(results: Results) -> bool:
    rule = results.rule
    return rule.scale == 1.0 and (rule.binary or rule.picture == "all")


def _said(value: float, as_share: bool) -> str:
    return f"{value:.1%}" if as_share else f"{value:.3f}"


def _bounds(low: float | None, high: float | None, as_share: bool) -> str:
    if low is None or high is None:
        return "[too few prompts]"
    return f"[{_said(low, as_share)}, {_said(high, as_share)}]"


def show_comparison(
    a: Results, b: Results, differences: Sequence[Difference], distance: Change | None
) -> None:
    """A table with one line a figure, and the distances at the end."""
    as_share = _is_share(a)
    click.echo(f"A  {a.name}\nB  {b.name}")
    click.echo(f"{'figure':12} {'A':>8} {'B':>8} {'B - A':>8}  {'95 % of B - A':20} win/tie/loss")
    for item in differences:
        counts = f"{item.win}/{item.tie}/{item.loss}"
        click.echo(_change_line(item, as_share, counts))
    if distance is not None:
        click.echo(_change_line(distance, False, "less is better"))


def _change_line(item: Change, as_share: bool, note: str) -> str:
    a, b, change = (_said(value, as_share) for value in (item.a, item.b, item.change.value))
    interval = item.change.as_json()
    bounds = _bounds(interval["low"], interval["high"], as_share)
    clear = "  clear" if item.is_clear else ""
    return f"{item.name:12} {a:>8} {b:>8} {change:>8}  {bounds:20} {note}{clear}"


def show_subset(chosen: Mapping[str, Any]) -> None:
    """The prompts' ids, and how well they rank."""
    click.echo(f"tau        {chosen['tau']:.3f}  of {_many(len(chosen['models']), 'model')}")
    if chosen["held_out_tau"] is not None:
        held_out = _many(len(chosen["held_out"]), "model")
        click.echo(f"held out   {chosen['held_out_tau']:.3f}  of {held_out}")
    click.echo(f"prompts    {' '.join(chosen['items'])}")


def show_agreement(found: Mapping[str, Any]) -> None:
    """A block a metric, and differences from the first."""
    click.echo(
        f"{_many(found['prompts'], 'prompt')}, {found['skipped']} skipped, "
        f"{_many(len(found['models']), 'model')}"
    )
    for row in found["metrics"]:
        click.echo(
            f"{row['metric']}: {_many(row['pairs'], 'pair')}, {row['tied']:.1%} tied by the metric"
        )
        for measure in ("accuracy", "srcc", "krcc", "ndcg"):
            line = f"  {measure:9}{_interval(row[measure])}"
            if "from_first" in row:
                line += f"  from the first {_interval(row['from_first'][measure])}"
            click.echo(line)


def _interval(value: Mapping[str, float | None]) -> str:
    if value["value"] is None:
        return "     none"
    bounds = "" if value["low"] is None else f"  [{value['low']:.3f}, {value['high']:.3f}]"
    return f" {value['value']:8.3f}{bounds}"
