"""Weights on traits: formulas, sums of parts, and the guard against telling traits."""

import math

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from audiences.lookalike_weights import (
    FOLDS,
    LookalikeMethod,
    Others,
    Sample,
    TraitCounts,
    Weights,
    counted,
    information,
    log_odds,
    positive_information,
    score_together,
    z_sum,
)
from audiences.lookalikes.traits import find_leaks


def count(in_seed: list[int], in_all: list[int], *, seed: int, everybody: int) -> TraitCounts:
    return TraitCounts(
        in_seed=np.array(in_seed), in_all=np.array(in_all), seed=seed, everybody=everybody
    )


def draw_sample(people: int = 400) -> tuple[Sample, TraitCounts]:
    rng = np.random.default_rng(4)
    is_seed = rng.random(people) < 0.3
    chances = np.where(is_seed[:, None], [0.7, 0.2, 0.3, 0.4], [0.2, 0.2, 0.4, 0.4])
    rows = csr_matrix((rng.random((people, 4)) < chances).astype(np.float32))
    sample = Sample(
        columns=rows.tocsc(), is_seed=is_seed, fold=(np.arange(people) % FOLDS).astype(np.uint8)
    )
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


def test_a_sum_adds_standardised_parts() -> None:
    """Parts of any scale score as their z-scores times their shares."""
    sample, counts = draw_sample()
    others = ~sample.is_seed
    rows, fold = sample.columns.tocsr()[others], sample.fold[others]
    parts = [
        (counted(LookalikeMethod.LOGODDS, counts), 2.0),
        (counted(LookalikeMethod.IV, counts), 1.0),
    ]
    expected = np.zeros(others.sum())
    for part, share in parts:
        scores = part.score(rows, fold)
        expected += share * (scores - scores.mean()) / scores.std()
    assert z_sum(parts, Others(rows=rows, fold=fold)).score(rows, fold) == pytest.approx(
        expected, abs=1e-5
    )


def test_merged_weights_are_the_mean_of_the_folds() -> None:
    """One vector for all scores a person as the folds do on average."""
    rng = np.random.default_rng(6)
    weights = Weights(
        linear=rng.normal(size=(FOLDS, 4)),
        per_root=rng.normal(size=4),
        offset=rng.normal(size=FOLDS),
    )
    rows = draw_sample(40)[0].columns.tocsr()
    folds = [np.full(40, each, dtype=np.uint8) for each in range(FOLDS)]
    expected = np.mean([weights.score(rows, fold) for fold in folds], axis=0)
    assert weights.merged().score(rows, folds[0]) == pytest.approx(expected, abs=1e-5)


def test_score_divides_by_the_root_of_the_traits_held() -> None:
    """Four traits halve the per-root sum; a person without traits scores the offset alone."""
    weights = Weights(
        linear=np.array([[1.0, 0, 0, 0]]), per_root=np.full(4, 3.0), offset=np.array([0.5])
    )
    rows = csr_matrix(np.array([[1, 1, 1, 1], [0, 0, 0, 0]], dtype=np.float32))
    assert weights.score(rows, np.array([0, 1], dtype=np.uint8)).tolist() == [6.5, -0.5]


@pytest.mark.parametrize("method", ["auto", "minhash", "lr", "blend"])
def test_only_counting_methods_are_counted(method: str) -> None:
    """A choice, a signature, a regression and a blend are not counts of single traits."""
    _, counts = draw_sample(50)
    with pytest.raises(ValueError, match="does not count"):
        counted(LookalikeMethod(method), counts)


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


def test_many_weights_score_at_once_as_each_alone() -> None:
    """One pass over the traits gives every part's own scores."""
    sample, counts = draw_sample(60)
    rows, fold = sample.columns.tocsr(), sample.fold
    parts = [counted(LookalikeMethod(name), counts) for name in ("logodds", "iv")]
    parts.append(Weights(linear=np.zeros((1, 4)), per_root=np.zeros(4), offset=np.array([0.25])))
    expected = np.stack([part.score(rows, fold) for part in parts], axis=1)
    assert score_together(parts, rows) == pytest.approx(expected)
    by_hand = rows.toarray() @ parts[1].linear[0]
    assert score_together(parts, rows)[:, 1] == pytest.approx(by_hand, abs=1e-6)
    assert set(score_together(parts, rows)[:, 2]) == {-0.25}
