"""The blind vote of a page, in a real browser, and the file that it saves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from browser import CHROMIUM
from gallery import DROPPED, KEPT, Gallery
from scipy.stats import binomtest
from studio import HOSTILE, data_of

from schemas import faults

if TYPE_CHECKING:
    from pathlib import Path

    from browser import Tab
    from studio import Studio

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")

LEFT = "document.querySelector('#left-vote img').src"
PLACE = "document.getElementById('vote-place').textContent"
RESULT = "document.getElementById('vote-end').innerText"
PROBLEM = "document.getElementById('vote-problem').textContent"
IS_VOTING = "document.getElementById('vote-pair').checkVisibility()"


def start(tab: Tab, seed: int) -> None:
    """Begin a vote by keyboard, once its dialog is open."""
    tab.choose("#seed", str(seed))
    tab.press("Enter")


def pictures_of(page: Path, column: int) -> set[str]:
    """Pictures of a column."""
    data = data_of(page)
    cells = [line["cells"].get(str(column)) for g in data["groups"] for line in g["lines"]]
    return {data["pictures"][cell["picture"]]["uri"] for cell in cells if cell}


def vote_for(tab: Tab, page: Path, sides: str) -> str:
    """Vote for `a` or `b` or, with `0`, for neither, wherever it stands; which side stood left."""
    first, lefts = pictures_of(page, 0), ""
    for side in sides:
        lefts += "a" if tab.see(LEFT) in first else "b"
        tab.press("0" if side == "0" else "1" if side == lefts[-1] else "2")
    return lefts


def saved(tab: Tab, folder: Path) -> Any:
    """The file that the page saves."""
    tab.save_into(folder)
    tab.click("#vote-save")
    path = folder / "votes.json"
    text = tab.wait("document.getElementById('vote-told').textContent")
    assert text == "Saved as votes.json"
    while not path.exists():  # the browser writes in its own time
        tab.see("new Promise((done) => setTimeout(done, 16))")
    return json.loads(path.read_text(encoding="utf-8"))


def test_votes_are_saved_and_gone_on_with(studio: Studio, open_page: Any, tmp_path: Path) -> None:
    tab = open_page(studio.sweep)
    tab.press("b")
    start(tab, 7)
    lefts = vote_for(tab, studio.sweep, "ab")
    tab.press("u")
    assert tab.see(PLACE) == "1 of 3"
    lefts = lefts[:1] + vote_for(tab, studio.sweep, "0")
    votes = saved(tab, tmp_path)

    assert faults("votes-1", votes) == []
    assert [vote["winner"] for vote in votes["votes"]] == ["a", "tie"]
    assert "".join(vote["left"] for vote in votes["votes"]) == lefts
    assert all(vote["a"] == vote["b"] for vote in votes["votes"])
    assert [votes[side]["run"] for side in "ab"] == ["plain-tint=none", "plain-tint=red"]
    assert (votes["seed"], votes["pairs"]) == (7, 3)
    for gone in votes:
        assert faults("votes-1", {name: votes[name] for name in votes if name != gone})

    tab = open_page(studio.sweep)
    tab.press("b")
    tab.pick("#vote-file", tmp_path / "votes.json")
    assert tab.wait(f"{IS_VOTING} && {PLACE}") == "2 of 3"
    vote_for(tab, studio.sweep, "b")
    assert tab.see(RESULT).split("\n")[1:4] == [
        "tint=none won\t1\t33 %", "tie\t1\t33 %", "tint=red won\t1\t33 %",
    ]  # fmt: skip
    (tmp_path / "votes.json").unlink()
    assert saved(tab, tmp_path)["votes"][:2] == votes["votes"]


def test_sides_and_order_are_those_of_the_seed(open_page: Any, tmp_path: Path) -> None:
    gallery = Gallery()
    for row in range(12):
        gallery.add(gallery.line(str(row), (KEPT, KEPT)), prompt=f"number {row}")
    page = gallery.write(tmp_path / "page.html")
    tab = open_page(page)
    tab.press("b")
    drawn = []
    for seed in (1, 1, 2):
        start(tab, seed)
        lefts = vote_for(tab, page, "a" * 9 + "b" * 3)
        assert lefts.count("a") == lefts.count("b") == 6
        result = tab.see(RESULT)
        votes = saved(tab, tmp_path)["votes"]
        drawn.append([(vote["prompt"], vote["left"]) for vote in votes])
        (tmp_path / "votes.json").unlink()
        tab.click("#vote-new")

    assert drawn[0] == drawn[1]
    assert [prompt for prompt, _ in drawn[0]] != [prompt for prompt, _ in drawn[2]]
    assert sorted(drawn[0]) != sorted(drawn[2])
    interval = binomtest(9, 12).proportion_ci(method="wilson")
    low, high = (round(100 * share) for share in interval)
    assert f"75 %, 95 % interval {low} % to {high} %" in result


def test_rows_are_paired_by_id_then_seed_then_source(open_page: Any, tmp_path: Path) -> None:
    gallery = Gallery()
    line = gallery.line
    gallery.add(line("0", (KEPT, KEPT)))
    gallery.add(line("1.0", (KEPT, DROPPED)), line("1.1", (DROPPED, KEPT)))
    gallery.add(line("x", (KEPT, ""), seed=5))
    gallery.add(line("y", ("", KEPT), seed=5))
    gallery.add(line("4", (KEPT, "")), line("5", (DROPPED, KEPT)), prompt="alone")
    gallery.add(line("6.0", (KEPT, "")), line("6.1", ("", KEPT)), line("6.2", ("", KEPT)))
    tab = open_page(gallery.write(tmp_path / "page.html"))
    tab.press("b")
    start(tab, 1)
    tab.press(*"000000")

    pairs = {(vote["a"], vote["b"]) for vote in saved(tab, tmp_path)["votes"]}
    assert pairs == {("0", "0"), ("1.0", "1.1"), ("x", "y"), ("4", "5")}


def test_hostile_names_and_files_stay_text(open_page: Any, tmp_path: Path) -> None:
    gallery = Gallery()
    gallery.add(gallery.line("0", (KEPT, KEPT)))
    tab = open_page(gallery.write(tmp_path / "page.html"))
    tab.press("b")
    start(tab, 1)
    assert tab.see("document.getElementById('vote-prompt').textContent") == HOSTILE
    tab.press("1")
    votes = saved(tab, tmp_path)
    assert f"tint={HOSTILE.split()[0]}" in tab.see(RESULT)
    assert votes["votes"][0]["prompt"] == HOSTILE

    tab.click("#vote-new")
    vote = votes["votes"][0]
    for name, damaged in {
        "no file of votes": "<script>",
        "does not have": {**votes, "a": {**votes["a"], "instance": HOSTILE}},
        HOSTILE: {**votes, "votes": [{**vote, "a": HOSTILE}]},
        "damaged": {**votes, "votes": [vote, vote]},
    }.items():
        path = tmp_path / "bad.json"
        path.write_text(json.dumps(damaged))
        tab.see("document.getElementById('vote-problem').textContent = ''")
        tab.pick("#vote-file", path)
        assert name in tab.wait(PROBLEM)
    assert tab.see("document.querySelectorAll('dialog img, dialog script').length") == 4


def test_a_page_of_one_picture_a_row_has_nothing_to_vote_on(studio: Studio, open_page: Any) -> None:
    tab = open_page(studio.search)
    tab.press("b")
    assert tab.see("document.getElementById('vote').open") is False
