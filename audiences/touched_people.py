"""Tells of whom a tick changed what: whose events must be read again, and of whom only some.

In go two worlds and what was touched between them, out come people of each identity. Nothing here
reads an event or knows a criterion.
"""

from collections.abc import Collection, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.world import Touched, World
from matching.bitmaps import bitmap_of, ordinals_of
from matching.ids import NOBODY, VISITOR_FIRST
from matching.people import Identity, People


class TouchedPeople(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The people of two worlds of whom not all is the same in both, by identity.

    A visitor that logs in brings its events to a customer. The customer's counts grow by them, so
    that nothing else of the customer need be read for counts.
    """

    again: Mapping[Identity, BitMap]
    """All their events are counted anew."""
    told: Mapping[Identity, BitMap]
    """These and everyone of whom more than a count may have changed."""
    relinked: BitMap
    """Visitors that belong to another customer than before, or to none any more."""


def touched_people(
    old: World,
    new: World,
    touched: Touched,
    *,
    came_or_went: Mapping[Identity, BitMap],
    telling: Collection[str],
) -> TouchedPeople:
    """Give of whom what must be read.

    `came_or_went` are those in one base alone; of `telling` events more counts than how many there
    are.
    """
    relinked = _relinked_visitors(old, new)
    known = old.visitors | old.customers
    again, told = {}, {}
    for identity, people in new.people.items():
        was = old.people[identity]
        changed_base = came_or_went[identity]
        anew = _of_unseen(touched, was, people) | _left(relinked, was) | changed_base & known
        anew.discard(NOBODY)
        again[identity] = anew
        linked = people.persons_of_visitors(relinked)
        came = [bitmap_of(part.whose(part.named(*telling), people)) for part in touched.arrived]
        everyone = BitMap.union(anew, changed_base, linked, *came)
        everyone.discard(NOBODY)
        told[identity] = everyone
    return TouchedPeople(again=again, told=told, relinked=relinked)


class Owners(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The visitors and customers whose events are to be read."""

    counted: BitMap
    """Of everyone who is counted again, and the visitors that were linked otherwise."""
    told: BitMap
    """Of everyone of whom more than a count may have changed."""


def owners_of(touched: TouchedPeople, world: World) -> Owners:
    """Give whose events belong to these people."""
    people, last = world.people[Identity.LAST_AUTHENTICATED], Identity.LAST_AUTHENTICATED
    visitors = people.visitors_of(touched.told[last])
    # Why not asked for again: of whom a visitor is, is asked of all visitors.
    places = ordinals_of(visitors)
    whose = people.fold(places, np.zeros_like(places))
    again = bitmap_of(places[np.isin(whose, ordinals_of(touched.again[last]))])
    return Owners(
        counted=_owners(again | touched.relinked, touched.again),
        told=_owners(visitors, touched.told),
    )


def _owners(visitors: BitMap, persons: Mapping[Identity, BitMap]) -> BitMap:
    customers = persons[Identity.LAST_AUTHENTICATED].copy()
    customers.remove_range(VISITOR_FIRST, 1 << 32)
    owners = BitMap.union(customers, visitors, persons[Identity.BROWSER])
    owners.discard(NOBODY)
    return owners


def _of_unseen(touched: Touched, was: People, now: People) -> BitMap:
    """Give the persons, now and before, whose events came or went without being seen one by one."""
    persons = was.persons_of_visitors(touched.visitors) | now.persons_of_visitors(touched.visitors)
    if now.identity is Identity.LAST_AUTHENTICATED:
        persons |= touched.customers
    return persons


def _left(relinked: BitMap, was: People) -> BitMap:
    """Give the persons whom visitors left, and those visitors themselves.

    A visitor that is a person of its own again counts from what it did, not from what was known of
    it when it left.
    """
    if was.identity is Identity.BROWSER:
        return BitMap()
    return was.persons_of_visitors(relinked) | relinked


def _relinked_visitors(old: World, new: World) -> BitMap:
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
