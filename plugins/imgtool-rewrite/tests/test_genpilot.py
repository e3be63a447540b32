"""`rewrite.genpilot` against a service that plays every role, with one best prompt planted."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from bits import PHRASES
from chat_server import parts
from village import PROMPT, Village, ratings, share

from imgtool.api import BadParams, Batch, EndpointDown
from imgtool.report.columns import plain
from imgtool_rewrite.genpilot import cost
from imgtool_rewrite.genpilot.chats import ChatAgent
from imgtool_rewrite.genpilot.stage import GenPilot, GenPilotParams
from imgtool_score.chatting import RemoteChat
from imgtool_score.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[..., Any]

BITS = Path(__file__).with_name("bits.py")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The installed components and those of `bits.py`, found once."""
    from imgtool.registry import Registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGTOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
        loaded = Registry.load([str(BITS)])
        loaded.specs("stage")
        loaded.components("chat")
        return loaded


@pytest.fixture
def piloted(opened: Open) -> Callable[..., dict[str, Any]]:
    """Runs one prompt against a village; the row that comes out."""

    def run(server: Village, prompt: str = PROMPT, **params: Any) -> dict[str, Any]:
        given = {"clusters": 1, "candidates": 2, **params}
        stage = opened(GenPilot, GenPilotParams(endpoint=server.url, draw="paint.bits", **given))
        chat = RemoteChat(Endpoint(server.url, "m", timeout_s=30.0, wait_s=0.001), stage.runtime)
        stage.helper = ChatAgent(chat, chat, "village", one_by_one=stage.params.one_by_one)
        (row,) = stage.process(Batch(("0",), {"prompt": [prompt], "seed": [5]}))
        return dict(row.values)

    return run


def entry(row: dict[str, Any]) -> dict[str, Any]:
    last: dict[str, Any] = row["rewrite"][-1]
    return last


def has_all(prompt: str) -> bool:
    return all(phrase in prompt for phrase in PHRASES)


def test_the_planted_prompt_is_found_and_scores_the_most(piloted: Any) -> None:
    with Village() as server:
        row = piloted(server)
    assert has_all(row["prompt"])
    assert (entry(row)["status"], entry(row)["score_after"]) == ("ok", 15.0)
    assert entry(row)["score_before"] == 3.0
    for blamed in PROMPT.split(". "):
        mine = [c for c in row["search"]["candidates"] if blamed[:8] in c["words"]]
        kept = [c["checked"] for c in mine if c["checked"] is not None]
        assert kept == sorted(kept)


def test_memory_is_what_finds_it(piloted: Any) -> None:
    with Village() as server:
        told = piloted(server)
        grown = [len(data["tried"]) for task, data in server.data if task == "refine"]
    with Village() as server:
        untold = piloted(server, memory=False)
        assert not any(data["tried"] for task, data in server.data if task == "refine")
    assert grown == [0, 0, 1, 1, 2, 2] * 2
    assert entry(untold)["score_after"] < entry(told)["score_after"]


