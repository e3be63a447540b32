"""`imgtool train shortcot`: what plans are worth, what keeps hard prompts, and TRL itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import torch

from imgtool.api import BadParams, Batch, InputUnreadable, ModelUnusable, StageFailed
from imgtool_rewrite.shortcot.choosing import Asking
from imgtool_rewrite.shortcot.judging import Seen
from imgtool_rewrite.shortcot.rewards import Penalty, short_coti
from imgtool_rewrite.training import grpo
from imgtool_rewrite.training.maker import TrainShortCotParams, read_prompts, rows_of, settings_of
from imgtool_rewrite.training.reward import WINDOW, Rewards, Watch, as_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from imgtool.api import Row

PROMPT = "a red cube"


@dataclass
class Scripted:
    """Scores prompts by a function, without pictures."""

    score: Callable[[str], float | None]
    asked: list[list[str]] = field(default_factory=list)

    def look(self, row: Row, prompts: Sequence[str]) -> list[Seen]:
        self.asked.append(list(prompts))
        return [Seen(None, self.score(prompt), 0.0, 1.0) for prompt in prompts]


def rows(*prompts: str) -> list[Row]:
    ids = tuple(map(str, range(len(prompts))))
    return list(Batch(ids, {"prompt": list(prompts), "seed": [1] * len(prompts)}))


def rewards(score: Callable[[str], float | None], *prompts: str, **penalty: float) -> Rewards:
    asking = Asking(penalty=Penalty(**{"alpha": 0.1, "target": 4.0, **penalty}))
    return Rewards(Scripted(score), rows(*(prompts or (PROMPT,))), asking)  # type: ignore[arg-type]


SHORT, LONG = "a red cube here", "a red cube here on a wide table"


def test_length_costs_by_how_easy_the_group_is() -> None:
    scores = {SHORT: 0.6, LONG: 0.8}
    found = rewards(lambda prompt: scores[prompt.removeprefix(f"{PROMPT}. ")])
    # (8 - 4) / 4 words over, at a tenth of the mean score.
    assert found.of([0, 0], [SHORT, LONG]) == pytest.approx([0.6, 0.8 - 0.1 * 0.7])


def test_each_prompt_is_a_group_of_its_own() -> None:
    found = rewards(lambda prompt: 0.9 if "cone" in prompt else 0.1, PROMPT, "a cone")
    both = found.of([0, 0, 1, 1], [SHORT, LONG, "a cone here", f"a cone. {LONG}"])
    assert both[:2] == pytest.approx([0.1, 0.1 - 0.1 * 0.1])
    assert both[2:] == pytest.approx([0.9, 0.9 - 0.1 * 0.9 * 6 / 4])


def test_plan_that_cannot_be_used_is_worth_less_than_any_that_can() -> None:
    found = rewards(lambda _: 0.5)
    assert found.of([0, 0, 0], [SHORT, "", PROMPT]) == pytest.approx([0.5, 0.3, 0.3])
    assert found.of([0, 0], ["", PROMPT]) == [None, None]


def test_plan_without_a_score_is_left_out() -> None:
    found = rewards(lambda prompt: None if LONG in prompt else 0.5)
    assert found.of([0, 0], [SHORT, LONG]) == [0.5, None]


def test_training_stops_where_hard_prompts_lose_their_score() -> None:
    watch = Watch(fall=0.1)
    watch.saw("easy", 0.9, [8])
    for _ in range(2 * WINDOW):
        watch.saw("hard", 0.4, [30])
    for _ in range(WINDOW // 4):
        watch.saw("easy", 0.9, [8])
        watch.saw("easy", 0.2, [8])
    with pytest.raises(StageFailed, match=r"hard prompts fell from 0\.400 to 0\.3"):
        for _ in range(WINDOW):
            watch.saw("hard", 0.3, [1])
    assert watch.lengths()["easy"] == {"0": 1 + WINDOW // 2}
    assert watch.lengths()["hard"]["30"] == 2 * WINDOW


def test_watch_that_allows_any_fall_stops_nothing() -> None:
    watch = Watch(fall=0.0)
    watch.saw("easy", 0.9, [3])
    for score in [0.4] * 2 * WINDOW + [0.0] * WINDOW:
        watch.saw("hard", score, [3])
    assert watch.scores()["hard"] == (pytest.approx(0.4), 0.0)


def trained_lengths(gate: float | None, floor: float, scaled: bool, seed: int) -> torch.Tensor:
    """Mean length and success, [2, 2], of a policy over lengths 1 to 32 that GRPO trained.

    An easy prompt needs two words; a hard one twelve, and then succeeds at 15 %.
    """
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.arange(1.0, 33.0)
    chances = torch.stack([(lengths >= 2).float(), 0.15 * (lengths >= 12)])
    logits = (0.1 * lengths).repeat(2, 1).requires_grad_()
    adam = torch.optim.Adam([logits], 0.2)
    penalty = Penalty(0.3, 32.0, "linear", floor, gate)
    for _ in range(200):
        policy = logits.log_softmax(-1)
        loss = torch.zeros(())
        for kind in (0, 1):
            drawn = torch.multinomial(policy[kind].exp().detach(), 16 * 8, True, generator=draw)
            won = (torch.rand(len(drawn), generator=draw) < chances[kind][drawn]).float()
            pairs = zip(won.view(16, 8).tolist(), lengths[drawn].view(16, 8).tolist(), strict=True)
            worth = torch.tensor([short_coti(part, of, penalty) for part, of in pairs])
            gain = worth - worth.mean(1, keepdim=True)
            gain = gain / (worth.std(1, keepdim=True) + 1e-4) if scaled else gain
            loss = loss - (policy[kind][drawn] * gain.flatten()).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    share = logits.detach().softmax(-1)
    return torch.stack([(share * lengths).sum(-1), (share * chances).sum(-1)])


def test_defaults_shorten_easy_prompts_and_keep_hard_ones() -> None:
    defaults = TrainShortCotParams()
    (easy, _), (easily, hardly) = trained_lengths(defaults.gate, 0.0, False, 0)
    assert easy <= 3
    assert easily >= 0.99
    assert hardly >= 0.12


def test_scaled_rewards_with_a_floor_take_the_plans_of_hard_prompts() -> None:
    (_, hard), (_, hardly) = trained_lengths(None, 1 / 8, True, 0)
    assert hard < 3
    assert hardly < 0.02


def test_prompts_come_from_lines_and_records(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a red cube\n\n a cone \n", encoding="utf-8")
    (tmp_path / "b.jsonl").write_text('{"prompt": "a cone", "id": "x"}\n', encoding="utf-8")
    (tmp_path / "c.jsonl").write_text("a cone\n", encoding="utf-8")
    (tmp_path / "d.txt").write_text("\n", encoding="utf-8")
    assert read_prompts(tmp_path / "a.txt") == ["a red cube", "a cone"]
    assert read_prompts(tmp_path / "b.jsonl") == ["a cone"]
    for name in ("c.jsonl", "d.txt", "e.txt"):
        with pytest.raises(InputUnreadable, match="holds no prompts"):
            read_prompts(tmp_path / name)


def test_training_without_prompts_is_refused() -> None:
    with pytest.raises(BadParams, match="nothing to train on"):
        rows_of(TrainShortCotParams())
    assert len(rows_of(TrainShortCotParams(smoke=True))) == 2


def test_trl_is_told_what_keeps_hard_prompts() -> None:
    told = grpo.told(settings_of(TrainShortCotParams()), "out", True)
    assert (told["scale_rewards"], told["loss_type"], told["beta"]) == ("none", "dr_grpo", 0.0)
    assert told["per_device_train_batch_size"] % told["num_generations"] == 0


def test_without_trl_a_line_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpo, "find_spec", lambda name: None)
    with pytest.raises(ModelUnusable, match="needs trl"):
        grpo.loaded(None, "")  # type: ignore[arg-type]


def test_completions_of_conversations_are_their_texts() -> None:
    talk = [[{"role": "assistant", "content": "a cone"}], "a cube"]
    assert as_texts(talk) == ["a cone", "a cube"]
