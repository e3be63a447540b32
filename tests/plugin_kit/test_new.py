"""`imgtool plugin new`: the package that it writes is whole, tested, and keeps the rules."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Imgtool


def installed(package: Path, site: Path) -> dict[str, str]:
    """The environment in which the package is installed, as its pyproject.toml says."""
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    about = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(about)
    points = [f"{key} = {value}" for key, value in project["entry-points"]["imgtool"].items()]
    (info / "entry_points.txt").write_text("\n".join(["[imgtool]", *points]))
    path = os.pathsep.join((str(package / "src"), str(site)))
    return {"PYTHONPATH": path, "IMGTOOL_PLUGINS": project["name"]}


def test_the_package_passes_its_own_tests(imgtool: Imgtool, world: Path) -> None:
    made = imgtool("plugin", "new", "film-look")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=world / "imgtool-film-look",
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert made.lines == ["imgtool-film-look"]
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_the_package_once_installed_is_found_and_keeps_every_rule(
    imgtool: Imgtool, world: Path, tmp_path: Path, picture: Path
) -> None:
    imgtool("plugin", "new", "film-look", "-o", "mine")
    environment = installed(world / "mine", tmp_path / "site")
    readme = (world / "mine" / "README.md").read_text().splitlines()
    promised = [shlex.split(line)[1:] for line in readme if line.startswith("imgtool ")]
    listed = imgtool("plugin", "list", env=environment)
    answers = [imgtool(*words, env=environment) for words in promised]

    assert "filter.film-look" in listed.out
    assert [words[0] for words in promised] == ["filter.film-look", "plugin"]
    assert [answer.status for answer in answers] == [0, 0], [answer.err for answer in answers]
    assert answers[1].err == "every rule is kept\n"
    assert (world / "out" / "0.png").exists()


def test_every_mark_of_the_template_is_filled_in(imgtool: Imgtool, world: Path) -> None:
    imgtool("plugin", "new", "imgtool-film-look")
    files = [f for f in (world / "imgtool-film-look").rglob("*") if f.is_file()]

    assert len(files) == 6
    assert not [file for file in files if "{{" in file.read_text() or "}}" in file.read_text()]


@pytest.mark.parametrize("name", ["Film", "film_look", "-film", "film--look", "5mm", "none"])
def test_a_name_that_cannot_be_a_package_is_refused(
    imgtool: Imgtool, world: Path, name: str
) -> None:
    answer = imgtool("plugin", "new", "--", name)

    assert answer.status == 2
    assert "cannot name a plugin" in answer.err
    assert not list(world.iterdir())


def test_nothing_is_written_over_a_folder_that_is_there(imgtool: Imgtool, world: Path) -> None:
    (world / "imgtool-sepia").mkdir()
    answer = imgtool("plugin", "new", "sepia")

    assert answer.status != 0
    assert "'imgtool-sepia' is there already" in answer.err
    assert not list((world / "imgtool-sepia").iterdir())
