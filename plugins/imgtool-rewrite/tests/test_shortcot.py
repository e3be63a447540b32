"""`rewrite.shortcot` with a scripted service, pictures of phrases and a judge that counts them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chat_server import ChatServer

from imgtool.api import BadParams, Batch, EndpointDown
from imgtool_rewrite.shortcot.stage import ShortCot, ShortCotParams

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[..., Any]

HERE = Path(__file__).parent
PROMPT = "a house, (soft light:1.2)"
DRAWING = {"draw": "paint.bits", "judge": "judge.shares"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The installed components and those of the plugin files, found once."""
    from imgtool.registry import Registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMGTOOL_CACHE", str(tmp_path_factory.mktemp("cache")))
        loaded = Registry.load([str(HERE / "bits.py"), str(HERE / "shares.py")])
        loaded.specs("stage")
        return loaded


def rows(*prompts: str) -> Batch:
    ids = tuple(map(str, range(len(prompts))))
    return Batch(ids, {"prompt": list(prompts), "seed": list(range(7, 7 + len(prompts)))})


def entry(done: Batch, at: int = 0) -> dict[str, Any]:
    record: Any = done["rewrite"][at]
    last: dict[str, Any] = record[-1]
    return last


def planned(opened: Open, answers: list[Any], *prompts: str, **params: Any) -> Batch:
    """Rows that a service has planned which gives `answers` in turn, each as often as it takes."""
    found: dict[int, Any] = {}

    def reply(text: str, picture: object) -> Any:
        return found.setdefault(len(found), answers[len(found) % len(answers)])

    with ChatServer(reply) as server:
        given = {"draws": len(answers), **DRAWING, **params}
        stage = opened(ShortCot, ShortCotParams(endpoint=server.url, **given))
        done: Batch = stage.process(rows(*(prompts or [PROMPT])))
    assert len(server.requests) == stage.params.draws * len(prompts or [PROMPT])
    return done


def words(count: int) -> str:
    """So many words, no three of them twice in a row."""
    return " ".join(f"word{at}" for at in range(count))


def test_of_plans_that_draw_equally_well_the_shortest_wins(opened: Open) -> None:
    answers = [f"a house with a red roof {words(n)}" for n in (60, 55, 70)]
    done = planned(opened, answers)
    assert entry(done)["length"] == 61
    assert entry(done)["score_before"] == 0.0
    assert entry(done)["score_after"] == 0.25
    assert list(done["prompt"]) == [f"{PROMPT}. {answers[1]}"]


@pytest.mark.parametrize(
    ("rule", "alpha", "length"),
    # 105 words cost 1.1 alpha, times the mean score of 0.25; the gain is 0.25.
    [("target", 0.22, 105), ("target", 0.24, 6), ("shortcoti", 0.9, 105), ("shortcoti", 0.92, 6)],
)
def test_a_better_and_longer_plan_wins_where_it_gains_more_than_it_costs(
    rule: str, alpha: float, length: int, opened: Open
) -> None:
    short, long = "a house with a red roof", f"a house with a red roof {words(97)} blue door"
    done = planned(opened, [short, long], rule=rule, alpha=alpha, near=0.0)
    assert entry(done)["length"] == length


def test_cap_cuts_plans_and_lets_length_cost_nothing(opened: Open) -> None:
    plan = f"A house with a red roof. A blue door, {words(90)}"
    done = planned(opened, [plan], rule="cap", target=20)
    assert entry(done)["plan"] == "A house with a red roof."
    assert entry(done)["value_after"] == entry(done)["score_after"] == 0.25


def test_prompt_stays_where_no_plan_is_worth_its_length(opened: Open) -> None:
    done = planned(opened, ["a house in a garden", "one house, far away"])
    assert list(done["prompt"]) == [PROMPT]
    assert entry(done)["status"] == "unchanged"
    search: Any = done["search"][0]
    assert [one["kept"] for one in search["candidates"]] == [True, False, False]
    assert search["candidates"][0]["picture"].startswith("data:image/webp")


def test_plan_that_lacks_words_of_the_prompt_pays_for_each(opened: Open) -> None:
    done = planned(opened, ["a red roof with a blue door and a tall tree"])
    assert entry(done)["status"] == "ok"
    assert entry(done)["value_after"] == pytest.approx(0.75 - 0.2)


