"""Every block of the documentation runs, or says why not; the reference is up to date."""

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
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("plugins/*/README.md")),
]
BLOCK = re.compile(r"(?:<!-- ([^>]*) -->\n)?```([^\n]*)\n(.*?)\n?```", re.DOTALL)
RUNS = {"run": ("sh",), "run python": ("python",)}
# What a command prints, and trees of files: nothing to run.
SHOWN = "text"


def blocks(page: Path) -> list[tuple[str, str, str]]:
    return BLOCK.findall(page.read_text())


def has_home(mark: str, kind: str, later: list[str]) -> bool:
    """Whether a block runs, is a file that a block in `later` can use, or says why not."""
    if kind == SHOWN:
        return not mark
    if mark.startswith("file: "):
        return any(other in RUNS for other in later)
    return kind in RUNS.get(mark, ()) or bool(re.fullmatch("not run: .{10,}", mark))


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    found = blocks(page)
    assert page.read_text().count("```") == 2 * len(found), f"{page.name}: a block is not seen"
    marks = [mark for mark, _, _ in found]
    for at, (mark, kind, text) in enumerate(found):
        assert has_home(mark, kind, marks[at + 1 :]), f"{page.name}: {kind or 'bare'} block {text}"


def test_no_code_hides_in_an_indented_block() -> None:
    for page in PAGES:
        outside = BLOCK.sub("", page.read_text())
        assert not re.search(r"\n\n {4}\S", outside), f"{page.name}: indented block"


@pytest.mark.timeout(900)  # a dozen commands a page; each block has a limit of its own
@pytest.mark.parametrize(
    "page", [p for p in PAGES if any(b[0] in RUNS for b in blocks(p))], ids=name_of
)
def test_blocks_of_a_page_run_after_one_another(
    page: Path, tmp_path: Path, light_bin: Path, warm_bin: Path, service: dict[str, str]
) -> None:
    untried = []
    for mark, _, text in blocks(page):
        if re.search(r"\bjq ", text) and shutil.which("jq") is None:
            untried.append(text)
        elif mark.startswith("file: "):
            (tmp_path / mark.removeprefix("file: ")).write_text(text + "\n")
        elif mark in RUNS:
            shell = ["bash", "-euo", "pipefail", "-c"] if mark == "run" else ["python", "-c"]
            # A check imports in another process again what its own has imported.
            folder = light_bin if "plugin check" in text else warm_bin
            folders = (folder, Path(sys.executable).parent, os.environ["PATH"])
            done = subprocess.run(
                [*shell, text],
                cwd=tmp_path,
                env={**os.environ, **service, "PATH": os.pathsep.join(map(str, folders))},
                capture_output=True,
                text=True,
                timeout=240,
                stdin=subprocess.DEVNULL,
                check=False,
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    if untried:
        pytest.skip(f"jq is not installed; all blocks were run but {untried}")


def test_reference_pages_are_up_to_date(warm_bin: Path) -> None:
    script = ROOT / "docs" / "reference" / "make.py"
    done = subprocess.run(
        [warm_bin / "python", script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
