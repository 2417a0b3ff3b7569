"""Brings cached criteria up to date after a tick, for the people alone whom the tick touched.

In go the criteria as they stand, a newer world and what was touched, out come criteria over the
newer world with what was cached patched. Where only the number of events decides, those that
arrived are counted on; all else is answered by the function that answers for everybody, from the
events of the people concerned.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.answers import Answers, selection_of_span, span_of
from audiences.behaviour import selection_of
from audiences.computed_traits import Rfm
from audiences.criteria import Criteria
from audiences.criterion_cache import Cached, CacheKey
from audiences.event_counts import EventCounts, Span
from audiences.event_selection import Selection, rows_query
from audiences.rule import Criterion, Did, DidInOrder, HasTrait, SeenOn, Synced
from audiences.touched_events_store import Asked, TouchedEvents, TouchedEventsStore
from audiences.touched_people import TouchedPeople, owners_of, touched_people
from audiences.trait_store import ComputedTrait
from audiences.world import Arrived, Touched, World
from matching.bitmaps import bitmap_of, ordinals_of
from matching.ids import NOBODY
from matching.people import Identity

Entry: TypeAlias = tuple[CacheKey, Cached]
OWNERS_MAX: Final = 300_000
"""With more owners than these, reading all events is no dearer than reading theirs."""


class Refreshed(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Criteria over the newer world, and the computed traits that go with them."""

    criteria: Criteria
    computed: Mapping[str, ComputedTrait]


def refreshed(
    old: Criteria,
    world: World,
    touched: Touched,
    *,
    store: TouchedEventsStore,
    rfm: Rfm,
    as_of_ms: int,
    traits_changed: bool = False,
    owners_max: int = OWNERS_MAX,
) -> Refreshed | None:
    """Patch what is cached; None when so many are touched that all is better asked anew.

    `touched` holds every event that came or went since `old` was made, or its owners. Criteria on
    partners' ids, on computed traits and, with `traits_changed`, on any trait are not patched but
    dropped: they change for others too.
    """
    day = old.days.day(as_of_ms)
    entries = [
        (key, each)
        for key, each in old.cache.entries(old.world.data_version)
        if key == old.key_of(key[0], key[1], day)
        and _may_be_patched(each.criterion, old, traits_changed)
    ]
    asked = _asked(entries, rfm.selection(day), day=day)
    people = touched_people(
        old.world,
        world,
        touched,
        came_or_went={each: old.base(each) ^ world.base(each) for each in world.people},
        telling=asked.telling.events,
    )
    owners = owners_of(people, world)
    if max(len(owners.counted), len(owners.told)) > owners_max:
        return None
    old.daily.forget(touched)
    if traits_changed:
        old.traits.forget()
    with store.gather(owners.counted, asked.counted) as events:
        patch = _Patch(old, world, touched.arrived, people, events, day=day)
        new = old.over(world, counts=patch.counts(entries))
    with store.gather(owners.told, asked.telling) as events:
        computed = rfm.of_touched(
            people.told[Identity.LAST_AUTHENTICATED], events, criteria=new, as_of_ms=as_of_ms
        )
        new.cache.put_all(patch.patched(entries, new, events))
    new.cache.forget_older(world.data_version)
    return Refreshed(criteria=new, computed=computed)


def _may_be_patched(criterion: Criterion, criteria: Criteria, traits_changed: bool) -> bool:
    if isinstance(criterion, HasTrait):
        return not traits_changed and not criteria.traits.is_computed(criterion.trait)
    return not isinstance(criterion, Synced)


