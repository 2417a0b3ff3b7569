"""Roaring bitmaps as blocks of 65,536 bits, 1,024 words each, read from the portable form and made.

In go bitmaps or words, out come words or bitmaps. The portable form is that of RoaringFormatSpec: a
cookie, keys with counts, offsets, then of each block its members sorted, or its bits.
"""

import struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

BLOCK: Final = 1 << 16
WORDS: Final = BLOCK // 64
ARRAY_MEMBERS_MAX: Final = 4096
COOKIE_WITHOUT_RUNS: Final = 12346
HEADER_BYTES: Final = 8

Words = NDArray[np.uint64]
"""Blocks by words, shape (blocks, 1,024)."""


def are_bits(bitmap: BitMap) -> bool:
    """Tell whether most blocks of a bitmap rest as bits, and none as runs."""
    told = bitmap.get_statistics()
    return not told["n_run_containers"] and 2 * told["n_bitset_containers"] > told["n_containers"]


class BitBlocks:
    """The blocks of a bitmap without runs."""

    def __init__(self, bitmap: BitMap) -> None:
        self._portable = bitmap.serialize()
        cookie, size = struct.unpack_from("<II", self._portable)
        if cookie != COOKIE_WITHOUT_RUNS:
            raise ValueError("A bitmap with runs has no blocks of bits.")
        described = np.frombuffer(self._portable, "<u2", 2 * size, HEADER_BYTES).reshape(size, 2)
        offsets = np.frombuffer(self._portable, "<u4", size, HEADER_BYTES + described.nbytes)
        self.numbers: NDArray[np.int64] = described[:, 0].astype(np.int64)
        """Of the blocks that have members, ascending."""
        self._counts = (described[:, 1].astype(np.int64) + 1).tolist()
        self._offsets = offsets.tolist()
        self._bits_until = np.cumsum(described[:, 1] >= ARRAY_MEMBERS_MAX)

    def words(self, numbers: NDArray[np.int64], room: Words) -> Words:
        """Give the blocks of these numbers, ascending; of those between them it must have none."""
        begin, end = np.searchsorted(self.numbers, [numbers[0], numbers[-1] + 1]).tolist()
        if end - begin == len(numbers) and self._are_bits(begin, end):
            # Why not copied: bits lie side by side, as they are asked for.
            count = len(numbers) * WORDS
            found = np.frombuffer(self._portable, "<u8", count, self._offsets[begin])
            return found.reshape(len(numbers), WORDS)
        room[:] = 0
        rows = np.searchsorted(numbers, self.numbers[begin:end]).tolist()
        for row, place in zip(rows, range(begin, end), strict=True):
            room[row] = self._block(place)
        return room

    def _are_bits(self, begin: int, end: int) -> bool:
        before = self._bits_until[begin - 1] if begin else 0
        return bool(self._bits_until[end - 1] - before == end - begin)

    def _block(self, place: int) -> NDArray[np.uint64]:
        count, offset = self._counts[place], self._offsets[place]
        if count > ARRAY_MEMBERS_MAX:
            return np.frombuffer(self._portable, "<u8", WORDS, offset)
        mask = np.zeros(BLOCK, dtype=np.bool_)
        mask[np.frombuffer(self._portable, "<u2", count, offset)] = True
        return np.packbits(mask, bitorder="little").view("<u8")


def bitmap_of_words(words: Words, numbers: NDArray[np.int64]) -> BitMap:
    """Make the bitmap of these blocks, whose numbers ascend."""
    counts = np.bitwise_count(words).sum(axis=1, dtype=np.uint32)
    used = np.flatnonzero(counts)
    contents = [_content(words[block], int(counts[block])) for block in used.tolist()]
    return BitMap.deserialize(portable(numbers[used].astype("<u2"), counts[used], contents))


def portable(keys: NDArray[Any], counts: NDArray[np.uint32], contents: list[bytes]) -> bytes:
    """Put blocks behind the portable header; of more than 4,096 members `contents` are bits."""
    size = len(contents)
    header = struct.pack("<II", COOKIE_WITHOUT_RUNS, size)
    described = np.column_stack([keys, (counts - 1).astype("<u2")]).astype("<u2").tobytes()
    begin = len(header) + len(described) + 4 * size
    lengths = np.array([0, *map(len, contents)], dtype=np.int64)
    offsets = (begin + np.cumsum(lengths)[:-1]).astype("<u4").tobytes()
    return b"".join((header, described, offsets, *contents))


def _content(block: NDArray[np.uint64], members: int) -> bytes:
    if members > ARRAY_MEMBERS_MAX:
        return block.tobytes()
    mask = np.unpackbits(block.view(np.uint8), bitorder="little")
    return np.flatnonzero(mask).astype("<u2").tobytes()
