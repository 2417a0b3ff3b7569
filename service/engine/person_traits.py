"""Gathers what is known of people as traits by which some may be like others.

In come criteria and a day to stop at, out goes one bitmap of persons per trait: what customers were
told to be, numbers cut in bins, what events yield. Sensitive ones are left out; nothing is weighed.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from pyroaring import BitMap

from audiences.conditions import Op
from audiences.criteria import Criteria
from audiences.lookalikes.guard import is_sensitive
from audiences.rule import HasTrait
from audiences.token_store import bins_of
from audiences.trait_store import COMPUTED_KIND, TraitInfo
from matching.people import Identity
from service.engine.stores import Stores

HISTORY_DAYS: Final = 365
DAY_MS: Final = 86_400_000
NUMBERS_BINNED_ABOVE: Final = 10
"""Numbers of more different values are known by bins only."""
VALUES_MAX: Final = 10_000
"""A trait of more different values names people instead of describing them."""
KEPT_MAX: Final = 50_000_000
"""So many pairs of person and trait are kept between previews, some 100 MB; more are read anew."""
NUMBER_KIND: Final = "number"


class PersonTraits:
    """The traits of one engine's people; the last that were gathered are kept until data change."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._edges: tuple[tuple[int, object], dict[str, tuple[float, ...]]] = ((-1, None), {})
        self._kept: tuple[tuple[object, ...], dict[str, BitMap]] = ((), {})

    def edges(self, criteria: Criteria, as_of_ms: int) -> dict[str, tuple[float, ...]]:
        """Give where numbers are cut in bins: the same all day, however they move."""
        found_for, known = self._edges
        asked_for = (criteria.days.day(as_of_ms), criteria.world.data_version)
        if found_for == asked_for:
            return known
        known = known if found_for[0] == asked_for[0] else {}
        numbers = [each.trait for each in self._stores.traits.traits() if _is_binned(each)]
        found = {
            trait: known[trait] if trait in known else self._stores.tokens.edges(trait)
            for trait in numbers
        }
        self._edges = (asked_for, found)
        return found

    def gather(
        self,
        criteria: Criteria,
        identity: Identity,
        as_of_ms: int,
        *,
        cut: int | None,
        edges: Mapping[str, tuple[float, ...]] | None = None,
    ) -> dict[str, BitMap]:
        """Give the persons of each trait, of nothing recorded on the day of the cut or later.

        Numbers are cut at the edges given, others at those of the day.
        """
        version, day = criteria.world.data_version, criteria.days.day(as_of_ms)
        bounds = {**self.edges(criteria, as_of_ms), **(edges or {})}
        people = criteria.people(identity)
        key = (identity, people.version, version, day, cut, tuple(sorted(bounds.items())))
        kept_key, kept = self._kept
        if kept_key == key:
            return kept
        until_ms = as_of_ms if cut is None else min(criteria.days.start_ms(cut), as_of_ms)
        told = {
            name: holders
            for trait in self._stores.traits.traits()
            if cut is None or trait.kind != COMPUTED_KIND
            for name, holders in self._told(trait, criteria, identity, as_of_ms, bounds)
        }
        found = self._stores.tokens.tokens(
            people,
            since_ms=until_ms - HISTORY_DAYS * DAY_MS,
            until_ms=until_ms,
            extra=told,
        )
        allowed = {name: holders for name, holders in found.items() if not is_sensitive(name)}
        held = sum(len(holders) for holders in allowed.values())
        self._kept = (key, allowed) if held <= KEPT_MAX else ((), {})
        return allowed

    def _told(
        self,
        trait: TraitInfo,
        criteria: Criteria,
        identity: Identity,
        as_of_ms: int,
        bounds: Mapping[str, tuple[float, ...]],
    ) -> Iterator[tuple[str, BitMap]]:
        if _is_binned(trait):
            yield from _bins(trait.trait, bounds[trait.trait], criteria.leaf(identity, as_of_ms))
            return
        if trait.values > VALUES_MAX:
            return
        for each in criteria.trait_values(trait.trait, identity):
            yield f"{trait.trait}={each.value}", each.holders


def _is_binned(trait: TraitInfo) -> bool:
    return trait.kind == NUMBER_KIND and trait.values > NUMBERS_BINNED_ABOVE


def _bins(
    trait: str, edges: tuple[float, ...], leaf: Callable[[HasTrait], BitMap]
) -> Iterator[tuple[str, BitMap]]:
    for name, low, next_ in bins_of(edges):
        least = HasTrait(trait=trait, op=Op.EXISTS) if low is None else _at_least(trait, low)
        people = leaf(least)
        yield (
            f"{trait}={name}",
            people if next_ is None else people - leaf(_at_least(trait, next_)),
        )


def _at_least(trait: str, number: float) -> HasTrait:
    return HasTrait(trait=trait, op=Op.AT_LEAST, value=number)