class _Patch:
    """What changed between two worlds: events that arrived, and all events of some people."""

    def __init__(
        self,
        old: Criteria,
        world: World,
        arrived: Sequence[Arrived],
        touched: TouchedPeople,
        events: TouchedEvents,
        *,
        day: int,
    ) -> None:
        """Take `events` of everyone who is counted again and of every visitor linked otherwise."""
        self._old = old
        self._world = world
        self._arrived = arrived
        self._touched = touched
        self._events = events
        self._day = day
        self._relinked = ordinals_of(touched.relinked)
        self._read = {
            each: self._persons(events.visitor, events.customer, each, read=True)
            for each in world.people
        }
        self._came = [
            {
                each: self._persons(part.visitor, part.customer, each, read=False)
                for each in world.people
            }
            for part in arrived
        ]

    def counts(self, entries: Iterable[Entry]) -> EventCounts:
        """Take over the counts that the cached criteria stand on."""
        found = {span_of(each.criterion, key[1], self._day) for key, each in entries}
        return self._old.counts.taken_over(
            [span for span in found if span is not None],
            again=self._touched.again,
            persons=self._to_count,
            insertions=max([0, *(part.number for part in self._arrived)]),
        )

    def patched(
        self, entries: Iterable[Entry], new: Criteria, telling: TouchedEvents
    ) -> list[Entry]:
        """Give the criteria with their people of the newer world, but for those nobody knows.

        `telling` holds all events that tell more than their number of everyone of whom it counts.
        """
        some = {each: self._some(each, new, telling) for each in self._world.people}
        patched = []
        for (form, identity, *_), cached in entries:
            criterion, those = cached.criterion, some[identity]
            span = span_of(criterion, identity, self._day)
            changed, found = those.told, None
            if span is not None and isinstance(criterion, Did):
                changed = those.counted
                found = new.counts.within(span, *criterion.counts(), those.base & changed)
                if found is None:
                    continue  # it was counted while events arrived
            elif isinstance(criterion, SeenOn):
                there = self._seen_on(criterion.site, identity) & those.base
                changed = those.again | there
                found = there
            else:
                found = those.answers.of(criterion)
            members = cached.members
            if members & changed != found:
                members = members - changed
                members |= found
            key = new.key_of(form, identity, self._day)
            patched.append((key, Cached(criterion=criterion, members=members)))
        return patched

    def _some(self, identity: Identity, new: Criteria, telling: TouchedEvents) -> "_Some":
        told, base = self._touched.told[identity], new.base(identity)
        people = self._world.people[identity]
        came = [bitmap_of(part.whose(part.named(*part.events), people)) for part in self._arrived]
        answers = msgspec.structs.replace(
            new.answers(identity, self._day),
            base=base & told,
            events=telling,
            daily=None,
            counts=None,
        )
        return _Some(
            again=self._touched.again[identity],
            told=told,
            counted=BitMap.union(told, *came),
            base=base,
            answers=answers,
        )

    def _to_count(self, span: Span, insertions: int) -> NDArray[np.uint32]:
        """Name the person of each event that is not counted in yet."""
        read = self._read[span.identity][self._events.places(selection_of_span(span))]
        came = [
            persons[span.identity][part.asked(span)]
            for part, persons in zip(self._arrived, self._came, strict=True)
            if part.number > insertions
        ]
        return np.concatenate([read, *came])

    def _seen_on(self, site: str, identity: Identity) -> BitMap:
        """Give everyone who is known to have been there from the events at hand; and 0, nobody."""
        places = self._events.places_on_site(site, last_day=self._day)
        came = [
            persons[identity][part.on_site(site) & (part.day <= self._day)]
            for part, persons in zip(self._arrived, self._came, strict=True)
        ]
        return bitmap_of(np.concatenate([self._read[identity][places], *came]))

    def _persons(
        self,
        visitors: NDArray[np.uint32],
        customers: NDArray[np.uint32],
        identity: Identity,
        *,
        read: bool,
    ) -> NDArray[np.uint32]:
        """Name the person of each event, 0 where it is no matter of these.

        Of who is counted again, and of what moves along with a visitor, the events that were read
        count; of everybody else those that came.
        """
        persons = self._world.people[identity].fold(visitors, customers)
        again = np.isin(persons, ordinals_of(self._touched.again[identity]))
        again |= self._moved(visitors, customers, identity)
        return np.where(again == read, persons, np.uint32(NOBODY))

    def _moved(
        self, visitors: NDArray[np.uint32], customers: NDArray[np.uint32], identity: Identity
    ) -> NDArray[np.bool_]:
        """Tell which events go with a visitor to whomever it belongs to now."""
        if identity is Identity.BROWSER:
            return np.zeros(visitors.size, dtype=np.bool_)
        found: NDArray[np.bool_] = np.isin(visitors, self._relinked) & (customers == NOBODY)
        return found


class _Some(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Of one identity: who is counted again, of whom more is asked, whose counts may differ."""

    again: BitMap
    told: BitMap
    counted: BitMap
    base: BitMap
    answers: Answers


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of events: of some only how many there are, of others more."""

    counted: Asked
    telling: Asked


def _asked(entries: Iterable[Entry], computed: Selection, *, day: int) -> _Asked:
    counted: set[str] = set()
    sites: set[str] = set()
    telling = [computed]
    anything = ordered = False
    for (_, identity, *_), cached in entries:
        each = cached.criterion
        if isinstance(each, Did):
            sites.add(each.site or "")
            if span_of(each, identity, day) is None:
                telling.append(selection_of(each, day=day))
            else:
                counted.add(each.event)
        elif isinstance(each, DidInOrder):
            ordered = True
            telling += [
                Selection(event=step.event, where=step.where, last_day=day) for step in each.steps
            ]
        elif isinstance(each, SeenOn):
            sites.add(each.site)
            anything = True
    queries = {rows_query(each) for each in telling}
    names = {each.event for each in telling} | {each.refund for each in telling}
    some = sorted(sites - {""})
    return _Asked(
        counted=Asked(events=sorted(counted), sites=some, anything=anything),
        telling=Asked(
            events=sorted(names - {""}),
            sites=some,
            details=True,
            ordered=ordered,
            promoted="event_rows_promoted" in queries,
            properties="event_rows_where" in queries,
        ),
    )
