"""How many ids of a seat some people have, without walking their browsers.

In go the carriers of a seat once, and then people as often as wanted; counts go out. An id that
several of the people carry counts once.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.exports.reach import Carriers, sendable_rows
from matching.bitmaps import bitmap_of, bitmap_of_mask, ordinals_of
from matching.ids import VISITOR_FIRST
from matching.people import People

LEVELS_MAX: Final = 64
"""People with more ids than this are counted row by row."""


class IdCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The people with at least one id, two, three...; and the rows that have to be looked at.

    Of the latter, `persons` and `id_ordinals` are parallel.
    """

    levels: tuple[BitMap, ...]
    persons: NDArray[np.uint32]
    id_ordinals: NDArray[np.uint32]

    def count(self, among: BitMap) -> int:
        """Count the ids of these people."""
        alone = sum(level.intersection_cardinality(among) for level in self.levels)
        few = bitmap_of(self.persons) & among
        return alone + len(bitmap_of(self.id_ordinals[np.isin(self.persons, ordinals_of(few))]))


def id_counts(carriers: Carriers, people: People) -> IdCounts:
    """Count the ids of each person; those that several browsers carry are set apart."""
    rows = sendable_rows(carriers)
    id_ordinals = carriers.id_ordinals[rows]
    persons = people.fold(carriers.visitors[rows], np.zeros(rows.size, dtype=np.uint32))
    apart = np.bincount(id_ordinals, minlength=1)[id_ordinals] > 1
    levels: list[BitMap] = []
    for first, is_kind in ((0, persons < VISITOR_FIRST), (VISITOR_FIRST, persons >= VISITOR_FIRST)):
        kind = np.flatnonzero(is_kind & ~apart)
        index = persons[kind] - np.uint32(first)
        counts = np.bincount(index)
        has_many = counts > LEVELS_MAX
        apart[kind[has_many[index]]] = True
        counts[has_many] = 0
        for level in range(int(counts.max(initial=0))):
            found = bitmap_of_mask(counts > level, first=first)
            levels[level : level + 1] = [levels[level] | found if level < len(levels) else found]
    return IdCounts(levels=tuple(levels), persons=persons[apart], id_ordinals=id_ordinals[apart])
