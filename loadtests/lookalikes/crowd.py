"""A crowd of any size with traits as bitmaps, some of which a hidden tenth holds more often.

In goes a number of people, out come bitmaps: everybody, the seed, and 5,000 traits from rare to
common, 44 a person on average.
"""

from typing import Final

import msgspec
import numpy as np
from pyroaring import BitMap

from matching.bitmaps import bitmap_of

TRAITS: Final = 5_000
TRAITS_A_PERSON: Final = 44
TELLING_TRAITS: Final = 100
SEED: Final = 2_000
COMMON_SHARE_MAX: Final = 0.6


class Crowd(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everybody, the seed among them, and who holds which trait."""

    base: BitMap
    seed: BitMap
    traits: dict[str, BitMap]


def make_crowd(people: int, *, seed: int = SEED) -> Crowd:
    """Draw traits whose frequency falls as their rank grows; the seed is of the hidden tenth."""
    rng = np.random.default_rng(7)
    shares = 1 / np.arange(1, TRAITS + 1) ** 0.8
    shares = np.minimum(shares * TRAITS_A_PERSON / shares.sum(), COMMON_SHARE_MAX)
    hidden = rng.choice(people, people // 10, replace=False).astype(np.uint32) + np.uint32(1)
    telling = set(rng.choice(np.arange(20, TRAITS // 4), TELLING_TRAITS, replace=False).tolist())
    traits = {}
    for i, share in enumerate(shares.tolist()):
        holders = rng.integers(1, people + 1, round(people * share), dtype=np.uint32)
        if i in telling:
            more = rng.choice(hidden, round(len(hidden) * min(2 * share, 0.5)))
            holders = np.concatenate([holders, more])
        traits[f"trait {i:04}"] = bitmap_of(np.sort(holders))
    return Crowd(
        base=BitMap(range(1, people + 1)),
        seed=bitmap_of(rng.choice(hidden, seed, replace=False)),
        traits=traits,
    )
