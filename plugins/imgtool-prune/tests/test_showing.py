"""What `imgtool show` says of a pruned model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from imgtool.api import InputUnreadable
from imgtool_prune.chart import COLOURS, Bar, draw_chart
from imgtool_prune.showing import REPORT, shown
from schemas import faults

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BLOCK = "down.0"


def layer(path: str, zeros: int, **more: Any) -> dict[str, Any]:
    return {
        "path": f"{BLOCK}.{path}", "block": BLOCK, "shape": [4, 10], "weights": 40,
        "zeros": zeros, "package": 0, **more,
    }  # fmt: skip


REPORT_OF_TWO: dict[str, Any] = {
    "format": 1,
    "maker": "prune.obs/1",
    "settings": {
        "model": "tabletop", "pattern": "unstructured", "target": "5%loss", "prompts": ["a", "b"],
    },
    "target": {"sparsity": 0.375, "losses": {"0.950000": 0.7, "0.375000": 0.04}},
    "alphas": [1.2, 0.8],
    "layers": [
        layer("attn1.to_q", 10, relative_error=0.01, magnitude_error=0.04),
        layer("ff.net.2", 20, relative_error=0.03, magnitude_error=0.06),
    ],
    "parameters": 1000,
    "flops": 4000.0,
    "flops_kept": 3000.0,
    "targeted_weights": 80,
    "zeros": 30,
    "sparsity": 0.375,
}  # fmt: skip


def written(folder: Path, report: Mapping[str, Any] | str) -> Path:
    text = report if isinstance(report, str) else json.dumps(report)
    (folder / REPORT).write_text(text)
    return folder


def test_a_report_fits_its_schema(tmp_path: Path) -> None:
    assert faults("prune-1", shown(written(tmp_path, REPORT_OF_TWO)).document) == []


def test_a_report_is_told_as_facts_and_a_row_for_each_layer(tmp_path: Path) -> None:
    told = shown(written(tmp_path, REPORT_OF_TWO))

    assert dict(told.facts) == {
        "maker": "prune.obs/1",
        "model": "tabletop",
        "pattern": "unstructured",
        "sparsity": "37.50% of 80 weights",
        "target": "5%loss: loss 4.00%",
        "parameters": "1,000",
        "FLOPs": "4e+03 an evaluation, 75.0% without what is pruned",
        "calibrated with": "2 prompts, 2 evaluations each",
        "mean error": "2.00% of a layer's output, by magnitude 5.00%",
    }
    assert told.rows == [
        ("down.0.attn1.to_q", "4×10", "25.0%", "1.00%", 1),
        ("down.0.ff.net.2", "4×10", "50.0%", "3.00%", 1),
    ]
    assert told.document["schema"] == "imgtool.prune/1"
    assert told.document["layers"] == REPORT_OF_TWO["layers"]


def test_what_needs_no_prompts_tells_no_errors(tmp_path: Path) -> None:
    report = {**REPORT_OF_TWO, "layers": [layer("attn1.to_q", 10)], "alphas": []}
    report["settings"] = {"model": "tabletop", "pattern": "2:4"}
    told = shown(written(tmp_path, report))

    assert [name for name, _ in told.facts] == [
        "maker", "model", "pattern", "sparsity", "parameters", "FLOPs",
    ]  # fmt: skip
    assert told.rows == [("down.0.attn1.to_q", "4×10", "25.0%", None, 1)]


def test_a_model_of_which_nothing_was_pruned_has_no_chart(tmp_path: Path) -> None:
    assert shown(written(tmp_path, {**REPORT_OF_TWO, "layers": []})).picture is None


def heights(chart: np.ndarray, kind: str) -> list[int]:
    """Coloured pixels in each column that has the colour of a kind, below the legend."""
    found = (chart[30:] == np.array(COLOURS[kind], np.uint8)).all(-1).sum(0)
    return [int(height) for height in found if height]


def test_bars_are_as_high_as_what_they_stand_for() -> None:
    bars = [Bar("b.attn.to_q", "b", 0.25, None), Bar("b.ff.net.2", "b", 0.5, None)]
    chart = draw_chart(bars)
    low, high = heights(chart, "queries, keys, values"), heights(chart, "feed-forward")

    assert len(set(low)) == len(set(high)) == 1
    assert high[0] == pytest.approx(2 * low[0], abs=2)
    assert draw_chart([Bar(bar.path, "b", bar.sparsity, 0.1) for bar in bars]).shape[0] > len(chart)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("x.attn2.to_out.0", "attention out"),
        ("x.attn.to_add_out", "attention out"),
        ("x.attn.add_k_proj", "queries, keys, values"),
        ("x.attn1.to_v", "queries, keys, values"),
        ("x.ff_context.net.0.proj", "feed-forward"),
        ("single_transformer_blocks.0.proj_out", "feed-forward"),
    ],
)
def test_layers_are_coloured_by_what_they_do(path: str, kind: str) -> None:
    assert Bar(path, "x", 0.5, None).kind == kind


@pytest.mark.parametrize("report", ["{", "[]", '{"format": 2}', '{"format": 1}'])
def test_what_is_no_report_is_refused(report: str, tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable, match="is no report"):
        shown(written(tmp_path, report))
