"""Neurons and heads: oracle T12, T13, and the head scores of section 2.8."""

from __future__ import annotations

import pytest
import torch
from layers import hessian, layer, squared_error, weight

from imgtool_prune.factor import Damped, damp
from imgtool_prune.structured import (
    REFRESH,
    Projection,
    chunks,
    fused_order,
    heads_to_remove,
    l1_order,
    neurons_to_remove,
    remove_heads,
    remove_neurons,
)

EXACT = {"rtol": 1e-9, "atol": 1e-10}


def optimum(w: torch.Tensor, damped: Damped, kept: torch.Tensor) -> torch.Tensor:
    best = torch.zeros_like(w)
    right = (w @ damped.matrix[:, kept]).T
    best[:, kept] = torch.linalg.solve(damped.matrix[kept][:, kept], right).T
    return best


@pytest.mark.parametrize("pieces", [(6,), (1,) * 6, (2, 3, 1), (1,) * (2 * REFRESH + 1)])
def test_any_schedule_ends_at_the_optimum_of_what_is_kept(pieces: tuple[int, ...]) -> None:
    w, damped = layer(10, 24)
    projection = Projection(w, damped)
    for count in pieces:
        projection.remove(projection.neuron_scores().argsort()[:count])
    kept = ~projection.gone
    residue = (w - projection.weight) @ damped.matrix

    assert int(projection.gone.sum()) == sum(pieces)
    torch.testing.assert_close(projection.weight, optimum(w, damped, kept), **EXACT)
    torch.testing.assert_close(residue[:, kept], torch.zeros_like(residue[:, kept]), **EXACT)
    error = squared_error(w, projection.weight, damped.matrix) / 2
    assert projection.spent == pytest.approx(error, rel=1e-9)


def test_a_downdated_inverse_is_the_fresh_one() -> None:
    w, damped = layer(10, 24)
    projection = Projection(w, damped)
    for column in (3, 17, 8):
        projection.remove(torch.tensor([column]))
    downdated = projection.inverse.clone()
    projection.refresh()
    kept = ~projection.gone

    torch.testing.assert_close(downdated, projection.inverse, **EXACT)
    torch.testing.assert_close(
        downdated[kept][:, kept], torch.linalg.inv(damped.matrix[kept][:, kept]), **EXACT
    )


def test_neurons_go_in_the_order_of_their_cost_when_one_goes_at_a_time() -> None:
    w, damped = layer(10, 24)
    scores = Projection(w, damped).neuron_scores()
    costs = []
    for neuron in range(24):
        projection = Projection(w, damped)
        projection.remove(torch.tensor([neuron]))
        costs.append(projection.spent)

    torch.testing.assert_close(scores / 2, torch.tensor(costs, dtype=torch.float64), **EXACT)


def test_a_removed_neuron_is_never_chosen_again() -> None:
    w, damped = layer(10, 24)
    projection = Projection(w, damped)
    remove_neurons(projection, 5)
    remove_neurons(projection, 4)

    assert int(projection.gone.sum()) == 9
    assert not projection.weight[:, projection.gone].any()


def test_the_exact_score_of_a_head_is_what_removing_it_costs() -> None:
    w, damped = layer(10, 24)
    scores = Projection(w, damped).head_scores(4, "exact")
    for head in range(6):
        projection = Projection(w, damped)
        projection.remove(torch.arange(4 * head, 4 * head + 4))
        assert float(scores[head]) == pytest.approx(projection.spent, rel=1e-9)


def test_the_reference_score_of_a_head_uses_the_factor_of_its_block() -> None:
    w, damped = layer(10, 24)
    scores = Projection(w, damped).head_scores(4)
    inverse = torch.linalg.inv(damped.matrix)
    for head in range(6):
        columns = slice(4 * head, 4 * head + 4)
        pivots = torch.linalg.cholesky(inverse[columns, columns]).diagonal() ** 2
        assert float(scores[head]) == pytest.approx(float((w[:, columns] ** 2 / pivots).sum()))


