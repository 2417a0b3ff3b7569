"""Who is in at least k of some sets.

In go sets, out comes a new one; none of those given is changed. Large sets are counted by words of
64 people in the processor's cache, which takes a third of doing it with whole bitmaps.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from pyroaring import BitMap

from matching.bit_blocks import WORDS, BitBlocks, are_bits, bitmap_of_words

BLOCKS_AT_ONCE: Final = 16
"""Of 8 KiB each, for every level: they stay in the cache."""
LARGE_LEAST: Final = 3
"""For two sets their bitmaps are as fast."""
LARGE_MOST: Final = 32
"""A copy of each is held meanwhile: of fifty million people 200 MB in all."""


def at_least(k: int, sets: Sequence[BitMap]) -> BitMap:
    """Give the members of at least k of the sets (k from 1 on)."""
    if k > len(sets):
        return BitMap()
    large = [each for each in sets if are_bits(each)]
    if not max(k, LARGE_LEAST) <= len(large) <= LARGE_MOST:
        return _by_bitmaps(k, sets)
    found = _by_words(k, large)
    if len(large) < len(sets):
        # Who is in a small set may need it to come to k; of these few all sets are asked.
        few = BitMap.union(BitMap(), *(each for each in sets if not are_bits(each)))
        found |= _by_bitmaps(k, [each & few for each in sets])
    return found


def _by_bitmaps(k: int, sets: Sequence[BitMap]) -> BitMap:
    """Lift the members from level to level, set by set; the large sets go first.

    Why: then there is little to intersect them with.
    """
    reached = [BitMap() for _ in range(k)]
    for members, levels in zip(
        sorted(sets, key=len, reverse=True), _levels(k, len(sets)), strict=True
    ):
        for level in levels:
            reached[level] |= reached[level - 1] & members if level else members
    return reached[-1]


def _by_words(k: int, sets: Sequence[BitMap]) -> BitMap:
    """Do the same with some blocks of all sets at a time."""
    blocks = [BitBlocks(each) for each in sets]
    # Why these alone: between customers and browsers lie thousands of blocks of nobody.
    numbers = np.unique(np.concatenate([each.numbers for each in blocks]))
    found = np.empty((len(numbers), WORDS), dtype=np.uint64)
    lower = np.empty((k - 1, BLOCKS_AT_ONCE, WORDS), dtype=np.uint64)
    room, lifted = np.empty((2, BLOCKS_AT_ONCE, WORDS), dtype=np.uint64)
    for begin in range(0, len(found), BLOCKS_AT_ONCE):
        highest = found[begin : begin + BLOCKS_AT_ONCE]
        some, size = numbers[begin : begin + BLOCKS_AT_ONCE], len(highest)
        reached = [*lower[:, :size], highest]
        for place, (each, levels) in enumerate(zip(blocks, _levels(k, len(sets)), strict=True)):
            members = each.words(some, room[:size])
            for level in levels:
                more = members
                if level:
                    more = np.bitwise_and(reached[level - 1], members, out=lifted[:size])
                if level == place:  # nobody came as far before
                    reached[level][:] = more
                else:
                    reached[level] |= more
    return bitmap_of_words(found, numbers)


def _levels(k: int, count: int) -> Iterator[range]:
    """Give for each of so many sets to which levels it may lift; at level j one is in j + 1 sets.

    From the top down, so that one set lifts a member by one level only. Levels from which too few
    sets are left to come to k are not kept up.
    """
    for place in range(count):
        least = max(0, k - (count - place))
        yield range(min(k - 1, place), least - 1, -1)
