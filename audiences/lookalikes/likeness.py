"""Turns scores into a likeness from 0 to 1 that means the same whatever the method.

In come scores of hidden seed people and of others; out goes a curve. Likeness 0.8 says: among as
many seed people as others, four of five with this score are seed. It is no chance to buy anything.
"""

import math
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

STEPS_MAX: Final = 30
SLOPE_LEAST: Final = 1e-3
"""A better score is never less alike, and however little a score tells, sizes follow from it."""
HELD_BACK: Final = 1e-3


class Likeness(msgspec.Struct, frozen=True, kw_only=True):
    """A logistic curve of scores."""

    slope: float
    offset: float

    def of(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the likeness of scores."""
        return np.asarray(1 / (1 + np.exp(-(self.slope * scores + self.offset))))

    def score(self, likeness: float) -> float:
        """Give the least score of so much likeness."""
        return (math.log(likeness / (1 - likeness)) - self.offset) / self.slope


def learn_likeness(scores: NDArray[np.float64], is_seed: NDArray[np.bool_]) -> Likeness:
    """Fit the curve by Newton's steps; seed and others weigh the same, however many they are."""
    weight = np.where(is_seed, 0.5 / max(is_seed.sum(), 1), 0.5 / max((~is_seed).sum(), 1))
    columns = np.stack([scores, np.ones(len(scores))], axis=1)
    point = np.zeros(2)
    for _ in range(STEPS_MAX):
        chance = 1 / (1 + np.exp(-np.clip(columns @ point, -30, 30)))
        downhill = columns.T @ (weight * (is_seed - chance)) - HELD_BACK * point * [1, 0]
        bend = (columns * (weight * chance * (1 - chance))[:, None]).T @ columns
        bend += np.diag([HELD_BACK, 1e-9])
        step = np.linalg.solve(bend, downhill)
        point = point + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-6:
            break
    return Likeness(slope=max(float(point[0]), SLOPE_LEAST), offset=float(point[1]))
