"""`imgtool run`: pipelines, overrides, sweeps, plans, nothing twice, recipes of pictures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Imgtool

PIPELINES = """\
[toy]
description = "capitals, two pictures, the redder one"
seed = 5

[[toy.stage]]
use = "upper.toy"
[[toy.stage]]
use = "draw"
n = 2
[[toy.stage]]
use = "score.red"
[[toy.stage]]
use = "select.best"
by = "score.red"

[broken]
[[broken.stage]]
use = "draw"
sise = 4
"""


@pytest.fixture
def pipelines(world: Path) -> Path:
    """A pipelines file in the test's folder."""
    path = world / "pipelines.toml"
    path.write_text(PIPELINES)
    return path


def computed(progress: str) -> list[str]:
    """Labels of the batches that a run with `--progress json` computed."""
    events = [json.loads(line) for line in progress.splitlines() if line.startswith("{")]
    return [e["label"] for e in events if e["event"] == "BatchDone" and not e["cached"]]


@pytest.mark.usefixtures("pipelines")
def test_a_pipeline_keeps_one_scored_child_of_each_row(imgtool: Imgtool) -> None:
    answer = imgtool("run", "toy", "a cube", "a ball", "--json")

    rows = [json.loads(line) for line in answer.lines]
    assert answer.status == 0
    assert [row["prompt"] for row in rows] == ["A CUBE", "A BALL"]
    assert all(row["schema"] == "imgtool.row/1" and "score.red" in row for row in rows)


@pytest.mark.usefixtures("pipelines")
def test_the_same_command_again_computes_nothing(imgtool: Imgtool) -> None:
    command = ["run", "toy", "a", "b", "--store", "s.zarr", "--progress", "json", "--json"]

    first, again = imgtool(*command), imgtool(*command)

    assert computed(first.err) == ["upper.toy", "draw", "score.red", "select.best"]
    assert computed(again.err) == []
    assert first.out == again.out


def test_a_changed_file_that_a_row_names_is_read_again(imgtool: Imgtool, world: Path) -> None:
    (world / "rows.jsonl").write_text('{"path": "a.png"}\n')
    command = ["image.read", "rows.jsonl", "--store", "s.zarr", "--progress", "json"]
    runs = []
    for colour in ("red", "red", "blue"):
        Image.new("RGB", (4, 4), colour).save(world / "a.png")
        runs.append(computed(imgtool(*command, "-o", f"{colour}.png").err))

    assert runs == [["image"], [], ["image"]]
    with Image.open(world / "blue.png") as made:
        assert made.convert("RGB").getpixel((0, 0)) == (0, 0, 255)


@pytest.mark.usefixtures("pipelines")
def test_a_changed_parameter_runs_that_stage_and_later_ones(imgtool: Imgtool) -> None:
    command = ["run", "toy", "a", "--store", "s.zarr", "--progress", "json", "--json"]
    imgtool(*command)

    changed = imgtool(*command, "--set", "draw.size=4")

    assert computed(changed.err) == ["draw", "score.red", "select.best"]


@pytest.mark.usefixtures("pipelines")
def test_a_run_with_changed_parameters_leaves_the_plain_one(imgtool: Imgtool, world: Path) -> None:
    command = ["run", "toy", "a", "--store", "s.zarr", "--json"]
    for more in ([], ["--set", "draw.size=4"], ["--sweep", "draw.size=2,4", "--set", "draw.n=1"]):
        assert imgtool(*command, *more).status == 0

    assert sorted(path.parent.name for path in world.glob("s.zarr/runs/*/zarr.json")) == [
        "toy", "toy-n=1-size=2", "toy-n=1-size=4", "toy-size=4",
    ]  # fmt: skip


@pytest.mark.usefixtures("pipelines")
def test_a_sweep_writes_each_variant_apart(imgtool: Imgtool, world: Path) -> None:
    answer = imgtool("run", "toy", "a", "--sweep", "draw.size=2,4", "-o", "out/{id}.png")

    assert answer.status == 0
    found = sorted(str(p.relative_to(world)) for p in world.glob("out/*/*.png"))
    assert [path.rpartition("/")[0] for path in found] == ["out/size=2", "out/size=4"]


