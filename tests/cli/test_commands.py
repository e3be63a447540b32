"""Commands that list, show, export and make; plugins' commands; completion; light start-up."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from imgtool.store import Store
from imgtool.store.locks import shared

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Imgtool

HEAVY = ("torch", "diffusers", "transformers", "zarr", "numpy", "pydantic", "PIL", "rich", "pluggy")


def test_help_lists_commands_stages_and_makers(imgtool: Imgtool) -> None:
    out = imgtool("--help").out

    for name in ("run ", "greet ", "draw.toy ", "carve.toy "):
        assert f"\n  {name}" in out


def test_no_command_at_all_shows_help_with_status_2(imgtool: Imgtool) -> None:
    answer = imgtool()

    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.startswith("Usage: imgtool")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["draw", "--help"], ["run", "--help"], ["stages"]]
)
def test_help_and_lists_load_nothing_heavy(
    imgtool: Imgtool, world: Path, arguments: list[str]
) -> None:
    imgtool("--help")  # the spec cache is warm afterwards
    probe = (
        "import sys; from imgtool.cli.main import run; run(sys.argv[1:]); "
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )

    done = subprocess.run(
        [sys.executable, "-c", probe, *arguments], capture_output=True, text=True, check=True
    )

    assert done.stderr == "[]\n"


def test_stages_describe_fields_and_parameters(imgtool: Imgtool) -> None:
    listed, shown = imgtool("stages").out, imgtool("stages", "draw").out

    assert "draw.toy" in listed
    assert "gives image" in shown
    assert "1..8" in shown


def test_stages_as_json_are_specs(imgtool: Imgtool) -> None:
    (spec,) = [json.loads(line) for line in imgtool("stages", "score.red", "--json").lines]

    assert (spec["schema"], spec["id"], spec["scope"]) == ("imgtool.spec/1", "score.red", "row")


def test_models_are_listed_by_task(imgtool: Imgtool) -> None:
    (model,) = [json.loads(line) for line in imgtool("models", "--task", "toy", "--json").lines]

    assert (model["name"], model["plugin"], model["bytes"]) == ("pebble", "toy-stages", None)


def test_a_model_without_a_card_is_listed_alone(imgtool: Imgtool) -> None:
    head, row = imgtool("models", "pebble").lines

    assert head.split() == ["MODEL", "TASK", "SIZE", "PIXELS", "LICENCE", "QUALITY"]
    assert row.split() == ["pebble", "toy", "not", "here"]


def test_a_plugins_command_and_trainer_run(imgtool: Imgtool) -> None:
    assert imgtool("greet", "moon").out == "hello moon\n"
    assert imgtool("train", "toy", "--smoke").out == "trained quickly\n"


def test_an_unknown_trainer_gets_a_near_match(imgtool: Imgtool) -> None:
    answer = imgtool("train", "tyo")

    assert answer.status == 2
    assert "did you mean 'toy'" in answer.err


def test_a_maker_leaves_a_folder_and_overwrites_none(imgtool: Imgtool, world: Path) -> None:
    first, again = (imgtool("carve.toy", "--weight", "3", "-o", "stone/") for _ in range(2))
    other = imgtool("carve.toy", "-o", "stone/")

    assert (first.status, first.out) == (again.status, again.out) == (0, "stone\n")
    assert again.err == "'stone' is there already, made by the same command\n"
    assert (world / "stone/model.json").read_text() == '{"weight": 3}'
    assert other.status == 2
    assert "no empty folder" in other.err


def test_show_tells_of_a_store_a_picture_and_a_stream(imgtool: Imgtool) -> None:
    stream = imgtool("draw", "a cube", "--store", "s.zarr", "-o", "a.png").out

    store, picture = imgtool("show", "s.zarr"), imgtool("show", "a.png")
    piped = imgtool("show", stdin=stream)

    assert "a cube" in store.out
    assert "8x8" in picture.out
    assert "a cube" in picture.out
    assert "a cube" in piped.out
    assert "\x1b" not in store.out + picture.out + piped.out


def test_show_as_json_gives_the_rows_of_the_run(imgtool: Imgtool) -> None:
    run = imgtool("draw", "a", "b", "--store", "s.zarr", "--json")

    assert imgtool("show", "s.zarr", "--json").out == run.out


def test_show_can_look_at_an_earlier_stage_of_a_run(imgtool: Imgtool, world: Path) -> None:
    (world / "pipelines.toml").write_text(
        '[two]\n[[two.stage]]\nuse = "upper.toy"\n[[two.stage]]\nuse = "draw"\nn = 3\n'
    )
    imgtool("run", "two", "a", "--store", "s.zarr")

    assert len(imgtool("show", "s.zarr", "--json").lines) == 3
    assert len(imgtool("show", "s.zarr", "--stage", "upper.toy", "--json").lines) == 1
    assert "did you mean 'upper.toy'" in imgtool("show", "s.zarr", "--stage", "uper.toy").err


def test_export_takes_pictures_out_of_a_store(imgtool: Imgtool, world: Path) -> None:
    imgtool("draw", "a", "b", "--store", "s.zarr")

    answer = imgtool("export", "s.zarr", "-o", "out/{id}-{seed}.jpg[Q=90]")

    assert answer.status == 0
    assert len(list((world / "out").glob("*.jpg"))) == 2


def test_export_of_one_row_writes_that_and_what_descends_from_it(
    imgtool: Imgtool, world: Path
) -> None:
    imgtool("draw", "a", "b", "-n", "2", "--store", "s.zarr")
    taken = {"0.1": ["0.1"], "1": ["1.0", "1.1"], "nope": []}

    for row, ids in taken.items():
        answer = imgtool("export", "s.zarr", "--row", row, "-o", f"{row}/{{id}}.png")
        assert answer.status == (0 if ids else 2)
        assert sorted(path.stem for path in (world / row).glob("*")) == ids
        assert ids or "no row of the input is 'nope'" in answer.err


def test_export_of_rows_without_pictures_says_so(imgtool: Imgtool) -> None:
    imgtool("upper", "a", "--store", "s.zarr")

    answer = imgtool("export", "s.zarr", "-o", "out/")

    assert answer.status == 2
    assert "no pictures to write" in answer.err


def test_a_store_is_an_input(imgtool: Imgtool) -> None:
    imgtool("draw", "a", "b", "--store", "s.zarr")

    rows = [json.loads(line) for line in imgtool("score.red", "s.zarr", "--json").lines]

    assert [row["id"] for row in rows] == ["0", "1"]
    assert all("score.red" in row for row in rows)


@pytest.mark.parametrize("place", [(), ("--store", "other.zarr")])
def test_one_row_of_a_store_is_computed_alone(imgtool: Imgtool, place: tuple[str, ...]) -> None:
    imgtool("draw", *"abcd", "-n", "2", "--store", "s.zarr", "--batch", "2")
    score = ("score.red", "s.zarr", *place, "--json", "--progress", "json", "--row")

    for row, ids in (("2.1", ["2.1"]), ("3", ["3.0", "3.1"])):
        answer = imgtool(*score, row)
        assert [json.loads(line)["id"] for line in answer.lines] == ids
        events = [json.loads(line) for line in answer.err.splitlines()]
        assert [e["rows"] for e in events if e["event"] == "BatchStarted"] == [len(ids)]


def test_a_row_that_nothing_leads_to_is_refused(imgtool: Imgtool) -> None:
    imgtool("draw", *"abcd", "--store", "s.zarr")
    streamed = imgtool("score.red", "-", "--row", "nope", stdin=imgtool("draw", "a").out)
    answers = [
        streamed,
        imgtool("score.red", "s.zarr", "--row", "nope"),
        imgtool("score.red", "s.zarr", "--row", "nope", "--plan"),
    ]

    assert [answer.status for answer in answers] == [2] * 3
    assert all("no row of the input is 'nope'" in answer.err for answer in answers)


def test_siblings_that_come_from_a_store_are_chosen_among_together(imgtool: Imgtool) -> None:
    imgtool("draw", *"abcdefg", "-n", "3", "--store", "s.zarr")
    best = ("select.best", "s.zarr", "--by", "seed", "--json")

    alone, kept = imgtool(*best), imgtool(*best, "--store", "other.zarr")

    ids = [json.loads(line)["id"] for line in kept.lines]
    assert [row_id[0] for row_id in ids] == list("0123456")
    assert ids == [json.loads(line)["id"] for line in alone.lines]


def test_a_picture_is_an_input(imgtool: Imgtool) -> None:
    imgtool("draw", "a", "-o", "a.png")

    (row,) = [json.loads(line) for line in imgtool("score.red", "a.png", "--json").lines]

    assert row["path"] == "a.png"


def test_a_truncated_picture_is_refused(imgtool: Imgtool, world: Path) -> None:
    imgtool("draw", "a", "--size", "64", "-o", "a.png")
    whole = (world / "a.png").read_bytes()
    (world / "a.png").write_bytes(whole[: len(whole) // 2])

    answer = imgtool("score.red", "a.png")

    assert answer.status == 2
    assert "no readable picture" in answer.err


def test_store_ls_and_show(imgtool: Imgtool) -> None:
    imgtool("draw", "a", "--store", "s.zarr", "--name", "demo")

    listed = [json.loads(line) for line in imgtool("store", "ls", "s.zarr", "--json").lines]
    shown = imgtool("store", "show", "s.zarr").out

    assert [(item["run"], item["stages"]) for item in listed] == [("demo", ["draw"])]
    assert "draw.toy" in shown


def test_doctor_reports_versions_and_broken_plugins(imgtool: Imgtool, toy_site: Path) -> None:
    good = json.loads(imgtool("doctor", "--json").out)

    assert good["plugins"][-1] == "toy-stages"
    assert good["problems"] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(imgtool: Imgtool, shell: str) -> None:
    answer = imgtool("completion", shell)

    assert answer.status == 0
    assert "_IMGTOOL_COMPLETE" in answer.out


@pytest.mark.parametrize(
    ("words", "offered"),
    [("imgtool dra", "draw.toy"), ("imgtool draw --tint ", "red"), ("imgtool train t", "toy")],
)
def test_completion_offers_names_and_values(imgtool: Imgtool, words: str, offered: str) -> None:
    env = {
        "_IMGTOOL_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }

    assert f"plain,{offered}" in imgtool(env=env).lines


def test_store_verify_names_what_is_bad_and_the_next_run_redoes_it(
    imgtool: Imgtool, world: Path
) -> None:
    command = ["draw", "a", "b", "--store", "s.zarr", "--name", "demo", "--json"]
    run = imgtool(*command)
    chunk = next(path for path in world.glob("s.zarr/draw-*/*/image*/c/**/*") if path.is_file())
    chunk.write_bytes(b"\0" * chunk.stat().st_size)

    found = imgtool("store", "verify", "s.zarr")
    again = imgtool(*command)
    clean = imgtool("store", "verify", "s.zarr")

    assert found.status == 1
    assert "field image of run demo" in found.out
    assert (again.out, clean.status) == (run.out, 0)


@pytest.mark.parametrize(("folder", "named"), [("s.zarr", "."), ("s.zarr/runs", "..")])
def test_a_store_may_be_named_from_inside(
    imgtool: Imgtool, world: Path, monkeypatch: pytest.MonkeyPatch, folder: str, named: str
) -> None:
    imgtool("draw", "a", "--store", "s.zarr")
    monkeypatch.chdir(world / folder)

    drawn = imgtool("draw", "b", "--store", named)
    verified = imgtool("store", "verify", named)

    assert (drawn.status, verified.status) == (0, 0), drawn.err + verified.err
    assert sorted(path.name for path in world.iterdir()) == ["s.zarr", "s.zarr.d"]


def test_store_gc_removes_what_no_run_reaches(imgtool: Imgtool, world: Path) -> None:
    for size in ("4", "8"):
        imgtool("draw", "a", "--size", size, "--store", "s.zarr", "--name", "demo")

    planned = imgtool("store", "gc", "s.zarr", "--dry-run")
    done = imgtool("store", "gc", "s.zarr")

    assert "would remove 1 batch " in planned.out
    assert "removed 1 batch " in done.out
    assert len(list(world.glob("s.zarr/draw-*"))) == 1


def test_store_gc_leaves_what_a_run_is_making(imgtool: Imgtool, world: Path) -> None:
    imgtool("draw", "a", "--store", "s.zarr")
    store = Store.open(world / "s.zarr", "a")
    for run in store.runs():
        shutil.rmtree(store.path / "runs" / run)

    with shared(store.beside):
        refused = imgtool("store", "gc", "s.zarr")
        assert len(list(world.glob("s.zarr/draw-*"))) == 1

    assert refused.status == 2
    assert "'s.zarr' is used by a run" in refused.err
    assert imgtool("store", "gc", "s.zarr").status == 0
    assert not list(world.glob("s.zarr/draw-*"))


def test_store_pack_writes_one_array_a_field(imgtool: Imgtool, world: Path) -> None:
    imgtool("draw", "a", "b", "--store", "s.zarr")

    answer = imgtool("store", "pack", "s.zarr", "-o", "packed.zarr")

    assert (answer.status, answer.out) == (0, "packed.zarr\n")
    assert list(world.glob("packed.zarr/image*"))
