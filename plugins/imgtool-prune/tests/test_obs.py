"""The column solver: oracle T1 to T4, T6, T9 to T11, T15, T19."""

from __future__ import annotations

import pytest
import torch
from column_loop import column_loop
from layers import generator, hessian, inputs, layer, squared_error, weight

from imgtool_prune.factor import Damped, damp
from imgtool_prune.obs import Pruned, prune_columns
from imgtool_prune.patterns import Given, Pattern, SemiStructured, Unstructured, smallest
from imgtool_prune.statistics import Hessian
from imgtool_prune.weighting import Weighting, step_weights

EXACT = {"rtol": 1e-9, "atol": 1e-11}


def prune(w: torch.Tensor, damped: Damped, pattern: Pattern, block: int = 128) -> Pruned:
    return prune_columns([w], damped.upper(), damped.dead, [pattern], block)[0]


def some_mask(rows: int, width: int, seed: int = 0, share: float = 0.5) -> torch.Tensor:
    return torch.rand(rows, width, generator=generator(seed)) < share


@pytest.mark.parametrize(
    ("pattern", "group"),
    [
        (Unstructured(0.6), 0),
        (Unstructured(0.35, "reference"), 0),
        (SemiStructured(2, 4), 4),
        (SemiStructured(4, 8), 8),
        (SemiStructured(1, 32), 32),
    ],
)
def test_blocks_in_blocks_give_what_the_plain_loop_gives(pattern: Pattern, group: int) -> None:
    w, damped = layer(20, 96)
    live = ~damped.dead

    def choose(scores: torch.Tensor, begin: int) -> torch.Tensor:
        return pattern.choose(scores, ~live[: scores.shape[1]], begin)

    ours = prune(w, damped, pattern, 64)
    theirs, mask = column_loop(w, damped.upper(), choose, 64, group)

    assert ours.mask.equal(mask)
    torch.testing.assert_close(ours.weight, theirs, **EXACT)


@pytest.mark.parametrize("seed", range(3))
def test_squared_errors_of_columns_are_the_output_error(seed: int) -> None:
    w, damped = layer(16, 40, seed)
    pruned = prune(w, damped, Given(some_mask(16, 40, seed)))

    error = squared_error(w, pruned.weight, damped.matrix)
    assert pruned.damped_error == pytest.approx(error / 2, rel=1e-9)


def test_a_scaled_hessian_prunes_alike() -> None:
    w, matrix = weight(16, 40), hessian(40)
    plain, scaled = (prune(w, damp(factor * matrix), Unstructured(0.5)) for factor in (1.0, 7.3))

    assert plain.mask.equal(scaled.mask)
    torch.testing.assert_close(plain.weight, scaled.weight, rtol=1e-12, atol=1e-12)


def test_a_given_mask_gives_the_same_weights_in_any_block_size() -> None:
    w, damped = layer(16, 40)
    given = Given(some_mask(16, 40))
    whole = prune(w, damped, given, 40)

    for block in (1, 7, 16, 128):
        torch.testing.assert_close(prune(w, damped, given, block).weight, whole.weight, **EXACT)


def refit(w: torch.Tensor, damped: Damped, mask: torch.Tensor) -> torch.Tensor:
    """The best weights that a mask leaves room for, row by row."""
    best = torch.zeros_like(w)
    for row, (before, gone) in enumerate(zip(w, mask, strict=True)):
        kept = ~gone
        best[row, kept] = torch.linalg.solve(
            damped.matrix[kept][:, kept], damped.matrix[kept] @ before
        )
    return best


@pytest.mark.parametrize("seed", range(3))
def test_refitting_each_row_is_never_worse_than_repair_or_zeroing(seed: int) -> None:
    w, damped = layer(12, 24, seed)
    mask = some_mask(12, 24, seed)
    best = squared_error(w, refit(w, damped, mask), damped.matrix)

    for other in (prune(w, damped, Given(mask)).weight, w.masked_fill(mask, 0)):
        assert best <= squared_error(w, other, damped.matrix) * (1 + 1e-12)


def test_repair_is_the_refit_where_pruned_columns_come_first() -> None:
    w, damped = layer(12, 24)
    mask = torch.arange(24).expand(12, 24) < torch.arange(12)[:, None] + 3

    pruned = prune(w, damped, Given(mask), 8)
    torch.testing.assert_close(pruned.weight, refit(w, damped, mask), **EXACT)


def test_kept_weights_left_of_the_first_pruned_one_do_not_move() -> None:
    w, damped = layer(4, 24)
    mask = torch.zeros(4, 24, dtype=torch.bool)
    mask[:, 9] = True
    pruned = prune(w, damped, Given(mask))

    assert pruned.weight[:, :9].equal(w[:, :9])
    assert not pruned.weight[:, 9].any()
    assert (pruned.weight[:, 10:] != w[:, 10:]).all()


def test_independent_channels_are_ranked_as_wanda_ranks_and_not_repaired() -> None:
    w = weight(8, 20)
    energy = torch.rand(20, generator=generator(3), dtype=torch.float64) + 0.1
    pruned = prune(w, damp(torch.diag(energy), 0.0), Unstructured(0.5))

    mask = smallest(w.abs() * energy.sqrt(), 80)
    assert pruned.mask.equal(mask)
    torch.testing.assert_close(pruned.weight, w.masked_fill(mask, 0), rtol=1e-15, atol=0)