@pytest.mark.usefixtures("pipelines")
def test_a_sweep_writes_sheet_and_trace_of_each_variant(imgtool: Imgtool, world: Path) -> None:
    sweep = ("--sweep", "draw.size=2,4", "--sheet", "all/{variant}.png", "--trace", "t.json")

    assert imgtool("run", "toy", "a", *sweep).status == 0
    found = {str(path.relative_to(world)) for path in world.rglob("*size=*") if path.is_file()}
    assert found == {"all/size=2.png", "all/size=4.png"}
    assert all((world / f"size={size}/t.json").is_file() for size in (2, 4))
    assert not (world / "t.json").exists()


@pytest.mark.usefixtures("pipelines")
def test_a_sweep_writes_no_stream(imgtool: Imgtool, world: Path) -> None:
    command = ["run", "toy", "a", "--sweep", "draw.size=2,4"]

    refused = imgtool(*command)
    assert (refused.status, refused.out) == (2, "")
    assert "cannot go through a pipe" in refused.err
    assert "--json or --store" in refused.err
    for kept in (["-o", "out/"], ["--store", "s.zarr"], ["--name", "both"]):
        answer = imgtool(*command, *kept)
        assert (answer.status, answer.out) == (0, ""), answer.err
    assert imgtool("run", "toy", "a", "--sweep", "draw.size=2").lines


@pytest.mark.parametrize("arguments", [["--json"], []])
@pytest.mark.usefixtures("pipelines")
def test_a_plan_says_what_would_run_and_runs_nothing(
    imgtool: Imgtool, world: Path, arguments: list[str]
) -> None:
    answer = imgtool("run", "toy", "a", "--store", "s.zarr", "--plan", *arguments)

    assert answer.status == 0
    assert "select.best" in answer.out
    assert not list(world.glob("s.zarr/draw-*"))


@pytest.mark.usefixtures("pipelines")
def test_pipeline_list_show_and_check(imgtool: Imgtool) -> None:
    assert "upper.toy → draw → score.red" in imgtool("pipeline", "list").out
    assert "n=2 size=8" in imgtool("pipeline", "show", "toy").out
    assert imgtool("show", "toy").out == imgtool("pipeline", "show", "toy").out
    assert imgtool("pipeline", "check", "toy").out == "toy: ok, 4 stages\n"


@pytest.mark.usefixtures("pipelines")
def test_a_wrong_pipeline_names_file_line_and_near_match(imgtool: Imgtool) -> None:
    answer = imgtool("pipeline", "check", "broken")

    assert answer.status == 2
    assert "pipelines.toml:19" in answer.err
    assert "did you mean 'size'" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "no pipeline given"),
        (["run", "tpy", "x"], "did you mean 'toy'"),
        (["run", "toy", "x", "--set", "drw.n=1"], "did you mean 'draw'"),
        (["run", "toy", "x", "--set", "draw.n"], "LABEL.KEY=VALUE"),
        (["run", "toy", "x", "--sweep", "draw.size=2,x"], "whole number"),
        (["run", "toy", "x", "--seed", "1", "--sweep", "seed=1,2"], "exclude each other"),
        (["run", "other.toml:toy", "x"], "other.toml"),
    ],
)
@pytest.mark.usefixtures("pipelines")
def test_what_run_refuses(imgtool: Imgtool, arguments: list[str], message: str) -> None:
    answer = imgtool(*arguments)

    assert answer.status == 2
    assert message in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.usefixtures("pipelines")
def test_every_variant_of_a_sweep_gets_the_rows_of_stdin(imgtool: Imgtool) -> None:
    sweep = ("run", "toy", "-", "--sweep", "draw.size=4,8", "--json")
    for given in ("a\nb\n", imgtool("upper", "a", "b").out):
        assert [json.loads(line)["prompt"] for line in imgtool(*sweep, stdin=given).lines] == [
            "A", "B", "A", "B",
        ]  # fmt: skip


@pytest.mark.parametrize("given", [("a cat",), ("-",), ()])
@pytest.mark.usefixtures("pipelines")
def test_a_swept_seed_is_the_seed_of_its_variant(imgtool: Imgtool, given: tuple[str, ...]) -> None:
    def seeds(*options: str) -> list[int]:
        answer = imgtool("run", "toy", *given, *options, "--json", stdin="a cat\n")
        return [json.loads(line)["seed"] for line in answer.lines]

    assert seeds("--sweep", "seed=1,2") == seeds("--seed", "1") + seeds("--seed", "2")
    assert len({*seeds("--sweep", "seed=1,2")}) == 2


