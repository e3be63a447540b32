"""Rows come from what users give, and every fault names its place."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from imgtool.batch import derive_seed
from imgtool.errors import BadRowId, InputEmpty, InputMissing, InputUnreadable, UsageError
from imgtool.inputs import finished_rows, is_path, read_rows, rows_of_lines

if TYPE_CHECKING:
    from pathlib import Path

    from imgtool.inputs import Row


def rows(*words: str, **more: object) -> list[Row]:
    return list(read_rows(words, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("word", "expected"),
    [("a.txt", True), ("in/out", True), ("s.zarr", True), ("a red cube", False),
     ("a cat/dog mix", False), ("v1.5 style", False), ("cube", False),
     ("山" * 90 + "/水", False), ("a" * 300 + ".png", False)],
)  # fmt: skip
def test_known_suffix_or_slash_means_a_path(word: str, expected: bool) -> None:
    assert is_path(word) is expected


def test_prompts_get_ids_seeds_and_a_source_prompt() -> None:
    first, second = rows("a", "b", seed=3)
    assert first == {"id": "0", "prompt": "a", "source_prompt": "a", "seed": derive_seed(3, "0")}
    assert second["seed"] != first["seed"]


@pytest.mark.parametrize(
    ("word", "near"),
    [("prompts.cvs", "did you mean '.csv'"), ("a.jsnol", "'.jsonl'"), ("rows.parquet", "put --")],
)
def test_a_word_that_looks_like_a_file_is_no_prompt(word: str, near: str) -> None:
    with pytest.raises(InputUnreadable, match="looks like a file") as caught:
        rows("a cube", word)
    assert near in caught.value.hint
    assert rows(texts=[word])[0]["prompt"] == word


@pytest.mark.parametrize("text", ["v1.5", "e.g.", "etc...", "my prompts.cvs", "3.5mm", "一只猫。"])
def test_a_dot_alone_makes_no_file(text: str) -> None:
    assert rows(text)[0]["prompt"] == text


def test_text_behind_two_dashes_is_never_a_path() -> None:
    assert rows(texts=["missing.txt"])[0]["prompt"] == "missing.txt"


@pytest.fixture
def file(tmp_path: Path):  # type: ignore[no-untyped-def]
    def make(name: str, data: bytes) -> str:
        (tmp_path / name).write_bytes(data)
        return str(tmp_path / name)

    return make


def test_files_of_rows_are_read(file) -> None:  # type: ignore[no-untyped-def]
    assert [r["prompt"] for r in rows(file("a.txt", "\ufeffone\n\ntwo ✓\r\n".encode()))] == [
        "one",
        "two ✓",
    ]
    table = rows(file("a.csv", b'id,prompt,seed\nx,"a, b",5\ny,c,\n'))
    assert [(r["id"], r["prompt"]) for r in table] == [("x", "a, b"), ("y", "c")]
    assert table[0]["seed"] == 5
    assert rows(file("a.jsonl", b'{"prompt": "z", "seed": 1}\n'))[0]["seed"] == 1


@pytest.mark.parametrize(
    ("name", "data", "error", "text"),
    [
        ("a.txt", b"ok\n\xff\xfe\n", InputUnreadable, r"a\.txt:2 is not UTF-8"),
        ("a.txt", b"\n \n", InputEmpty, "holds no rows"),
        ("a.jsonl", b'{"prompt": 1}\n{bad\n', InputUnreadable, r"a\.jsonl:2 is not JSON"),
        ("a.jsonl", b"[1]\n", InputUnreadable, "not a JSON object"),
        ("a.jsonl", b"[" * 100_000, InputUnreadable, "not JSON"),
        ("a.csv", b"prompt,seed\na,1,2\n", InputUnreadable, "another count of cells"),
        ("a.csv", b"id,prompt\n../x,a\n", BadRowId, r"\.\./x"),
        ("a.csv", b"id,prompt\na/b,a\n", BadRowId, "a/b"),
        ("a.csv", b"prompt,seed\na,soon\n", InputUnreadable, "no whole number"),
        ("a.png", b"\x89PNG\r\n\x1a\nrest", InputUnreadable, "no readable picture"),
    ],
)
def test_fault_names_its_place(
    file, name: str, data: bytes, error: type[Exception], text: str
) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=text):
        rows(file(name, data))


@pytest.mark.parametrize("seed", [2**63, -1, 0.5, True])
def test_a_seed_that_no_generator_takes_is_refused(seed: object) -> None:
    with pytest.raises(InputUnreadable, match=r"row '0': seed .* is no whole number from 0 to"):
        list(finished_rows([{"prompt": "a", "seed": seed}], 0))
    assert next(finished_rows([{"prompt": "a", "seed": 2**63 - 1}], 0))["seed"] == 2**63 - 1


def test_the_name_of_a_picture_is_no_picture() -> None:
    with pytest.raises(InputUnreadable, match="row '0': image is a text") as caught:
        list(finished_rows([{"image": "a.png"}], 0))
    assert "image.read" in caught.value.hint


def test_half_a_character_is_refused_where_it_is_text() -> None:
    good = {"prompt": "a \U0001f600", "path": "\udcff.png"}
    with pytest.raises(InputUnreadable, match=r"row '1': note holds \\ud83d") as caught:
        list(finished_rows([good, {"prompt": "a", "note": "x \ud83d"}], 0))
    assert caught.value.message.isascii()


def test_pictures_of_a_folder_have_ids_of_their_names(tmp_path: Path) -> None:
    names = ("1", "my photo", "my-photo", "my+photo", "a..b", "_x.2", "写真", "é" * 120)
    for name in names:
        Image.new("RGB", (1, 1)).save(tmp_path / f"{name}.png")

    ids = dict(zip(sorted(names), (row["id"] for row in rows(str(tmp_path))), strict=True))

    assert ids == {
        "1": "1", "my-photo": "my-photo", "_x.2": "_x.2",
        "my photo": "my-photo-2", "my+photo": "my-photo-3", "a..b": "a-b",
        "é" * 120: "picture", "写真": "picture-2",
    }  # fmt: skip


def test_missing_file_is_refused_before_any_row() -> None:
    with pytest.raises(InputMissing, match="no such file"):
        read_rows(["there/is/none.txt"])


def test_long_prompt_and_endless_input_are_fine() -> None:
    assert len(rows("x" * 10_000)[0]["prompt"]) == 10_000
    endless = rows_of_lines(f"line {i}\n" for i in itertools.count())
    assert [next(endless)["id"] for _ in range(3)] == ["0", "1", "2"]


def test_pictures_come_upright_and_on_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (4, 2), (255, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 2)).save(tmp_path / "turned.jpg", exif=exif)
    first, second = rows(str(tmp_path / "clear.png"), str(tmp_path / "turned.jpg"))
    assert (first["image"] == 255).all()
    assert second["image"].shape == (4, 2, 3)


def test_a_row_knows_the_content_of_the_file_at_its_path(file, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    notes = [file(name, data) for name, data in (("a.bin", b"1"), ("b.bin", b"1"), ("c.bin", b"2"))]
    listed: list[dict[str, Any]] = [
        {"path": path} for path in (*notes, "none.bin", str(tmp_path), "x" * 300, "a\0b")
    ]
    listed.append({"path": notes[0], "image": np.zeros((1, 1, 3), np.uint8)})
    one, same, other, *without = finished_rows(listed, 0)

    assert one["path_digest"] == same["path_digest"] != other["path_digest"]
    assert not any("path_digest" in row for row in without)


def test_picture_with_too_many_pixels_is_not_decoded(file) -> None:  # type: ignore[no-untyped-def]
    import struct
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
    )
    with pytest.raises(InputUnreadable):
        rows(file("bomb.png", bomb))


def test_fields_are_bound_from_files(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 6).reshape(2, 3).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "d.png")
    (tmp_path / "n.txt").write_text("ugly\nblurry\n")
    bound = {"depth": str(tmp_path / "d.png"), "negative_prompt": str(tmp_path / "n.txt")}
    first, second = rows("a", "b", bound=bound)
    assert first["depth"].dtype == np.float32
    assert first["depth"].max() == 1.0
    assert [first["negative_prompt"], second["negative_prompt"]] == ["ugly", "blurry"]
    with pytest.raises(UsageError, match="fewer lines"):
        rows("a", "b", "c", bound=bound)


def test_rows_of_bound_fields_alone_are_the_lines_of_their_files(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("a cat\n\na dog\n")
    (tmp_path / "n.txt").write_text("ugly\n")
    prompts = {"prompt": str(tmp_path / "p.txt")}

    found = rows(bound={**prompts, "negative_prompt": "blurry"})

    assert [(r["id"], r["prompt"], r["source_prompt"], r["negative_prompt"]) for r in found] == [
        ("0", "a cat", "a cat", "blurry"), ("1", "a dog", "a dog", "blurry"),
    ]  # fmt: skip
    assert found[0]["seed"] != found[1]["seed"]
    with pytest.raises(UsageError, match="fewer lines"):
        rows(bound={**prompts, "negative_prompt": str(tmp_path / "n.txt")})


def test_a_bound_prompt_is_the_source_prompt_of_rows_without_one() -> None:
    (one,) = rows(bound={"prompt": "a cat"})
    (other,) = rows("a dog", bound={"prompt": "a cat"})

    assert (one["prompt"], one["source_prompt"]) == ("a cat", "a cat")
    assert (other["prompt"], other["source_prompt"]) == ("a cat", "a dog")


def test_pickled_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputUnreadable, match="no plain array"):
        rows("a", bound={"depth": str(tmp_path / "x.npy")})
