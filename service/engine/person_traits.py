"""Gathers what is known of people as traits by which some may be like others.

In come criteria and a day to stop at, out goes one bitmap of persons per trait: what customers were
told to be, numbers cut in bins, what events yield. Sensitive ones are left out; nothing is weighed.
"""

from collections.abc import Iterator
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
        self._edges: dict[str, tuple[float, ...]] = {}
        self._kept: tuple[tuple[object, ...], dict[str, BitMap]] = ((), {})

    def gather(
        self, criteria: Criteria, identity: Identity, as_of_ms: int, *, cut: int | None
    ) -> dict[str, BitMap]:
        """Give the persons of each trait, of nothing recorded on the day of the cut or later."""
        version, day = criteria.world.data_version, criteria.days.day(as_of_ms)
        key = (identity, criteria.people(identity).version, version, day, cut)
        kept_key, kept = self._kept
        if kept_key == key:
            return kept
        until_ms = as_of_ms if cut is None else min(criteria.days.start_ms(cut), as_of_ms)
        told = {
            name: people
            for trait in self._stores.traits.traits()
            if cut is None or trait.kind != COMPUTED_KIND
            for name, people in self._told(trait, criteria, identity, as_of_ms)
        }
        found = self._stores.tokens.tokens(
            criteria.people(identity),
            since_ms=until_ms - HISTORY_DAYS * DAY_MS,
            until_ms=until_ms,
            extra=told,
        )
        allowed = {name: people for name, people in found.items() if not is_sensitive(name)}
        held = sum(len(people) for people in allowed.values())
        self._kept = (key, allowed) if held <= KEPT_MAX else ((), {})
        return allowed

    def _told(
        self, trait: TraitInfo, criteria: Criteria, identity: Identity, as_of_ms: int
    ) -> Iterator[tuple[str, BitMap]]:
        if trait.kind == NUMBER_KIND and trait.values > NUMBERS_BINNED_ABOVE:
            yield from self._bins(trait.trait, criteria, identity, as_of_ms)
            return
        if trait.values > VALUES_MAX:
            return
        for each in criteria.trait_values(trait.trait, identity):
            yield f"{trait.trait}={each.value}", each.holders

    def _bins(
        self, trait: str, criteria: Criteria, identity: Identity, as_of_ms: int
    ) -> Iterator[tuple[str, BitMap]]:
        """Cut a number at bounds that stay as they were found first."""
        if trait not in self._edges:
            self._edges[trait] = self._stores.tokens.edges(trait)
        leaf = criteria.leaf(identity, as_of_ms)
        for name, low, next_ in bins_of(self._edges[trait]):
            least = HasTrait(trait=trait, op=Op.EXISTS) if low is None else _at_least(trait, low)
            people = leaf(least)
            yield (
                f"{trait}={name}",
                people if next_ is None else people - leaf(_at_least(trait, next_)),
            )


def _at_least(trait: str, number: float) -> HasTrait:
    return HasTrait(trait=trait, op=Op.AT_LEAST, value=number)
