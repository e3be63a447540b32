"""`rewrite.llm`: what is asked, what must come back, and what becomes of a prompt otherwise."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from chat_server import ChatServer

from imgtool.api import BadParams, Batch, BudgetEnded, EndpointDown, InputUnreadable
from imgtool_rewrite.llm import Llm, LlmParams

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Open = Callable[..., Any]

PROMPT = "two cats in Paris, (soft light:1.2), <lora:ink:0.5>"


def rows(*prompts: str, **columns: Any) -> Batch:
    ids = tuple(map(str, range(len(prompts))))
    return Batch(ids, {"prompt": list(prompts), "seed": [7] * len(prompts), **columns})


def asked_of(text: str) -> str:
    """The prompt in a question, its spans behind marks."""
    found = re.search(r"<prompt (\w+)>\n(.*)\n</prompt \1>", text, re.DOTALL)
    assert found
    return found[2]


def longer(text: str, picture: object) -> str:
    return json.dumps({"prompt": f"{asked_of(text)}, at dusk"})


def entry(batch: Batch, at: int = 0) -> dict[str, Any]:
    record: Any = batch["rewrite"][at]
    last: dict[str, Any] = record[-1]
    return last


def test_prompt_is_rewritten_and_spans_are_put_back(opened: Open) -> None:
    with ChatServer(longer) as server:
        done = opened(Llm, LlmParams(endpoint=server.url)).process(rows(PROMPT))
    assert list(done["prompt"]) == [f"{PROMPT}, at dusk"]
    assert entry(done)["status"] == "ok"
    assert entry(done)["before"] == PROMPT
    assert "(soft light" not in asked_of(server.texts[0])


def test_instruction_of_the_user_is_what_the_model_is_told(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "system.txt").write_text("Write like a poet.\n")
    with ChatServer(longer) as server:
        for params in (
            LlmParams(endpoint=server.url, system="Write like a poet."),
            LlmParams(endpoint=server.url, system_file=str(tmp_path / "system.txt")),
        ):
            opened(Llm, params).process(rows("a cat"))
    told = [body["messages"][0] for body in server.requests]
    assert told == [{"role": "system", "content": "Write like a poet."}] * 2


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("two cats, ⟦1⟧, ⟦2⟧", "'Paris'"),
        ("cats in Paris, ⟦1⟧, ⟦2⟧", "'2'"),
        ("two cats in Paris, ⟦2⟧", "(soft light:1.2)"),
        ("two cats in Paris, ⟦1⟧ ⟦1⟧ ⟦2⟧", "(soft light:1.2)"),
        ("", "empty"),
    ],
)
def test_rewrite_that_loses_something_is_asked_for_again_with_the_reason(
    bad: str, why: str, opened: Open
) -> None:
    good = {"prompt": "In Paris, two cats, ⟦1⟧, ⟦2⟧"}
    answers = iter([json.dumps({"prompt": bad}), json.dumps(good)])
    with ChatServer(lambda text, picture: next(answers)) as server:
        done = opened(Llm, LlmParams(endpoint=server.url)).process(rows(PROMPT))
    assert list(done["prompt"]) == ["In Paris, two cats, (soft light:1.2), <lora:ink:0.5>"]
    assert why in server.texts[1]
    assert len(entry(done)["calls"]) == 2


@pytest.mark.parametrize("answer", ["I'm sorry.", "", '{"text": "a"}', '{"prompt": 3}'])
def test_prompt_stays_where_no_answer_will_do_and_says_so(answer: str, opened: Open) -> None:
    with ChatServer(lambda text, picture: answer) as server:
        params = LlmParams(endpoint=server.url, tries=2)
        done = opened(Llm, params).process(rows(PROMPT, "   "))
    assert list(done["prompt"]) == [PROMPT, "   "]
    assert [entry(done, at)["status"] for at in (0, 1)] == ["failed", "unchanged"]
    assert "no JSON object" in entry(done)["why"]
    assert len(server.requests) == 2


def test_several_rewrites_are_drawn_by_the_seed_of_each_child(opened: Open) -> None:
    with ChatServer(longer) as server:
        done = opened(Llm, LlmParams(endpoint=server.url, n=3)).process(rows("a cat"))
    assert done.ids == ("0.0", "0.1", "0.2")
    assert sorted(body["seed"] for body in server.requests) == [7, 8, 9]


def test_earlier_entries_of_the_record_stay(opened: Open) -> None:
    earlier = [{"strategy": "other", "status": "ok"}]
    with ChatServer(longer) as server:
        stage = opened(Llm, LlmParams(endpoint=server.url))
        done = stage.process(rows("a cat", rewrite=[earlier]))
    record: Any = done["rewrite"][0]
    assert [one["strategy"] for one in record] == ["other", "llm"]


def test_rows_of_a_run_answer_the_next_without_anybody(opened: Open, tmp_path: Path) -> None:
    with ChatServer(longer) as server:
        done = opened(Llm, LlmParams(endpoint=server.url)).process(rows("a cat", PROMPT))
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f"{json.dumps({'rewrite': r})}\n" for r in done["rewrite"]))
    again = opened(Llm, LlmParams(replay=str(file))).process(rows("a cat", "a dog", PROMPT))
    assert list(again["prompt"]) == ["a cat, at dusk", "a dog", f"{PROMPT}, at dusk"]
    assert "no answer to this question" in entry(again, 1)["why"]


@pytest.mark.parametrize("text", ["", "{}", "[]", "nothing", '{"rewrite": 3}', '{"rewrite": [3]}'])
def test_file_without_answers_is_refused(text: str, opened: Open, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(InputUnreadable, match="holds no"):
        opened(Llm, LlmParams(replay=str(tmp_path / "rows.jsonl")))


@pytest.mark.parametrize("named", [{}, {"llm": "a", "endpoint": "http://b"}])
def test_one_is_named_to_ask(named: dict[str, str], opened: Open) -> None:
    with pytest.raises(BadParams, match="named to ask"):
        opened(Llm, LlmParams(**named))


def test_service_that_refuses_stops_the_stage(opened: Open) -> None:
    with (
        ChatServer(lambda text, picture: (401, "no")) as server,
        pytest.raises(EndpointDown, match="status 401"),
    ):
        opened(Llm, LlmParams(endpoint=server.url)).process(rows("a cat"))


def test_budget_of_requests_ends_the_stage_and_the_next_run_goes_on(
    opened: Open, tmp_path: Path
) -> None:
    broken = iter([(503, "busy", {"Retry-After": "0"})])
    with ChatServer(lambda text, picture: next(broken, longer(text, picture))) as server:
        params = LlmParams(endpoint=server.url, max_requests=3)
        batch = rows("a cat", "a dog", "a cow")
        stage = opened(Llm, params)
        with pytest.raises(BudgetEnded, match="3 requests"):
            stage.process(batch)
        assert len(server.requests) == 3  # one of them a repeated one
        again = opened(Llm, params)
        again.runtime.journal = stage.runtime.journal
        done = again.process(batch)
    assert len(server.requests) == 4
    assert list(done["prompt"]) == ["a cat, at dusk", "a dog, at dusk", "a cow, at dusk"]


def test_local_model_is_asked_and_a_prompt_it_cannot_answer_stays(
    opened: Open, tmp_path: Path
) -> None:
    from imgtool_score.tiny import save_llm

    params = LlmParams(llm=str(save_llm(tmp_path / "llm")), tries=1, max_tokens=8)
    done = opened(Llm, params).process(rows("a cat"))
    assert list(done["prompt"]) == ["a cat"]
    assert entry(done)["status"] == "failed"
    assert len(entry(done)["calls"]) == 1


def test_model_that_repeats_the_prompt_changes_nothing(opened: Open) -> None:
    with ChatServer(lambda text, picture: json.dumps({"prompt": asked_of(text)})) as server:
        done = opened(Llm, LlmParams(endpoint=server.url)).process(rows(PROMPT))
    assert list(done["prompt"]) == [PROMPT]
    assert entry(done)["status"] == "unchanged"


def command(folder: Path, url: str) -> list[str]:
    prompts = folder / "prompts.txt"
    prompts.write_text("".join(f"a cat on chair number {at}\n" for at in range(8)))
    return [
        sys.executable, "-m", "imgtool", "rewrite.llm", str(prompts), "--endpoint", url,
        "--store", str(folder / "s.zarr"), "--json", "--progress", "none",
    ]  # fmt: skip


def test_killed_run_asks_nothing_again_that_was_answered(tmp_path: Path, light_bin: Path) -> None:
    waiting, leave = threading.Semaphore(0), threading.Event()

    def reply(text: str, picture: object) -> str:
        if not leave.is_set() and int(asked_of(text)[-1]) >= 4:
            # Four calls run at once: when these come, the first four answers are noted.
            waiting.release()
            leave.wait(60)
        return longer(text, picture)

    with ChatServer(reply) as server:
        line = command(tmp_path, server.url)
        with subprocess.Popen(line, stdout=subprocess.DEVNULL) as running:
            for _ in range(4):
                assert waiting.acquire(timeout=60)
            running.kill()
        leave.set()
        again = [light_bin / "python", *line[1:]]
        done = subprocess.run(again, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) == 8
        asked = [int(asked_of(text)[-1]) for text in server.texts]
        assert sorted(asked) == [0, 1, 2, 3, *sorted([4, 5, 6, 7] * 2)]
