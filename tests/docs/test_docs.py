"""Every shell block of the documentation runs, or says why not; the reference is up to date."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*/*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
]
BLOCK = re.compile(r"(?:<!-- ([^>]*) -->\n)?```(sh|toml|make|python)\n(.*?)```", re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    return BLOCK.findall(page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    for mark, kind, text in blocks(page):
        fits = mark in ("run", "run python") or mark.startswith(("file: ", "not run: "))
        assert fits or text.startswith("make demo"), f"{page.name}: unmarked {kind} block"


@pytest.mark.parametrize(
    "page",
    [p for p in PAGES if any(b[0].startswith("run") for b in blocks(p))],
    ids=lambda p: p.parent.name + "/" + p.name,
)
def test_blocks_of_a_page_run_after_one_another(page: Path, tmp_path: Path) -> None:
    if shutil.which("jq") is None and any("| jq " in text for _, _, text in blocks(page)):
        pytest.skip("jq is not installed")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for mark, _, text in blocks(page):
        if mark.startswith("file: "):
            (tmp_path / mark.removeprefix("file: ")).write_text(text)
        elif mark.startswith("run"):
            shell = ["bash", "-euo", "pipefail", "-c"] if mark == "run" else [sys.executable, "-c"]
            done = subprocess.run(
                [*shell, text],
                cwd=tmp_path,
                env={**os.environ, "PATH": path},
                capture_output=True,
                text=True,
                timeout=240,
                stdin=subprocess.DEVNULL,
                check=False,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"


def test_reference_pages_are_up_to_date() -> None:
    script = ROOT / "docs" / "reference" / "make.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
