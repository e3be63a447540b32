"""Climbs and their objective on toys whose answers are known, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch

from imgtool_rewrite.peo.climb import Climb, NotFinite, Plan, climb_of
from imgtool_rewrite.peo.notes import packed, unpacked
from imgtool_rewrite.peo.objective import (
    Terms,
    Weights,
    all_kept,
    end_cosine,
    projected,
    recomputed,
    total,
)

if TYPE_CHECKING:
    from torch import Tensor

    from imgtool_rewrite.peo.climb import Optimiser, Theta

END, T, D = 3, 6, 8


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


START = noise(0, T, D)


@dataclass
class Toy:
    """A picture's score that is linear in the embeddings, and what is kept of them."""

    weights: Weights
    keep: str = "full"
    slope: Tensor | None = None
    broken_from: float = math.inf
    calls: int = 0

    def value(self, theta: Theta) -> Terms:
        with torch.no_grad():
            return self._terms(theta)[1]

    def gradient(self, theta: Theta) -> tuple[Terms, Theta]:
        with torch.enable_grad():
            value, terms = self._terms(theta)
        return terms, torch.autograd.grad(value, theta)

    def _terms(self, theta: Theta) -> tuple[Tensor, Terms]:
        self.calls += 1
        (z,) = theta
        c = noise(1, T, D) if self.slope is None else self.slope
        a = (c * z).sum() if self.calls <= self.broken_from else (c * z).sum() * math.nan
        kept = all_kept(z, START) if self.keep == "full" else end_cosine(z, START, END, D)
        value = total(self.weights, a, torch.zeros_like(a), kept)
        return value, Terms(*[float(x.detach()) for x in (value, a, a * 0, kept, a * 0)])


def climb(toy: Toy, free: Tensor | None = None, **plan: Any) -> Climb:
    made = Plan(**{"patience": 0, **plan})
    mask = torch.ones(T, 1) if free is None else free
    random = torch.Generator().manual_seed(3)
    return climb_of(made)(toy, made, (START,), (mask,), random)


def run(toy: Toy, free: Tensor | None = None, **plan: Any) -> Climb:
    made = climb(toy, free, **plan)
    made.run()
    return made


def rms(x: Tensor) -> float:
    return float(x.detach().square().mean().sqrt())


@pytest.mark.parametrize("keep", ["full", "eos-cos"])
def test_objective_of_the_start_is_that_of_its_terms(keep: str) -> None:
    weights = Weights(0.7, 0.3, 0.9)
    kept = all_kept(START, START) if keep == "full" else end_cosine(START, START, END, D)
    a, c = torch.tensor(5.25, dtype=torch.float64), torch.tensor(0.31, dtype=torch.float64)
    want = 0.1 * 0.7 * 5.25 + 0.3 * 0.31 + 0.9
    assert float(total(weights, a, c, kept)) == pytest.approx(want, abs=1e-12)


def test_ten_iterations_score_the_start_nine_steps_and_the_last_one() -> None:
    done = run(Toy(Weights()))
    assert (len(done.history), done.gradients, done.best_at) == (11, 10, 10)
    values = [terms.objective for terms in done.history]
    assert values == sorted(values)


def test_full_preservation_of_large_weight_returns_the_source() -> None:
    heavy = run(Toy(Weights(10.0, 0.0, 1e3 * T * 4)))
    assert heavy.best_at == 0
    assert torch.equal(heavy.best[0], START)
    # Adam's steps do not shrink with the slope: the climb itself ends half a step away.
    assert rms(heavy._last()[0] - START) == pytest.approx(0.005, rel=0.1)
    light = run(Toy(Weights(10.0, 0.0, 1.0)))
    assert light.best_at > 0


@pytest.mark.parametrize("weight", [1e3, 2e3])
def test_full_preservation_lands_where_both_slopes_are_equal(weight: float) -> None:
    done = run(Toy(Weights(10.0, 0.0, weight)), optimiser="lbfgs", iterations=3)
    c, lengths = noise(1, T, D), (START**2).sum(-1, keepdim=True)
    want = START + c * lengths * T / (2 * weight)
    # The objective is flat up there: it cannot tell points apart that are nearer.
    torch.testing.assert_close(done.best[0], want, rtol=0, atol=1e-7)


def test_official_preservation_pulls_the_end_mark_alone() -> None:
    moves = {}
    for weight in (0.5, 1e6):
        done = run(Toy(Weights(1.0, 0.0, weight), "eos-cos"))
        others = [at for at in range(T) if at != END]
        last = done._last()[0].detach()
        assert rms(last[others] - START[others]) == pytest.approx(0.1, rel=0.05)
        moves[weight] = float(1 - end_cosine(last, START, END, D))
    assert moves[1e6] < moves[0.5] / 10


