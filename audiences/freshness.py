"""Brings cached criteria up to date after a tick, for the people alone whom the tick touched.

In go the criteria as they stand, a newer world and what was touched, out come criteria over the
newer world with what was cached patched. Where only the number of events decides, those that
arrived are counted on; all else is answered by the function that answers for everybody, from the
events of the people concerned.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.answers import Answers, selection_of_span, span_of
from audiences.computed_traits import Rfm
from audiences.criteria import Criteria
from audiences.criterion_cache import Cached, CacheKey
from audiences.event_counts import EventCounts, Span
from audiences.event_selection import Selection
from audiences.event_source import EventSource
from audiences.rule import Criterion, Did, DidInOrder, HasTrait, SeenOn, Synced
from audiences.touched_events_store import Asked, TouchedEventsStore
from audiences.trait_store import ComputedTrait
from audiences.world import Arrived, Touched, World, persons_touched, relinked_visitors
from matching.bitmaps import bitmap_of
from matching.ids import NOBODY, VISITOR_FIRST
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
        if key == old.key(each.criterion, key[1], day)
        and _may_be_patched(each.criterion, old, traits_changed)
    ]
    asked = _asked((each.criterion for _, each in entries), rfm.selection(day))
    again = _read_again(old, world, touched, telling=_telling(entries, asked, day))
    owners = _owners(again, world, {key[1] for key, _ in entries})
    if len(owners) > owners_max:
        return None
    old.daily.forget(touched)
    if traits_changed:
        old.traits.forget()
    with store.gather(owners, asked) as events:
        patch = _Patch(old, world, touched.arrived, again, events, day=day)
        new = old.over(world, counts=patch.counts(entries))
        computed = rfm.of_touched(
            again[Identity.LAST_AUTHENTICATED], events, criteria=new, as_of_ms=as_of_ms
        )
        new.cache.put_all(patch.patched(entries, new))
    new.cache.forget_older(world.data_version)
    return Refreshed(criteria=new, computed=computed)


def _may_be_patched(criterion: Criterion, criteria: Criteria, traits_changed: bool) -> bool:
    if isinstance(criterion, HasTrait):
        return not traits_changed and not criteria.traits.is_computed(criterion.trait)
    return not isinstance(criterion, Synced)


def _telling(entries: Iterable[Entry], asked: Asked, day: int) -> frozenset[str]:
    """Name the events of which more counts than how many there are, or more than is counted."""
    often = {
        each.criterion.event
        for (_, identity, *_), each in entries
        if isinstance(each.criterion, Did) and span_of(each.criterion, identity, day) is None
    }
    return frozenset({*often, *asked.events_with_properties, *asked.in_order})


def _read_again(
    old: Criteria, world: World, touched: Touched, *, telling: Collection[str]
) -> dict[Identity, BitMap]:
    """Give everyone of whom it is not enough to count the events that arrived."""
    relinked = relinked_visitors(old.world, world)
    known = old.world.visitors | old.world.customers
    found = {}
    for identity, people in world.people.items():
        persons = persons_touched(touched, relinked, identity, old=old.world, new=world)
        persons |= (old.base(identity) ^ world.base(identity)) & known
        for part in touched.arrived:
            persons |= bitmap_of(part.whose(part.named(*telling), people))
        persons.discard(NOBODY)
        found[identity] = persons
    return found


def _owners(
    persons: Mapping[Identity, BitMap], world: World, identities: Iterable[Identity]
) -> BitMap:
    """Give all visitors and customers whose events belong to these persons."""
    last = persons[Identity.LAST_AUTHENTICATED]
    customers = last.copy()
    customers.remove_range(VISITOR_FIRST, 1 << 32)
    owners = world.people[Identity.LAST_AUTHENTICATED].visitors_of(last) | customers
    if Identity.BROWSER in identities:
        owners |= persons[Identity.BROWSER]
    owners.discard(NOBODY)
    return owners


class _Patch:
    """What changed between two worlds: events that arrived, and all events of some people."""

    def __init__(
        self,
        old: Criteria,
        world: World,
        arrived: Sequence[Arrived],
        again: Mapping[Identity, BitMap],
        events: EventSource,
        *,
        day: int,
    ) -> None:
        self._old = old
        self._world = world
        self._arrived = arrived
        self._again = again
        self._events = events
        self._day = day

    def counts(self, entries: Iterable[Entry]) -> EventCounts:
        """Take over the counts that the cached criteria stand on."""
        found = {span_of(each.criterion, key[1], self._day) for key, each in entries}
        return self._old.counts.taken_over(
            [span for span in found if span is not None],
            self._arrived,
            people=self._world.people,
            again=self._again,
            recounted=self._recounted,
        )

    def patched(self, entries: Iterable[Entry], new: Criteria) -> list[Entry]:
        """Give the criteria with their people of the newer world, but for those nobody knows."""
        some = {each: self._some(each, new) for each in self._again}
        patched = []
        for (_, identity, *_), cached in entries:
            criterion, those = cached.criterion, some[identity]
            span = span_of(criterion, identity, self._day)
            changed, found = those.asked, None
            if span is not None and isinstance(criterion, Did):
                changed = those.counted
                found = new.counts.within(span, *criterion.counts(), those.base & changed)
                if found is None:
                    continue  # it was counted while events arrived
            else:
                found = those.answers.of(criterion)
            if isinstance(criterion, SeenOn):
                there = self._seen_on(criterion.site, identity)
                changed, found = changed | there, found | (there & new.base(identity))
            members = cached.members
            if members & changed != found:
                members = members - changed
                members |= found
            key = new.key(criterion, identity, self._day)
            patched.append((key, Cached(criterion=criterion, members=members)))
        return patched

    def _some(self, identity: Identity, new: Criteria) -> "_Some":
        asked = self._again[identity] | (self._old.base(identity) ^ new.base(identity))
        people = new.people(identity)
        came = [bitmap_of(part.whose(part.named(*part.events), people)) for part in self._arrived]
        counted = BitMap.union(asked, *came)
        base = new.base(identity)
        answers = msgspec.structs.replace(
            new.answers(identity, self._day),
            base=base & asked,
            events=self._events,
            daily=None,
            counts=None,
        )
        return _Some(asked=asked, counted=counted, base=base & counted, answers=answers)

    def _recounted(self, span: Span) -> NDArray[np.uint32]:
        rows = self._events.owners(selection_of_span(span))
        visitors, customers = (np.ascontiguousarray(rows[x]) for x in ("visitor", "customer"))
        return self._world.people[span.identity].fold(visitors, customers)

    def _seen_on(self, site: str, identity: Identity) -> BitMap:
        people = self._world.people[identity]
        came = [bitmap_of(part.whose(part.on_site(site), people)) for part in self._arrived]
        return BitMap.union(BitMap(), *came)


class _Some(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Of one identity: whom all criteria are asked of, and whose counts may have changed."""

    asked: BitMap
    counted: BitMap
    base: BitMap
    """Who of `counted` may be in an audience."""
    answers: Answers


def _asked(criteria: Iterable[Criterion], computed: Selection) -> Asked:
    """Gather what will be asked of the touched people's events."""
    plain: set[str] = set()
    sites: set[str] = set()
    whole = {computed.event, computed.refund}
    in_order: set[str] = set()
    anything = False
    for each in criteria:
        if isinstance(each, Did):
            plain.add(each.event)
            sites.add(each.site or "")
            if each.where or each.sum:
                field = each.sum.field if each.sum else ""
                selection = Selection(event=each.event, last_day=0, field=field)
                whole |= {selection.event, selection.refund}
        elif isinstance(each, DidInOrder):
            plain |= {step.event for step in each.steps}
            whole |= {step.event for step in each.steps if step.where}
            in_order |= {step.event for step in each.steps}
        elif isinstance(each, SeenOn):
            sites.add(each.site)
            anything = True
    return Asked(
        events=sorted((plain | whole) - {""}),
        sites=sorted(sites - {""}),
        events_with_properties=sorted(whole - {""}),
        in_order=sorted(in_order),
        anything=anything,
    )
