"""The page in a real browser, used by keyboard and by pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from browser import CHROMIUM
from studio import HOSTILE, data_of
from test_report import command_of

if TYPE_CHECKING:
    from pathlib import Path

    from studio import Studio

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")

# Ids of the rows that are to be seen, in their order.
ROWS = "[...document.querySelectorAll('.line')].filter((n) => n.checkVisibility()).map((n) => n.querySelector('.id').textContent)"  # noqa: E501
FOCUS = "document.activeElement.getAttribute('aria-label')"
IS_OPEN = "document.getElementById('zoom').open"
LINE = "getComputedStyle(document.getElementById('left')).clipPath"
PICKED = "['left-pick', 'right-pick'].map((id) => document.getElementById(id).selectedOptions[0].textContent)"  # noqa: E501
# Texts with less contrast than 4.5 to what is behind them (WCAG 2, AA), and their ratios.
FAINT = """
(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = numbers(colour).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if ((numbers(colour)[3] ?? 1) === 1) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const nodes = [...document.querySelectorAll("body *")].filter((node) =>
    node.checkVisibility() && !node.disabled && [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim()));
  return nodes.map((node) => {
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
    return [node.textContent.slice(0, 40), (a + 0.05) / (b + 0.05)];
  }).filter(([, ratio]) => ratio < 4.5);
})()
"""  # noqa: E501


def scores_of(page: Path) -> dict[str, float]:
    """The score of each row."""
    lines = [line for group in data_of(page)["groups"] for line in group["lines"]]
    return {line["id"]: line["cells"]["2"]["scores"]["score.red"] for line in lines}


def test_rows_are_sorted_and_filtered_by_a_score(studio: Studio, open_page: Any) -> None:
    tab = open_page(studio.search)
    scores = scores_of(studio.search)
    assert tab.see(ROWS) == list(scores)

    tab.choose("#sort", "-0")
    best = sorted(scores, key=lambda row: -scores[row])
    assert tab.see(ROWS) == best
    tab.choose("#low", str(scores[best[3]]))
    assert tab.see(ROWS) == best[:4]
    assert tab.see("document.getElementById('count').textContent") == "4 of 9 rows"
    tab.choose("#low", "")
    tab.choose("#fate", "kept")
    assert len(tab.see(ROWS)) == 3


def test_search_finds_words_and_says_when_there_is_none(studio: Studio, open_page: Any) -> None:
    tab = open_page(studio.search)
    tab.press("/")
    tab.type("ball a")
    assert tab.see(ROWS) == ["2.0", "2.1", "2.2"]
    tab.type(" unicorn")
    assert tab.see(ROWS) == []
    tab.click("#clear")
    assert len(tab.see(ROWS)) == 9


def test_a_picture_is_zoomed_and_compared_by_keyboard(studio: Studio, open_page: Any) -> None:
    tab = open_page(studio.search)
    tab.press("j", "j", "Enter")
    assert tab.see(IS_OPEN)
    assert tab.see("document.getElementById('right').naturalWidth") == 8
    tab.press("s")
    assert "50%" in tab.see(LINE)
    tab.press("ArrowLeft", "ArrowLeft")
    assert "52%" in tab.see(LINE)
    tab.press("Escape")
    assert tab.see(f"!{IS_OPEN} && {FOCUS}") == "Zoom draw, row 0.1"
    tab.press("End", "Enter")
    assert tab.see("document.getElementById('zoom-place').textContent") == "9 of 9"


def test_values_of_a_sweep_are_compared(studio: Studio, open_page: Any) -> None:
    tab = open_page(studio.sweep)
    tab.press("j", "Enter", "s")
    assert sorted(tab.see(PICKED)) == ["tint=none", "tint=red"]
    sources = "['left', 'right'].map((id) => document.getElementById(id).src)"
    left, right = tab.see(sources)
    tab.choose("#left-pick", tab.see("document.getElementById('right-pick').value"))
    assert left != right and tab.see(sources) == [right, right]


def test_a_failed_row_is_reached_and_passed_by_keyboard(studio: Studio, open_page: Any) -> None:
    tab = open_page(studio.sweep)
    tab.press("j", "ArrowLeft", "ArrowDown")
    assert tab.see(FOCUS) == "Zoom row 1"
    tab.press("Enter")
    assert "asked to fail" in tab.see("document.getElementById('facts').textContent")
    tab.press("j")
    assert tab.see(PICKED)[1] == "tint=none"


def test_the_lineage_shows_candidates_and_leads_to_them(studio: Studio, open_page: Any) -> None:
    tab = open_page(studio.search)
    tab.press("j", "Enter")
    leaves = tab.see("[...document.querySelectorAll('.leaf')].map((n) => n.textContent)")
    scores = scores_of(studio.search)
    assert [leaf.split()[0][:3] for leaf in leaves] == ["0.0", "0.1", "0.2"]
    assert all(f"red {scores[leaf[:3]]:.0f}" in leaf for leaf in leaves)
    assert [leaf.endswith("kept") for leaf in leaves].count(True) == 1
    tab.click("li:nth-child(3) > .leaf")
    assert tab.see("document.querySelector('.marks b').textContent") == "Row 0.2"


def test_the_command_is_copied_whole(studio: Studio, open_page: Any) -> None:
    tab = open_page(studio.search)
    tab.press("j", "j", "j", "Enter", "c")
    assert tab.wait("document.getElementById('copied').textContent") == "Copied"
    tab.see("(() => { const t = document.createElement('textarea');"
            "document.getElementById('facts').append(t); t.focus(); })()")  # fmt: skip
    tab.paste()
    command = command_of(data_of(studio.search), 0, 2, "draw")
    assert tab.see("document.activeElement.value") == command


def test_a_hostile_prompt_does_nothing(studio: Studio, open_page: Any) -> None:
    tab = open_page(studio.search)
    tab.press("j", "Enter")
    assert HOSTILE in tab.see("document.getElementById('facts').textContent")
    strangers = (
        "[...document.images].filter((i) => i.src && !i.src.startsWith('data:image/')).length"
    )
    assert tab.see(strangers) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(studio: Studio, open_page: Any, scheme: str) -> None:
    tab = open_page(studio.sweep, scheme=scheme)
    ground = tab.see("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    tab.press("d")
    assert tab.see(FAINT) == []
    tab.press("Escape", "j", "Enter", "s", "?")
    assert tab.see(FAINT) == []
    tab = open_page(studio.sweep, scheme=scheme)
    tab.press("b")
    assert tab.see(FAINT) == []
    tab.press("Enter")
    assert tab.see(FAINT) == []


def test_a_narrow_window_shows_everything(studio: Studio, open_page: Any) -> None:
    tab = open_page(studio.sweep, width=390)
    over = (
        "[...document.querySelectorAll('body *')].filter((n) => n.checkVisibility()"
        " && n.getBoundingClientRect().right > 391).map((n) => n.outerHTML.slice(0, 80))"
    )
    assert tab.see(over) == []
    tab.press("j", "Enter", "s")
    assert tab.see(IS_OPEN) and tab.see(over) == []
    tab.press("Escape", "d")
    assert tab.see(over) == []
    tab.press("b", "Enter")
    assert tab.see(over) == []


def test_pictures_wait_until_they_are_near(studio: Studio, open_page: Any) -> None:
    tab = open_page(studio.search)
    assert tab.wait("document.querySelector('.picture img').naturalWidth") == 8