@pytest.mark.parametrize("params", [{}, {"images": 2}, {"questions": "each"}, {"rounds": 1}])
def test_calls_and_pictures_are_those_of_the_cost_model(
    params: dict[str, Any], piloted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGTOOL_BITS_LOG", str(tmp_path / "log"))
    with Village(distinct=True) as server:
        row = piloted(server, **params)
    plan = GenPilotParams(clusters=1, candidates=2, **params).plan
    asked = 2 if params.get("questions") == "each" else 1
    total = cost.analysis(2, 2, (2, 2) if asked == 2 else ()) + cost.source(plan)
    for words in ("house", "garden"):
        mine = [c for c in row["search"]["candidates"] if words in c["words"]]
        again = sum(c["checked"] is not None for c in mine) - 1
        total += cost.search(plan, max(c["round"] for c in mine[1:]), again, asked)
    seeds = plan.images + 1
    total += cost.Cost(2 * seeds * (2 * asked + 1 if asked == 2 else 2), seeds)
    assert entry(row)["cost"]["calls"] == total.calls
    # What was asked before word for word is noted, and not asked again: about the first picture in
    # the analysis, and wherever candidates happen to be alike.
    assert len(server.requests) <= total.calls - 2 * asked
    drawn = (tmp_path / "log").read_text().splitlines()
    assert len(drawn) == total.images == entry(row)["cost"]["images"]
    rest = total.calls - cost.analysis(2, 2, (2, 2) if asked == 2 else ()).calls
    assert rest <= entry(row)["most"]["calls"]


@pytest.mark.parametrize("budget", [1, 7, 13, 20, 31])
def test_a_budget_of_calls_is_kept_and_what_it_bought_stays(budget: int, piloted: Any) -> None:
    with Village() as server:
        row = piloted(server, max_calls=budget)
    assert len(server.requests) <= budget
    assert entry(row)["status"] == "partial"
    assert "budget is spent" in entry(row)["why"]
    assert entry(row).get("score_after", 3.0) >= entry(row).get("score_before", 3.0)


def test_a_budget_of_pictures_is_kept(piloted: Any) -> None:
    with Village() as server:
        row = piloted(server, max_images=4)
    assert entry(row)["cost"]["images"] <= 4
    assert entry(row)["status"] == "partial"


def test_troubles_cost_a_call_each_and_change_nothing(piloted: Any) -> None:
    with Village() as server:
        well, calm = piloted(server), len(server.requests)
    leaving = threading.Event()

    def hangs(text: str, picture: object) -> str:
        leaving.wait(10)
        return "late"

    faults = {
        "decompose": '{"statements": ["A house',
        "caption": (500, "broken"),
        "check": (429, "slow down", {"Retry-After": "0"}),
        "questions": hangs,
        "qa": b'{"choices": [{"message": {"content": null}}]}',
        "judge": "I'm sorry, I cannot rate that.",
        "map": b"not even JSON",
        "refine": '```json\n{"sentence": 3}\n```',
    }
    with Village(faults=faults) as server:
        ill = piloted(server)
        leaving.set()
        assert len(server.requests) == calm + 8
    assert ill["prompt"] == well["prompt"]
    assert ill["search"] == well["search"]


def test_order_of_answers_changes_nothing(piloted: Any) -> None:
    rows = []
    for slow in ("qa", "judge"):
        with Village() as server:
            say = server._say

            def late(task: str, *rest: Any, slow: str = slow, say: Any = say) -> str:
                if task == slow:
                    server.leaving.wait(hash(rest[1]) % 3 * 0.004)
                return str(say(task, *rest))

            server._say = late  # type: ignore[method-assign]
            rows.append(piloted(server))
    assert rows[0] == rows[1]


def test_a_service_that_refuses_is_asked_once(piloted: Any) -> None:
    with Village(faults={"caption": (401, "no")}) as server:
        with pytest.raises(EndpointDown, match="status 401"):
            piloted(server)
        assert len(server.requests) == 1


def test_a_stopped_search_asks_nothing_again_that_was_answered(
    piloted: Any, opened: Open, tmp_path: Path
) -> None:
    with Village() as server:
        whole, calm = piloted(server), len(server.requests)
    with Village(faults={"refine": (401, "no")}) as server:
        with pytest.raises(EndpointDown):
            piloted(server)
        server.requests.pop([t == "refine" for t in server.tasks].index(True))
        (tmp_path / "journal-1").rename(tmp_path / "journal-2")
        before = len(server.requests)
        again = resumed(opened, server, tmp_path)
        assert len(server.requests) - calm == 0 and before > 10
    assert again["prompt"] == whole["prompt"]
    assert again["search"] == whole["search"]


def resumed(opened: Open, server: Village, tmp_path: Path) -> dict[str, Any]:
    params = GenPilotParams(endpoint=server.url, draw="paint.bits", clusters=1, candidates=2)
    stage = opened(GenPilot, params)
    assert stage.runtime.journal == tmp_path / "journal-2"
    # Answers are noted by service and model: the same ones are asked again.
    chat = RemoteChat(Endpoint(server.url, "m", timeout_s=30.0, wait_s=0.001), stage.runtime)
    stage.helper = ChatAgent(chat, chat, "village")
    (row,) = stage.process(Batch(("0",), {"prompt": [PROMPT], "seed": [5]}))
    return dict(row.values)


def test_rows_of_a_run_answer_the_next_without_anybody(
    piloted: Any, opened: Open, tmp_path: Path
) -> None:
    with Village() as server:
        row = piloted(server)
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"rewrite": row["rewrite"]}))
    params = GenPilotParams(replay=str(file), draw="paint.bits", clusters=1, candidates=2)
    again = opened(GenPilot, params).process(Batch(("0",), {"prompt": [PROMPT], "seed": [5]}))
    assert again["prompt"] == [row["prompt"]]
    assert again["search"] == [row["search"]]


def test_opaque_parts_come_through_and_rewrites_that_lose_them_do_not(piloted: Any) -> None:
    prompt = "A house stands here (soft light:1.2). A garden <lora:ink:0.5> grows {a|b} __there__."
    turns = itertools.count()

    def refine(data: dict[str, Any], seed: int) -> str:
        return f"{data['span'].rstrip('.')} with {PHRASES[0]}." if next(turns) % 2 else "A house."

    with Village(refine=refine) as server:
        row = piloted(server, prompt, candidates=4)
        told = json.dumps([data for _, data in server.data], ensure_ascii=False)
    for span in ("(soft light:1.2)", "<lora:ink:0.5>", "{a|b}", "__there__"):
        assert row["prompt"].count(span) == 1
        assert span not in told
    assert PHRASES[0] in row["prompt"]


def test_no_errors_leave_the_prompt_and_cost_the_analysis_alone(piloted: Any) -> None:
    prompt = f"A house stands here with {PHRASES[0]} and {PHRASES[1]}."
    with Village() as server:
        row = piloted(server, prompt)
    assert (row["prompt"], entry(row)["status"]) == (prompt, "unchanged")
    assert len(server.requests) == cost.analysis(1, 0).calls


def test_a_prompt_that_nothing_beats_stays(piloted: Any) -> None:
    with Village(rate=lambda data, seen: ratings(3 if not seen else 2)) as server:
        row = piloted(server)
    assert (row["prompt"], entry(row)["status"]) == (PROMPT, "unchanged")


