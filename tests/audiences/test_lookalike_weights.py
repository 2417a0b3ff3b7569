"""Weights on traits: formulas, regression, blend, and the guard against telling traits."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from audiences.lookalike_weights import (
    FOLDS,
    LookalikeMethod,
    Sample,
    TraitCounts,
    Weights,
    cross_fitted,
    find_leaks,
    information,
    log_odds,
    logistic,
    positive_information,
    weigh,
)


def count(in_seed: list[int], in_all: list[int], *, seed: int, everybody: int) -> TraitCounts:
    return TraitCounts(
        in_seed=np.array(in_seed), in_all=np.array(in_all), seed=seed, everybody=everybody
    )


def draw_sample(people: int = 400) -> tuple[Sample, TraitCounts]:
    rng = np.random.default_rng(4)
    is_seed = rng.random(people) < 0.3
    chances = np.where(is_seed[:, None], [0.7, 0.2, 0.3, 0.4], [0.2, 0.2, 0.4, 0.4])
    rows = csr_matrix((rng.random((people, 4)) < chances).astype(np.float32))
    sample = Sample(rows=rows, is_seed=is_seed, fold=(np.arange(people) % FOLDS).astype(np.uint8))
    dense = rows.toarray()
    counts = count(
        dense[is_seed].sum(axis=0).astype(int).tolist(),
        dense.sum(axis=0).astype(int).tolist(),
        seed=int(is_seed.sum()),
        everybody=people,
    )
    return sample, counts


def test_log_odds_and_information_follow_their_formulas() -> None:
    """One trait worked out by hand: 60 of 100 seed people, 200 of 1,000 people."""
    counts = count([60], [200], seed=100, everybody=1000)
    q = 200.5 / 1001
    p = (60 + 10 * q) / 110
    lo = math.log(p / (1 - p)) - math.log(q / (1 - q))
    assert log_odds(counts) == pytest.approx([lo])
    assert information(counts) == pytest.approx([(p - q) * lo])


def test_positive_information_drops_what_the_seed_lacks() -> None:
    """A trait that the seed holds less often than everybody weighs nothing in IV+."""
    counts = count([60, 1], [200, 400], seed=100, everybody=1000)
    assert information(counts)[1] > 0
    assert (positive_information(counts) > 0).tolist() == [True, False]


def test_small_seeds_are_drawn_to_everybody() -> None:
    """Three of three people are worth less than sixty of sixty."""
    few = log_odds(count([3], [100], seed=3, everybody=1000))
    many = log_odds(count([60], [100], seed=60, everybody=1000))
    assert 0 < few[0] < many[0]


def test_logistic_stands_at_the_minimum_of_its_loss() -> None:
    """No small step in any direction makes the balanced, penalised loss smaller."""
    sample, _ = draw_sample()
    rows, signs = sample.rows.toarray(), np.where(sample.is_seed, 1.0, -1.0)
    share = np.where(sample.is_seed, sample.is_seed.mean(), 1 - sample.is_seed.mean())

    def loss(slopes: NDArray[np.float64]) -> float:
        intercepts = np.linspace(-6, 6, 4001)
        margins = signs[:, None] * ((rows @ slopes)[:, None] + intercepts)
        each = (np.log1p(np.exp(-margins)) / (2 * share[:, None])).sum(axis=0).min()
        return float(0.5 * slopes @ slopes + 0.01 * each)

    found = logistic(sample.rows, sample.is_seed)
    best = loss(found)
    for i in range(len(found)):
        for step in (-0.05, 0.05):
            assert loss(found + step * np.eye(len(found))[i]) > best


def test_a_fold_never_learns_from_its_own_others() -> None:
    """The weights that score a fold stay the same whoever else is in that fold."""
    sample, counts = draw_sample()
    weights = cross_fitted(counts, sample)
    own = ~sample.is_seed & (sample.fold == 0)
    changed = sample.rows.toarray()
    changed[own] = 1 - changed[own]
    again = cross_fitted(
        counts, Sample(rows=csr_matrix(changed), is_seed=sample.is_seed, fold=sample.fold)
    )
    ratio = again.linear[0] / weights.linear[0]
    assert ratio == pytest.approx(np.full(4, ratio[0]))


def test_blend_is_the_sum_of_standardised_parts() -> None:
    """A blend of three methods scores as the three z-scores added up."""
    sample, counts = draw_sample()
    others = ~sample.is_seed
    rows, fold = sample.rows[others], sample.fold[others]
    blend = weigh(LookalikeMethod.BLEND, counts, sample).score(rows, fold)
    expected = weigh(LookalikeMethod.LR, counts, sample).score(rows, fold)
    for method in (LookalikeMethod.LOGODDS, LookalikeMethod.IV):
        scores = weigh(method, counts, sample).score(rows, fold)
        expected = expected + (scores - scores.mean()) / scores.std()
    assert blend == pytest.approx(expected)


def test_blend_of_a_small_seed_has_no_regression() -> None:
    """Below 50 seed people the weights of both folds are the same."""
    sample, counts = draw_sample(100)
    assert counts.seed < 50
    assert len(weigh(LookalikeMethod.BLEND, counts, sample).linear) == 1


def test_score_divides_by_the_root_of_the_traits_held() -> None:
    """Four traits halve the per-root sum; a person without traits scores the offset alone."""
    weights = Weights(
        linear=np.array([[1.0, 0, 0, 0]]), per_root=np.full(4, 3.0), offset=np.array([0.5])
    )
    rows = csr_matrix(np.array([[1, 1, 1, 1], [0, 0, 0, 0]], dtype=np.float32))
    assert weights.score(rows, np.array([0, 1], dtype=np.uint8)).tolist() == [6.5, -0.5]


@pytest.mark.parametrize("method", [LookalikeMethod.AUTO, LookalikeMethod.MINHASH])
def test_methods_without_weights_are_refused(method: LookalikeMethod) -> None:
    """Neither a choice to be made nor a signature is a weight on a trait."""
    sample, counts = draw_sample(50)
    with pytest.raises(ValueError, match="no weights"):
        weigh(method, counts, sample)


LEAKS = [
    pytest.param(["a=x", "b"], [100, 60], [110, 500], ["a=x"], id="defines the seed"),
    pytest.param(["a=x", "b"], [99, 60], [400, 500], [], id="seed share alone tells nothing"),
    pytest.param(
        ["a=x", "a=y", "a=z"],
        [100, 0, 0],
        [100, 900, 1000],
        ["a=x", "a=y", "a=z"],
        id="the family goes along",
    ),
    pytest.param(
        ["a=x", "a=y", "a=z", "b"],
        [60, 40, 0, 5],
        [60, 40, 900, 90],
        ["a=x", "a=y", "a=z"],
        id="two values make the seed",
    ),
    pytest.param(
        ["a=x", "a=y"], [60, 20], [61, 300], ["a=x"], id="held by the seed alone, family stays"
    ),
    pytest.param(["a=x"], [60], [200], [], id="a strong trait is no leak"),
]


@pytest.mark.parametrize(("traits", "in_seed", "in_all", "expected"), LEAKS)
def test_telling_traits_are_found(
    traits: list[str], in_seed: list[int], in_all: list[int], expected: list[str]
) -> None:
    """Traits that say who is seed are named, those that describe the seed are not."""
    counts = count(in_seed, in_all, seed=100, everybody=2000)
    assert find_leaks(traits, counts) == expected


def test_a_wide_seed_has_no_leaks_by_size() -> None:
    """Where nearly everybody is seed, a trait of everybody is not taken for a leak."""
    counts = count([1700, 900], [1990, 920], seed=1720, everybody=2000)
    assert find_leaks(["a", "b"], counts) == []
