"""Scores by rank and the segments of the table, against counting by hand."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiences.computed_traits import compute_rfm
from audiences.rfm import RfmSettings, SegmentRange, purchases_of, quintiles, score_purchases

ANY = (1, 5)
HALVES = RfmSettings(
    segments=(
        SegmentRange(segment="champion", recency=(4, 5), frequency_monetary=(4, 5)),
        SegmentRange(segment="other", recency=ANY, frequency_monetary=ANY),
    )
)


@given(st.lists(st.integers(0, 8), min_size=1, max_size=30))
def test_scores_are_fifths_by_rank_and_ties_share_the_better(values: list[int]) -> None:
    """The score falls by one with every fifth of the buyers that is strictly better."""
    expected = [5 - 5 * sum(other > value for other in values) // len(values) for value in values]
    assert quintiles(np.array(values)).tolist() == expected


@pytest.mark.parametrize(
    ("values", "scores"),
    [
        pytest.param([10, 20, 30, 40, 50], [1, 2, 3, 4, 5], id="one each"),
        pytest.param([7, 7, 7], [5, 5, 5], id="all equal"),
        pytest.param([1], [5], id="a single buyer"),
        pytest.param([1, 1, 1, 1, 9], [4, 4, 4, 4, 5], id="most are equal"),
        pytest.param([], [], id="nobody"),
    ],
)
def test_quintiles_of_few(values: list[int], scores: list[int]) -> None:
    """Small numbers of buyers are scored as the definition says."""
    assert quintiles(np.array(values, dtype=np.int64)).tolist() == scores


def test_refunds_lower_the_sum_and_are_no_purchase() -> None:
    """A refund counts in money only, and nobody becomes a buyer by one."""
    found = purchases_of(
        np.array([7, 7, 7, 8, 0], dtype=np.uint32),
        np.array([3, 5, 9, 9, 9]),
        np.array([10.0, 20.0, -5.0, -1.0, 3.0]),
        np.array([False, False, True, True, False]),
    )
    assert found.persons.tolist() == [7]
    assert (found.last_day.tolist(), found.count.tolist(), found.sum.tolist()) == ([5], [2], [25])


def test_segments_follow_the_table() -> None:
    """The first line whose ranges hold names the segment."""
    purchases = purchases_of(
        np.array([1, 2], dtype=np.uint32),
        np.array([9, 1]),
        np.array([50.0, 5.0]),
        np.zeros(2, dtype=np.bool_),
    )
    segment = score_purchases(purchases, HALVES)["rfm_segment"]
    assert [segment.values[code] for code in segment.codes] == ["champion", "other"]


def test_a_table_with_a_gap_is_refused() -> None:
    """Settings that leave a pair of scores without a segment cannot be read."""
    line = {"segment": "champion", "recency": [4, 5], "frequency_monetary": [1, 5]}
    with pytest.raises(msgspec.ValidationError, match="no segment for recency 1"):
        msgspec.convert({"segments": [line]}, RfmSettings)


def test_computed_traits_are_criteria(shop: Any) -> None:
    """Buyers are scored within the window, bots and guests too, and the scores select people."""
    old = shop.NOW_MS - 400 * shop.DAY_MS
    order = {"event": "Order Completed", "properties": {"total": 10}}
    shop.excluded.add(shop.V4)
    shop.fill(
        [
            {**order, "customer": 1, "properties": {"total": 90}},
            {**order, "visitor": shop.V2},
            {**order, "visitor": shop.V3, "at_ms": shop.NOW_MS - 9 * shop.DAY_MS},
            {**order, "visitor": shop.V4, "properties": {"total": 500}},
            {**order, "customer": 2, "at_ms": old},
            {**order, "event": "Order Refunded", "customer": 3},
        ]
    )
    shop.traits.set_computed(compute_rfm(shop.criteria(), HALVES, shop.NOW_MS))
    trait = {"type": "trait", "trait": "rfm_segment", "op": "is", "value": "champion"}
    assert shop.people_of(trait) == {1}
    assert shop.people_of({**trait, "op": "exists", "value": None}) == {1, shop.V3}
    assert shop.people_of({**trait, "op": "is_not"}) == {2, 3, shop.V3}
    assert shop.traits.traits_of(1)["rfm_monetary"] == 5
