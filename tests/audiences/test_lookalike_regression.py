"""The regression of seed against others: right slopes, no learning from whom it scores."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from audiences.lookalike_weights import FOLDS, Sample, TraitCounts
from audiences.lookalikes.regression import STRENGTHS, regress, share_products

PEOPLE = 600


def sample_of(held: np.ndarray, is_seed: np.ndarray) -> tuple[Sample, TraitCounts]:
    rows = csr_matrix(held.astype(np.float32))
    fold = (np.arange(len(held)) // 2 % FOLDS).astype(np.uint8)
    counts = TraitCounts(
        in_seed=held[is_seed].sum(axis=0).astype(np.int64),
        in_all=held.sum(axis=0).astype(np.int64),
        seed=int(is_seed.sum()),
        everybody=len(held),
    )
    return Sample(columns=rows.tocsc(), is_seed=is_seed, fold=fold), counts


def draw(traits: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    is_seed = rng.random(PEOPLE) < 0.25
    activity = rng.gamma(2, 0.2, PEOPLE)
    chance = np.clip(activity[:, None] * rng.uniform(0.2, 1, traits), 0, 0.9)
    chance[:, :20] += 0.3 * is_seed[:, None]
    return rng.random((PEOPLE, traits)) < chance, is_seed


def test_every_strength_solves_its_equations() -> None:
    """Slopes times (half of both spreads + ridge) give the difference of the means."""
    held, is_seed = draw()
    sample, counts = sample_of(held, is_seed)
    found = regress(counts, sample)
    for fold in range(FOLDS):
        others = held[~is_seed & (sample.fold != fold)][:, found.chosen].astype(float)
        seed = held[is_seed][:, found.chosen].astype(float)
        spread = (np.cov(seed.T, bias=True) + np.cov(others.T, bias=True)) / 2
        for i, strength in enumerate(STRENGTHS):
            k = strength.traits
            ridge = strength.ridge * np.trace(spread[:k, :k]) / k
            slopes = found.slopes[fold, :k, i]
            solved = spread[:k, :k] @ slopes + ridge * slopes
            difference = (seed.mean(axis=0) - others.mean(axis=0))[:k]
            assert np.corrcoef(solved, difference)[0, 1] > 1 - 1e-6
            assert not found.slopes[fold, k:, i].any()


def test_one_step_ranks_as_the_whole_regression_does() -> None:
    """A logistic regression solved to its end ranks people as its first Newton step."""
    held, is_seed = draw(40)
    sample, counts = sample_of(held, is_seed)
    found = regress(counts, sample)
    place = next(i for i, each in enumerate(STRENGTHS) if each.ridge == 1.0)
    train, ranked = is_seed | (sample.fold != 0), sample.fold == 0
    x, y = held[train].astype(float), np.where(is_seed[train], 1.0, -1.0)
    weight = np.where(y > 0, 0.5 / (y > 0).sum(), 0.5 / (y < 0).sum())
    variance = np.mean([x[y > 0].var(axis=0).mean(), x[y < 0].var(axis=0).mean()])

    def loss(point: np.ndarray) -> float:
        margin = y * (x @ point[:-1] + point[-1])
        return float(weight @ np.logaddexp(0, -margin) + variance / 8 * point[:-1] @ point[:-1])

    solved = minimize(loss, np.zeros(41), method="L-BFGS-B").x[:-1]
    theirs = held[ranked].astype(float) @ solved
    assert np.corrcoef(theirs, found.scores[ranked, place])[0, 1] > 0.98


def test_a_fold_never_learns_from_its_own_others() -> None:
    """The slopes that score a fold stay the same whoever else is in that fold."""
    held, is_seed = draw(40)
    sample, counts = sample_of(held, is_seed)
    before = regress(counts, sample)
    own = ~is_seed & (sample.fold == 0)
    held[own] = ~held[own]
    changed, _ = sample_of(held, is_seed)
    after = regress(counts, changed)
    ratio = after.slopes[0] / before.slopes[0]
    assert ratio == pytest.approx(np.broadcast_to(ratio[0], ratio.shape))
    assert after.slopes[1] != pytest.approx(before.slopes[1])


def test_weights_give_the_scores_of_the_sample() -> None:
    """Slopes spread over all traits score the sample as the fit told."""
    held, is_seed = draw()
    sample, counts = sample_of(held, is_seed)
    found = regress(counts, sample)
    for i in (0, len(STRENGTHS) - 1):
        weights = found.weights(i, held.shape[1])
        assert weights.score(sample.columns.tocsr(), sample.fold) == pytest.approx(
            found.scores[:, i], abs=1e-4
        )


def test_scores_are_in_units_of_the_others() -> None:
    """In each fold the others have mean 0 and deviation 1, at every strength."""
    held, is_seed = draw(30)
    sample, counts = sample_of(held, is_seed)
    scores = regress(counts, sample).scores
    for fold in range(FOLDS):
        others = scores[(sample.fold == fold) & ~is_seed]
        assert others.mean(axis=0) == pytest.approx(0, abs=1e-6)
        assert others.std(axis=0) == pytest.approx(1)


def test_traits_without_any_difference_break_nothing() -> None:
    """Where all hold the same, all score the same."""
    sample, counts = sample_of(np.ones((80, 3), dtype=bool), np.arange(80) < 60)
    assert not regress(counts, sample).scores.any()


def test_hiding_some_of_the_seed_is_as_if_they_had_never_been_seed() -> None:
    """What fits share changes no fit: the hidden stand among the others of their fold."""
    held, is_seed = draw(60)
    whole, counts = sample_of(held, is_seed)
    kept = is_seed & (np.random.default_rng(5).random(PEOPLE) < 0.8)
    alone, counts_alone = sample_of(held, kept)
    shared = share_products(whole, [counts, counts_alone])
    together = regress(counts_alone, alone, shared)
    expected = regress(counts_alone, alone)
    assert together.chosen.tolist() == expected.chosen.tolist()
    assert together.slopes == pytest.approx(expected.slopes, abs=1e-5)
    assert together.scores == pytest.approx(expected.scores, abs=1e-4)
