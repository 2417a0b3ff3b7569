"""A regression of seed against others on the traits that tell most, at several strengths at once.

In come counts and a sample; out go slopes per fold and strength, and scores of the sample by each.
Which strength is right is for the hold-out to say.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiences.lookalike_weights import FOLDS, Sample, TraitCounts, Weights, information

STEPS_MAX: Final = 100
LOOK_EVERY: Final = 8
ACCURACY: Final = 1e-4
TINY: Final = 1e-12


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


class Moments(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """How many people, how often they hold each trait, and each two traits together."""

    people: int
    sums: NDArray[np.float64]
    products: NDArray[np.float64]

    def mean(self) -> NDArray[np.float64]:
        """Give the share of people with each trait."""
        return np.asarray(self.sums / self.people)

    def spread(self) -> NDArray[np.float64]:
        """Give the covariance."""
        mean = self.mean()
        return np.asarray(self.products / self.people - np.outer(mean, mean))

    def less(self, some: "Moments") -> "Moments":
        """Take some of these people away."""
        return Moments(
            people=self.people - some.people,
            sums=self.sums - some.sums,
            products=self.products - some.products,
        )

    def only(self, traits: NDArray[np.intp]) -> "Moments":
        """Keep some traits, in their order."""
        return Moments(
            people=self.people,
            sums=self.sums[traits],
            products=self.products[np.ix_(traits, traits)],
        )


class Shared(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What all fits on one panel have in common: traits side by side, and sums over people.

    `others` are apart by fold; `is_seed` tells the whole seed, of which a fit may hide some.
    """

    traits: NDArray[np.intp]
    held: NDArray[np.float32]
    is_seed: NDArray[np.bool_]
    seed: Moments
    others: tuple[Moments, ...]


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


def share_products(sample: Sample, counted: Sequence[TraitCounts]) -> Shared:
    """Lay out the traits that any of some fits may choose, and add up what all fits share."""
    traits = np.unique(np.concatenate([_most_telling(counts) for counts in counted]))
    columns = sample.columns[:, traits]
    held = np.zeros(columns.shape, dtype=np.float32)
    held[columns.indices, np.repeat(np.arange(len(traits)), np.diff(columns.indptr))] = 1
    others = [_moments(held[~sample.is_seed & (sample.fold == each)]) for each in range(FOLDS)]
    return Shared(
        traits=traits,
        held=held,
        is_seed=sample.is_seed,
        seed=_moments(held[sample.is_seed]),
        others=tuple(others),
    )


def regress(counts: TraitCounts, sample: Sample, shared: Shared | None = None) -> Regressions:
    """Fit every strength once per fold, on the seed and on the others of the *other* fold.

    The fit is the first Newton step of a logistic regression in which seed and others weigh the
    same, which is Fisher's discriminant. Further steps hardly change the ranking, and each would
    cost as much again for every strength. Scores have mean 0 and deviation 1 over the sampled
    others. Whoever is seed to `shared` and not to the sample is one of the others.
    """
    shared = shared or share_products(sample, [counts])
    chosen = _most_telling(counts)
    places = np.searchsorted(shared.traits, chosen)
    hidden = shared.is_seed & ~sample.is_seed
    hid = [_moments(shared.held[hidden & (sample.fold == each)]) for each in range(FOLDS)]
    seed = shared.seed.less(_sum_of(hid)).only(places)
    slopes = np.zeros((FOLDS, len(chosen), len(STRENGTHS)))
    offset = np.zeros((FOLDS, len(STRENGTHS)))
    scores = np.zeros((len(shared.held), len(STRENGTHS)))
    for fold in range(FOLDS):
        learnt = [
            each for at in range(FOLDS) if at != fold for each in (shared.others[at], hid[at])
        ]
        others = _sum_of(learnt).only(places)
        found = _discriminants(seed, others if others.people else seed)
        own = sample.fold == fold
        spread_out = np.zeros((len(shared.traits), len(STRENGTHS)), dtype=np.float32)
        spread_out[places] = found
        mine = (shared.held[own] @ spread_out).astype(np.float64)
        mean, deviation = _mean_and_deviation(mine[~sample.is_seed[own]])
        slopes[fold], offset[fold] = found / deviation, mean / deviation
        scores[own] = mine / deviation - offset[fold]
    return Regressions(chosen=chosen, slopes=slopes, offset=offset, scores=scores)


