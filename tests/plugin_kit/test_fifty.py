"""Fifty plugins, ten of them broken at import: help works, and a warm call imports none."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Imgtool

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "plugins.py"


def test_fifty_plugins_of_which_ten_are_broken_are_imported_once_and_never_again(
    imgtool: Imgtool, tmp_path: Path
) -> None:
    site, log = tmp_path / "site", tmp_path / "imported.txt"
    site.mkdir()
    good, broken = runpy.run_path(str(BENCHMARK))["install"](site)
    common = {"PYTHONPATH": str(site), "PLUGIN_LOG": str(log)}
    everything = {**common, "IMGTOOL_PLUGINS": ",".join([*good, *broken])}
    imgtool("--help", env={**common, "IMGTOOL_PLUGINS": ",".join(good)})
    cold = imgtool("--help", env={**everything, "IMGTOOL_PLUGIN_TIMEOUT": "1"})
    imported = set(log.read_text().split())
    log.write_text("")

    warm = imgtool("--help", env=everything)
    rows = [json.loads(line) for line in imgtool("plugin", "list", "--json", env=everything).lines]

    assert imported >= set(good)
    assert (cold.status, warm.status) == (0, 0)
    assert cold.out == warm.out
    assert log.read_text() == ""
    states = {row["plugin"]: row for row in rows}
    assert {name for name, row in states.items() if row["state"] != "ok"} == set(broken)
    reasons = {states[name]["problem"] for name in broken}
    assert any(reason.startswith("RuntimeError: no colours today (") for reason in reasons)
    assert any("7" in reason for reason in reasons)
    assert any("did not end in 1 s" in reason for reason in reasons)
