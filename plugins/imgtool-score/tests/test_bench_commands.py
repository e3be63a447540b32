"""Suites are run by the real command, gone on with, compared, chosen from, and set against people.

A file gives the stages: one that draws flat pictures, one that judges by how red they are.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schemas import faults

PLUGIN = """
from dataclasses import dataclass
from typing import Annotated

from imgtool.api import (
    IMAGE, PROMPT, SEED, Component, Field, Help, Kind, RowError, Stage, hookimpl, optional, score
)

@hookimpl
def imgtool_components():
    yield Component("stage", "flat.toy", f"{__file__}:Flat")
    yield Component("stage", "score.redness", f"{__file__}:Redness")
    yield Component("bench-suite", "all/reds", f"{__file__}:reds", "How red it gets")

def reds():
    ask = {"text": "is it red?", "kind": "red"}
    truth = [{"prompt": word, "questions": [ask], "expected": [int(word == "red")]}
             for word in ("red", "blue", "red", "green")]
    return {
        "schema": "imgtool.suite/1", "name": "all/reds", "judge": {"stage": "score.redness"},
        "rule": {"picture": "all", "binary": True, "overall": "categories"}, "seeds": 2,
        "features": "features.redness",
        "items": [{"id": f"{word}{at}", "prompt": f"{word} {at}", "category": word,
                   "questions": [ask]} for word in ("red", "blue") for at in range(3)],
        "truth": {"stage": "flat.toy", "rows": truth},
    }

@dataclass(frozen=True)
class FlatParams:
    luck: Annotated[float, Help("Share of seeds that give red.")] = 0.5

class Flat(Stage[FlatParams]):
    id, version, summary = "flat.toy", 1, "Draw flat pictures."
    consumes, produces = (PROMPT, SEED), (IMAGE,)

    def process(self, batch):
        import numpy as np

        images = []
        for row in batch:
            with open("drawn.txt", "a") as file:
                print(row.id, file=file)
            if (row.id == "red1-0" and self.params.luck < 0) or (
                row["prompt"] == "red 1" and self.params.luck > 1
            ):
                raise RowError(row.id, "asked to fail")
            red = row.random("colour").random() < self.params.luck or row["prompt"] == "red"
            shade = np.full((4, 4, 3), (row.seed % 50, 0, 0), np.uint8)
            images.append(shade + np.array([200 if red else 0, 0, 0], np.uint8))
        return batch.with_columns(image=images)

@dataclass(frozen=True)
class RednessParams:
    pass

class Redness(Stage[RednessParams]):
    id, version, summary = "score.redness", 1, "Judge how red pictures are."
    consumes = (IMAGE, optional(Field("questions", Kind.RECORD)))
    produces = (
        score("redness"), Field("score_info.redness", Kind.RECORD),
        Field("features.redness", Kind.ARRAY, ("D",), "float32"),
    )

    def process(self, batch):
        import numpy as np

        reds = [float(image[..., 0].mean() / 255) for image in batch.arrays("image")]
        infos = [
            {"fingerprint": "f", "questions": [{**q, "value": red} for q in asked or []]}
            for red, asked in zip(reds, batch.columns.get("questions") or [None] * len(reds))
        ]
        return batch.with_columns(**{
            "score.redness": reds, "score_info.redness": infos,
            "features.redness": [np.array([red, red * red], np.float32) for red in reds],
        })
