"""Every example in the module of a command runs, in a folder that holds what it names.

Slow stages have stand-ins. Examples of pages are in test_docs.py.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from worlds import install

import imgtool
from imgtool.cli.main import run
from imgtool.cli.root import COMMANDS
from stand_ins import FILES, PIPELINES

FOLDER = Path(imgtool.__file__).parent / "cli"
SECTION = re.compile(r"^Examples\n-+\n(.*?)(?:\n\n|\Z)", re.DOTALL | re.MULTILINE)
NOT_RUN = {"imgtool plugin check imgtool-rewrite": "tests/plugin_kit/test_check.py checks it"}
SHELL = re.compile(r" [|>] ")


def examples() -> list[str]:
    """The lines of every section `Examples`."""
    docs = [ast.get_docstring(ast.parse(file.read_text())) for file in sorted(FOLDER.glob("*.py"))]
    sections = [part for text in docs for part in SECTION.findall(text or "")]
    return [line for part in sections for line in part.split("\n")]


@pytest.fixture(scope="module")
def stage_set(tmp_path_factory: pytest.TempPathFactory, light_bin: Path) -> tuple[Path, Path, Path]:
    """The site of the stand-ins, the folder of the command that shells find, and one with stores,
    pictures, pipelines to look at."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("stage")
    install(site, "lookalikes", FILES)
    (folder / "pipelines.toml").write_text(PIPELINES)
    (folder / "prompts.txt").write_text("a red cube\na blue cone\n")
    Image.new("RGB", (6, 4)).save(folder / "picture.png")
    for place in (".local/share/bash-completion/completions", ".config/fish/completions"):
        (folder / place).mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch, site, light_bin, folder)
        for line in (
            "run portrait prompts.txt --store runs.zarr -o out/{id}.png",
            "generate prompts.txt -o out/{id}.png",
            "run demo prompts.txt --sweep generate.steps=1,2 --store s.zarr",
            "run demo prompts.txt --name plain",
            "run portrait prompts.txt --name sharp",
            "prune.obs --model tabletop --sparsity 0.5 -o pruned",
        ):
            assert run(shlex.split(line)) == 0
    return site, light_bin, folder


def stand_in(patch: pytest.MonkeyPatch, site: Path, bin_folder: Path, folder: Path) -> None:
    """Make the stand-ins the only plugin, and `folder` the place and the home."""
    patch.chdir(folder)
    patch.syspath_prepend(str(site))
    patch.setenv("PYTHONPATH", str(site))
    patch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    patch.setenv("HOME", str(folder))
    patch.setenv("IMGTOOL_CACHE", str(folder / "cache"))
    patch.setenv("IMGTOOL_CONFIG", str(folder / "config"))
    patch.setenv("IMGTOOL_PLUGINS", "lookalikes")


@pytest.mark.parametrize("line", [line for line in examples() if line not in NOT_RUN])
def test_an_example_runs(
    line: str,
    stage_set: tuple[Path, Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    stand_in(monkeypatch, *stage_set)
    if SHELL.search(line):
        shell = ["bash", "-euo", "pipefail", "-c", line]
        status = subprocess.run(shell, stdin=subprocess.DEVNULL, check=False).returncode
    else:
        status = run(shlex.split(line)[1:])

    assert status == 0, capfd.readouterr().err


def test_every_command_has_examples_and_what_is_not_run_is_one() -> None:
    shown = " ".join(examples())

    assert [name for name in COMMANDS if f"imgtool {name}" not in shown] == []
    assert NOT_RUN.keys() <= set(examples())
