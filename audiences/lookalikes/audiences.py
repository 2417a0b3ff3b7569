"""Which of our own audiences are alike: pairs found by signatures, then counted exactly.

In come audiences as bitmaps of people, out go pairs with their Jaccard likeness. Signatures are of
a sample of people, the same for all audiences, so that size costs nothing.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
import numpy as np
from pyroaring import BitMap

from audiences.lookalike_signatures import alike_pairs, token_table
from audiences.lookalikes.sample import steady_sample
from matching.bitmaps import ordinals_of

PEOPLE_SAMPLED: Final = 20_000
CLOSE: Final = 0.1
"""Signatures are asked for pairs a little less alike, because they err."""
LEAST: Final = 0.3


class AlikePair(msgspec.Struct, frozen=True, kw_only=True):
    """Two audiences, and what share of the people in either is in both."""

    first: str
    second: str
    jaccard: float


def alike_audiences(
    members: Mapping[str, BitMap], *, least: float = LEAST
) -> tuple[AlikePair, ...]:
    """Give all pairs of audiences of at least so much likeness, the most alike first."""
    everybody = BitMap.union(BitMap(), *members.values())
    sample = steady_sample(everybody, PEOPLE_SAMPLED)
    table = token_table([str(person) for person in sample])
    signed = {
        key: table.values[_places(sample, people)].min(axis=0)
        for key, people in members.items()
        if people.intersection_cardinality(sample)
    }
    found = []
    for first, second, _ in alike_pairs(signed, table.scheme, least=max(least - CLOSE, CLOSE)):
        jaccard = members[first].jaccard_index(members[second])
        if jaccard >= least:
            found.append(AlikePair(first=first, second=second, jaccard=round(jaccard, 6)))
    return tuple(sorted(found, key=lambda pair: (-pair.jaccard, pair.first, pair.second)))


def _places(sample: BitMap, people: BitMap) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.searchsorted(ordinals_of(sample), ordinals_of(people & sample))
