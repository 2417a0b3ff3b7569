"""Likeness: scores as the share of seed among as many others."""

import numpy as np
import pytest

from audiences.lookalikes.likeness import learn_likeness


def test_likeness_is_the_share_of_seed_among_as_many_others() -> None:
    """Of two bells one deviation apart, the share at a score is what their densities say."""
    rng = np.random.default_rng(1)
    others, seed = rng.normal(0, 1, 200_000), rng.normal(1.0, 1, 5_000)
    is_seed = np.arange(205_000) >= 200_000
    likeness = learn_likeness(np.concatenate([others, seed]), is_seed)
    asked = np.array([-1.0, 0.0, 0.5, 1.0, 2.0])
    expected = 1 / (1 + np.exp(-(asked - 0.5)))
    assert likeness.of(asked) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("asked", [0.01, 0.5, 0.99])
def test_a_likeness_is_a_score_and_back(asked: float) -> None:
    """The least score of a likeness has that likeness."""
    rng = np.random.default_rng(2)
    is_seed = rng.random(500) < 0.2
    likeness = learn_likeness(rng.normal(size=500) + is_seed, is_seed)
    assert likeness.of(np.array([likeness.score(asked)])) == pytest.approx([asked])


SCORES = [
    pytest.param(np.zeros(100), id="all alike"),
    pytest.param(np.where(np.arange(100) < 20, 5.0, -5.0), id="told apart"),
    pytest.param(np.where(np.arange(100) < 20, -1.0, 1.0), id="worse than chance"),
]


@pytest.mark.parametrize("scores", SCORES)
def test_a_better_score_is_never_less_alike(scores: np.ndarray) -> None:
    """Whatever the hidden say, likeness rises with the score and stays a number."""
    likeness = learn_likeness(scores, np.arange(100) < 20)
    assert likeness.slope > 0
    assert np.isfinite(likeness.of(np.array([-9.0, 9.0]))).all()
