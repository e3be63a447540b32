"""What a page about runs holds, without a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from studio import HOSTILE, data_of

from imgtool.errors import UsageError
from imgtool.report.collect import collect
from imgtool.report.page import page
from imgtool.report.pictures import EDGES, PAGE_BYTES, Album, as_grey, edge_for
from imgtool.store import Store
from schemas import ROOT, faults

if TYPE_CHECKING:
    from pathlib import Path

    from studio import Studio

    from imgtool.report.model import Report


def report_of(store: Path, *runs: str) -> Report:
    return collect(Store.open(store, "r"), runs, Album(64), lambda use: None)


def test_a_search_shows_its_candidates_and_keeps_the_best(studio: Studio) -> None:
    found = report_of(studio.store, "search")

    titles = [column.title for column in found.columns]
    assert titles == ["upper.toy", "draw", "score.red"]
    assert [group.prompt for group in found.groups] == [HOSTILE, "a cube", "a ball"]
    for group in found.groups:
        scores = [line.cells[2].scores["score.red"] for line in group.lines]
        states = [line.fates[0].state for line in group.lines]
        assert states.count("kept") == 1 and states.count("dropped") == 2
        assert scores[states.index("kept")] == max(scores)
        assert {line.lineage for line in group.lines} == {
            (group.id, f"{group.id}.{child}") for child in range(3)
        }
        assert all(line.cells[1].picture is not None for line in group.lines)


def test_values_of_a_sweep_stand_side_by_side(studio: Studio) -> None:
    found = report_of(studio.store, "plain-tint=none", "plain-tint=red")

    assert [run.variant for run in found.runs] == ["tint=none", "tint=red"]
    drawn = [at for at, column in enumerate(found.columns) if column.title == "draw"]
    assert [found.columns[at].variant for at in drawn] == ["tint=none", "tint=red"]
    first = found.groups[0].lines[0]
    assert first.cells[drawn[0]].picture != first.cells[drawn[1]].picture


def test_a_failed_row_says_where_and_why(studio: Studio) -> None:
    found = report_of(studio.store, "plain-tint=none")

    fates = [group.lines[0].fates[0] for group in found.groups]
    assert [fate.state for fate in fates] == ["kept", "failed", "kept", "kept"]
    assert (fates[1].stage, fates[1].reason) == ("draw", "asked to fail")


def test_a_run_that_is_not_done_shows_what_is_there(studio: Studio, tmp_path: Path) -> None:
    copy = shutil.copytree(studio.store, tmp_path / "s.zarr")
    for batch in copy.glob("score-*/000001-*"):
        shutil.rmtree(batch)

    found = report_of(copy, "plain-tint=none")

    fates = [group.lines[0].fates[0] for group in found.groups]
    assert [fate.state for fate in fates] == ["kept", "failed", "waiting", "waiting"]
    assert fates[2].stage == "score.red"
    assert found.groups[2].lines[0].cells.keys() == {0}


def test_runs_over_other_prompts_are_refused(studio: Studio) -> None:
    with pytest.raises(UsageError, match="'search' and 'plain-tint=red' began with different"):
        report_of(studio.store, "search", "plain-tint=red")


class Elements(HTMLParser):
    """Names of a page's elements, and the text of its scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.policy = ""
        self.texts: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.names.append(tag)
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""
        assert not any(name.startswith("on") for name in found)
        assert found.get("href", "data:,") == "data:," and "src" not in found

    def handle_data(self, data: str) -> None:
        if self.names and self.names[-1] in ("script", "style") and data.strip():
            self.texts[self.names[-1]] = data


def test_a_hostile_prompt_stays_text(studio: Studio) -> None:
    text = studio.search.read_text(encoding="utf-8")
    elements = Elements()
    elements.feed(text)

    assert elements.names.count("script") == 2 and elements.names.count("img") == 4
    assert "<img src" not in text and "\u2028" not in text
    assert data_of(studio.search)["groups"][0]["prompt"] == HOSTILE


def test_the_policy_allows_the_page_alone(studio: Studio) -> None:
    elements = Elements()
    elements.feed(studio.search.read_text(encoding="utf-8"))

    rules = dict(rule.strip().split(" ", 1) for rule in elements.policy.split(";"))
    digests = {
        name: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for name, text in elements.texts.items()
    }
    assert rules == {
        "default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'",
        "style-src": f"'sha256-{digests['style']}'", "script-src": f"'sha256-{digests['script']}'",
    }  # fmt: skip


def command_of(data: Any, group: int, line: int, title: str) -> str:
    """The command that a page offers for a picture."""
    at = next(i for i, column in enumerate(data["columns"]) if column["title"] == title)
    cell = data["groups"][group]["lines"][line]["cells"][str(at)]
    fill = {0: data["groups"][group]["source"], 1: cell["row"]}
    return "".join(fill.get(part, part) for part in data["columns"][at]["command"]["parts"])


def test_the_command_makes_the_picture_again(studio: Studio, tmp_path: Path) -> None:
    command = command_of(data_of(studio.search), 0, 2, "draw")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, env=studio.env,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    (made,) = (tmp_path / "again").iterdir()
    source = Store.open(studio.store, "r")
    record = source.run("search") or {}
    instance = next(s["instance"] for s in record["stages"] if s["label"] == "draw")
    batch = source.read(instance, min(source.names(instance)), ("image",))
    wanted = batch["image"][list(batch.ids).index("0.2")]
    assert np.array_equal(np.asarray(Image.open(made)), wanted)


def test_equal_reports_are_equal_bytes(studio: Studio) -> None:
    assert page(report_of(studio.store, "search")) == page(report_of(studio.store, "search"))


@pytest.mark.parametrize("count", [1, 500, 8000])
def test_pages_with_many_pictures_stay_small(count: int) -> None:
    y, x = np.mgrid[:768, :768]
    noise = np.random.default_rng(0).normal(0, 8, (768, 768, 3))
    picture = np.stack([x / 3, y / 3, 128 + 127 * np.sin(x * y / 9000)], 2) + noise
    album = Album(edge_for(count))
    album.add(np.clip(picture, 0, 255).astype(np.uint8))

    assert edge_for(count) in EDGES and edge_for(count) <= edge_for(count - 1)
    assert album.pictures[0].full == (768, 768)
    assert count * len(album.pictures[0].uri) < 1.5 * PAGE_BYTES


def test_numbers_become_grey_and_what_is_none_is_black() -> None:
    depth = np.array([[1.0, 3.0], [np.nan, np.inf]], np.float32)
    assert as_grey(depth).tolist() == [[0, 255], [0, 255]]


def test_a_pattern_takes_runs_by_their_numbers(studio: Studio) -> None:
    assert [run["name"] for run in data_of(studio.sweep)["runs"]] == [
        "plain-tint=none",
        "plain-tint=red",
    ]
    told = studio.imgtool("report", "s.zarr", "--run", "plane-*", status=2)
    assert re.search(r"no run 'plane-\*'.*Runs: plain-tint=none", told, re.DOTALL)


def test_the_votes_in_the_guide_fit_their_schema() -> None:
    guide = (ROOT / "docs" / "how-to" / "report.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    assert faults("votes-1", json.loads(example)) == []


def test_a_store_or_a_stream_is_reported_alone(studio: Studio) -> None:
    told = studio.imgtool("report", "s.zarr", "search", status=2)
    assert "'s.zarr' is given beside other runs" in told and "--run A --run B" in told
