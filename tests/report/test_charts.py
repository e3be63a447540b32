"""Scores as figures, in a real browser."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browser import CHROMIUM
from gallery import KEPT, Gallery
from scipy.stats import spearmanr
from studio import HOSTILE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed")

CAPTIONS = "[...document.querySelectorAll('#histograms figcaption')].map((n) => n.textContent)"
SHOWN = "document.querySelector('#pointed .ids')?.textContent"
FOCUS = "document.activeElement.getAttribute('aria-label')"
PICTURED = "[...document.querySelectorAll('.judged img')].every((i) => i.naturalWidth === 8)"
COUNT = 24


@pytest.fixture(scope="module")
def scores() -> np.ndarray:
    """[24, 2]: two scores a row that go together, more or less."""
    random = np.random.default_rng(3)
    first = random.normal(0, 1, COUNT)
    return np.stack([first, (first + random.normal(0, 1, COUNT)).round(1)], 1)


@pytest.fixture(scope="module")
def page(scores: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of two runs; those of one run have the scores of the other."""
    gallery = Gallery()
    for row, values in enumerate(scores.tolist()):
        gallery.add(gallery.line(str(row), (KEPT, KEPT), scores=values))
    gallery.add(gallery.line("unscored", (KEPT, "")))
    return gallery.write(tmp_path_factory.mktemp("charts") / "page.html")


def test_every_score_of_every_run_has_its_histogram(
    page: Path, scores: np.ndarray, open_page: Any
) -> None:
    tab = open_page(page)
    assert tab.see(CAPTIONS) == []
    tab.press("d")
    wanted = f"median {float(f'{median(scores[:, 0]):.4g}')}, 24 rows"
    captions = tab.see(CAPTIONS)
    assert len(captions) == 4 and captions[1] == f"tint=red {wanted}"
    assert captions[0].startswith(f"tint={HOSTILE}") and captions[0].endswith(wanted)

    tab.choose("#low", "0")
    above = int((scores[:, 0] >= 0).sum())
    assert tab.see(CAPTIONS)[1].endswith(f"{above} of 24 rows")
    assert tab.see("document.querySelectorAll('#plot circle').length") == above


def test_dots_are_walked_and_zoomed_by_keyboard(
    page: Path, scores: np.ndarray, open_page: Any
) -> None:
    tab = open_page(page)
    tab.press("d")
    order = np.argsort(scores[:, 0], kind="stable")
    at = int(np.flatnonzero(order == 0)[0])
    assert tab.see(SHOWN) == "Row 0"
    tab.press("ArrowLeft")
    assert tab.see(SHOWN) == f"Row {order[at - 1]}"
    assert tab.wait(PICTURED)
    tab.press("Enter")
    assert tab.see("document.querySelector('.marks b').textContent") == f"Row {order[at - 1]}"
    tab.press("j", "Escape")
    assert tab.see(FOCUS).startswith(f"Zoom row {order[at - 1] + 1}: red ")
    rho = spearmanr(scores[:, 0], scores[:, 1]).statistic
    relation = tab.see("document.getElementById('relation').textContent")
    assert relation == f"24 rows, rank correlation {rho:.2f} (Spearman)"


def test_a_dot_shows_its_row_to_a_pointer_and_opens_it(page: Path, open_page: Any) -> None:
    tab = open_page(page)
    tab.press("d")
    last = "#plot circle:last-of-type"
    tab.point(last)
    assert tab.see(SHOWN) == "Row 23"
    assert tab.see("document.querySelector('#pointed .prompt').textContent") == HOSTILE
    tab.click(last)
    assert tab.see("document.querySelector('.marks b').textContent") == "Row 23"