def test_the_judge_is_told_the_errors_that_are_there_and_no_others(piloted: Any) -> None:
    seen: list[tuple[list[str], list[str]]] = []

    def rate(data: dict[str, Any], there: list[str]) -> Any:
        seen.append((data["errors_now"], there))
        return ratings(1 + 4 * share(data, there))

    with Village(rate=rate) as server:
        piloted(server)
    assert any(now for now, _ in seen) and any(not now for now, _ in seen)
    for now, there in seen:
        assert not any(phrase in error for phrase in there for error in now)


def test_ratings_that_cannot_be_read_are_missing_and_end_the_search(piloted: Any) -> None:
    with Village(rate=lambda data, seen: {"background": 9}) as server:
        row = piloted(server)
    assert (row["prompt"], entry(row)["status"]) == (PROMPT, "partial")
    assert "missing" in entry(row)["why"]
    assert all(c["score"] is None for c in row["search"]["candidates"][1:])


@pytest.mark.parametrize("word", ["never", "black"])
def test_a_candidate_without_a_picture_is_missing_not_bad(word: str, piloted: Any) -> None:
    texts = {0: f"A house stands {word}", 1: "A house stands with red roof and blue door"}

    def refine(data: dict[str, Any], seed: int) -> str:
        return texts[seed % 4 > 0] + f" {seed}." if "house" in data["span"] else f"A garden {seed}."

    with Village(refine=refine) as server:
        row = piloted(server, candidates=4)
    gone = [c for c in row["search"]["candidates"] if word in c["words"]]
    assert gone and all(c["score"] is None and c["picture"] == "" for c in gone)
    assert "red roof and blue door" in row["prompt"]


def test_a_prompt_that_cannot_be_drawn_fails_and_an_empty_one_too(piloted: Any) -> None:
    with Village() as server:
        for prompt in ("never", "  "):
            row = piloted(server, prompt)
            assert (row["prompt"], entry(row)["status"]) == (prompt, "failed")
        assert not server.requests


def test_statements_that_lose_the_prompt_give_way_to_its_sentences(piloted: Any) -> None:
    with Village() as server:
        server._decompose = lambda data, seen, seed: {"statements": ["a thing"]}  # type: ignore[method-assign]
        row = piloted(server)
        assert server.tasks.count("decompose") == 2
    assert has_all(row["prompt"])
    assert "its sentences stand in" in entry(row)["warnings"][0]


def test_the_record_has_a_picture_and_scores_of_each_candidate(piloted: Any) -> None:
    with Village() as server:
        row = piloted(server)
    record = plain(row["search"])
    assert [s["errors"] for s in record["statements"]] == [
        "no red roof; no blue door", "no tall tree; no small dog"
    ]  # fmt: skip
    candidates = record["candidates"]
    assert [c["kept"] for c in candidates].count(True) == 2
    assert all(c["picture"].startswith("data:image/webp;base64,") for c in candidates)
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize("named", [{"llm": "a", "endpoint": "http://b"}, {"llm": "a"}])
def test_one_is_named_to_ask_who_can_look(named: dict[str, str], opened: Open) -> None:
    with pytest.raises(BadParams, match=r"named to ask|cannot look"):
        opened(GenPilot, GenPilotParams(**named))


def test_killed_search_re_issues_no_finished_call(tmp_path: Path, warm_bin: Path) -> None:
    waiting, leave = threading.Event(), threading.Event()
    with Village() as server:
        say = server._say

        def slow(task: str, *rest: Any) -> str:
            if task == "judge" and not leave.is_set():
                waiting.set()
                leave.wait(200)
            return str(say(task, *rest))

        server._say = slow  # type: ignore[method-assign]
        line = [
            sys.executable, "-m", "imgtool", "--plugin", str(BITS), "rewrite.genpilot", "--",
            PROMPT,
        ]  # fmt: skip
        line[5:6] = [
            "rewrite.genpilot", "--endpoint", server.url, "--draw", "paint.bits", "--clusters",
            "1", "--candidates", "2", "--store", str(tmp_path / "s.zarr"), "--json",
            "--progress", "none",
        ]  # fmt: skip
        with subprocess.Popen(line, stdout=subprocess.DEVNULL) as running:
            reached = waiting.wait(200)
            running.kill()
        assert reached
        done = [key_of(body) for body, task in zip(server.requests, server.tasks, strict=True)
                if task != "judge"]  # fmt: skip
        leave.set()
        again = [warm_bin / "python", *line[1:]]
        ended = subprocess.run(again, capture_output=True, text=True, timeout=200, check=False)
        assert ended.returncode == 0, ended.stderr
        assert has_all(json.loads(ended.stdout)["prompt"])
        counts = Counter(key_of(body) for body in server.requests)
        assert all(counts[key] == 1 for key in done) and len(done) > 12


def key_of(body: dict[str, Any]) -> str:
    text, picture = parts(body)
    shown = picture.tobytes().hex() if picture else ""
    return json.dumps([body["messages"][0]["content"], text, shown, body.get("seed")])
