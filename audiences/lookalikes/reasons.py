"""Why people are twins: the traits that add most, for all of them and for one.

In come counts and weights of traits, out go reasons. Counts of people are rounded to ten and traits
of few are not named, so that nobody is read out of an explanation.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.lookalike_weights import TraitCounts, information
from audiences.lookalikes.likeness import Likeness
from audiences.lookalikes.ranges import Ranking
from audiences.lookalikes.traits import KnownTraits
from matching.bitmaps import ordinals_of

TRAITS_SHOWN: Final = 20
TRAITS_NAMED: Final = 200
"""So many traits at most are kept to explain single people."""
SHOWN_IN_SEED: Final = 10
SHOWN_IN_ALL: Final = 50
REASONS: Final = 3
EXAMPLES: Final = 5


class TraitReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why people rank high: a trait, its people (rounded), and what it adds to a score."""

    trait: str
    in_seed: int
    in_all: int
    share_in_seed: float
    share_in_all: float
    lift: float
    information: float
    weight: float


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One of the twins, unnamed: how alike it is, and the traits that say so most."""

    likeness: float
    reasons: tuple[str, ...]


class Reasons(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Traits that may be named, with their people, those that add most first."""

    names: tuple[str, ...]
    bitmaps: tuple[BitMap, ...]

    def of(self, person: int) -> tuple[str, ...]:
        """Give the three traits of a person that add most."""
        held = (i for i, people in enumerate(self.bitmaps) if person in people)
        return tuple(self.names[i] for i, _ in zip(held, range(REASONS), strict=False))

    def only(self, people: BitMap) -> "Reasons":
        """Keep what explains these people, so that little is kept."""
        return Reasons(names=self.names, bitmaps=tuple(each & people for each in self.bitmaps))


def may_be_named(counts: TraitCounts) -> NDArray[np.bool_]:
    """Tell the traits of enough people to be shown."""
    return np.asarray((counts.in_seed >= SHOWN_IN_SEED) & (counts.in_all >= SHOWN_IN_ALL))


def reasons_of(known: KnownTraits, weights: NDArray[np.float64]) -> Reasons:
    """Keep the traits that add most, to explain single people."""
    best = _best(known.counts, weights)[:TRAITS_NAMED]
    return Reasons(
        names=tuple(known.names[i] for i in best), bitmaps=tuple(known.bitmaps[i] for i in best)
    )


def give_reasons(
    names: Sequence[str], counts: TraitCounts, weights: NDArray[np.float64]
) -> tuple[TraitReason, ...]:
    """Show the traits that add most to a score, without those of few people."""
    tells = information(counts)
    best = _best(counts, weights)[:TRAITS_SHOWN]
    return tuple(_reason(names[i], i, counts, float(tells[i]), float(weights[i])) for i in best)


def give_examples(
    ranking: Ranking, members: BitMap, reasons: Reasons, likeness: Likeness
) -> tuple[Example, ...]:
    """Explain some twins, from the most alike to the last that were taken."""
    taken = np.searchsorted(ranking.ordinals, ordinals_of(members))
    ordered = taken[np.argsort(-ranking.scores[taken], kind="stable")]
    places = np.unique(np.linspace(0, len(ordered) - 1, EXAMPLES).round().astype(int))
    chosen = ordered[places] if len(ordered) else ordered
    alike = likeness.of(ranking.scores[chosen].astype(np.float64))
    return tuple(
        Example(likeness=round(float(each), 2), reasons=reasons.of(int(ranking.ordinals[i])))
        for i, each in zip(chosen, alike, strict=True)
    )


def round_to_10(people: int) -> int:
    """Round a count of people to ten."""
    return (people + 5) // 10 * 10


def _best(counts: TraitCounts, weights: NDArray[np.float64]) -> list[int]:
    shown = may_be_named(counts) & (weights > 0)
    return [i for i in np.argsort(-weights, kind="stable").tolist() if shown[i]]


def _reason(name: str, i: int, counts: TraitCounts, tells: float, weight: float) -> TraitReason:
    in_seed, in_all = round_to_10(int(counts.in_seed[i])), round_to_10(int(counts.in_all[i]))
    share_in_seed = min(in_seed / counts.seed, 1.0)
    share_in_all = min(in_all / counts.everybody, 1.0)
    return TraitReason(
        trait=name,
        in_seed=in_seed,
        in_all=in_all,
        share_in_seed=round(share_in_seed, 3),
        share_in_all=round(share_in_all, 3),
        lift=round(share_in_seed / share_in_all, 2),
        information=round(tells, 3),
        weight=round(weight, 3),
    )