def test_a_swept_key_of_the_pipeline_holds_for_its_variant(imgtool: Imgtool, world: Path) -> None:
    (world / "pipelines.toml").write_text('[plain]\n[[plain.stage]]\nuse = "draw"\n')
    command = ("run", "plain", "please fail", "fine", "--json")

    assert imgtool(*command, "--sweep", "on_error=skip,pass").status == 1
    assert imgtool(*command, "--sweep", "on_error=skip,stop").status == 3


@pytest.mark.usefixtures("pipelines")
def test_an_option_that_is_given_goes_before_the_pipelines_own(imgtool: Imgtool) -> None:
    own, same, zero = (
        json.loads(imgtool("run", "toy", "a", *seed, "--json").lines[0])["seed"]
        for seed in ((), ("--seed", "5"), ("--seed", "0"))
    )
    assert own == same != zero


@pytest.mark.parametrize("name", ["../../elsewhere", "a/b", ".hidden"])
def test_a_run_is_never_recorded_outside_its_store(
    imgtool: Imgtool, world: Path, name: str
) -> None:
    (world / "p.toml").write_text(f'["{name}"]\n[["{name}".stage]]\nuse = "draw"\n')
    for command in (["draw", "a", "--name", name], ["run", "-f", "p.toml", name, "a"]):
        answer = imgtool(*command, "--store", "s.zarr")
        assert (answer.status, f"{name!r} cannot be" in answer.err) == (2, True)
    assert not (world / "s.zarr").exists()


@pytest.mark.usefixtures("pipelines")
def test_a_picture_is_made_again_from_its_recipe(imgtool: Imgtool, world: Path) -> None:
    imgtool("run", "toy", "a cube", "a ball", "-o", "out/{id}.png")
    picture = sorted((world / "out").iterdir())[1]

    answer = imgtool("run", "--from", str(picture), "-o", "again.png", "--store", "other.zarr")

    assert answer.status == 0
    assert (world / "again.png").read_bytes() == picture.read_bytes()


def test_a_picture_carries_its_own_source_row_among_rows_with_ids_alike(
    imgtool: Imgtool, world: Path
) -> None:
    from imgtool.pictures.metadata import read_metadata

    rows = [{"id": "v1", "prompt": "a cat"}, {"id": "v1.2", "prompt": "a dog"}]
    (world / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    imgtool("draw", "p.jsonl", "-o", "one/")
    imgtool("draw", "p.jsonl", "-n", "3", "-o", "three/")

    found = {
        str(path.relative_to(world)): read_metadata(path)["record"]["recipe"]["source"]["prompt"]
        for path in world.glob("*/*.png")
    }
    assert found == {
        **{"one/v1.png": "a cat", "one/v1.2.png": "a dog"},
        **{f"three/v1.{n}.png": "a cat" for n in range(3)},
        **{f"three/v1.2.{n}.png": "a dog" for n in range(3)},
    }


def test_a_picture_without_recipe_says_so(imgtool: Imgtool) -> None:
    imgtool("draw", "a", "-o", "a.png", "--metadata", "public")

    answer = imgtool("run", "--from", "a.png")

    assert answer.status == 2
    assert "carries no recipe" in answer.err


def test_a_recipe_that_names_files_needs_consent(imgtool: Imgtool, world: Path) -> None:
    imgtool("keep.toy", "a", "--note", "note.txt", "-o", "a.png")

    refused = imgtool("run", "--from", "a.png", "-o", "b.png")
    allowed = imgtool("run", "--from", "a.png", "-o", "b.png", "--consent")

    assert refused.status == 2
    assert "names a file" in refused.err
    assert allowed.status == 0
    assert (world / "b.png").exists()


@pytest.mark.usefixtures("pipelines")
def test_trace_is_a_perfetto_file_with_a_track_for_each_stage(
    imgtool: Imgtool, world: Path
) -> None:
    imgtool("run", "toy", "a", "--trace", "t.json")

    events = json.loads((world / "t.json").read_text())["traceEvents"]
    tracks = [e["args"]["name"] for e in events if e["name"] == "thread_name"]
    assert tracks[:4] == ["upper.toy", "draw", "score.red", "select.best"]
    assert sum(e["ph"] == "X" and e["name"] == "batch 0" for e in events) == 4
    assert all(e["dur"] >= 0 and e["ts"] >= 0 for e in events if e["ph"] == "X")
