"""Runs and pages for tests, those of `studio.py`, and a browser to use them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from browser import Tab, browser
from studio import studio
from worlds import toy_site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["open_page", "studio", "tab", "toy_site"]


@pytest.fixture(scope="session")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """One tab of one browser for all tests here."""
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def open_page(tab: Tab) -> Iterator[Any]:
    """Opens a page afresh; nothing may have been fetched or complained about in the end."""
    opened_pages = set()

    def opened(path: Path, width: int = 1280, scheme: str = "light") -> Tab:
        opened_pages.add(path.absolute().as_uri())
        tab.resize(width, 800, scheme)
        tab.open(path)
        return tab

    tab.requests.clear()
    tab.complaints.clear()
    yield opened
    assert tab.complaints == []
    assert set(tab.requests) <= opened_pages
