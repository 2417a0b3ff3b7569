"""Brings cached criteria up to date after a tick, for the people alone whom the tick touched.

In go the criteria as they stand, a newer world and what was touched, out come criteria over the
newer world with what was cached patched. The touched people's events are read once, and every
criterion is answered for them by the function that answers for everybody.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.answers import Answers
from audiences.computed_traits import Rfm
from audiences.criteria import Criteria
from audiences.criterion_cache import Cached, CacheKey
from audiences.event_selection import Selection
from audiences.event_source import EventSource
from audiences.rule import Criterion, Did, DidInOrder, HasTrait, SeenOn, Synced
from audiences.touched_events_store import Asked, TouchedEventsStore
from audiences.trait_store import ComputedTrait
from audiences.world import Touched, World, persons_touched, relinked_visitors
from matching.ids import NOBODY, VISITOR_FIRST
from matching.people import Identity

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

    `touched` holds every owner of an event that came or went since `old` was made. Criteria on
    partners' ids, on computed traits and, with `traits_changed`, on any trait are not patched but
    dropped: they change for others too.
    """
    relinked = relinked_visitors(old.world, world)
    new = old.over(world)
    persons = {
        each: persons_touched(touched, relinked, each, old=old.world, new=world)
        | (old.base(each) ^ new.base(each))
        for each in Identity
    }
    day = old.days.day(as_of_ms)
    entries = [
        (key, each)
        for key, each in old.cache.entries(old.world.data_version)
        if key == old.key(each.criterion, key[1], day)
        and _may_be_patched(each.criterion, old, traits_changed)
    ]
    owners = _owners(persons, world, {key[1] for key, _ in entries})
    if len(owners) > owners_max:
        return None
    old.daily.forget(touched)
    if traits_changed:
        old.traits.forget()
    asked = _asked((each.criterion for _, each in entries), rfm.selection(day))
    with store.gather(owners, asked) as events:
        computed = rfm.of_touched(
            persons[Identity.LAST_AUTHENTICATED], events, criteria=new, as_of_ms=as_of_ms
        )
        new.cache.put_all(_patched(entries, persons, events, new=new, day=day))
    new.cache.forget_older(world.data_version)
    return Refreshed(criteria=new, computed=computed)


def _may_be_patched(criterion: Criterion, criteria: Criteria, traits_changed: bool) -> bool:
    if isinstance(criterion, HasTrait):
        return not traits_changed and not criteria.traits.is_computed(criterion.trait)
    return not isinstance(criterion, Synced)


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


def _patched(
    entries: Iterable[tuple[CacheKey, Cached]],
    persons: Mapping[Identity, BitMap],
    events: EventSource,
    *,
    new: Criteria,
    day: int,
) -> list[tuple[CacheKey, Cached]]:
    answers = {
        identity: Answers(
            world=new.world,
            identity=identity,
            base=new.base(identity) & those,
            day=day,
            events=events,
            daily=None,
            holders=new.traits.holders,
            said=new.traits.said,
            synced=new.synced,
        )
        for identity, those in persons.items()
    }
    patched = []
    for (_, identity, *_), cached in entries:
        found = answers[identity].of(cached.criterion)
        members = cached.members
        if members & persons[identity] != found:
            members = members - persons[identity]
            members |= found
        key = new.key(cached.criterion, identity, day)
        patched.append((key, Cached(criterion=cached.criterion, members=members)))
    return patched


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
