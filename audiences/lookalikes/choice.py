"""Who is taken of a ranking: so many, those so alike, or the best at several sizes at once.

In comes a ranking, out go bitmaps of people. Why they rank so is not asked here.
"""

from collections.abc import Sequence

import numpy as np
from pyroaring import BitMap

from audiences.lookalikes.ranges import Ranking
from matching.bitmaps import bitmap_of


def take_best(ranking: Ranking, size: int, rng: np.random.Generator) -> BitMap:
    """Take people above the threshold, and by lot those on it: nobody wins by arriving early."""
    scores = ranking.scores
    threshold = np.partition(scores, len(scores) - size)[len(scores) - size]
    above = scores > threshold
    equal = np.flatnonzero(scores == threshold)
    lots = rng.choice(equal, size - int(above.sum()), replace=False)
    return bitmap_of(ranking.ordinals[above]) | bitmap_of(ranking.ordinals[lots])


def take_alike(ranking: Ranking, score: float) -> BitMap:
    """Take everybody of this score or a better one."""
    return bitmap_of(ranking.ordinals[ranking.scores >= score])


def ladder(ranking: Ranking, sizes: Sequence[int]) -> tuple[BitMap, ...]:
    """Take the best of ascending sizes, each inside the next."""
    scores, most = ranking.scores, sizes[-1]
    threshold = np.partition(scores, len(scores) - most)[len(scores) - most]
    best = np.flatnonzero(scores >= threshold)
    # Why parts and no order: who stands where within a step changes nobody's step.
    best = best[np.argpartition(-scores[best], [size - 1 for size in sizes])]
    steps, taken = [BitMap()], 0
    for size in sizes:
        steps.append(steps[-1] | bitmap_of(np.sort(ranking.ordinals[best[taken:size]])))
        taken = size
    return tuple(steps[1:])