def test_official_preservation_alone_leaves_other_tokens_as_they_are() -> None:
    done = run(Toy(Weights(0.0, 0.0, 0.5), "eos-cos"))
    others = [at for at in range(T) if at != END]
    assert torch.equal(done._last()[0][others], START[others])


@pytest.mark.parametrize("optimiser", ["adam", "sgd", "lbfgs", "sep-cmaes"])
def test_only_free_tokens_move(optimiser: Optimiser) -> None:
    free = torch.zeros(T, 1)
    free[2] = 1
    done = run(Toy(Weights(1.0, 0.0, 0.0)), free, optimiser=optimiser, iterations=4)
    moved = (done.best[0] != START).any(-1)
    assert moved.tolist() == [at == 2 for at in range(T)]
    assert done.history[done.best_at].objective > done.history[0].objective


def test_evolution_gains_within_200_evaluations() -> None:
    done = run(Toy(Weights(1.0, 0.0, 0.5)), optimiser="sep-cmaes", iterations=12)
    assert len(done.history) <= 200
    assert done.gradients == 0
    gain = done.history[done.best_at].objective - done.history[0].objective
    spread = rms(noise(1, T, D)) * math.sqrt(T * D) * 0.1 * 0.1 * rms(START)
    assert gain > 3 * spread  # more than the luck of one generation


def test_generation_of_one_candidate_is_a_walk() -> None:
    done = run(Toy(Weights(1.0, 0.0, 0.5)), optimiser="sep-cmaes", iterations=6, population=1)
    assert done.halvings == 0
    assert len(done.history) > 6


def test_radius_holds_the_climb() -> None:
    for optimiser in ("adam", "sep-cmaes"):
        done = run(Toy(Weights(1.0, 0.0, 0.0)), optimiser=optimiser, radius=0.01)
        for theta in (done.best[0], done._last()[0]):
            assert rms(theta - START) / rms(START) <= 0.01 * (1 + 1e-6)


@pytest.mark.parametrize("optimiser", ["adam", "sep-cmaes"])
def test_climb_that_may_move_nothing_scores_the_start(optimiser: Optimiser) -> None:
    done = run(Toy(Weights()), torch.zeros(T, 1), optimiser=optimiser)
    assert (len(done.history), done.best_at) == (1, 0)


def test_climb_without_gain_ends() -> None:
    done = run(Toy(Weights(0.0, 0.0, 0.0)), patience=4)
    assert len(done.history) == 6
    assert done.best_at == 0


def test_value_that_is_no_number_goes_back_and_halves_the_rate() -> None:
    toy = Toy(Weights(), broken_from=4)
    done = run(toy)
    assert done.stopped_early
    assert done.rate == 0.01 / 16
    assert len(done.history) == 4
    assert torch.isfinite(done.best[0]).all()


def test_start_that_is_no_number_is_an_error() -> None:
    with pytest.raises(NotFinite):
        run(Toy(Weights(), broken_from=0))


@pytest.mark.parametrize("optimiser", ["adam", "lbfgs", "sep-cmaes"])
def test_killed_climb_goes_on_with_the_same_numbers(optimiser: Optimiser) -> None:
    plan = {"optimiser": optimiser, "iterations": 6}
    notes: list[bytes] = []
    whole = climb(Toy(Weights()), **plan)
    whole.run(note=notes.append)
    for at in (0, 2, -1):
        toy = Toy(Weights())
        again = climb(toy, **plan)
        again.run(notes[at])
        assert again.history == whole.history
        assert torch.equal(again.best[0], whole.best[0])
        seen = unpacked(notes[at])["history"]
        assert toy.calls == len(whole.history) - len(seen)


def test_recomputed_text_is_what_the_whole_tower_gives() -> None:
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(4)
    config = CLIPTextConfig(
        hidden_size=16, intermediate_size=32, num_attention_heads=2, num_hidden_layers=3,
        vocab_size=32, max_position_embeddings=16,
    )  # fmt: skip
    tower, projection = CLIPTextModel(config).eval(), torch.nn.Linear(16, 8, bias=False)
    with torch.no_grad():
        found = tower(torch.arange(9)[None] + 3, output_hidden_states=True)
        before = found.hidden_states[-2][0]
        want = projected(found.last_hidden_state[0], 5, projection)
        torch.testing.assert_close(recomputed(before, 5, projection, tower), want)
        naive = projected(before, 5, projection)
    assert float(naive @ want) < 0.99


def test_notes_come_back_as_they_were() -> None:
    state = {"a": [1, 2.5, None, "x", math.inf], 0: {"t": torch.arange(3.0)}, "flag": True}
    found = unpacked(packed(state))
    assert torch.equal(found[0].pop("t"), state[0].pop("t"))
    assert found == state
