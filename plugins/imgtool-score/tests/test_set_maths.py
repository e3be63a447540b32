"""Moments, Fréchet distance and kernel distance against closed forms and other formulas."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from imgtool_score.sets.collecting import Collector
from imgtool_score.sets.frechet import Gaussian, extrapolate, frechet_distance
from imgtool_score.sets.kernel import kid, mmd2
from imgtool_score.sets.moments import Moments

if TYPE_CHECKING:
    from collections.abc import Callable


def by_matrix_root(m1: np.ndarray, s1: np.ndarray, m2: np.ndarray, s2: np.ndarray) -> float:
    """FID as it is usually computed."""
    root = sqrtm(s1 @ s2).real
    return float((m1 - m2) @ (m1 - m2) + np.trace(s1 + s2 - 2 * root))


def fid(m1: np.ndarray, s1: np.ndarray, m2: np.ndarray, s2: np.ndarray) -> float:
    return frechet_distance(Gaussian(m1, s1), Gaussian(m2, s2))


def cloud(count: int, width: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """[count, width] correlated features."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((width, width)) / math.sqrt(width)
    return rng.standard_normal((count, width)) @ mix + shift


def moments_of(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return features.mean(0), np.cov(features, rowvar=False)


def test_distance_of_two_diagonal_gaussians_is_the_closed_form() -> None:
    one = np.zeros(2), np.diag([1.0, 4.0])
    two = np.array([3.0, 4.0]), np.diag([9.0, 16.0])
    assert fid(*one, *two) == pytest.approx(33.0, rel=1e-12)


def test_distance_of_covariances_that_commute_is_the_closed_form() -> None:
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
    a, b = np.arange(1.0, 7.0), np.array([2.0, 9.0, 1.0, 5.0, 0.5, 3.0])
    mean = np.full(6, 0.5)
    expected = 6 * 0.25 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    found = fid(np.zeros(6), turn @ np.diag(a) @ turn.T, mean, turn @ np.diag(b) @ turn.T)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("width", [3, 64])
def test_distance_is_that_of_the_matrix_root(width: int) -> None:
    one, two = moments_of(cloud(500, width, 1)), moments_of(cloud(300, width, 2, 0.2))
    assert fid(*one, *two) == pytest.approx(by_matrix_root(*one, *two), rel=1e-9)


def test_distance_of_singular_covariances_is_that_of_the_matrix_root() -> None:
    one, two = moments_of(cloud(20, 64, 1)), moments_of(cloud(30, 64, 2, 0.5))
    assert fid(*one, *two) == pytest.approx(by_matrix_root(*one, *two), rel=1e-5)


@pytest.mark.parametrize("count", [40, 400])
def test_distance_of_a_set_to_itself_is_nothing(count: int) -> None:
    one = moments_of(cloud(count, 64, 3, 5.0))
    assert 0 <= fid(*one, *one) < 1e-9


def test_distance_of_constant_sets_is_that_of_their_means() -> None:
    zero = np.zeros((4, 4))
    assert fid(np.zeros(4), zero, np.ones(4), zero) == pytest.approx(4.0)


def test_line_through_exact_values_finds_the_limit() -> None:
    sizes = [1000, 1500, 4000, 9000]
    found = extrapolate(sizes, [7.5 + 900 / n for n in sizes])
    assert (found.value, found.slope, found.r2) == pytest.approx((7.5, 900, 1.0))


def test_a_line_needs_two_sizes() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        extrapolate([5, 5], [1.0, 1.0])


def test_extrapolation_takes_the_bias_out() -> None:
    width = 8
    reference = np.zeros(width), np.eye(width)
    rng = np.random.default_rng(4)
    plain, limits = [], []
    for _ in range(12):
        features = rng.standard_normal((400, width))
        points = [(n, fid(*moments_of(features[:n]), *reference)) for n in range(200, 401, 25)]
        plain.append(points[-1][1])
        limits.append(extrapolate(*zip(*points, strict=True)).value)
    error = np.std(limits) / math.sqrt(len(limits))
    assert np.mean(plain) > 0.05  # the true distance is 0
    assert abs(np.mean(limits)) < 3 * error < 0.04


def split(features: np.ndarray, cuts: list[int]) -> list[np.ndarray]:
    edges = [0, *sorted(cut % (len(features) + 1) for cut in cuts), len(features)]
    return [features[a:b] for a, b in itertools.pairwise(edges)]


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(2, 60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    offset=st.sampled_from([0.0, 1.0, -1e6]),
    seed=st.integers(0, 9),
)
def test_merged_streams_equal_one(count: int, cuts: list[int], offset: float, seed: int) -> None:
    features = cloud(count, 5, seed, offset)
    merged = Moments.empty(5)
    for part in split(features, cuts):
        stream = Moments.empty(5)
        for row in part:
            stream.update(row[None])
        merged.merge(stream)
    mean, covariance = moments_of(features)
    assert merged.count == count
    np.testing.assert_allclose(merged.mean, mean, rtol=1e-12, atol=1e-12)
    # An offset of 1e6 costs the twelve digits of its square, were it not taken out.
    np.testing.assert_allclose(merged.covariance, covariance, rtol=1e-7, atol=1e-8)
    np.testing.assert_array_equal(merged.scatter, merged.scatter.T)


def test_one_feature_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="two features"):
        _ = Moments.of(np.ones((1, 3))).covariance