def _most_telling(counts: TraitCounts) -> NDArray[np.intp]:
    most = max(each.traits for each in STRENGTHS)
    return np.argsort(-information(counts), kind="stable")[:most]


def _sum_of(some: Sequence[Moments]) -> Moments:
    def add(one: Moments, other: Moments) -> Moments:
        return Moments(
            people=one.people + other.people,
            sums=one.sums + other.sums,
            products=one.products + other.products,
        )

    return reduce(add, some)


def _discriminants(seed: Moments, others: Moments) -> NDArray[np.float64]:
    """Solve (half of both spreads + ridge) slopes = difference of the means, for each strength."""
    difference, both = seed.mean() - others.mean(), (seed.spread() + others.spread()) / 2
    found = np.zeros((len(difference), len(STRENGTHS)))
    for traits in {each.traits for each in STRENGTHS}:
        k = min(traits, len(difference))
        at = [i for i, each in enumerate(STRENGTHS) if each.traits == traits]
        # Why the least: where all are alike nothing may be divided by nothing.
        unit = max(np.trace(both[:k, :k]) / k, 1e-6)
        ridges = np.array([STRENGTHS[i].ridge * unit for i in at])
        found[:k, at] = _solve(np.ascontiguousarray(both[:k, :k]), ridges, difference[:k])
    return found


def _solve(
    spread: NDArray[np.float64], ridges: NDArray[np.float64], difference: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solve for all ridges at once, by Lanczos' steps: they are the same whatever the ridge.

    A factorisation would cost ten times as much, and would be shared among threads, which wait for
    each other wherever the machine has other work.
    """
    length = float(np.linalg.norm(difference))
    found = np.zeros((len(difference), len(ridges)))
    if not length:
        return found
    steps = min(STEPS_MAX, len(difference))
    basis, along, across = np.zeros((steps, len(difference))), np.zeros(steps), np.zeros(steps)
    step = difference / length
    for i in range(steps):
        basis[i] = step
        bent = spread @ step
        along[i] = bent @ step
        # Why all earlier ones again: rounding would let them come back.
        bent -= (basis[: i + 1] @ bent) @ basis[: i + 1]
        across[i] = np.linalg.norm(bent)
        is_last = i + 1 == steps or across[i] <= TINY
        if is_last or (i + 1) % LOOK_EVERY == 0:
            small = _of_three_diagonals(along[: i + 1], across[:i], ridges)
            # Why the last row: times the next step's length it is what is left of the difference.
            if is_last or (np.abs(small[-1]) * across[i] <= ACCURACY).all():
                return np.asarray(length * (basis[: i + 1].T @ small))
        step = bent / across[i]
    return found


def _of_three_diagonals(
    along: NDArray[np.float64], across: NDArray[np.float64], ridges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Solve the small equations whose right side is 1 and noughts, for each ridge."""
    bends, turned = np.linalg.eigh(np.diag(along) + np.diag(across, 1) + np.diag(across, -1))
    return np.asarray(turned @ (turned[0][:, np.newaxis] / (bends[:, np.newaxis] + ridges)))


def _moments(held: NDArray[np.float32]) -> Moments:
    """Add up traits and their products; of ones and noughts both are exact in single precision."""
    return Moments(
        people=len(held),
        sums=held.sum(axis=0, dtype=np.float64),
        products=(held.T @ held).astype(np.float64),
    )


def _mean_and_deviation(
    scores: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if not len(scores):
        return np.zeros(scores.shape[1]), np.ones(scores.shape[1])
    deviation = scores.std(axis=0)
    return scores.mean(axis=0), np.where(deviation > 0, deviation, 1.0)
