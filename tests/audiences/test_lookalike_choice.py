"""Who is taken of a ranking, against sorting everybody."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiences.lookalikes.choice import ladder, take_alike, take_best
from audiences.lookalikes.ranges import Ranking

some_scores = st.lists(st.integers(-3, 3), min_size=1, max_size=40)


def ranking_of(scores: list[int]) -> Ranking:
    ordinals = np.arange(len(scores), dtype=np.uint32) * 1_000 + 5
    return Ranking(ordinals=ordinals, scores=np.array(scores, dtype=np.float32))


def scores_of(ranking: Ranking, people: object) -> list[float]:
    taken = np.isin(ranking.ordinals, np.array(list(people), dtype=np.uint32))  # type: ignore[call-overload]
    return sorted(ranking.scores[taken].tolist(), reverse=True)


@given(some_scores, st.data())
def test_the_best_are_taken(scores: list[int], data: st.DataObject) -> None:
    """So many people as asked for, and nobody left outside is better than one inside."""
    size = data.draw(st.integers(1, len(scores)))
    ranking = ranking_of(scores)
    members = take_best(ranking, size, np.random.default_rng(0))
    assert scores_of(ranking, members) == sorted(scores, reverse=True)[:size]


@given(some_scores, st.data())
def test_steps_are_the_best_of_each_size(scores: list[int], data: st.DataObject) -> None:
    """Each step holds so many of the best and all of the step before."""
    sizes = sorted(data.draw(st.lists(st.integers(1, len(scores)), min_size=1, max_size=5)))
    ranking = ranking_of(scores)
    steps = ladder(ranking, sizes)
    for i, (size, step) in enumerate(zip(sizes, steps, strict=True)):
        assert scores_of(ranking, step) == sorted(scores, reverse=True)[:size]
        assert i == 0 or steps[i - 1] <= step


@pytest.mark.parametrize(("least", "expected"), [(0.5, 2), (1.0, 2), (-9.0, 4), (9.0, 0)])
def test_those_alike_enough_are_taken(least: float, expected: int) -> None:
    """Everybody of this score or better is in, however many they are."""
    ranking = ranking_of([1, -1, 0, 3])
    assert len(take_alike(ranking, least)) == expected
