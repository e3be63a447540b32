"""Agreement is that of SciPy, intervals cover as often as they say, the search finds the best."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from imgtool_score.suites import agreement
from imgtool_score.suites.agree import Settings, agree
from imgtool_score.suites.bootstrap import (
    Clusters,
    mean_interval,
    of_prompts,
    over_prompts,
    over_seeds,
    percentile,
)
from imgtool_score.suites.choosing import agreement_of_sets, choose
from imgtool_score.suites.distance import distance_to
from imgtool_score.suites.figures import figures_of
from imgtool_score.suites.model import Rule

H = np.array([3.0, 3.0, 2.0, 1.0, 0.0])
M = np.array([0.9, 0.7, 0.8, 0.2, 0.4])


@pytest.mark.parametrize("seed", range(10))
def test_correlations_are_those_of_scipy_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    h, m = rng.integers(0, 5, 12).astype(float), rng.integers(0, 4, 12).astype(float)
    assert agreement.spearman(h, m) == pytest.approx(stats.spearmanr(h, m).statistic)
    assert agreement.kendall(h, m) == pytest.approx(stats.kendalltau(h, m).statistic)
    np.testing.assert_allclose(agreement.mid_ranks(h), stats.rankdata(h))


def test_agreement_of_a_ranking_worked_out_by_hand() -> None:
    right, tied, told = agreement.pair_counts(H, M)
    assert (right, tied, told) == (7, 0, 9)
    assert agreement.spearman(H, M) == pytest.approx(0.718185, abs=1e-6)
    assert agreement.kendall(H, M) == pytest.approx(0.527046, abs=1e-6)
    assert agreement.ndcg(H, M) == pytest.approx(0.972364, abs=1e-6)
    assert agreement.ndcg(H, M, exponential=True) == pytest.approx(0.957478, abs=1e-6)
    assert agreement.ndcg(H, M, 3) == pytest.approx(0.977781, abs=1e-6)


def test_a_ranking_agrees_with_itself_and_not_with_its_reverse() -> None:
    assert agreement.spearman(H, H) == pytest.approx(1.0)
    assert agreement.kendall(H, H) == pytest.approx(1.0)
    assert agreement.ndcg(H, H) == 1.0
    assert agreement.spearman(H, -H) == pytest.approx(-1.0)
    right, tied, told = agreement.pair_counts(H, -H)
    assert agreement.pairwise_accuracy(right, tied, told, "half") == 0.0


def test_a_constant_metric_ties_all_pairs_and_correlates_with_nothing() -> None:
    counts = agreement.pair_counts(H, np.ones(5))
    assert agreement.pairwise_accuracy(*counts, "half") == 0.5
    assert agreement.pairwise_accuracy(*counts, "wrong") == 0.0
    assert math.isnan(agreement.pairwise_accuracy(*counts, "drop"))
    assert math.isnan(agreement.spearman(H, np.ones(5)))
    assert math.isnan(agreement.kendall(H, np.ones(5)))


def nested(rng: np.random.Generator, prompts: int, seeds: int, shift: float = 0.0) -> Clusters:
    """Values with as much spread among prompts as among the seeds of one, mean `shift`."""
    means = rng.normal(shift, 1, (prompts, 1))
    values = means + rng.normal(0, 1, (prompts, seeds))
    return Clusters(tuple(values), np.zeros(prompts, int))


def covered(make: object, truth: float) -> float:
    """Share of 400 made data sets whose interval holds the truth."""
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(400):
        value, drawn = make(rng)  # type: ignore[operator]
        interval = percentile(value, drawn)
        hits += interval.low <= truth <= interval.high
    return hits / 400


def test_intervals_over_prompts_cover_the_mean_although_seeds_are_alike() -> None:
    def one(rng: np.random.Generator) -> tuple[float, np.ndarray]:
        clusters = nested(rng, 40, 4)
        return clusters.figure, over_prompts(clusters, 300)

    def blind(rng: np.random.Generator) -> tuple[float, np.ndarray]:
        values = np.concatenate(nested(rng, 40, 4).values)
        alone = Clusters(tuple(values[:, None]), np.zeros(len(values), int))
        return alone.figure, over_prompts(alone, 300)

    assert 0.9 <= covered(one, 0.0) <= 0.98
    # What the nesting is for: pictures taken one by one promise too much.
    assert covered(blind, 0.0) < 0.88


def test_intervals_of_paired_differences_cover_and_are_narrow() -> None:
    widths = []

    def pair(rng: np.random.Generator) -> tuple[float, np.ndarray]:
        a = nested(rng, 40, 3)
        better = tuple(v + 0.2 + rng.normal(0, 0.3, 3) for v in a.values)
        b = Clusters(better, a.groups)
        drawn = over_prompts(b, 300) - over_prompts(a, 300)
        widths.append(float(drawn.std() / over_prompts(a, 300).std()))
        return b.figure - a.figure, drawn

    assert 0.9 <= covered(pair, 0.2) <= 0.98
    assert max(widths) < 0.4


def test_intervals_over_seeds_keep_the_prompts() -> None:
    clusters = Clusters((np.array([0.0, 0.0]), np.array([1.0, 1.0])), np.zeros(2, int))
    assert set(over_seeds(clusters, 50)) == {0.5}
    assert len(set(over_prompts(clusters, 50))) == 3


def test_answers_about_one_picture_are_drawn_together() -> None:
    clusters = Clusters((np.array([[0.0, 0.0], [1.0, 1.0]]),), np.zeros(1, int))
    assert clusters.figure == 0.5
    assert set(over_seeds(clusters, 200)) == {0.0, 0.5, 1.0}


@pytest.mark.parametrize(("pictures", "known"), [(1, False), (2, True)])
def test_answers_about_one_picture_say_nothing_of_seeds(pictures: int, known: bool) -> None:
    asked = [{"kind": kind, "text": "", "value": 1.0} for kind in ("object", "object", "colour")]
    rows = [
        {"item": item, "category": "", "score": 1.0, "outcomes": asked}
        for item in "abcdef" for _ in range(pictures)
    ]  # fmt: skip
    found = {figure.name: figure for figure in figures_of(rows, Rule())}
    assert (found["object"].seeds is not None) is known
    assert found["object"].pictures == 12 * pictures


def test_few_prompts_give_agreement_without_intervals() -> None:
    human = {(prompt, model): float(at) for prompt in "ab" for at, model in enumerate("xyz")}
    found = agree(human, {"m": human}, (), Settings())["metrics"][0]
    assert found["accuracy"] == {"value": 1.0, "low": None, "high": None}


def test_prompts_are_drawn_within_their_category() -> None:
    values = (np.zeros(1),) * 9 + (np.ones(1),)
    groups = np.array([0] * 9 + [1])
    assert Clusters(values, groups).figure == pytest.approx(0.1)
    assert Clusters(values, groups, macro=True).figure == pytest.approx(0.5)
    assert set(over_prompts(Clusters(values, groups, macro=True), 100)) == {0.5}


def test_any_figure_of_prompts_is_drawn_alike_from_the_same_seed() -> None:
    def mean(chosen: object) -> float:
        return float(np.mean(chosen))  # type: ignore[call-overload]

    drawn = of_prompts(mean, 50, 200)
    assert 17 < drawn.min() < 24.5 < drawn.max() < 32
    np.testing.assert_array_equal(drawn, of_prompts(mean, 50, 200))


def test_distances_to_one_truth_pair_by_their_draws() -> None:
    rng = np.random.default_rng(4)
    truth, one = rng.normal(size=(300, 3)), rng.normal(0.5, 1.5, (60, 3))
    items = [str(at // 2) for at in range(60)]
    found = [distance_to(one + shift, truth, items) for shift in (0.0, 0.1)]
    a, b = (np.array(each["draws"]) for each in found if each is not None)
    assert np.std(b - a) < 0.4 * np.std(a)


def test_a_mean_has_the_interval_of_its_draws() -> None:
    found = mean_interval([0.0, 1.0, 1.0, 1.0, 0.0, 1.0])
    assert (found.low, found.value, found.high) == pytest.approx((1 / 3, 2 / 3, 1.0))
    assert np.isnan(mean_interval([0.0, 1.0]).low)


@pytest.mark.parametrize("seed", range(5))
def test_the_chosen_prompts_are_the_best_there_are(seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=(8, 14))
    every = np.array(list(itertools.combinations(range(14), 3)))
    taus, _ = agreement_of_sets(scores, every)
    found = choose(scores, 3, seed)
    assert found.tau == pytest.approx(taus.max())
    assert taus[every.tolist().index(list(found.prompts))] == pytest.approx(found.tau)


def test_agreement_of_sets_is_tau_b_of_their_means() -> None:
    scores = np.random.default_rng(0).integers(0, 3, (7, 10)).astype(float)
    sets = np.array([[0, 1, 2], [3, 4, 9]])
    taus, errors = agreement_of_sets(scores, sets)
    for at, members in enumerate(sets):
        means = scores[:, members].mean(1)
        assert taus[at] == pytest.approx(stats.kendalltau(means, scores.mean(1)).statistic)
        assert errors[at] == pytest.approx(np.abs(means - scores.mean(1)).mean())


def test_search_narrows_down_and_never_loses_to_its_first_round() -> None:
    scores = np.random.default_rng(3).random((10, 60))
    found = choose(scores, 5, sets=400)
    assert found.tau >= found.first_tau
    assert len(set(found.prompts)) == 5


def test_the_order_of_prompts_changes_nothing_but_their_numbers() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random((6, 40))
    order = rng.permutation(40)
    one, two = choose(scores, 4, sets=300), choose(scores[:, order], 4, sets=300)
    assert sorted(order[list(two.prompts)]) == sorted(one.prompts)


def test_too_few_models_rank_nothing() -> None:
    with pytest.raises(ValueError, match="4 are needed"):
        choose(np.zeros((3, 9)), 2)
    with pytest.raises(ValueError, match="cannot be chosen"):
        choose(np.zeros((5, 9)), 10)
