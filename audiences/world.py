"""One moment's unchanging answer to who there is, and what has changed since another moment.

Values only: nothing here reads a table or evaluates a rule.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.rule import Audience
from matching.bitmaps import bitmap_of
from matching.ids import NOBODY, VISITOR_FIRST
from matching.people import Identity, People


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Who there is, who is whose, what is defined; `excluded` are visitors in no audience.

    `data_version` grows with every load, import, erasure and computed trait.
    """

    people: Mapping[Identity, People]
    customers: BitMap
    visitors: BitMap
    excluded: BitMap
    audiences: Mapping[str, Audience]
    currencies: Mapping[str, str]
    data_version: int

    def base(self, identity: Identity) -> BitMap:
        """Give everyone who may be in an audience."""
        return self.people[identity].base(
            customers=self.customers, visitors=self.visitors - self.excluded
        )


class Touched(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Whose events came or went since a moment, by ordinal, and of which names and days."""

    visitors: BitMap = msgspec.field(default_factory=BitMap)
    customers: BitMap = msgspec.field(default_factory=BitMap)
    bots: BitMap = msgspec.field(default_factory=BitMap)
    """Visitors with an event that was flagged as a bot's."""
    days: frozenset[tuple[str, int]] = frozenset()
    days_unknown: bool = False
    """Whether events of any name and day may have gone."""

    def __bool__(self) -> bool:
        return bool(self.visitors or self.customers or self.days or self.days_unknown)

    def __or__(self, other: "Touched") -> "Touched":
        return Touched(
            visitors=self.visitors | other.visitors,
            customers=self.customers | other.customers,
            bots=self.bots | other.bots,
            days=self.days | other.days,
            days_unknown=self.days_unknown or other.days_unknown,
        )


def persons_touched(
    touched: Touched, relinked: BitMap, identity: Identity, *, old: World, new: World
) -> BitMap:
    """Give everyone whose criteria may have changed, but for those who came into the base or left.

    These are the persons, now and before, of every owner of an event that came or went and of every
    visitor that was linked otherwise.
    """
    was, now = old.people[identity], new.people[identity]
    visitors = touched.visitors | relinked
    persons = was.persons_of_visitors(visitors) | now.persons_of_visitors(visitors)
    if identity is Identity.LAST_AUTHENTICATED:
        persons |= touched.customers
    persons.discard(NOBODY)
    return persons


def relinked_visitors(old: World, new: World) -> BitMap:
    """Give the visitors that belong to another customer than before, or to none any more."""
    one = old.people[Identity.LAST_AUTHENTICATED].customer_of
    other = new.people[Identity.LAST_AUTHENTICATED].customer_of
    if one is other:
        return BitMap()
    both = min(one.size, other.size)
    changed = [
        np.flatnonzero(one[:both] != other[:both]),
        both + np.flatnonzero(one[both:] != NOBODY),
        both + np.flatnonzero(other[both:] != NOBODY),
    ]
    return bitmap_of(_as_visitors(np.concatenate(changed)))


def _as_visitors(places: NDArray[np.intp]) -> NDArray[np.uint32]:
    return (places + VISITOR_FIRST).astype(np.uint32)