def test_heads_shared_by_two_streams_leave_both_repaired() -> None:
    (w, damped), (other, others) = layer(10, 24), layer(7, 24, 1)
    streams = [Projection(w, damped), Projection(other, others)]
    removed = remove_heads(streams, 4, 2, "exact")

    assert len(set(removed)) == 2
    for stream, before, matrix in ((streams[0], w, damped), (streams[1], other, others)):
        gone = {head for head in range(6) if stream.gone[4 * head : 4 * head + 4].all()}
        assert gone == set(removed)
        torch.testing.assert_close(stream.weight, optimum(before, matrix, ~stream.gone), **EXACT)


def test_ranks_of_two_streams_are_fused_and_ties_go_to_the_image() -> None:
    # Orders of removal [2, 0, 1, 3] and [0, 2, 3, 1] as scores.
    image, text = torch.tensor([1.0, 2, 0, 3]), torch.tensor([0.0, 3, 1, 2])

    assert fused_order([image, text]) == [2, 0, 1, 3]
    assert fused_order([image]) == [2, 0, 1, 3]


def test_a_channel_without_input_is_the_first_neuron_to_go() -> None:
    matrix = hessian(12)
    matrix[7], matrix[:, 7] = 0, 0
    projection = Projection(weight(5, 12), damp(matrix))
    remove_neurons(projection, 1)

    assert projection.gone.nonzero().tolist() == [[7]]
    assert projection.spent == 0


def test_many_neurons_go_in_large_rounds_first() -> None:
    assert list(chunks(2918))[:3] == [1024, 345, 64]
    assert len(list(chunks(2918))) == 27
    assert sum(chunks(2918)) == 2918
    assert list(chunks(0)) == []


def test_l1_orders_neurons_and_heads_over_streams() -> None:
    image = torch.tensor([[1.0, -1, 5, 0], [1, 1, 0, -1]])
    text = torch.tensor([[0.0, 0, -9, 9]])

    assert l1_order([image]) == [3, 0, 1, 2]
    assert l1_order([image], 2) == [0, 1]
    assert l1_order([image, -image, text], 2) == [0, 1]
    assert l1_order([torch.tensor([[9.0, 9, 1, 1]]), text], 2) == [0, 1]


def test_heads_and_neurons_of_one_projection_go_from_their_own_columns() -> None:
    w, damped = layer(10, 24)
    projection = Projection(w, damped)
    heads = remove_heads([projection], 4, 1, "exact", slice(0, 12))
    neurons = remove_neurons(projection, 3, slice(12, 24))
    gone = projection.gone.nonzero().flatten().tolist()

    assert gone[:4] == list(range(4 * heads[0], 4 * heads[0] + 4))
    assert gone[4:] == sorted(12 + neuron for neuron in neurons)
    torch.testing.assert_close(projection.weight, optimum(w, damped, ~projection.gone), **EXACT)


@pytest.mark.parametrize(
    ("heads", "share", "count"), [(38, 0.15, 6), (38, 0.3, 11), (4, 0.99, 3), (1, 0.9, 0)]
)
def test_heads_are_rounded_and_one_stays(heads: int, share: float, count: int) -> None:
    assert heads_to_remove(heads, share) == count


@pytest.mark.parametrize(
    ("width", "share", "multiple", "count"),
    [
        (9728, 0.15, 1, 1459),
        (9728, 0.15, 64, 9728 - 129 * 64),
        (9728, 0.0, 64, 0),
        (100, 0.01, 64, 0),
        (128, 0.99, 64, 64),
        (8, 0.99, 1, 7),
        (96, 0.5, 64, 32),
    ],
)
def test_neurons_leave_a_multiple(width: int, share: float, multiple: int, count: int) -> None:
    assert neurons_to_remove(width, share, multiple) == count
