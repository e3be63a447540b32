"""What is kept is good, and unlike the rest of what is kept."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgtool.api import BadParams, Batch
from imgtool.builtin.select.alike import unlike_vectors
from imgtool.builtin.select.diverse import Diverse, DiverseParams

VECTORS = st.lists(
    st.tuples(*[st.floats(-1, 1, width=16)] * 3), min_size=1, max_size=9
)  # fmt: skip
GOOD = st.sampled_from([None, 0.0, 0.25, 1.0])


def kept(batch: Batch, **params: object) -> list[str]:
    stage = Diverse()
    stage.params = DiverseParams(**{"scope": "run", **params})  # type: ignore[arg-type]
    return list(stage.process(batch).ids)


def batch_of(vectors: list[tuple[float, ...]], **columns: list[object]) -> Batch:
    embeds = [np.array(vector, "float32") for vector in vectors]
    ids = tuple(f"0.{at}" for at in range(len(vectors)))
    return Batch(ids, {"image_embeds": embeds, **columns})


def worth(good: float | None) -> float:
    return -1.0 if good is None else good


@given(VECTORS, st.integers(1, 10), st.floats(0, 1), st.data())
def test_k_rows_in_their_order_the_best_among_them(
    vectors: list[tuple[float, ...]], k: int, quality: float, data: st.DataObject
) -> None:
    good = data.draw(st.lists(GOOD, min_size=len(vectors), max_size=len(vectors)))
    batch = batch_of(vectors, good=good)
    found = kept(batch, k=k, by="good", quality=quality)

    assert len(found) == min(k, len(batch))
    assert found == [row_id for row_id in batch.ids if row_id in found]
    best = max(range(len(good)), key=lambda at: (worth(good[at]), -at))
    assert batch.ids[best] in found
    assert found == kept(batch, k=k, by="good", quality=quality)


@given(VECTORS, st.integers(1, 10), st.data())
def test_quality_alone_is_the_plain_best(
    vectors: list[tuple[float, ...]], k: int, data: st.DataObject
) -> None:
    good = data.draw(st.lists(GOOD, min_size=len(vectors), max_size=len(vectors)))
    best = sorted(range(len(good)), key=lambda at: (-worth(good[at]), at))[:k]
    found = kept(batch_of(vectors, good=good), k=k, by="good", quality=1.0)
    assert found == [f"0.{at}" for at in sorted(best)]


@given(VECTORS, st.integers(1, 4))
def test_no_row_is_further_from_a_kept_one_than_twice_what_is_possible(
    vectors: list[tuple[float, ...]], k: int
) -> None:
    far = unlike_vectors(np.array(vectors))
    table = np.array([far(at) for at in range(len(vectors))])

    def reach(chosen: tuple[int, ...]) -> float:
        return float(table[list(chosen)].min(axis=0).max())

    found = tuple(int(i.partition(".")[2]) for i in kept(batch_of(vectors), k=k))
    every = itertools.combinations(range(len(vectors)), min(k, len(vectors)))
    # Angles between nearly equal vectors are exact to about 1e-8.
    assert reach(found) <= 2 * min(map(reach, every)) + 1e-6


def test_a_row_like_one_already_kept_gives_way_to_a_worse_one_unlike_it() -> None:
    batch = batch_of([(1, 0, 0), (1, 0.01, 0), (0, 1, 0)], good=[1.0, 0.9, 0.4])
    assert kept(batch, k=2, by="good", quality=0.3) == ["0.0", "0.2"]
    assert kept(batch, k=2, by="good", quality=0.9) == ["0.0", "0.1"]


def test_pictures_are_compared_by_how_they_look_when_there_are_no_vectors() -> None:
    rng = np.random.default_rng(3)
    one, other = (np.kron(rng.integers(0, 255, (9, 9, 3)), np.ones((6, 6, 1))) for _ in range(2))
    near = np.clip(one + 3, 0, 255)
    images = [picture.astype(np.uint8) for picture in (one, near, other)]
    batch = Batch(("a", "b", "c"), {"image": images})
    assert kept(batch, k=2) == ["a", "c"]


def test_rows_compete_with_their_siblings_unless_told_otherwise() -> None:
    batch = batch_of([(1, 0, 0)] * 4)
    families = Batch(("0.0", "0.1", "1.0", "1.1"), batch.columns)
    assert kept(families, k=1, scope="siblings") == ["0.0", "1.0"]
    assert kept(families, k=1) == ["0.0"]


@pytest.mark.parametrize("on", ["prompt", "nothing", "ragged"])
def test_what_is_no_vector_is_refused(on: str) -> None:
    batch = batch_of([(1, 0, 0)] * 2, prompt=["a", "b"], ragged=[[1.0], [1.0, 2.0]])
    with pytest.raises(BadParams, match=on):
        kept(batch, on=on)
