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
from audiences.event_counts import (
    LEVELS_MAX,
    EventCounts,
    Levels,
    Span,
    levels_needed,
    levels_of,
    within,
)
from audiences.event_selection import Selection
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


class Answers(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Where to look: the world, the people asked for, the day, and who tells what of them.

    `daily` and `counts` are for a base of everybody; the people of `base` have all their events in
    `events`. `insertions` counts the inserts of events, None while one is under way.
    """

    world: World
    identity: Identity
    base: BitMap
    day: int
    events: EventSource
    daily: DailyBitmaps | None
    counts: EventCounts | None
    insertions: Callable[[], int | None]
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
        span = span_of(criterion, self.identity, self.day)
        if self.counts is None or span is None:
            return self._behaviour().did(criterion)
        low, high = criterion.counts()
        found = self.counts.within(span, low, high, self.base)
        if found is None:
            before = self.insertions()
            levels = self._levels(span, levels_needed(low, high), insertions=before or 0)
            found = within(levels, low, high, self.base)
            # Why: whether an event is counted in that came meanwhile, nobody knows.
            if before is not None and before == self.insertions():
                self.counts.put(span, levels)
        return found

    def _levels(self, span: Span, upto: int, *, insertions: int) -> Levels:
        behaviour = self._behaviour()
        if self.daily is None or upto > 1 or span.site:
            rows = behaviour.persons(selection_of_span(span))
            return levels_of(rows, insertions=insertions)
        first, last = max(0, span.first_day), max(0, span.last_day)
        few = self.daily.few(span.event, first, last)
        if few is not None:
            return levels_of(behaviour.fold(few), insertions=insertions)
        persons = self.daily.persons(span.event, first, last, behaviour.people)
        return Levels(sets=[persons], upto=1, insertions=insertions)

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


def span_of(criterion: Criterion, identity: Identity, day: int) -> Span | None:
    """Give the events whose number alone decides; None where more does."""
    if not isinstance(criterion, Did) or criterion.where or criterion.sum:
        return None
    if levels_needed(*criterion.counts()) > LEVELS_MAX:
        return None
    asked = selection_of(criterion, day=day)
    return Span(identity, asked.event, asked.site or "", asked.first_day, asked.last_day)


def selection_of_span(span: Span) -> Selection:
    """Give the events that are counted."""
    return Selection(
        event=span.event,
        site=span.site or None,
        first_day=span.first_day,
        last_day=span.last_day,
    )


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
