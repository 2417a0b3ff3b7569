"""A regression of seed against others on the traits that tell most, at several strengths at once.

In come counts and a sample; out go slopes per fold and strength, and scores of the sample by each.
Which strength is right is for the hold-out to say.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from audiences.lookalike_weights import FOLDS, Sample, TraitCounts, Weights, information

LEARNT_MAX: Final = 10_000
"""So many of the seed, and of the others of a fold, are learnt from: enough for 200 slopes."""

STEPS_MAX: Final = 100
ACCURACY: Final = 1e-4
TINY: Final = 1e-300


class Strength(msgspec.Struct, frozen=True, kw_only=True):
    """How freely a regression may learn: on so many traits, held back by so strong a ridge.

    The ridge is in units of the traits' mean variance, so that it means the same for any data.
    """

    traits: int
    ridge: float


STRENGTHS: Final = tuple(
    Strength(traits=traits, ridge=ridge)
    for traits in (50, 200)
    for ridge in (0.3, 1.0, 3.0, 10.0, 30.0)
)


class Regressions(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Slopes [fold, trait, strength] on the traits `chosen`, and the scores of the whole sample."""

    chosen: NDArray[np.intp]
    slopes: NDArray[np.float64]
    offset: NDArray[np.float64]
    scores: NDArray[np.float64]

    def weights(self, strength: int, traits: int) -> Weights:
        """Spread the slopes of one strength over all traits."""
        linear = np.zeros((FOLDS, traits))
        linear[:, self.chosen] = self.slopes[:, :, strength]
        return Weights(
            linear=linear, per_root=np.zeros(traits), offset=self.offset[:, strength].copy()
        )


def regress(counts: TraitCounts, sample: Sample) -> Regressions:
    """Fit every strength once per fold, on the seed and on the others of the *other* fold.

    The fit is the first Newton step of a logistic regression in which seed and others weigh the
    same, which is Fisher's discriminant. Further steps hardly change the ranking, and each would
    cost as much again for every strength. Scores have mean 0 and deviation 1 over the sampled
    others.
    """
    most = max(each.traits for each in STRENGTHS)
    chosen = np.argsort(-information(counts), kind="stable")[:most]
    held = np.asarray(sample.columns[:, chosen].toarray(), dtype=np.float32)
    seed = held[sample.is_seed][:LEARNT_MAX]
    slopes = np.zeros((FOLDS, len(chosen), len(STRENGTHS)))
    offset = np.zeros((FOLDS, len(STRENGTHS)))
    scores = np.zeros((len(held), len(STRENGTHS)))
    for fold in range(FOLDS):
        own = sample.fold == fold
        others = held[~sample.is_seed & ~own][:LEARNT_MAX]
        found = _discriminants(seed, others if len(others) else held)
        mine = (held[own] @ found.astype(np.float32)).astype(np.float64)
        everyday = mine[~sample.is_seed[own]]
        mean, deviation = _mean_and_deviation(everyday)
        slopes[fold], offset[fold] = found / deviation, mean / deviation
        scores[own] = mine / deviation - offset[fold]
    return Regressions(chosen=chosen, slopes=slopes, offset=offset, scores=scores)


def _discriminants(seed: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Solve (half of both spreads + ridge) slopes = difference of the means, for each strength."""
    (seed_mean, seed_spread), (mean, spread) = _moments(seed), _moments(others)
    difference, both = seed_mean - mean, (seed_spread + spread) / 2
    found = np.zeros((len(difference), len(STRENGTHS)))
    for traits in {each.traits for each in STRENGTHS}:
        k = min(traits, len(difference))
        at = [i for i, each in enumerate(STRENGTHS) if each.traits == traits]
        # Why the least: where all are alike nothing may be divided by nothing.
        unit = max(np.trace(both[:k, :k]) / k, 1e-6)
        ridges = np.array([STRENGTHS[i].ridge * unit for i in at])
        found[:k, at] = _solve(both[:k, :k], ridges, difference[:k])
    return found


def _solve(
    spread: NDArray[np.float64], ridges: NDArray[np.float64], difference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solve for all ridges at once by conjugate gradients.

    A factorisation would be shared among threads, which wait for each other wherever the machine
    has other work: on two busy cores that took eight times as long.
    """
    product = csr_matrix(spread)
    found = np.zeros((len(difference), len(ridges)))
    rest = np.repeat(difference[:, None], len(ridges), axis=1)
    step, left = rest.copy(), (rest**2).sum(axis=0)
    enough = left * ACCURACY**2
    for _ in range(STEPS_MAX):
        if (left <= enough).all():
            break
        bent = product @ step + step * ridges
        length = left / np.maximum((step * bent).sum(axis=0), TINY)
        found += step * length
        rest = rest - bent * length
        before, left = left, (rest**2).sum(axis=0)
        step = rest + step * (left / np.maximum(before, TINY))
    return found


def _moments(held: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give mean and covariance; products of ones and noughts are exact in single precision."""
    mean = held.mean(axis=0, dtype=np.float64)
    products = (held.T @ held).astype(np.float64)
    return mean, products / len(held) - np.outer(mean, mean)


def _mean_and_deviation(
    scores: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not len(scores):
        return np.zeros(scores.shape[1]), np.ones(scores.shape[1])
    deviation = scores.std(axis=0)
    return scores.mean(axis=0), np.where(deviation > 0, deviation, 1.0)
