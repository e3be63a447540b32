"""`imgtool show slim/`: the report of a pruning as facts, a table of layers and a chart."""

from __future__ import annotations

import json
from statistics import mean
from typing import TYPE_CHECKING, Any

from imgtool.api import InputUnreadable, Shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REPORT = "prune_report.json"
FORMAT = 1


def shown(folder: Path) -> Shown:
    """What the report in `folder` says.

    Raises
    ------
    InputUnreadable : it is no report, or one of another format.
    """
    from imgtool_prune.chart import Bar, draw_chart

    report = _read(folder / REPORT)
    try:
        layers = report["layers"]
        bars = [Bar(x["path"], x["block"], _sparsity(x), x.get("relative_error")) for x in layers]
        rows = [_row(layer) for layer in layers]
        facts = list(_facts(report))
    except (KeyError, TypeError) as err:
        raise InputUnreadable(f"{str(folder / REPORT)!r} is no report of a pruning") from err
    return Shown(
        document={"schema": "imgtool.prune/1", **report},
        facts=facts,
        columns=("layer", "shape", "sparsity", "error", "package"),
        rows=rows,
        picture=draw_chart(bars) if bars else None,
    )


def _read(file: Path) -> Mapping[str, Any]:
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise InputUnreadable(f"{str(file)!r} is no report of a pruning") from err
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise InputUnreadable(f"{str(file)!r} is no report of format {FORMAT}")
    return report


def _facts(report: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    settings = report["settings"]
    yield "maker", report["maker"]
    yield "model", settings["model"]
    if "pattern" in settings:
        yield "pattern", settings["pattern"]
    yield "sparsity", f"{report['sparsity']:.2%} of {report['targeted_weights']:,} weights"
    if settings.get("target"):
        yield "target", f"{settings['target']}: {_met(report['target'])}"
    yield "parameters", f"{report['parameters']:,}"
    if report.get("parameters_kept", report["parameters"]) != report["parameters"]:
        yield "parameters kept", f"{report['parameters_kept']:,}"
    if "flops" in report:
        kept = report["flops_kept"] / report["flops"]
        yield "FLOPs", f"{report['flops']:.3g} an evaluation, {kept:.1%} without what is pruned"
    if settings.get("prompts"):
        steps = f", {len(report['alphas'])} evaluations each" if report["alphas"] else ""
        yield "calibrated with", f"{len(settings['prompts'])} prompts{steps}"
    errors = [x["relative_error"] for x in report["layers"] if "relative_error" in x]
    plain = [x["magnitude_error"] for x in report["layers"] if "magnitude_error" in x]
    if errors:
        by_size = f", by magnitude {mean(plain):.2%}" if plain else ""
        yield "mean error", f"{mean(errors):.2%} of a layer's output{by_size}"
    for warning in report.get("warnings", ()):
        yield "warning", warning


def _met(found: Mapping[str, Any]) -> str:
    if "cost" in found:
        return f"{found['cost'] / found['dense_cost']:.1%} of the dense denoiser"
    loss = found["losses"].get(f"{found['sparsity']:.6f}")
    return f"loss {loss:.2%}" if loss is not None else f"sparsity {found['sparsity']:.2%}"


def _sparsity(layer: Mapping[str, Any]) -> float:
    return float(layer["zeros"] / layer["weights"])


def _row(layer: Mapping[str, Any]) -> tuple[object, ...]:
    error = layer.get("relative_error")
    return (
        layer["path"],
        "×".join(map(str, layer["shape"])),
        f"{_sparsity(layer):.1%}",
        None if error is None else f"{error:.2%}",
        layer["package"] + 1,
    )
