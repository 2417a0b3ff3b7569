"""Weights on traits that tell a seed from everybody: log-odds, information, regression, blend.

In come counts per trait and a bounded sample of people; out go `Weights`, which score anybody from
the traits held alone. Pure: no bitmap, no database, no chance.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

FOLDS = 2
"""Everybody is in a fold, scored by the regression that never saw this fold as 'not seed'."""

LOGISTIC_TRAITS_MAX = 200
LOGISTIC_STRENGTH = 0.01
SEED_FOR_LOGISTIC = 50
"""Below so many seed people a regression learns the people instead of what they share."""

LEAK_SHARE = 0.98
LEAK_LIFT = 20.0
LEAK_LIFT_LEAST = 2.0
LEAK_OWNED = 0.5
OWNED_BY_SEED = 0.95


class LookalikeMethod(StrEnum):
    """How twins are ranked; `auto` is whichever does best on the hold-out."""

    AUTO = "auto"
    BLEND = "blend"
    LOGODDS = "logodds"
    IV = "iv"
    LR = "lr"
    MINHASH = "minhash"


class TraitCounts(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """For each trait the people that hold it: of the seed, and of everybody (seed included)."""

    in_seed: NDArray[np.int64]
    in_all: NDArray[np.int64]
    seed: int
    everybody: int


class Sample(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Some of the seed and some others: one row of trait columns each, and the fold of each."""

    rows: csr_matrix
    is_seed: NDArray[np.bool_]
    fold: NDArray[np.uint8]


