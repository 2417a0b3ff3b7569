"""The traits by which twins may be found: counted, without the rare and without the telling ones.

In come the bitmaps of all traits, out go those to use. It does not weigh them.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from pyroaring import BitMap

from audiences.lookalike_weights import TraitCounts, find_leaks


class KnownTraits(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The traits to use, how many others were too rare, and which define the seed."""

    names: tuple[str, ...]
    bitmaps: tuple[BitMap, ...]
    counts: TraitCounts
    rare: int
    left_out: tuple[str, ...]


def gather_traits(
    traits: Mapping[str, BitMap], *, seed: BitMap, base: BitMap, rare_below: int
) -> KnownTraits:
    """Count the traits of a base, and leave out the rare ones and those that define the seed."""
    # Why sorted: the same traits in another order must give the same twins.
    held = {name: traits[name].intersection_cardinality(base) for name in sorted(traits)}
    frequent = [name for name, people in held.items() if people >= rare_below]
    left_out = find_leaks(frequent, _count(frequent, traits, seed, base))
    names = [name for name in frequent if name not in set(left_out)]
    return KnownTraits(
        names=tuple(names),
        bitmaps=tuple(traits[name] for name in names),
        counts=_count(names, traits, seed, base),
        rare=len(held) - len(frequent),
        left_out=tuple(left_out),
    )


def _count(
    names: Sequence[str], traits: Mapping[str, BitMap], seed: BitMap, base: BitMap
) -> TraitCounts:
    in_seed = [traits[name].intersection_cardinality(seed) for name in names]
    in_all = [traits[name].intersection_cardinality(base) for name in names]
    return TraitCounts(
        in_seed=np.array(in_seed, dtype=np.int64),
        in_all=np.array(in_all, dtype=np.int64),
        seed=len(seed),
        everybody=len(base),
    )
