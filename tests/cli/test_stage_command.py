"""Stage commands: options from specs, inputs by the positional rule, statuses, one-line errors."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Imgtool


def prompts(out: str) -> list[str]:
    """Prompts of JSON rows."""
    return [json.loads(line)["prompt"] for line in out.splitlines()]


def test_help_lists_parameters_of_the_spec_with_defaults_and_limits(imgtool: Imgtool) -> None:
    answer = imgtool("draw", "--help")

    assert answer.status == 0
    assert "Edge, pixels.  [default: 8; 2..]" in answer.out
    assert "--image FILE" in answer.out
    assert "--tint [none|red]" in answer.out


def test_bare_family_means_its_default_method(imgtool: Imgtool) -> None:
    bare, full = imgtool("draw", "x", "--json"), imgtool("draw.toy", "x", "--json")

    assert bare.status == full.status == 0
    assert bare.out == full.out


def test_a_prompt_named_like_a_file_says_so(imgtool: Imgtool, world: Path) -> None:
    (world / "cube").write_text("a red cube\n")

    answer = imgtool("upper", "cube", "--json")

    assert prompts(answer.out) == ["CUBE"]
    assert "'cube' is taken as a prompt; the file of that name is ./cube" in answer.err


def test_text_is_a_prompt_and_a_known_suffix_is_a_path(imgtool: Imgtool, world: Path) -> None:
    (world / "p.txt").write_text("one\ntwo\n")

    assert prompts(imgtool("upper", "a cube", "p.txt", "--json").out) == ["A CUBE", "ONE", "TWO"]


def test_missing_path_is_refused_before_anything_runs(imgtool: Imgtool) -> None:
    answer = imgtool("upper", "nothere.txt")

    assert answer.status == 2
    assert answer.err.splitlines()[0] == "error: no such file: 'nothere.txt'"
    assert "--" in answer.err.splitlines()[1]


def test_double_dash_forces_text(imgtool: Imgtool) -> None:
    assert prompts(imgtool("upper", "--json", "--", "nothere.txt", "-x").out) == [
        "NOTHERE.TXT",
        "-X",
    ]


def test_stdin_gives_one_prompt_a_line(imgtool: Imgtool) -> None:
    assert prompts(imgtool("upper", "--json", stdin="one\ntwo\n").out) == ["ONE", "TWO"]
    assert prompts(imgtool("upper", "-", "--json", stdin='{"prompt":"j","id":"k"}\n').out) == ["J"]


def test_children_have_lineage_ids_and_following_seeds(imgtool: Imgtool) -> None:
    rows = [json.loads(line) for line in imgtool("draw", "x", "-n", "3", "--json").lines]

    assert [row["id"] for row in rows] == ["0.0", "0.1", "0.2"]
    assert [row["seed"] - rows[0]["seed"] for row in rows] == [0, 1, 2]


def test_seed_of_the_run_changes_rows_and_repeats(imgtool: Imgtool) -> None:
    first, again = (imgtool("draw", "x", "--seed", "7", "--json").out for _ in range(2))

    assert first == again
    assert first != imgtool("draw", "x", "--seed", "8", "--json").out


def test_one_row_alone_is_the_row_of_the_run(imgtool: Imgtool, world: Path) -> None:
    imgtool("draw", "a", "b", "-n", "2", "-o", "all/", "--metadata", "none")
    imgtool("draw", "a", "b", "-n", "2", "-o", "alone/", "--metadata", "none", "--row", "1.1")

    assert [p.name for p in (world / "alone").iterdir()] == ["1.1.png"]
    assert (world / "alone/1.1.png").read_bytes() == (world / "all/1.1.png").read_bytes()


def test_field_is_bound_from_a_file(imgtool: Imgtool, world: Path) -> None:
    (world / "lines.txt").write_text("first\nsecond\n")

    answer = imgtool("upper", "a", "b", "--prompt", "lines.txt", "--json")

    assert prompts(answer.out) == ["FIRST", "SECOND"]


def test_a_bound_file_alone_gives_a_row_for_each_line(imgtool: Imgtool, world: Path) -> None:
    (world / "lines.txt").write_text("first\nsecond\n")

    rows = [json.loads(line) for line in imgtool("upper", "--prompt", "lines.txt", "--json").lines]

    assert [(row["prompt"], row["source_prompt"]) for row in rows] == [
        ("FIRST", "first"), ("SECOND", "second"),
    ]  # fmt: skip


def test_field_is_bound_to_the_rows_of_a_store(imgtool: Imgtool, world: Path) -> None:
    (world / "lines.txt").write_text("first\nsecond\n")
    Image.new("RGB", (4, 4), "red").save(world / "red.png")
    imgtool("draw", "a", "b", "--store", "s.zarr")

    for more in ([], ["--store", "s.zarr"], ["--store", "other.zarr"]):
        answer = imgtool("upper", "s.zarr", "--prompt", "lines.txt", "--json", *more)
        assert prompts(answer.out) == ["FIRST", "SECOND"], answer.err
    reddened = imgtool("score.red", "s.zarr", "--image", "red.png", "--json")
    assert [json.loads(line)["score.red"] for line in reddened.lines] == [255.0, 255.0]
    assert "score.red" in imgtool("show", "s.zarr", "--json").out


def test_a_failed_row_gives_status_1_and_the_others_are_done(imgtool: Imgtool) -> None:
    answer = imgtool("draw", "please fail", "fine", "--json")

    rows = [json.loads(line) for line in answer.lines]
    assert answer.status == 1
    assert [row["id"] for row in rows if "failure" not in row] == ["1"]
    assert [row["failure"]["reason"] for row in rows if "failure" in row] == ["asked to fail"]
    assert "1 row failed; first: row 0 in draw: asked to fail" in answer.err


def test_stop_ends_at_the_first_failed_row_with_status_3(imgtool: Imgtool) -> None:
    assert imgtool("draw", "please fail", "fine", "--json", "--on-error", "stop").status == 3


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["draw", "x", "--siz", "3"], "'--siz'", "draw --help"),
        (["draww", "x"], "'draww'", "did you mean 'draw'"),
        (["draw", "x", "--size", "-3"], "'size' must be 2 or more", ""),
        (["draw", "x", "--size", "big"], "'size' takes a whole number", ""),
        (["draw", "x", "--tint", "rd"], "'rd' is not one of 'none', 'red'", "--help"),
        (["draw", "x", "-o", "a.gif"], "cannot write '.gif'", ".png"),
        (["draw", "x", "-o", "a.png[Z=3]"], "no option 'Z'", "compression"),
        (["draw", "x", "y", "-o", "a.png"], "two rows would both be written", "{id}"),
        (["draw", "x", "-o", "/proc/nowhere/{id}.png"], "cannot write", ""),
        (["draw"], "stdin holds no rows", ""),
        (["score.red", "x"], "needs the field 'image'", "draw.toy"),
        (["show", "no/such/thing"], "no file 'no/such/thing'", ""),
        (["show", "."], "no plugin knows what the folder '.' holds", "Name a store"),
        (["draw", "x", "--row", "9"], "no row of the input is '9'", "numbered from 0"),
        (["draw", "x", "-o", "{idd}.png"], "names 'idd'", "did you mean 'id'"),
        (["models", "--task", "none"], "no model has the task 'none'", "Tasks: "),
        (["store", "ls", "none.zarr"], "no store at 'none.zarr'", ""),
    ],
)  # fmt: skip
def test_a_wrong_command_is_one_line_and_status_2(
    imgtool: Imgtool, arguments: list[str], message: str, hint: str
) -> None:
    answer = imgtool(*arguments)

    lines = answer.err.splitlines()
    assert answer.status == 2
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert hint in "".join(lines[1:])
    assert len(lines) <= 2


def test_debug_shows_the_traceback(imgtool: Imgtool) -> None:
    assert "Traceback" in imgtool("--debug", "upper", "nothere.txt").err


def test_version_is_printed_alone(imgtool: Imgtool) -> None:
    assert imgtool("--version").out.startswith("imgtool 0.")


def test_prompts_that_are_not_utf8_are_refused_with_their_line(imgtool: Imgtool) -> None:
    answer = imgtool("upper", stdin=b"fine\n\xff\xfe\n")

    assert answer.status == 2
    assert "stdin:2" in answer.err


def test_a_very_long_prompt_passes(imgtool: Imgtool) -> None:
    assert prompts(imgtool("upper", "--json", stdin="x" * 10_000).out) == ["X" * 10_000]


def test_hostile_and_repeated_ids_are_refused(imgtool: Imgtool) -> None:
    hostile = imgtool("upper", stdin='{"id":"../x","prompt":"a"}\n')
    twice = imgtool("upper", stdin='{"id":"a","prompt":"a"}\n{"id":"a","prompt":"b"}\n')

    assert (hostile.status, twice.status) == (2, 2)
    assert "'../x'" in hostile.err
    assert "comes twice" in twice.err


HALF = """
from imgtool.api import IMAGE, PROMPT, Stage, optional

class Half(Stage[None]):
    id, version, summary = "half.toy", 1, "Draw what is blue."
    consumes, produces = (PROMPT,), (optional(IMAGE),)

    def process(self, batch):
        import numpy as np
        blue = np.full((8, 8, 3), (0, 0, 255), np.uint8)
        return batch.with_columns(image=[blue if p == "blue" else None for p in batch["prompt"]])
"""


def test_rows_without_a_picture_are_counted_and_the_others_written(
    imgtool: Imgtool, world: Path
) -> None:
    (world / "half.py").write_text(HALF)

    answer = imgtool(
        "--plugin", "half.py", "half", "red", "blue", "-o", "out/{id}.png", "--sheet", "sheet.png"
    )

    assert answer.status == 0, answer.err
    assert "wrote out/1.png; 1 row without a picture" in answer.err
    assert (world / "sheet.png").is_file()


def test_a_cache_that_cannot_be_tidied_does_not_fail_the_command(imgtool: Imgtool) -> None:
    answer = imgtool("draw", "a", "--json", env={"IMGTOOL_CACHE_LIMIT": "much"})
    assert (answer.status, len(answer.lines)) == (0, 1)
    assert "was not tidied: IMGTOOL_CACHE_LIMIT is 'MUCH'" in answer.err
