"""Answers one criterion within a base: the one function for everybody and for the touched alone.

In go a criterion and where to look, out come people of the base. It caches nothing and evaluates
no other audience.
"""

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
from pyroaring import BitMap

from audiences.behaviour import Behaviour, selection_of
from audiences.conditions import Op, Value
from audiences.daily_bitmaps import DailyBitmaps
from audiences.event_source import EventSource
from audiences.rule import (
    Criterion,
    Did,
    DidInOrder,
    Everyone,
    HasTrait,
    Identified,
    InAudience,
    SeenOn,
    Synced,
)
from audiences.third_party import with_third_parties
from audiences.world import World
from matching.bitmaps import bitmap_of, ordinals_of
from matching.ids import NOBODY, ORDINAL_LAST, VISITOR_FIRST
from matching.people import Identity

FEW: Final = 8
"""A base of less than one in so many visitors is asked person by person, not by masks of all."""
ONCE, NEVER = (1, None), (0, 0)


class Answers(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Where to look: the world, the people asked for, the day, and who tells what of them.

    `daily` is for a base of everybody; the people of `base` have all their events in `events`.
    """

    world: World
    identity: Identity
    base: BitMap
    day: int
    events: EventSource
    daily: DailyBitmaps | None
    holders: Callable[[str, Op, Value], BitMap]
    said: Callable[[str, Op, Value], BitMap]
    synced: Callable[[str], BitMap]

    def of(self, criterion: Criterion) -> BitMap:
        """Give everyone of the base whom the criterion holds for."""
        match criterion:
            case HasTrait():
                return self._has_trait(criterion)
            case Did():
                return self._did(criterion)
            case DidInOrder():
                return self._behaviour().did_in_order(criterion)
            case SeenOn():
                return self._behaviour().seen_on(criterion.site)
            case Synced():
                people = self.world.people[self.identity]
                return people.persons_of_visitors(self.synced(criterion.partner)) & self.base
            case Identified():
                return self._persons(self.world.customers)
            case Everyone():
                return self.base
            case InAudience():
                raise TypeError("in_audience is answered by leaf(), it depends on other audiences")

    def _did(self, criterion: Did) -> BitMap:
        is_plain = not (criterion.site or criterion.where or criterion.sum)
        if self.daily is None or not is_plain or criterion.counts() not in (ONCE, NEVER):
            return self._behaviour().did(criterion)
        selection = selection_of(criterion, day=self.day)
        people = self.world.people[self.identity]
        persons = self.daily.persons(
            criterion.event, max(0, selection.first_day), selection.last_day, people
        )
        return self.base - persons if criterion.counts() == NEVER else persons & self.base

    def _behaviour(self) -> Behaviour:
        return Behaviour(
            events=self.events,
            people=self.world.people[self.identity],
            base=self.base,
            day=self.day,
            currencies=self.world.currencies,
        )

    def _has_trait(self, criterion: HasTrait) -> BitMap:
        if criterion.op is Op.IS_NOT:
            return self.base - self._with_trait(criterion.trait, Op.IS, criterion.value)
        return self._with_trait(criterion.trait, criterion.op, criterion.value)

    def _with_trait(self, trait: str, op: Op, value: Value) -> BitMap:
        own, said = self._persons(self.holders(trait, op, value)), self.said(trait, op, value)
        if not said:
            return own
        having = self._persons(self.holders(trait, Op.EXISTS, None))
        people = self.world.people[self.identity]
        return with_third_parties(own, said, having=having, people=people, base=self.base)

    def _persons(self, holders: BitMap) -> BitMap:
        return persons_of_holders(holders, self.world, self.identity, self.base)


def persons_of_holders(holders: BitMap, world: World, identity: Identity, base: BitMap) -> BitMap:
    """Give the people of a base behind customers and, for computed traits, unlinked visitors."""
    if identity is Identity.LAST_AUTHENTICATED:
        return holders & base
    if FEW * len(base) < len(world.visitors):
        browsers = ordinals_of(base)
        people = world.people[Identity.LAST_AUTHENTICATED]
        whose = people.fold(browsers, np.zeros_like(browsers))
        return bitmap_of(browsers[np.isin(whose, ordinals_of(bitmap_of(whose) & holders))])
    customers, visitors = holders.copy(), holders.copy()
    customers.remove_range(VISITOR_FIRST, ORDINAL_LAST + 2)
    visitors.remove_range(NOBODY, VISITOR_FIRST)
    return (world.people[identity].persons_of_customers(customers) | visitors) & base
