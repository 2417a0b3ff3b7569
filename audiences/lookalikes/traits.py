"""The traits by which twins may be found: counted, without the rare and without the telling ones.

In come the bitmaps of all traits, out go those to use. It does not weigh them.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap
from scipy.sparse import csc_matrix

from audiences.lookalike_weights import TraitCounts, information
from audiences.lookalikes.ranges import columns_of
from matching.bitmaps import ordinals_of

RARE_BELOW: Final = 50
GATHERED_WHOLE_MAX: Final = 30_000
"""Of so few people every trait is read once and counted, tried and scored from there."""
LEAK_SHARE: Final = 0.98
LEAK_LIFT: Final = 20.0
LEAK_LIFT_LEAST: Final = 2.0
LEAK_OWNED: Final = 0.5
OWNED_BY_SEED: Final = 0.95


class KnownTraits(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The traits to use, how many others were too rare, and which define the seed."""

    names: tuple[str, ...]
    bitmaps: tuple[BitMap, ...]
    counts: TraitCounts
    rare: int
    left_out: tuple[str, ...]
    gathered: tuple[BitMap, csc_matrix] | None = None
    """A small base and everybody's traits in it; of a large one there is only ever a sample."""

    def best(self, most: int) -> "KnownTraits":
        """Keep the traits that tell most of seed or not."""
        if len(self.names) <= most:
            return self
        chosen = np.sort(np.argsort(-information(self.counts), kind="stable")[:most])
        return msgspec.structs.replace(
            self,
            names=tuple(self.names[i] for i in chosen),
            bitmaps=tuple(self.bitmaps[i] for i in chosen),
            counts=_only(self.counts, chosen),
            gathered=self.gathered and (self.gathered[0], self.gathered[1][:, chosen]),
        )


def gather_traits(
    traits: Mapping[str, BitMap],
    *,
    seed: BitMap,
    base: BitMap,
    rare_below: int = RARE_BELOW,
    defining: Collection[str] = (),
) -> KnownTraits:
    """Count the traits of a base, and leave out the rare ones and those that define the seed.

    `defining` are known to do so; others are found by their counts.
    """
    # Why sorted: the same traits in another order must give the same twins.
    ordered = sorted(traits)
    # Why their size first: most are too rare wherever their people are, and size costs nothing.
    names = [name for name in ordered if len(traits[name]) >= rare_below]
    held = _held_by(base, [traits[name] for name in names])
    frequent = np.flatnonzero(held >= rare_below)
    names = [names[i] for i in frequent]
    bitmaps = [traits[name] for name in names]
    columns = columns_of(base, bitmaps) if len(base) <= GATHERED_WHOLE_MAX else None
    if columns is None:
        in_seed = _held_by(seed, bitmaps)
    else:
        is_seed = np.isin(ordinals_of(base), ordinals_of(seed)).astype(columns.dtype)
        in_seed = columns.T @ is_seed
    counts = TraitCounts(
        in_seed=in_seed.astype(np.int64),
        in_all=held[frequent].astype(np.int64),
        seed=len(seed),
        everybody=len(base),
    )
    gone = {*find_leaks(names, counts), *defining}
    left_out = [name for name in names if name in gone]
    kept = np.array([i for i, name in enumerate(names) if name not in gone], dtype=int)
    return KnownTraits(
        names=tuple(names[i] for i in kept),
        bitmaps=tuple(traits[names[i]] for i in kept),
        counts=_only(counts, kept),
        rare=len(ordered) - len(names),
        left_out=tuple(left_out),
        gathered=None if columns is None else (base, columns[:, kept]),
    )


def _held_by(people: BitMap, traits: Sequence[BitMap]) -> NDArray[np.int64]:
    return np.array([trait.intersection_cardinality(people) for trait in traits], dtype=np.int64)


def find_leaks(traits: Sequence[str], counts: TraitCounts) -> list[str]:
    """Name the traits that define the seed instead of describing it.

    Such a trait is held by nearly all the seed and few others, or by nearly nobody else. Where the
    named traits of one family cover the seed, the family goes whole: not to be `rfm_segment=loyal`
    says as much as to be `rfm_segment=champion`.
    """
    share = counts.in_seed / max(counts.seed, 1)
    owned = counts.in_seed / np.maximum(counts.in_all, 1)
    lift = share * counts.everybody / np.maximum(counts.in_all, 1)
    defines = (share > LEAK_SHARE) & ((lift > LEAK_LIFT) | (owned >= LEAK_OWNED))
    # Why a least lift: where most people are seed, any trait belongs mostly to the seed.
    leaks = (defines | (owned >= OWNED_BY_SEED)) & (lift >= LEAK_LIFT_LEAST)
    covered: dict[str, float] = defaultdict(float)
    for i in np.flatnonzero(leaks).tolist():
        covered[_family(traits[i])] += share[i]
    return [
        trait
        for trait, leaking in zip(traits, leaks, strict=True)
        if leaking or covered.get(_family(trait), 0.0) > LEAK_SHARE
    ]


def _family(trait: str) -> str:
    return trait.rpartition("=")[0] or trait


def _only(counts: TraitCounts, chosen: NDArray[np.intp]) -> TraitCounts:
    return msgspec.structs.replace(
        counts, in_seed=counts.in_seed[chosen], in_all=counts.in_all[chosen]
    )
