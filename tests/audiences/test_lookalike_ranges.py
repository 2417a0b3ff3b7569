"""Scoring by ranges: everybody once, with the score that adding up by hand gives."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.lookalike_signatures import fold_signatures, mean_similarity, token_table
from audiences.lookalike_weights import FOLDS, Weights
from audiences.lookalikes.ranges import (
    PLACES_MAX,
    RANGE_ORDINALS,
    SIGNATURE_RANGE_ORDINALS,
    columns_of,
    fold_of,
    ranges,
    rank_by_likeness,
    rank_by_weights,
)
from matching.bitmaps import ordinals_of
from matching.ids import ORDINAL_LAST, VISITOR_FIRST

EDGES = [
    1,
    RANGE_ORDINALS - 1,
    RANGE_ORDINALS,
    VISITOR_FIRST - 1,
    VISITOR_FIRST,
    VISITOR_FIRST + RANGE_ORDINALS,
    ORDINAL_LAST,
]
people_near_edges = st.sets(
    st.builds(
        lambda edge, step: min(max(edge + step, 1), ORDINAL_LAST),
        st.sampled_from(EDGES),
        st.integers(-3, 3),
    )
)


@given(people_near_edges, st.sampled_from([RANGE_ORDINALS, SIGNATURE_RANGE_ORDINALS]))
def test_ranges_hold_everybody_once(people: set[int], width: int) -> None:
    """Ranges are disjoint, ascending, never empty, and together they are everybody."""
    parts = list(ranges(BitMap(people), width))
    assert [ordinal for part in parts for ordinal in part] == sorted(people)
    assert all(part and part.min() // width == part.max() // width for part in parts)


@pytest.mark.parametrize("folds", [1, FOLDS])
@given(people=people_near_edges.filter(bool), data=st.data())
def test_scores_are_the_sums_of_weights(folds: int, people: set[int], data: st.DataObject) -> None:
    """Each person's score is what a loop over its traits gives."""
    some = st.sets(st.sampled_from([*sorted(people), 77]))
    traits = [BitMap(data.draw(some)) for _ in range(3)]
    rng = np.random.default_rng(len(people))
    weights = Weights(
        linear=rng.normal(size=(folds, 3)),
        per_root=rng.normal(size=3),
        offset=rng.normal(size=folds),
    )
    ranking = rank_by_weights(BitMap(people), traits, weights)
    expected = []
    for ordinal in sorted(people):
        fold = int(fold_of(np.array([ordinal], dtype=np.uint32))[0]) if folds > 1 else 0
        held = [i for i, trait in enumerate(traits) if ordinal in trait]
        straight = sum(weights.linear[fold, i] for i in held)
        rooted = sum(weights.per_root[i] for i in held) / math.sqrt(max(len(held), 1))
        expected.append(straight + rooted - weights.offset[fold])
    assert ranking.ordinals.tolist() == sorted(people)
    assert ranking.scores == pytest.approx(expected, abs=1e-4)


def test_a_sample_scores_as_everybody_does() -> None:
    """The rows of a sample and the bitmaps of everybody give a person one score."""
    rng = np.random.default_rng(1)
    people = BitMap(rng.integers(VISITOR_FIRST, VISITOR_FIRST + 5_000, 800).tolist())
    traits = [BitMap(rng.choice(ordinals_of(people), 200).tolist()) for _ in range(5)]
    weights = Weights(
        linear=rng.normal(size=(FOLDS, 5)),
        per_root=rng.normal(size=5),
        offset=rng.normal(size=FOLDS),
    )
    by_rows = weights.score(columns_of(people, traits).tocsr(), fold_of(ordinals_of(people)))
    assert rank_by_weights(people, traits, weights).scores == pytest.approx(by_rows, abs=1e-4)


def test_likeness_by_ranges_is_likeness_at_once() -> None:
    """Signing range by range gives the similarity that signing all together gives."""
    rng = np.random.default_rng(2)
    spread = np.arange(1, 400) * (SIGNATURE_RANGE_ORDINALS // 100)
    people = BitMap(spread.tolist())
    traits = [BitMap(rng.choice(spread, 150).tolist()) for _ in range(12)]
    table = token_table([f"product:{i}" for i in range(12)])
    rows = columns_of(people, traits).tocsr()
    signed = fold_signatures(table, rows.indptr.astype(np.int64), rows.indices)
    ranking = rank_by_likeness(people, traits, table, signed)
    assert ranking.scores == pytest.approx(mean_similarity(signed, signed), abs=1e-6)


def test_folds_are_halves_of_both_kinds() -> None:
    """About as many customers as visitors are in either fold."""
    for first in (1, VISITOR_FIRST):
        folds = fold_of(np.arange(first, first + 10_000, dtype=np.uint32))
        assert np.bincount(folds) == pytest.approx([5_000, 5_000], rel=0.05)


@pytest.mark.parametrize("step", [1, PLACES_MAX // 50], ids=["close", "far apart"])
def test_rows_of_a_sample_are_who_holds_what(step: int) -> None:
    """A person's row names the traits whose bitmaps hold it, wherever its ordinal lies."""
    people = BitMap(range(7, 7 + 100 * step, step))
    traits = [BitMap(list(people)[::each]) | BitMap([3]) for each in (1, 2, 7)] + [BitMap()]
    rows = columns_of(people, traits).toarray().astype(bool)
    assert rows.tolist() == [[person in trait for trait in traits] for person in people]