def test_equal_independent_channels_are_ranked_by_magnitude() -> None:
    w = weight(8, 20)
    pruned = prune(w, damp(3.0 * torch.eye(20, dtype=torch.float64)), Unstructured(0.4))

    assert pruned.mask.equal(smallest(w.abs(), 64))


@pytest.mark.parametrize(
    ("weighting", "lost"), [(Weighting.LOG_DECREASE, 1), (Weighting.LOG_INCREASE, 0)]
)
def test_the_step_that_weighs_less_loses_its_channel(weighting: Weighting, lost: int) -> None:
    early, late = torch.eye(2, dtype=torch.float64)
    gathered = Hessian(2, torch.float64)
    for step, alpha in enumerate(step_weights(10, weighting)):
        gathered.add((early if step < 5 else late)[None], alpha)
    pruned = prune(torch.ones(1, 2).double(), damp(gathered.matrix()), Unstructured(0.5))

    assert pruned.mask.tolist() == [[lost == 0, lost == 1]]


@pytest.mark.parametrize(("keep", "group"), [(2, 4), (4, 8), (1, 4)])
@pytest.mark.parametrize("block", [8, 128])
def test_every_group_keeps_its_number(keep: int, group: int, block: int) -> None:
    w, damped = layer(6, 32)
    mask = prune(w, damped, SemiStructured(keep, group), block).mask

    assert (mask.view(6, -1, group).sum(-1) == group - keep).all()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.77])
def test_blocks_prune_their_exact_share_or_one_more_by_the_reference_rule(share: float) -> None:
    w, damped = layer(9, 40)
    counts = {
        rule: [int(part.sum()) for part in prune(w, damped, pattern, 16).mask.split(16, 1)]
        for rule, pattern in (
            ("exact", Unstructured(share)),
            ("reference", Unstructured(share, "reference")),
        )
    }

    assert counts["exact"] == [round(share * 9 * width) for width in (16, 16, 8)]
    assert counts["reference"] == [int(share * 9 * width) + 1 for width in (16, 16, 8)]


def test_nothing_to_prune_leaves_every_byte() -> None:
    w, damped = layer(9, 40)

    assert prune(w, damped, Unstructured(0.0)).weight.equal(w)


def test_a_channel_without_input_is_as_if_it_were_not_there() -> None:
    x = inputs(400, 24)
    x[:, 5] = 0
    w = weight(10, 24)
    rest = [channel for channel in range(24) if channel != 5]
    matrix = 2 * x.T @ x / 400
    # Without damping: its mean counts the dead channel's 1.
    with_dead = prune(w, damp(matrix, 0.0), Unstructured(0.5))
    without = prune(w[:, rest], damp(matrix[rest][:, rest], 0.0), Unstructured(0.5))

    assert not with_dead.weight[:, 5].any()
    assert with_dead.mask[:, rest].equal(without.mask)
    torch.testing.assert_close(with_dead.weight[:, rest], without.weight, **EXACT)


def test_channels_without_input_are_the_first_that_a_group_gives_up() -> None:
    matrix = hessian(8)
    matrix[2], matrix[:, 2] = 0, 0
    mask = prune(weight(6, 8), damp(matrix), SemiStructured(2, 4)).mask

    assert mask[:, 2].all()
    assert (mask.view(6, 2, 4).sum(-1) == 2).all()


def test_layers_of_one_input_solved_together_are_as_solved_apart() -> None:
    damped = damp(hessian(40))
    weights = [weight(8, 40), weight(5, 40, 1), weight(3, 40, 2)]
    patterns = [Unstructured(0.5), Unstructured(0.2), Given(some_mask(3, 40))]
    together = prune_columns(weights, damped.upper(), damped.dead, patterns, 16)

    for w, pattern, pruned in zip(weights, patterns, together, strict=True):
        alone = prune(w, damped, pattern, 16)
        assert pruned.mask.equal(alone.mask)
        torch.testing.assert_close(pruned.weight, alone.weight, **EXACT)
        assert pruned.damped_error == pytest.approx(alone.damped_error)


@pytest.mark.parametrize(
    ("patterns", "block", "message"),
    [
        ([SemiStructured(2, 4), Unstructured(0.5)], 128, "different groups"),
        ([SemiStructured(2, 4)] * 2, 6, "block 6 is no multiple"),
        ([SemiStructured(2, 3)] * 2, 9, "16 columns are no multiple of 3"),
        ([Given(torch.zeros(2, 16, dtype=torch.bool))] * 2, 128, "mask of"),
    ],
)
def test_patterns_that_do_not_fit_are_refused(
    patterns: list[Pattern], block: int, message: str
) -> None:
    w, damped = layer(4, 16)
    with pytest.raises(ValueError, match=message):
        prune_columns([w, w], damped.upper(), damped.dead, patterns, block)


def test_sparsities_and_groups_that_make_no_sense_are_refused() -> None:
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="is not in"):
            Unstructured(share)
    with pytest.raises(ValueError, match="no pattern"):
        SemiStructured(4, 4)


def test_of_equal_scores_the_first_go() -> None:
    scores = torch.tensor([[1.0, 0.0, 1.0], [1.0, 2.0, 1.0]])

    assert smallest(scores, 3).tolist() == [[True, True, True], [False, False, False]]
