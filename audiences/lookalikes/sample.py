"""A sample of people that is the same whenever it is drawn, whoever came when.

In come people, out go at most so many of them; no chance is involved.
"""

import numpy as np
from pyroaring import BitMap

from matching.bitmaps import bitmap_of, ordinals_of


def steady_sample(people: BitMap, most: int) -> BitMap:
    """Choose people by a hash of their ordinal, so that no order of arrival decides."""
    ordinals = ordinals_of(people)
    if len(ordinals) <= most:
        return people
    mixed = ordinals * np.uint32(0x9E3779B1)
    mixed ^= mixed >> np.uint32(16)
    mixed = mixed * np.uint32(0x85EBCA6B)
    return bitmap_of(ordinals[np.argpartition(mixed, most)[:most]])
