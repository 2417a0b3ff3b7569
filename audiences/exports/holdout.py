"""Who of an audience is kept off its segments, so that what the segments do can be measured.

Persons and a key come in, the persons held out go out: always the same ones, and those of a smaller
percentage are among those of a larger one. SipHash-2-4 of the person's ordinal decides.
"""

from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of, ordinals_of

HOLDOUT_PERCENT_MAX: Final = 50
START: Final = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
LENGTH_BLOCK: Final = np.uint64(8 << 56)
"""What ends a message of eight bytes."""
FINISH: Final = np.uint64(0xFF)
BLOCK_ROUNDS: Final = 2
FINAL_ROUNDS: Final = 4

Words = NDArray[np.uint64]


def held_out(persons: BitMap, *, percent: int, key: bytes, audience: str) -> BitMap:
    """Give those of `persons` who are in the audience's control group, on whatever seat."""
    if not percent or not persons:
        return BitMap()
    own = blake2b(audience.encode(), key=key, digest_size=16).digest()
    ordinals = ordinals_of(persons)
    limit = np.uint64((percent << 64) // 100)
    return bitmap_of(ordinals[siphash(ordinals.astype(np.uint64), own) < limit])


def siphash(words: Words, key: bytes) -> Words:
    """Hash each word, as eight bytes with the lowest first, under a key of 16 bytes."""
    halves = np.frombuffer(key, dtype="<u8")
    state = [
        np.full_like(words, np.uint64(start) ^ halves[place % 2])
        for place, start in enumerate(START)
    ]
    for block in (words, LENGTH_BLOCK):
        state[3] ^= block
        _mix(state, BLOCK_ROUNDS)
        state[0] ^= block
    state[2] ^= FINISH
    _mix(state, FINAL_ROUNDS)
    found: Words = state[0] ^ state[1] ^ state[2] ^ state[3]
    return found


def _mix(state: list[Words], rounds: int) -> None:
    for _ in range(rounds):
        _half(state, 0, 1, 13, 2, 3, 16)
        state[0] = _turned(state[0], 32)
        _half(state, 2, 1, 17, 0, 3, 21)
        state[2] = _turned(state[2], 32)


def _half(
    state: list[Words], one: int, two: int, two_bits: int, three: int, four: int, four_bits: int
) -> None:
    state[one] += state[two]
    state[three] += state[four]
    state[two] = _turned(state[two], two_bits) ^ state[one]
    state[four] = _turned(state[four], four_bits) ^ state[three]


def _turned(words: Words, bits: int) -> Words:
    return (words << np.uint64(bits)) | (words >> np.uint64(64 - bits))
