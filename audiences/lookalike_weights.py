"""Weights on traits that tell a seed from everybody: log-odds, information, and sums of such.

In come counts per trait and a bounded sample of people; out go `Weights`, which score anybody from
the traits held alone. Pure: no bitmap, no database, no chance.
"""

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_matrix, csr_matrix

FOLDS: Final = 2
"""Everybody is in a fold, scored by the regression that never saw this fold as 'not seed'."""

SEED_FOR_LOGISTIC: Final = 50
"""Below so many seed people a regression learns the people instead of what they share."""

PRIOR_PEOPLE: Final = 10
"""The seed's share of a trait is drawn to everybody's by so many people of everybody."""

BLEND: Final = {"lr": 2.0, "logodds": 1.0, "iv": 1.0}
"""What is learnt of traits together and what is counted of each alone weigh the same."""


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
    """Some of the seed and some others: their traits by column, and the fold of each."""

    columns: csc_matrix
    is_seed: NDArray[np.bool_]
    fold: NDArray[np.uint8]


class Others(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Sampled people who are not seed: their traits and folds."""

    rows: csr_matrix
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
        parts = [
            Weights(linear=linear[np.newaxis], per_root=self.per_root, offset=offset[np.newaxis])
            for linear, offset in zip(self.linear, self.offset, strict=True)
        ]
        each = score_together(parts, rows)
        return np.asarray(each[np.arange(len(fold)), fold] if len(parts) > 1 else each[:, 0])

    def on_average(self, traits_held: float) -> NDArray[np.float64]:
        """Give what each trait adds to the score of a person with so many traits."""
        straight = np.asarray(self.linear.mean(axis=0), dtype=np.float64)
        return straight + self.per_root / math.sqrt(max(traits_held, 1.0))

    def merged(self) -> "Weights":
        """Give one vector for all folds: where few of many were learnt from, nobody is hurt."""
        linear = self.linear.mean(axis=0, keepdims=True)
        return Weights(
            linear=linear, per_root=self.per_root, offset=self.offset.mean(keepdims=True)
        )


def counted(method: LookalikeMethod, counts: TraitCounts) -> Weights:
    """Find the weights of a method that counts each trait alone."""
    match method:
        case LookalikeMethod.LOGODDS:
            weights = log_odds(counts)
            return Weights(linear=np.zeros((1, len(weights))), per_root=weights, offset=np.zeros(1))
        case LookalikeMethod.IV:
            weights = positive_information(counts)
            return Weights(
                linear=weights[np.newaxis], per_root=np.zeros(len(weights)), offset=np.zeros(1)
            )
    raise ValueError(f"Method {method} does not count traits one by one.")


def score_together(parts: Sequence[Weights], rows: csr_matrix) -> NDArray[np.float64]:
    """Score people by many weights of one fold in one pass over their traits, a column each."""
    columns = [each for part in parts for each in (part.linear[0], part.per_root)]
    used = [i for i, each in enumerate(columns) if each.any()]
    found = np.zeros((rows.shape[0], len(columns)))
    if used:
        found[:, used] = rows @ np.stack([columns[i] for i in used], axis=1).astype(rows.dtype)
    root = np.sqrt(np.maximum(np.diff(rows.indptr), 1))
    offsets = np.array([part.offset[0] for part in parts])
    return np.asarray(found[:, ::2] + found[:, 1::2] / root[:, np.newaxis] - offsets)


def log_odds(counts: TraitCounts) -> NDArray[np.float64]:
    """Compare the seed's odds of a trait, drawn by ten people towards everybody's, with these."""
    seed, everybody = _shares(counts)
    return _logit(seed) - _logit(everybody)


def information(counts: TraitCounts) -> NDArray[np.float64]:
    """Give each trait's information value: what knowing it tells of seed or not, never negative."""
    seed, everybody = _shares(counts)
    return np.asarray((seed - everybody) * log_odds(counts))


def positive_information(counts: TraitCounts) -> NDArray[np.float64]:
    """Keep the information value of traits that the seed holds more often than all (IV+)."""
    return np.where(log_odds(counts) > 0, information(counts), 0.0)


def z_sum(parts: Sequence[tuple[Weights, float]], others: Others) -> Weights:
    """Add parts by their shares after each has mean 0 and deviation 1 over the sampled others."""
    folds = max(len(part.linear) for part, _ in parts)
    traits = parts[0][0].linear.shape[1]
    linear, per_root, offset = np.zeros((folds, traits)), np.zeros(traits), np.zeros(folds)
    for part, share in parts:
        scores = _scores_by_fold(part, others, folds)
        scale = share / (float(np.mean([each.std() for each in scores])) or 1.0)
        linear += part.linear * scale
        per_root += part.per_root * scale
        offset += (part.offset + [each.mean() for each in scores]) * scale
    return Weights(linear=linear, per_root=per_root, offset=offset)


def _shares(counts: TraitCounts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    everybody = (counts.in_all + 0.5) / (counts.everybody + 1)
    seed = (counts.in_seed + PRIOR_PEOPLE * everybody) / (counts.seed + PRIOR_PEOPLE)
    return seed, everybody


def _scores_by_fold(part: Weights, others: Others, folds: int) -> list[NDArray[np.float64]]:
    scores, fold = part.score(others.rows, others.fold), others.fold
    if len(part.linear) == 1:
        return [scores] * folds
    return [scores[fold == each] if (fold == each).any() else np.zeros(1) for each in range(folds)]


def _logit(share: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.clip(share, 1e-9, 1 - 1e-9)
    return np.log(share) - np.log1p(-share)
