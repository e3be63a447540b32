"""`imgtool --plugin FILE`: a file's stages in one command, and nowhere else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Imgtool

UPPER = """
from imgtool.api import PROMPT, Stage

class {name}(Stage[None]):
    id, summary = "{id}", "Write prompts in capitals."
    consumes, produces = (PROMPT,), (PROMPT,)

    def process(self, batch):
        return batch.with_columns(prompt=[t.upper() + "{end}" for t in batch.texts("prompt")])
"""
HOOK = """
from imgtool.api import Component, hookimpl

@hookimpl
def imgtool_components():
    yield Component("stage", "loud.hooked", f"{__name__}:Hooked")
"""


def write(folder: Path, name: str, id_: str, end: str = "") -> str:
    text = UPPER.format(name=name, id=id_, end=end)
    (folder / f"{name.lower()}.py").write_text(text)
    return f"./{name.lower()}.py"


def prompts(lines: list[str]) -> list[str]:
    return [json.loads(line)["prompt"] for line in lines]


def test_a_file_of_stages_alone_is_a_plugin_of_one_command(
    imgtool: Imgtool, sepia: Path, picture: Path
) -> None:
    tried = imgtool("--plugin", "./sepia.py", "filter.sepia", str(picture), "-o", "out/{id}.png")
    without = imgtool("filter.sepia", str(picture))

    assert tried.status == 0, tried.err
    assert (picture.parent / "out" / "0.png").exists()
    assert without.status == 2
    assert "no command or stage is called 'filter.sepia'" in without.err


def test_a_trial_is_listed_described_and_helped(imgtool: Imgtool, sepia: Path) -> None:
    listed = imgtool("--plugin", "sepia.py", "stages", "filter.sepia")
    overview = imgtool("--plugin", "sepia.py", "--help")
    helped = imgtool("--plugin", "sepia.py", "filter.sepia", "--help")

    assert "from sepia.py" in listed.out
    assert "filter.sepia" in overview.out
    assert "--strength" in helped.out


def test_several_files_work_in_one_pipeline(imgtool: Imgtool, world: Path) -> None:
    one, two = write(world, "Loud", "loud.one", "!"), write(world, "Louder", "loud.two", "?")
    (world / "pipelines.toml").write_text(
        '[both]\n[[both.stage]]\nuse = "loud.one"\n[[both.stage]]\nuse = "loud.two"\n'
    )
    answer = imgtool("--plugin", one, "--plugin", two, "run", "both", "a cat", "--json")

    assert prompts(answer.lines) == ["A CAT!?"]


def test_a_hook_in_the_file_says_what_it_brings(imgtool: Imgtool, world: Path) -> None:
    file = write(world, "Hooked", "loud.hooked")
    (world / file).write_text((world / file).read_text() + HOOK)
    answer = imgtool("--plugin", file, "loud", "a cat", "--json")

    assert prompts(answer.lines) == ["A CAT"]


def test_an_edited_file_is_computed_again(imgtool: Imgtool, world: Path) -> None:
    before = imgtool("--plugin", write(world, "Loud", "loud.one"), "loud", "a", "--json")
    after = imgtool("--plugin", write(world, "Loud", "loud.one", " b"), "loud", "a", "--json")

    assert (prompts(before.lines), prompts(after.lines)) == (["A"], ["A b"])


def test_a_trial_beside_the_installed_stage_is_told_apart_by_its_file(
    imgtool: Imgtool, world: Path
) -> None:
    both = ("--plugin", write(world, "Loud", "loud.one"))
    both += ("--plugin", write(world, "Louder", "loud.one", "!"))
    unclear = imgtool(*both, "loud.one", "a", "--json")
    chosen = imgtool(*both, "louder.py:loud.one", "a", "--json")

    assert unclear.status == 2
    assert "loud.py:loud.one or louder.py:loud.one" in unclear.err
    assert prompts(chosen.lines) == ["A!"], chosen.err


def test_a_file_that_cannot_be_used_is_one_line_and_status_2(imgtool: Imgtool, world: Path) -> None:
    (world / "raises.py").write_text("raise ValueError('no colours today')\n")
    (world / "empty.py").write_text("number = 1\n")
    (world / "notes.txt").write_text("")
    reasons = {
        "missing.py": "no such file: 'missing.py'",
        "notes.txt": "'notes.txt' is no Python file",
        "raises.py": "plugin 'raises.py' failed to load",
        "empty.py": "it holds no class that is a Stage or a Maker",
    }
    for file, reason in reasons.items():
        answer = imgtool("--plugin", file, "stages")
        assert answer.status == 2
        assert reason in answer.err
        assert len(answer.err.splitlines()) == 2


def test_none_leaves_every_installed_plugin_out(imgtool: Imgtool) -> None:
    rows = [json.loads(line) for line in imgtool("plugin", "list", "--json").lines]

    assert [row["plugin"] for row in rows] == ["imgtool"]