def named(count: int) -> list[str]:
    return [f"{number}.png" for number in range(count)]


@pytest.mark.parametrize("batch", [1, 7, 3000])
def test_order_and_batches_do_not_matter(batch: int) -> None:
    features = cloud(3000, 4, 5).astype(np.float32)
    names = named(3000)
    one, two = (Collector(4, kept=100, parts=16) for _ in range(2))
    one.add(names, features)
    order = np.random.default_rng(6).permutation(3000)
    for at in range(0, 3000, batch):
        part = order[at : at + batch]
        two.add([names[n] for n in part], features[part])
    for first, second in zip(one.nested(), two.nested(), strict=True):
        assert first.count == second.count
        np.testing.assert_allclose(first.scatter, second.scatter, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(one.sample.features, two.sample.features)
    np.testing.assert_array_equal(one.sample.priorities, two.sample.priorities)


def test_a_sample_is_as_good_as_random() -> None:
    collector = Collector(1, kept=500)
    collector.add(named(5000), np.arange(5000, dtype=np.float32)[:, None])
    assert collector.finish().count == 5000
    chosen = collector.sample.features
    assert len(np.unique(chosen)) == 500
    # Four standard errors of the mean of 500 out of 0..4999.
    assert abs(chosen.mean() - 2499.5) < 4 * 1443 / math.sqrt(500)


def test_nested_parts_are_equal_shares_and_end_with_all() -> None:
    collector = Collector(2, kept=0, parts=16)
    collector.add(named(8000), np.zeros((8000, 2), np.float32))
    sizes = [part.count for part in collector.nested()]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 8000
    for number, size in enumerate(sizes, start=1):
        assert abs(size - 500 * number) < 4 * math.sqrt(8000) / 2


def by_loops(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased estimate, one pair at a time."""

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    def within(z: np.ndarray) -> float:
        pairs = itertools.permutations(z, 2)
        return sum(kernel(a, b) for a, b in pairs) / (len(z) * (len(z) - 1))

    across = sum(kernel(a, b) for a in x for b in y) / (len(x) * len(y))
    return within(x) + within(y) - 2 * across


def test_kernel_distance_is_that_of_all_pairs() -> None:
    x, y = cloud(12, 5, 0), cloud(9, 5, 1, 0.3)
    assert mmd2(x, y) == pytest.approx(by_loops(x, y), rel=1e-10)


def test_kid_is_the_mean_over_subsets_drawn_by_its_seed() -> None:
    x, y = cloud(50, 5, 0), cloud(40, 5, 1, 0.3)
    rng = np.random.default_rng(7)
    estimates = [mmd2(x[rng.choice(50, 20, False)], y[rng.choice(40, 20, False)]) for _ in range(9)]
    found = kid(x, y, subsets=9, size=20, seed=7)
    assert found.value == pytest.approx(np.mean(estimates), rel=1e-12)
    assert found.deviation == pytest.approx(np.std(estimates, ddof=1), rel=1e-12)
    assert kid(x, y, 9, 20, seed=8).value != found.value


def test_kid_of_halves_of_one_set_is_nothing_within_its_error() -> None:
    features = cloud(2000, 8, 2)
    estimates = [
        mmd2(features[n : n + 100], features[n + 100 : n + 200]) for n in range(0, 2000, 200)
    ]
    assert abs(np.mean(estimates)) < 3 * np.std(estimates, ddof=1) / math.sqrt(len(estimates))


def test_kid_of_small_sets_takes_what_there_is() -> None:
    x, y = cloud(8, 3, 0), cloud(8, 3, 1)
    found = kid(x, y)
    assert (found.subsets, found.size, found.deviation) == (1, 8, None)
    assert found.value == pytest.approx(mmd2(x, y))
    assert kid(x, cloud(30, 3, 1), subsets=5).size == 8


@pytest.mark.parametrize("measure", [mmd2, kid])
def test_one_picture_has_no_kernel_distance(measure: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="two features"):
        measure(np.ones((1, 3)), np.ones((5, 3)))