class Weights(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A score sums `linear[fold]`, and `per_root` over the root of the person's trait count.

    `offset[fold]` is subtracted so that the scores of the folds can stand in one ranking.
    """

    linear: NDArray[np.float64]
    per_root: NDArray[np.float64]
    offset: NDArray[np.float64]

    def score(self, rows: csr_matrix, fold: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Score people by their rows of traits."""
        fold = fold if len(self.linear) > 1 else np.zeros_like(fold)
        straight = (rows @ self.linear.T)[np.arange(len(fold)), fold]
        root = np.sqrt(np.maximum(np.diff(rows.indptr), 1))
        rooted = (rows @ self.per_root) / root
        return np.asarray(straight + rooted - self.offset[fold], dtype=np.float64)

    def on_average(self, traits_held: float) -> NDArray[np.float64]:
        """Give what each trait adds to the score of a person with so many traits."""
        straight = np.asarray(self.linear.mean(axis=0), dtype=np.float64)
        return straight + self.per_root / math.sqrt(max(traits_held, 1.0))


def weigh(method: LookalikeMethod, counts: TraitCounts, sample: Sample) -> Weights:
    """Find the weights of one method; `minhash` and `auto` have none."""
    match method:
        case LookalikeMethod.LOGODDS:
            return _per_root(log_odds(counts))
        case LookalikeMethod.IV:
            return _linear(positive_information(counts))
        case LookalikeMethod.LR:
            return cross_fitted(counts, sample)
        case LookalikeMethod.BLEND:
            parts = [LookalikeMethod.LOGODDS, LookalikeMethod.IV]
            if counts.seed >= SEED_FOR_LOGISTIC:
                parts.append(LookalikeMethod.LR)
            return _z_sum([weigh(part, counts, sample) for part in parts], sample)
    raise ValueError(f"Method {method} has no weights on traits.")


def log_odds(counts: TraitCounts) -> NDArray[np.float64]:
    """Compare the seed's odds of a trait, drawn by ten people towards everybody's, with these."""
    everybody = (counts.in_all + 0.5) / (counts.everybody + 1)
    seed = (counts.in_seed + 10 * everybody) / (counts.seed + 10)
    return _logit(seed) - _logit(everybody)


def information(counts: TraitCounts) -> NDArray[np.float64]:
    """Give each trait's information value: what knowing it tells of seed or not, never negative."""
    everybody = (counts.in_all + 0.5) / (counts.everybody + 1)
    seed = (counts.in_seed + 10 * everybody) / (counts.seed + 10)
    return np.asarray((seed - everybody) * log_odds(counts))


def positive_information(counts: TraitCounts) -> NDArray[np.float64]:
    """Keep the information value of traits that the seed holds more often than all (IV+)."""
    return np.where(log_odds(counts) > 0, information(counts), 0.0)


def cross_fitted(counts: TraitCounts, sample: Sample) -> Weights:
    """Fit one regression per fold, on the seed and on the others of the *other* fold."""
    chosen = np.sort(np.argsort(-information(counts), kind="stable")[:LOGISTIC_TRAITS_MAX])
    few = sample.rows[:, chosen]
    linear = np.zeros((FOLDS, len(counts.in_all)))
    for fold in range(FOLDS):
        train = sample.is_seed | (sample.fold != fold)
        linear[fold, chosen] = logistic(few[train], sample.is_seed[train])
    weights = Weights(
        linear=linear, per_root=np.zeros(linear.shape[1]), offset=np.zeros(len(linear))
    )
    return _z_sum([weights], sample)


def logistic(
    rows: csr_matrix, is_seed: NDArray[np.bool_], *, strength: float = LOGISTIC_STRENGTH
) -> NDArray[np.float64]:
    """Fit an L2 logistic regression in which seed and others weigh the same; give its slopes."""
    signs = np.where(is_seed, 1.0, -1.0)
    total = len(signs)
    heavy = np.where(
        is_seed, total / (2 * max(is_seed.sum(), 1)), total / (2 * max((~is_seed).sum(), 1))
    )
    rows = rows.astype(np.float64)
    columns = rows.T.tocsr()

    def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slopes, intercept = point[:-1], point[-1]
        margin = signs * (rows @ slopes + intercept)
        pull = -signs * heavy * np.exp(-np.logaddexp(0.0, margin)) * strength
        value = strength * float(heavy @ np.logaddexp(0.0, -margin)) + 0.5 * float(slopes @ slopes)
        return value, np.append(columns @ pull + slopes, pull.sum())

    start = np.zeros(rows.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(found.x[:-1], dtype=np.float64)


def find_leaks(traits: Sequence[str], counts: TraitCounts) -> list[str]:
    """Name the traits that define the seed instead of describing it.

    Such a trait is held by nearly all the seed and few others, or by nearly nobody else. Where the
    named traits of one family cover the seed, the family goes whole: not to be `rfm_segment=loyal`
    says as much as to be `rfm_segment=champion`.
    """
    share = counts.in_seed / max(counts.seed, 1)
    owned = counts.in_seed / np.maximum(counts.in_all, 1)
    lift = share * counts.everybody / np.maximum(counts.in_all, 1)
    defines = (share > LEAK_SHARE) & ((lift > LEAK_LIFT) | (owned >= LEAK_OWNED))
    # Why a least lift: where most people are seed, any trait belongs mostly to the seed.
    leaks = (defines | (owned >= OWNED_BY_SEED)) & (lift >= LEAK_LIFT_LEAST)
    covered: dict[str, float] = defaultdict(float)
    for i in np.flatnonzero(leaks).tolist():
        covered[_family(traits[i])] += share[i]
    return [
        trait
        for trait, leaking in zip(traits, leaks, strict=True)
        if leaking or covered.get(_family(trait), 0.0) > LEAK_SHARE
    ]


def _family(trait: str) -> str:
    return trait.rpartition("=")[0] or trait


def _per_root(weights: NDArray[np.float64]) -> Weights:
    return Weights(linear=np.zeros((1, len(weights))), per_root=weights, offset=np.zeros(1))


def _linear(weights: NDArray[np.float64]) -> Weights:
    return Weights(linear=weights[np.newaxis], per_root=np.zeros(len(weights)), offset=np.zeros(1))


def _z_sum(parts: Sequence[Weights], sample: Sample) -> Weights:
    """Add the parts after each has mean 0 and deviation 1 over the sampled others of every fold."""
    folds = max(len(part.linear) for part in parts)
    others = ~sample.is_seed
    linear = np.zeros((folds, parts[0].linear.shape[1]))
    per_root = np.zeros(linear.shape[1])
    offset = np.zeros(folds)
    for part in parts:
        scores = _scores_by_fold(part, sample.rows[others], sample.fold[others], folds)
        deviation = float(np.mean([each.std() for each in scores])) or 1.0
        linear += part.linear / deviation
        per_root += part.per_root / deviation
        offset += (part.offset + [each.mean() for each in scores]) / deviation
    return Weights(linear=linear, per_root=per_root, offset=offset)


def _scores_by_fold(
    part: Weights, rows: csr_matrix, fold: NDArray[np.uint8], folds: int
) -> list[NDArray[np.float64]]:
    scores = part.score(rows, fold)
    if len(part.linear) == 1:
        return [scores] * folds
    return [scores[fold == each] if (fold == each).any() else np.zeros(1) for each in range(folds)]


def _logit(share: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.clip(share, 1e-9, 1 - 1e-9)
    return np.log(share) - np.log1p(-share)
