"""Turns numpy arrays and masks of ordinals into roaring bitmaps, and back.

In go arrays or masks, out come `BitMap`s. A numpy array given to `BitMap` directly takes a path ten
times slower, so every fold goes through here.
"""

import struct
from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

BLOCK = 1 << 16
ARRAY_MEMBERS_MAX = 4096
COOKIE_WITHOUT_RUNS = 12346
MASK_FROM = BLOCK
MASK_BYTES_AN_ORDINAL_MAX = 4


def bitmap_of(ordinals: NDArray[np.uint32]) -> BitMap:
    """Make the set of these ordinals, in any order and with repeats."""
    if ordinals.size >= MASK_FROM:
        # Why: in another order than their own, many that lie close take three times as long.
        first = int(ordinals.min()) // BLOCK * BLOCK
        size = int(ordinals.max()) - first + 1
        if size <= MASK_BYTES_AN_ORDINAL_MAX * ordinals.size:
            mask = np.zeros(size, dtype=np.bool_)
            mask[ordinals - np.uint32(first)] = True
            return bitmap_of_mask(mask, first=first)
    return BitMap(array("I", np.ascontiguousarray(ordinals, dtype=np.uint32).tobytes()))


def ordinals_of(bitmap: BitMap) -> NDArray[np.uint32]:
    """List the members, ascending."""
    return np.frombuffer(bitmap.to_array(), dtype=np.uint32)


def bitmap_of_mask(mask: NDArray[np.bool_], *, first: int = 0) -> BitMap:
    """Make the set of `first + i` for every i that is true; `first` is a multiple of 65,536."""
    if first % BLOCK:
        raise ValueError(f"A mask must begin at a multiple of {BLOCK}, not at {first}.")
    blocks = _blocks(mask)
    counts = np.bitwise_count(blocks).sum(axis=1, dtype=np.uint32)
    used = np.flatnonzero(counts)
    contents = [
        _container(blocks[block], mask[block * BLOCK : (block + 1) * BLOCK], int(counts[block]))
        for block in used.tolist()
    ]
    keys = (used + first // BLOCK).astype("<u2")
    return BitMap.deserialize(_portable(keys, counts[used], contents))


def mask_of(bitmap: BitMap, *, first: int, size: int) -> NDArray[np.bool_]:
    """Spread the members from `first` on over a mask of `size`; others are left out."""
    mask = np.zeros(size, dtype=np.bool_)
    members = ordinals_of(bitmap)
    low, high = np.searchsorted(members, [first, first + size])
    mask[members[low:high] - np.uint32(first)] = True
    return mask


def marked(
    mask: NDArray[np.bool_], ordinals: NDArray[np.uint32], *, first: int
) -> NDArray[np.bool_]:
    """Tell of each ordinal what the mask says of it; all lie within the mask."""
    found = np.empty(ordinals.size, dtype=np.bool_)
    # Why in pieces: numpy widens the places it is asked for, which then stay in the cache.
    for begin in range(0, ordinals.size, BLOCK):
        piece = ordinals[begin : begin + BLOCK] - np.uint32(first)
        mask.take(piece, mode="clip", out=found[begin : begin + BLOCK])
    return found


def _blocks(mask: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Pack the mask into rows of 65,536 bits."""
    packed = np.packbits(mask, bitorder="little")
    count = -(-mask.size // BLOCK)
    padded = np.zeros(count * BLOCK // 8, dtype=np.uint8)
    padded[: packed.size] = packed
    return padded.view("<u8").reshape(count, BLOCK // 64)


def _container(block: NDArray[np.uint64], mask: NDArray[np.bool_], members: int) -> bytes:
    """Write one block as roaring does: a sorted list when it is sparse, else its bits."""
    if members > ARRAY_MEMBERS_MAX:
        return block.tobytes()
    return np.flatnonzero(mask).astype("<u2").tobytes()


def _portable(keys: NDArray[Any], counts: NDArray[np.uint32], contents: list[bytes]) -> bytes:
    """Put the containers behind the portable header: cookie, keys with counts, offsets."""
    size = len(contents)
    header = struct.pack("<II", COOKIE_WITHOUT_RUNS, size)
    described = np.column_stack([keys, (counts - 1).astype("<u2")]).astype("<u2").tobytes()
    begin = len(header) + len(described) + 4 * size
    lengths = np.array([0, *map(len, contents)], dtype=np.int64)
    offsets = (begin + np.cumsum(lengths)[:-1]).astype("<u4").tobytes()
    return b"".join((header, described, offsets, *contents))
