"""Published benchmarks are read as they are laid out; bad files end in one line with a place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from imgtool.api import ImgtoolError, InputMissing, InputUnreadable
from imgtool_score.suites.figures import picture_score
from imgtool_score.suites.find import read_suite, write_suite
from imgtool_score.suites.layouts import compbench, dpg, geneval, lpg
from imgtool_score.suites.model import Rule, Suite, suite_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GENEVAL = [
    {"tag": "single_object", "include": [{"class": "bench", "count": 1}],
     "prompt": "a photo of a bench"},
    {"tag": "counting", "include": [{"class": "clock", "count": 2}],
     "exclude": [{"class": "clock", "count": 3}], "prompt": "a photo of two clocks"},
    {"tag": "position", "include": [
        {"class": "apple", "count": 1},
        {"class": "dog", "count": 1, "position": ["right of", 0]}],
     "prompt": "a photo of a dog right of an apple"},
    {"tag": "color_attr", "include": [
        {"class": "cup", "count": 1, "color": "pink"},
        {"class": "oven", "count": 1, "color": "green"}],
     "prompt": "a photo of a pink cup and a green oven"},
]  # fmt: skip
DPG_HEAD = (
    "item_id,text,keywords,proposition_id,dependency,category_broad,category_detailed,tuple,"
    "question_natural_language\n"
)
DPG_ROWS = (
    'partiprompts1,"A cat, asleep.",cat,1,0,entity,whole,entity - whole (cat),Is there a cat?\n'
    'partiprompts1,"A cat, asleep.",cat,2,"1,3",relation,spatial,"relation - spatial (cat, mat)",'
    "Is the cat on the mat?\n"
    'partiprompts1,"A cat, asleep.",cat,3,0,entity,whole,entity - whole (mat),Is there a mat?\n'
    "7,A dog.,dog,1,0,entity,whole,entity - whole (dog),Is there a dog?\n"
)


def write_geneval(folder: Path) -> Path:
    text = "".join(f"{json.dumps(item)}\n" for item in GENEVAL)
    (folder / "evaluation_metadata.jsonl").write_text(text)
    return folder


def write_dpg(folder: Path) -> Path:
    (folder / "prompts").mkdir()
    (folder / "dpg_bench.csv").write_text(DPG_HEAD + DPG_ROWS)
    (folder / "prompts" / "partiprompts1.txt").write_text("A cat, asleep\non a mat.\n")
    (folder / "prompts" / "7.txt").write_text("A dog.")
    return folder


def suite(document: dict[str, Any]) -> Suite:
    return suite_of(document, "here")


def texts(found: Suite, at: int) -> list[str]:
    return [question["text"] for question in found.items[at].questions]


def test_geneval_becomes_questions_by_task(tmp_path: Path) -> None:
    found = suite(geneval.read(write_geneval(tmp_path)))
    assert [item.id for item in found.items] == ["00000", "00001", "00002", "00003"]
    assert found.categories == ("single_object", "counting", "position", "color_attr")
    assert texts(found, 1) == ["Is there a clock?", "Is the number of clock objects exactly two?"]
    assert texts(found, 2) == [
        "Is there an apple?", "Is there a dog?", "Is the dog right of the apple?",
    ]  # fmt: skip
    assert found.items[2].questions[2]["parents"] == [0, 1]
    assert texts(found, 3)[1::2] == ["Is the cup pink?", "Is the oven green?"]
    assert (found.rule.picture, found.rule.overall, found.seeds) == ("all", "categories", 4)


def test_compbench_asks_for_each_phrase_and_multiplies(tmp_path: Path) -> None:
    (tmp_path / "color_val.txt").write_text("a green bench and a blue bowl\na red car\n")
    (tmp_path / "numeracy_val.txt").write_text("two boys\n")
    found = suite(compbench.read(tmp_path))
    assert [item.id for item in found.items] == [
        "color-000000", "color-000001", "numeracy-000000",
    ]  # fmt: skip
    assert texts(found, 0) == ["green bench?", "blue bowl?"]
    assert texts(found, 2) == ['Does this figure show "two boys"? Please answer Yes or No.']
    assert (found.rule.picture, found.seeds) == ("product", 10)
    alone = suite(compbench.read(tmp_path / "color_val.txt"))
    assert alone.categories == ("color",)


def test_dpg_puts_parents_before_children_and_keeps_the_first_row(tmp_path: Path) -> None:
    found = suite(dpg.read(write_dpg(tmp_path)))
    assert [item.id for item in found.items] == ["partiprompts1", "7"]
    assert found.items[0].prompt == "A cat, asleep on a mat."
    assert texts(found, 0) == ["Is there a cat?", "Is there a mat?", "Is the cat on the mat?"]
    assert found.items[0].questions[2]["parents"] == [0, 1]
    assert [q["kind"] for q in found.items[0].questions] == ["entity", "entity", "relation"]
    assert (found.rule.scale, found.rule.binary) == (100.0, True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("prompts.txt", "one long prompt\n\nanother\n"),
        ("prompts.json", '["one long prompt", {"prompt": "another"}]'),
        ("prompts.jsonl", '{"prompt": "one long prompt"}\n{"prompt": "another"}\n'),
        ("prompts.csv", "id,prompt\n0000,one long prompt\n0001,another\n"),
    ],
)
def test_lpg_takes_its_prompts_in_any_form(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    found = suite(lpg.read(tmp_path))
    assert [(i.id, i.prompt) for i in found.items] == [
        ("0000", "one long prompt"), ("0001", "another"),
    ]  # fmt: skip
    assert found.judge.stage == "score.tit"


def outcomes(*values: float, kind: str = "x") -> list[dict[str, Any]]:
    return [{"kind": kind, "value": value} for value in values]


def test_scores_of_pictures_by_each_rule() -> None:
    assert picture_score(outcomes(0.9, 0.8), Rule("product")) == pytest.approx(0.72)
    assert picture_score(outcomes(0.9, 0.4), Rule("all")) == 0.0
    assert picture_score(outcomes(0.9, 0.5), Rule("all")) == 1.0
    assert picture_score(outcomes(1.0, 0.6, 0.2), Rule("mean", binary=True)) == pytest.approx(2 / 3)
    mixed = [*outcomes(1.0, kind="a"), *outcomes(0.0, kind="b")]
    assert picture_score(mixed, Rule("all", kinds=("a",))) == 1.0
    assert picture_score(mixed, Rule("all", kinds=("c",))) == 0.0


def broken(text: str, place: str, *name: str) -> Any:
    return pytest.param(
        text.encode("utf-8", "surrogateescape"), place, *name, id=place or text[:20]
    )


@pytest.mark.parametrize(
    ("data", "place"),
    [
        broken("{", ":1 is not JSON"),
        broken('{"tag": 1}\n', ":1 has no text 'tag'"),
        broken('\n{"tag": "a", "prompt": "b"}', ":2 has no list 'include'"),
        broken('{"tag": "a", "prompt": "b", "include": [3]}', ":1 has an object without a class"),
        broken(
            '{"tag": "a", "prompt": "b", "include": [{"class": "c", "count": 99}]}', "the count 99"
        ),
        broken(
            '{"tag": "a", "prompt": "b", "include": [{"class": "c", "position": ["on", 4]}]}',
            "has the position",
        ),
        broken("[" * 200_000, ":1 is not JSON: too deep"),
        broken("\udcff", ":1 is not UTF-8"),
        broken("", "holds no lines"),
    ],
)
def test_bad_geneval_files_name_the_line(data: bytes, place: str, tmp_path: Path) -> None:
    (tmp_path / "evaluation_metadata.jsonl").write_bytes(data)
    refused(lambda: suite(geneval.read(tmp_path)), place)


def refused(call: Callable[[], object], place: str) -> None:
    with pytest.raises(ImgtoolError) as caught:
        call()
    assert place in caught.value.message
    assert "\n" not in caught.value.message
    assert int(caught.value.status) == 2


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        (DPG_ROWS.replace(",1,0,entity,whole,entity - whole (dog)", ",x,0,e,w,e"), ":5: 'x' is no"),
        (DPG_ROWS.replace('"1,3"', '"1,9"'), ":3: proposition 2 depends on one that is not there"),
        (
            DPG_ROWS.replace(",1,0,entity,whole,entity - whole (dog)", ",1,1,e,w,e"),
            ":5: proposition",
        ),
        ("../../etc/passwd,a,b,1,0,e,w,t,q\n", "has no usable id"),
        ("7,too,few\n", ":2 has another count of cells"),
        ("9,A dog.,dog,1,0,entity,whole,entity - whole (dog),Is there a dog?\n", "9.txt"),
    ],
)
def test_bad_dpg_files_name_the_line(rows: str, place: str, tmp_path: Path) -> None:
    write_dpg(tmp_path)
    (tmp_path / "dpg_bench.csv").write_text(DPG_HEAD + rows)
    refused(lambda: dpg.read(tmp_path), place)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    (tmp_path / "dpg_bench.csv").write_text("item_id,text\n1,a\n")
    refused(lambda: dpg.read(tmp_path), ":1 has no column 'proposition_id'")


@pytest.mark.parametrize("layout", [geneval, compbench, dpg, lpg])
def test_a_folder_of_something_else_is_refused(layout: Any, tmp_path: Path) -> None:
    with pytest.raises(InputMissing):
        layout.read(tmp_path)


HEAD = '{"schema": "imgtool.suite/1", "name": "n", "judge": {"stage": "score.clip"}}\n'


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"id": "a", "prompt": "b"}\n', "schema is None"),
        (HEAD, "the suite has no items"),
        (HEAD + '{"id": "a/b", "prompt": "b"}\n', ":2: id 'a/b' is not usable"),
        (HEAD + '\n{"id": "a", "prompt": " "}\n', ":3: 'prompt' is no text"),
        (HEAD + '{"id": "a", "prompt": "b"}\n{"id": "a", "prompt": "b"}\n', ":3: item 'a' is also"),
        (HEAD + '{"id": "a", "prompt": "b", "questions": [{}]}\n', ":2: question 0 has no 'text'"),
        (HEAD + '{"id": "a", "prompt": "b", "category": "\\u001b[2J"}\n', "cannot be printed"),
        (
            HEAD.replace('"n"', '"n", "rule": {"picture": "best"}')
            + '{"id": "a", "prompt": "b"}\n',
            "picture is 'best'; known: mean, all, product",
        ),
        (
            HEAD.replace('"n"', '"n", "rule": {"mode": 1}') + '{"id": "a", "prompt": "b"}\n',
            "'mode'",
        ),
    ],
)
def test_bad_suite_files_name_the_line(text: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(text)
    with pytest.raises(InputUnreadable) as caught:
        read_suite(path)
    assert place in caught.value.message


def test_a_suite_is_the_same_after_a_file(tmp_path: Path) -> None:
    found = suite(geneval.read(write_geneval(tmp_path)))
    write_suite(tmp_path / "s.jsonl", found)
    again = read_suite(tmp_path / "s.jsonl")
    assert again == found
    assert again.digest == found.digest


def test_few_prompts_come_from_every_category_in_turn(tmp_path: Path) -> None:
    (tmp_path / "color_val.txt").write_text("a red car\na blue car\n")
    (tmp_path / "shape_val.txt").write_text("a round car\na square car\n")
    found = suite(compbench.read(tmp_path))
    assert [item.id for item in found.first(3).items] == [
        "color-000000", "color-000001", "shape-000000",
    ]  # fmt: skip
    assert found.first(0) is found