"""
PIPELINE = '[paint]\n[[paint.stage]]\nuse = "flat.toy"\n'
RUN = ("bench", "run", "all/reds", "-p", "paint", "--store", "s.zarr")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin, and with the cache of what it declares."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "toy.py").write_text(PLUGIN)
    return folder


@pytest.fixture
def imgtool(
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    """Runs a command line in a folder of its own; gives status, stdout and stderr."""
    from imgtool.cli.main import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMGTOOL_PLUGINS", "imgtool-score")
    monkeypatch.setenv("IMGTOOL_CACHE", str(shop / "cache"))
    (tmp_path / "pipelines.toml").write_text(PIPELINE)

    def call(*words: str) -> tuple[int, str, str]:
        status = run(["--plugin", str(shop / "toy.py"), *words])
        return (status, *capsys.readouterr())

    return call


def held_to_schema(document: dict[str, Any]) -> None:
    name = document["schema"].removeprefix("imgtool.").replace("/", "-")
    assert faults(name, document) == []


def drawn() -> int:
    return len(Path("drawn.txt").read_text().splitlines())


def test_a_plugin_s_suite_is_run_and_not_drawn_again(imgtool: Any) -> None:
    status, out, _ = imgtool(*RUN, "-o", "a.json")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == [
        "judge", "overall", "red", "blue", "frechet",
    ]  # fmt: skip
    assert "100.0%  of 4 questions" in out
    assert "6 prompts, 12 pictures" in out
    count = drawn()
    assert count == 16
    assert imgtool(*RUN, "-o", "b.json")[1] == out
    assert drawn() == count
    assert Path("a.json").read_bytes() == Path("b.json").read_bytes()
    assert imgtool(*RUN, "--seeds", "3", "--json")[0] == 0
    # Pictures of another count of seeds are of other rows; the truth is known already.
    assert drawn() <= count + 18


def test_one_prompt_and_one_picture_are_no_prompts_and_pictures(imgtool: Any) -> None:
    status, out, _ = imgtool(*RUN, "--count", "1", "--seeds", "1")
    assert status == 0
    assert "  1 prompt, 1 picture\n" in out


def test_results_of_two_settings_are_compared_in_pairs(imgtool: Any) -> None:
    for name, luck in (("a", "0.2"), ("b", "0.9")):
        assert imgtool(*RUN, "--set", f"flat.toy.luck={luck}", "-o", f"{name}.json")[0] == 0
    status, out, _ = imgtool("bench", "compare", "a.json", "b.json", "--json")
    assert status == 0
    found = json.loads(out)
    held_to_schema(found)
    whole = found["figures"][0]
    assert (whole["name"], whole["about"]) == ("overall", "suite")
    assert whole["change"] == pytest.approx(whole["b"] - whole["a"])
    assert whole["low"] <= whole["change"] <= whole["high"]
    assert found["figures"][1]["low"] is None  # three prompts are too few
    assert whole["win"] + whole["tie"] + whole["loss"] == 6
    # Luck only ever adds red: the seeds are the same.
    assert whole["loss"] == 0
    apart = found["distance"]
    results = [json.loads(Path(name).read_text())["distance"] for name in ("a.json", "b.json")]
    assert apart["change"] == pytest.approx(results[1]["value"] - results[0]["value"])
    assert apart["low"] < apart["change"] < apart["high"]
    same = json.loads(imgtool("bench", "compare", "a.json", "a.json", "--json")[1])
    every = [*same["figures"], same["distance"]]
    assert all((f["change"], f["low"] or 0, f["clear"]) == (0, 0, False) for f in every)
    out = imgtool("bench", "compare", "a.json", "b.json")[1]
    assert "win/tie/loss" in out
    assert "less is better" in out


def test_results_that_do_not_go_together_are_refused(imgtool: Any) -> None:
    imgtool(*RUN, "-o", "a.json")
    imgtool(*RUN, "--count", "4", "-o", "b.json")
    imgtool(*RUN, "--seeds", "1", "-o", "c.json")
    for other, said in (("b.json", "different suites"), ("c.json", "of the same prompt and seed")):
        status, _, err = imgtool("bench", "compare", "a.json", other)
        assert (status, said in err) == (2, True), err
    status, out, _ = imgtool("bench", "compare", "a.json", "c.json", "--partial", "--json")
    assert (status, json.loads(out)["distance"]) == (0, None)
    Path("d.json").write_text('{"schema": "imgtool.bench/1", "suite": {}}')
    status, _, err = imgtool("bench", "compare", "a.json", "d.json")
    assert (status, "no usable 'subject'" in err) == (2, True)


def test_failed_pictures_stop_the_figures_unless_partial(imgtool: Any) -> None:
    failing = (*RUN, "--set", "flat.toy.luck=2")
    status, out, err = imgtool(*failing)
    assert (status, out) == (3, "")
    assert "2 of 12 pictures were not judged; row red1-0: asked to fail" in err
    status, out, _ = imgtool(*failing, "--partial", "-o", "a.json")
    assert status == 0
    assert "2 pictures failed" in out
    results = json.loads(Path("a.json").read_text())
    assert len(results["failures"]) == 2
    held_to_schema(results)


def test_a_picture_that_failed_leaves_the_others_in_their_pairs(imgtool: Any) -> None:
    assert imgtool(*RUN, "--set", "flat.toy.luck=0", "-o", "whole.json")[0] == 0
    failing = ("--set", "flat.toy.luck=-1", "--partial", "-o", "part.json")
    assert imgtool(*RUN, *failing)[0] == 0
    whole, part = (json.loads(Path(name).read_text()) for name in ("whole.json", "part.json"))
    seeds = {(row["item"], row["draw"]): row["seed"] for row in whole["rows"]}
    assert len(part["rows"]) == len(seeds) - 1
    assert all(seeds[row["item"], row["draw"]] == row["seed"] for row in part["rows"])


def test_few_prompts_are_chosen_from_results_of_models(imgtool: Any) -> None:
    for at in range(6):
        assert imgtool(*RUN, "--set", f"flat.toy.luck={at / 5}", "-o", f"{at}.json")[0] == 0
    files = [f"{at}.json" for at in range(5)]
    held = ("--hold-out", "5.json", "--hold-out", "0.json")
    words = ("bench", "subset", *files, *held, "-k", "2", "--suite", "all/reds", "-o", "few.jsonl")
    status, out, _ = imgtool(*words, "--json")
    assert status == 0
    found = json.loads(out)
    held_to_schema(found)
    assert len(found["items"]) == 2
    assert found["tau"] >= found["first_tau"] > 0
    status, out, _ = imgtool("bench", "run", "few.jsonl", "-p", "paint", "--json")
    held_to_schema(json.loads(Path("few.jsonl").read_text().splitlines()[0]))
    assert {row["item"] for row in json.loads(out)["rows"]} == set(found["items"])
    status, _, err = imgtool("bench", "subset", *files[:3], "-k", "2")
    assert (status, "4 are needed" in err) == (2, True)


HUMAN = """item,model,rank
a,x,1
a,y,2
a,z,3
b,x,1
b,y,1
b,z,3
c,x,1
"""


def test_scores_are_set_against_human_rankings(imgtool: Any) -> None:
    Path("human.csv").write_text(HUMAN)
    rows = [
        {"item": item, "model": model, "score.good": -at, "score.bad": 1.0, "lpips": at}
        for item in "abc" for at, model in enumerate("xyz")
    ]  # fmt: skip
    Path("scores.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    status, out, _ = imgtool("bench", "agree", "human.csv", "scores.jsonl", "--json")
    assert status == 0
    found = json.loads(out)
    held_to_schema(found)
    assert (found["prompts"], found["skipped"], found["models"]) == (2, 1, ["x", "y", "z"])
    good, bad = found["metrics"]
    assert (good["metric"], good["pairs"], good["accuracy"]["value"]) == ("score.good", 5, 1.0)
    assert (bad["accuracy"]["value"], bad["tied"], bad["srcc"]["value"]) == (0.5, 1.0, None)
    assert bad["from_first"]["accuracy"]["value"] == -0.5
    lower = ("--metric", "lpips", "--lower", "lpips", "--level", "model")
    status, out, _ = imgtool("bench", "agree", "human.csv", "scores.jsonl", *lower, "--json")
    assert json.loads(out)["metrics"][0]["krcc"]["value"] == 1.0
    assert "accuracy" in imgtool("bench", "agree", "human.csv", "scores.jsonl")[1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("item,model,rank\na,x,first\n", "human.csv:2: rank 'first' is no number"),
        ("item,model,rank\na,x,1\na,x,2\n", "human.csv:3: 'x' comes twice"),
        ("model,rank\nx,1\n", "human.csv:2 names no prompt"),
        ("item,rank\na,1\n", "human.csv:1 has no column 'model'"),
        ("item,model,rank\nz,x,1\nz,y,2\n", "no prompt has two pictures"),
    ],
)
def test_bad_rankings_name_the_line(text: str, said: str, imgtool: Any) -> None:
    Path("human.csv").write_text(text)
    Path("scores.csv").write_text("item,model,score.m\na,x,1\n")
    status, _, err = imgtool("bench", "agree", "human.csv", "scores.csv")
    assert (status, said in err) == (2, True), err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("all/reds",), "either a pipeline or a model"),
        (("all/reds", "-p", "paint", "--model", "x"), "either a pipeline or a model"),
        (("redz", "-p", "paint"), "no benchmark suite is called 'redz'"),
        (("geneval:nowhere", "-p", "paint"), "no such file: 'nowhere'"),
        (("all/reds", "-p", "paint", "--judge", "flat.toy"), "gives no score"),
        (("all/reds", "-p", "paint", "--set", "luck"), "--set takes LABEL.KEY=VALUE"),
    ],
)
def test_wrong_commands_end_in_one_line(words: tuple[str, ...], said: str, imgtool: Any) -> None:
    status, _, err = imgtool("bench", "run", *words)
    assert (status, said in err) == (2, True), err


def test_a_plain_score_judges_without_questions(imgtool: Any) -> None:
    lines = [
        {"schema": "imgtool.suite/1", "name": "n", "judge": {"stage": "score.redness"}},
        {"id": "a", "prompt": "red"},
        {"id": "b", "prompt": "blue"},
    ]
    Path("s.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    status, out, _ = imgtool("bench", "run", "s.jsonl", "-p", "paint", "--json")
    assert status == 0
    found = json.loads(out)
    assert found["judge"]["accuracy"] is None
    assert [row["outcomes"][0]["kind"] for row in found["rows"]] == ["score", "score"]
    assert found["figures"][0]["value"] == pytest.approx(
        sum(row["score"] for row in found["rows"]) / 2
    )