def test_plan_alone_keeps_opaque_parts_or_is_dropped(opened: Open) -> None:
    answers = ["a house with a red roof and a blue door", "⟦1⟧ on a house with a red roof"]
    done = planned(opened, answers, form="plan")
    assert list(done["prompt"]) == ["(soft light:1.2) on a house with a red roof"]
    assert entry(done)["warnings"] == ["it lost '(soft light:1.2)'"]


def test_prompt_stays_where_no_plan_will_do(opened: Open) -> None:
    done = planned(opened, ["", "A house."], "a house")
    assert list(done["prompt"]) == ["a house"]
    assert (entry(done)["status"], entry(done)["why"]) == ("unchanged", "no plan will do")
    assert entry(done)["warnings"] == ["it is empty", "it is the prompt"]


def test_row_whose_own_picture_cannot_be_drawn_says_so_and_the_others_are_done(
    opened: Open,
) -> None:
    done = planned(opened, ["a house with a red roof"], "never a house", "a house")
    assert [entry(done, at)["status"] for at in (0, 1)] == ["failed", "ok"]
    assert "cannot be drawn" in entry(done)["why"]


def test_row_becomes_the_same_alone_and_from_the_answers_of_a_run(
    opened: Open, tmp_path: Path
) -> None:
    answers = {"a house": "a house with a red roof", "a garden": "a garden with a tall tree"}
    prompts = list(answers)

    def reply(text: str, picture: object) -> str:
        return next(plan for prompt, plan in answers.items() if prompt in text)

    with ChatServer(reply) as server:
        stage = opened(ShortCot, ShortCotParams(endpoint=server.url, draws=2, **DRAWING))
        both = stage.process(rows(*prompts))
        alone = stage.process(rows(*prompts).keep([1]))
    assert list(alone["rewrite"]) == [both["rewrite"][1]]
    seeds = [body["seed"] for body in server.requests]
    assert len(set(seeds)) == 4
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(f"{json.dumps({'rewrite': r})}\n" for r in both["rewrite"]))
    again = opened(ShortCot, ShortCotParams(replay=str(file), draws=2, **DRAWING))
    assert list(again.process(rows(*prompts))["prompt"]) == list(both["prompt"])


def test_service_that_is_gone_stops_the_stage(opened: Open) -> None:
    with pytest.raises(EndpointDown, match="status 401"):
        planned(opened, [(401, "no")])


def test_judge_that_prefers_little_is_refused(opened: Open) -> None:
    with pytest.raises(BadParams, match="better when it is lower"):
        planned(opened, ["a house with a red roof"], judge="judge.faults")


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"judge": "select.where:condition=seed > 1", "endpoint": "http://a"}, "no score"),
        ({"unit": "tokens", "endpoint": "http://a"}, "tokens are counted"),
        ({"llm": "a", "endpoint": "http://a"}, "more than one is named"),
    ],
)
def test_params_that_do_not_fit_are_refused(params: dict[str, Any], why: str, opened: Open) -> None:
    with pytest.raises(BadParams, match=why):
        opened(ShortCot, ShortCotParams(**{**DRAWING, **params}))


def test_the_writer_of_the_tabletop_plans_where_nobody_is_named(opened: Open) -> None:
    stage = opened(ShortCot, ShortCotParams(draws=3, max_tokens=128, **DRAWING))
    done = stage.process(rows("a red cube left of a blue sphere"))
    said = entry(done)
    assert said["model"] == "tabletop/writer"
    assert "warnings" not in said
    plans = {call["answer"] for call in said["calls"]}
    assert len(plans) > 1
    assert all("red cube" in plan and "blue sphere" in plan for plan in plans)


def test_local_model_plans_and_its_tokens_are_counted(opened: Open, tmp_path: Path) -> None:
    from imgtool_score.tiny import save_llm

    params = ShortCotParams(
        llm=str(save_llm(tmp_path / "llm")), draws=2, max_tokens=8, unit="tokens", **DRAWING
    )
    done = opened(ShortCot, params).process(rows("a house"))
    assert len(entry(done)["calls"]) == 2
    search: Any = done.columns["search"][0]
    for one in search["candidates"][1:]:
        # The tiny model has one token a byte.
        assert one["length"] == len(one["plan"].encode())
