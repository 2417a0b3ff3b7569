"""Finds the class of every visitor from all rows of a table at once, by numpy and few folds.

Rows that name their texts by hash come in, in order of visitor and time; a class number for each
visitor goes out. Only distinct histories are folded in Python.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from matching.consent.classes import ConsentClasses, Stands, stands_of, told_by
from matching.ids import VISITOR_FIRST

ROW: Final = np.dtype([("visitor", "<u4"), ("said", "<u8"), ("site", "<u8")])
MISSING: Final = "{missing}"
"""Stands for a text that its hash does not lead to: it cannot be read, so it denies."""
_SLOTS_PER_TEXT: Final = 32
_DENSE_MAX: Final = 1 << 22


class ClassReader:
    """Takes rows slice by slice, each visitor's within one slice, and ends in the classes."""

    def __init__(self, texts: Mapping[int, str], *, visitors: int) -> None:
        """Take the text of every hash, and how many visitors there are."""
        self._texts = [*texts.values(), MISSING]
        self._told = [told_by(text) for text in self._texts]
        self._places = _Places(np.fromiter(texts, dtype=np.uint64, count=len(texts)))
        self._numbers = np.zeros(visitors, dtype=np.uint32)
        self._kinds: dict[Stands, int] = {}
        self._folded: dict[tuple[int, ...], int] = {}

    def add(self, rows: NDArray[Any]) -> None:
        """Take all rows of some visitors, oldest first."""
        visitor = rows["visitor"]
        if not visitor.size:
            return
        said, site = self._places.of(rows["said"]), self._places.of(rows["site"])
        newest = np.flatnonzero(np.append(visitor[1:] != visitor[:-1], True))
        lengths = np.diff(newest, prepend=-1)
        for length in np.unique(lengths).tolist():
            ends = newest[lengths == length]
            history = [site[ends], *(said[ends - back] for back in range(length))]
            self._numbers[visitor[ends] - np.uint32(VISITOR_FIRST)] = self._class_of_each(history)

    def classes(self) -> ConsentClasses:
        """Give what was found."""
        return ConsentClasses.of(self._kinds, self._numbers)

    def _class_of_each(self, history: list[NDArray[np.int64]]) -> NDArray[np.uint32]:
        """Find the classes of histories, given as columns: the site, then texts newest first."""
        size = len(self._texts)
        told: list[tuple[int, ...]] = [()]
        key = np.zeros(history[0].size, dtype=np.int64)
        for column in history:
            distinct, key = _distinct(key * size + column, bound=len(told) * size)
            told = [(*told[each // size], each % size) for each in distinct.tolist()]
        return np.array([self._class_of(each) for each in told], dtype=np.uint32)[key]

    def _class_of(self, history: tuple[int, ...]) -> int:
        # Why only the newest of a text: older repeats change nothing, and there are fewer to fold.
        known = (history[0], *dict.fromkeys(history[1:]))
        found = self._folded.get(known)
        if found is None:
            stands = stands_of([self._told[each] for each in known[1:]], self._texts[known[0]])
            found = self._folded[known] = self._kinds.setdefault(stands, len(self._kinds) + 1)
        return found


class _Places:
    """Finds the places of hashes in a list: by their first bits, which few of them share."""

    def __init__(self, hashes: NDArray[np.uint64]) -> None:
        bits = max(1, int(hashes.size * _SLOTS_PER_TEXT).bit_length())
        self._shift = np.uint64(64 - bits)
        self._order = np.argsort(hashes)
        self._sorted = hashes[self._order]
        self._hashes = np.append(hashes, np.uint64(0))
        self._slots = np.full(1 << bits, hashes.size, dtype=np.int64)
        self._slots[hashes >> self._shift] = np.arange(hashes.size)

    def of(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Give the place of each hash; of one that is not in the list, the place behind it."""
        found: NDArray[np.int64] = self._slots[hashes >> self._shift]
        missed = np.flatnonzero((self._hashes[found] != hashes) | (found == self._sorted.size))
        if missed.size and self._sorted.size:
            others = hashes[missed]
            nearest = np.minimum(np.searchsorted(self._sorted, others), self._sorted.size - 1)
            is_there = self._sorted[nearest] == others
            found[missed] = np.where(is_there, self._order[nearest], self._sorted.size)
        return found


def _distinct(
    keys: NDArray[np.int64], *, bound: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give the distinct keys, all below the bound, and the place of each key among them."""
    if bound > _DENSE_MAX:
        distinct, places = np.unique(keys, return_inverse=True)
        return distinct, places
    is_there = np.zeros(bound, dtype=np.bool_)
    is_there[keys] = True
    return np.flatnonzero(is_there), (np.cumsum(is_there) - 1)[keys]
