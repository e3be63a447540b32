"""Pictures say how they were made, in every format, and go where the pattern says."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgtool.errors import OutputUnwritable, UsageError
from imgtool.pictures.metadata import Level, a1111_text, parse_a1111, read_metadata
from imgtool.pictures.patterns import check_target, parse_pattern
from imgtool.pictures.writer import contact_sheet, encode, write_unless_equal
from imgtool.ui.text import strip_escapes

IMAGE = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
VALUES = {"id": "0.1", "prompt": 'a "red" cube,\nlarge: 2', "negative_prompt": "blur", "steps": 20,
          "guidance": 7.5, "seed": 7, "width": 8, "height": 8,
          "model": "a,b", "sampler": "DDIM"}  # fmt: skip
words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40)


@pytest.mark.parametrize("name", ["x.png", "x.jpg[Q=95]", "x.webp[lossless]"])
def test_every_format_carries_text_and_record(tmp_path: Path, name: str) -> None:
    pattern = parse_pattern(str(tmp_path / name))
    path = pattern.path({"id": "0"})
    write_unless_equal(path, encode(IMAGE, pattern, Level.FULL, VALUES, {"stages": [1]}))
    found = read_metadata(path)
    assert found["parameters"] == a1111_text(VALUES)
    assert found["record"]["row"] == VALUES
    assert found["record"]["recipe"] == {"stages": [1]}
    assert b"trainedAlgorithmicMedia" in path.read_bytes()


@pytest.mark.parametrize("name", ["x.png", "x.jpg", "x.webp"])
def test_levels_leave_out_what_they_promise_to(tmp_path: Path, name: str) -> None:
    pattern = parse_pattern(str(tmp_path / name))
    bare = encode(IMAGE, pattern, Level.NONE, VALUES, {"secret": 1})
    public = encode(IMAGE, pattern, Level.PUBLIC, VALUES, {"secret": 1})
    assert b"red" not in bare
    assert b"secret" not in public


def test_equal_input_gives_equal_bytes_and_is_not_written_again(tmp_path: Path) -> None:
    pattern = parse_pattern(str(tmp_path / "x.png"))
    data = [encode(IMAGE, pattern, Level.FULL, VALUES, {}) for _ in range(2)]
    assert data[0] == data[1]
    assert write_unless_equal(tmp_path / "x.png", data[0])
    os.utime(tmp_path / "x.png", (1, 1))
    node = (tmp_path / "x.png").stat().st_ino
    assert not write_unless_equal(tmp_path / "x.png", data[1])
    assert (tmp_path / "x.png").stat().st_ino == node
    assert (tmp_path / "x.png").stat().st_mtime > 1  # for make: up to date


@given(words, words, st.integers(0, 2**62), st.integers(1, 500))
def test_parameters_text_is_read_back(prompt: str, negative: str, seed: int, steps: int) -> None:
    values = {
        "prompt": prompt.strip(),
        "negative_prompt": negative.strip(),
        "seed": seed,
        "steps": steps,
    }
    back = parse_a1111(a1111_text(values))
    assert {k: back.get(k, "") for k in values} == values


def test_text_of_other_programs_is_read() -> None:
    text = "a cat\nsitting\nNegative prompt: dog\n"
    text += "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x768, Model hash: abc"
    assert parse_a1111(text) == {
        "prompt": "a cat\nsitting", "negative_prompt": "dog", "steps": 20, "sampler": "Euler a",
        "guidance": 7.0, "seed": 1, "width": 512, "height": 768,
    }  # fmt: skip


@pytest.mark.parametrize("guidance", ["high", "", "nan", math.inf, 10**400, [7.5], None])
def test_a_guidance_that_is_no_number_is_left_out_of_the_settings(guidance: object) -> None:
    assert a1111_text({"prompt": "a", "guidance": guidance, "seed": 1}) == "a\nSeed: 1"


@pytest.mark.parametrize("guidance", [7.5, "7.50"])
def test_a_guidance_is_written_as_a_number(guidance: object) -> None:
    assert a1111_text({"prompt": "a", "guidance": guidance}) == "a\nCFG scale: 7.5"


@settings(max_examples=200)
@given(st.text(max_size=60))
def test_no_value_leads_out_of_the_folder(value: str) -> None:
    path = parse_pattern("out/{prompt}-{id}.png").path({"id": "0", "prompt": value})
    assert path.parent == Path("out")
    assert not path.name.startswith(".")


def test_patterns_fill_fields() -> None:
    values = {"id": "0.1", "prompt": "a red cube!", "seed": 7, "score.clip": 0.25}
    assert parse_pattern("o/{seed:04d}-{prompt:.5}.png").path(values) == Path("o/0007-a-red.png")
    assert parse_pattern("o/").path(values) == Path("o/0.1.png")
    assert parse_pattern("{score.clip}.png").path(values) == Path("0.25.png")
    with pytest.raises(UsageError, match="names 'promt'"):
        parse_pattern("{promt}.png").path(values)


@pytest.mark.parametrize("form", ["03d", "d", "5s", ".2x"])
def test_a_form_that_a_number_cannot_be_written_in_is_refused(form: str) -> None:
    with pytest.raises(UsageError, match=f"'{{score.x:{form}}}' is no form for 0.25"):
        parse_pattern(f"{{score.x:{form}}}.png").path({"id": "0", "score.x": 0.25})


@pytest.mark.parametrize("bad", ["x.gif", "x.jpg[Q=900]", "x.jpg[R=3]", "x.png[Q=3]", "x.jpg[Q=90"])
def test_bad_patterns_are_refused(bad: str) -> None:
    with pytest.raises(UsageError):
        parse_pattern(bad)


def test_place_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable):
        check_target(parse_pattern(str(tmp_path / "file" / "{id}.png")))


def test_contact_sheet_holds_every_picture() -> None:
    sheet = contact_sheet(
        [IMAGE] * 5, ["a long prompt that needs two lines"] * 5, columns=3, cell=40
    )
    assert sheet.width == 3 * 48 + 8
    assert sheet.height == 2 * 78 + 8


@pytest.mark.parametrize("shape", [(2, 1000, 3), (1000, 2, 3)])
def test_a_picture_thinner_than_a_pixel_of_the_sheet_is_shown(shape: tuple[int, ...]) -> None:
    sheet = contact_sheet([np.zeros(shape, np.uint8)], columns=1, cell=192)

    assert sheet.getpixel((8, 8)) == (0, 0, 0)


@given(st.text())
def test_shown_text_has_no_control_characters(text: str) -> None:
    shown = strip_escapes(text + "\x1b[2J\x1b]0;title\x07")
    assert not [c for c in shown if (ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160]
