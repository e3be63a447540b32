"""Stages are opened side by side: none gets a plugin's module before it is whole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from imgtool.components import load

if TYPE_CHECKING:
    from pathlib import Path

SLOW = "import time\ntime.sleep(0.2)\n\nclass Late:\n    pass\n"


@pytest.mark.parametrize("named", ["by name", "by file"])
def test_threads_that_import_one_plugin_at_once_all_get_it_whole(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "slow_to_import.py"
    file.write_text(SLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    where = f"{file if named == 'by file' else file.stem}:Late"
    together = Barrier(4)

    def one(_: int) -> str:
        together.wait()
        return str(load(where).__name__)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(one, range(4))) == ["Late"] * 4
