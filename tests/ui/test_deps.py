"""Dependency files as real make reads them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from imgtool.errors import UsageError
from imgtool.ui.deps import IN_PREREQUISITES, IN_TARGETS, DepsFile, escaped, rules

STRANGE = [
    "a b", "a  b", " a", "a#b", "a$b", "a$$b", "$(shell echo x)y", "a%b", "%", "a%%b", "a:b",
    "a::b", "a=b", "a:=b", "a+=b", "a|b", "|", "a&", "a\\b", "a\\ b", "a\\#b", "a\\\\ b", "a\\%b",
    "a*b", "a?b", "a[1]b", "~a", "a'b", 'a"b', "a(b", "a,b", "a{b}", "-a", "+a", "@a", "é", "!a",
    "include", "define",
]  # fmt: skip
# A recipe that keeps the names that make has read.
KEEP = "\n{target}:\n\t$(file >read,$@)$(file >>read,$^)\n"


def make(folder: Path, *options: str) -> int:
    return subprocess.run(["make", "-rR", *options], cwd=folder, check=False).returncode


@pytest.mark.parametrize("name", STRANGE)
def test_make_reads_a_strange_name_back(name: str, tmp_path: Path) -> None:
    output, file = f"out/{name}", f"in/{name}"
    for path in (tmp_path / output, tmp_path / file):
        path.parent.mkdir()
        path.write_text("")
    (tmp_path / "x.d").write_text(rules({output: [file, "x.d"]}))
    (tmp_path / "Makefile").write_text(
        f"all: {escaped(output, IN_PREREQUISITES)}\ninclude x.d\n"
        + KEEP.format(target=escaped(output, IN_TARGETS))
    )
    os.utime(tmp_path / output, (1, 1))
    assert make(tmp_path) == 0
    assert (tmp_path / "read").read_text().splitlines() == [output, f"{file} x.d"]
    os.utime(tmp_path / output)
    assert make(tmp_path, "-q") == 0


@pytest.mark.parametrize("name", ["a\nb", "a;b", "a ", "a\\", "lib(member)"])
def test_a_name_that_make_cannot_say_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="makefile cannot name"):
        rules({"out.png": [name]})


def test_every_output_has_a_rule_and_every_prerequisite_an_empty_one() -> None:
    text = rules({"out/0.png": ["p.txt", "m.json"], "out/1.png": ["p.txt"], "s.png": ["out/0.png"]})
    assert text == (
        "out/0.png: p.txt m.json\nout/1.png: p.txt\ns.png: out/0.png\n\np.txt:\n\nm.json:\n"
    )


def test_a_removed_prerequisite_makes_its_output_again(tmp_path: Path) -> None:
    (tmp_path / "o").write_text("")
    (tmp_path / "x.d").write_text(rules({"o": ["gone.txt"]}))
    (tmp_path / "Makefile").write_text("o:\n\ttouch again\ninclude x.d\n")
    assert make(tmp_path, "o") == 0
    assert (tmp_path / "again").exists()


def test_one_failed_variant_of_a_sweep_leaves_no_file(tmp_path: Path) -> None:
    deps = DepsFile(tmp_path / "x.d")
    deps.path.write_text("old: words\n")
    deps.withdraw([])
    assert not deps.path.exists()
    deps.add([Path("a.png")], [Path("p.txt")], whole=True)
    assert deps.path.read_text() == "a.png: p.txt\n\np.txt:\n"
    deps.withdraw([])
    deps.add([], [], whole=False)
    deps.withdraw([])
    deps.add([Path("b.png")], [Path("p.txt")], whole=True)
    assert not deps.path.exists()


def test_a_pipe_is_written_to_rather_than_removed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "d")
    reader = os.open(tmp_path / "d", os.O_RDONLY | os.O_NONBLOCK)
    deps = DepsFile(tmp_path / "d")
    deps.withdraw([])
    deps.add([Path("a")], [Path("b")], whole=True)
    assert os.read(reader, 99) == b"a: b\n\nb:\n"
    os.close(reader)
