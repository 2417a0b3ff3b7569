"""Gives the people of a criterion as one bitmap, cached until what it depends on changes.

A criterion is answered within the base of one identity, as of a day, over an unchanging `World`:
who there is, who is whose, and which audiences are defined. The stores are asked for rows; nothing
here stores or builds.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from threading import Lock
from typing import Final, TypeAlias

import msgspec
from pyroaring import BitMap

from audiences.behaviour import Behaviour
from audiences.calendar_days import CalendarDays
from audiences.canonical import canonical
from audiences.conditions import Op
from audiences.definitions import AudienceCycleError, UnknownAudienceError
from audiences.evaluate import Leaf, evaluate
from audiences.event_store import EventStore
from audiences.rule import (
    Audience,
    Criterion,
    Did,
    DidInOrder,
    Everyone,
    HasTrait,
    Identified,
    InAudience,
    Rule,
    SeenOn,
    Synced,
)
from audiences.trait_store import TraitStore, TraitValue
from matching.ids import NOBODY, ORDINAL_LAST, VISITOR_FIRST
from matching.people import Identity, People

CRITERIA_CACHED_MAX: Final = 2_000

CacheKey: TypeAlias = tuple[bytes, Identity, int, int, int]


class World(msgspec.Struct, frozen=True, kw_only=True):
    """One moment's unchanging answer to who there is; `excluded` are visitors in no audience.

    `data_version` grows with every load, import, erasure and computed trait.
    """

    people: Mapping[Identity, People]
    customers: BitMap
    visitors: BitMap
    excluded: BitMap
    audiences: Mapping[str, Audience]
    currencies: Mapping[str, str]
    data_version: int


class CriterionCache:
    """The bitmaps of criteria by all that they depend on; the longest unused one goes first."""

    def __init__(self, *, criteria_max: int = CRITERIA_CACHED_MAX) -> None:
        self._criteria_max = criteria_max
        self._bitmaps: dict[CacheKey, BitMap] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._bitmaps)

    def get(self, key: CacheKey) -> BitMap | None:
        """Give the bitmap of this key and count it as used."""
        with self._lock:
            found = self._bitmaps.pop(key, None)
            if found is not None:
                self._bitmaps[key] = found
            return found

    def put(self, key: CacheKey, members: BitMap) -> None:
        """Keep a bitmap."""
        with self._lock:
            self._bitmaps[key] = members
            while len(self._bitmaps) > self._criteria_max:
                del self._bitmaps[next(iter(self._bitmaps))]

    def forget_older(self, data_version: int) -> None:
        """Drop what older data gave."""
        with self._lock:
            self._bitmaps = {k: v for k, v in self._bitmaps.items() if k[3] >= data_version}


class Criteria:
    """The criteria over one world; bitmaps that come out are shared and must not be changed."""

    def __init__(
        self,
        *,
        events: EventStore,
        traits: TraitStore,
        days: CalendarDays,
        world: World,
        synced: Callable[[str], BitMap],
        built: Callable[[str], BitMap],
        cache: CriterionCache | None = None,
    ) -> None:
        self.events = events
        self.traits = traits
        self.days = days
        self.world = world
        self._synced = synced
        self._built = built
        self._cache = CriterionCache() if cache is None else cache
        self._bases = {
            identity: people.base(
                customers=world.customers, visitors=world.visitors - world.excluded
            )
            for identity, people in world.people.items()
        }

    def renewed(self, world: World) -> "Criteria":
        """Give the criteria over a newer world; what still holds stays cached."""
        self._cache.forget_older(world.data_version)
        return Criteria(
            events=self.events,
            traits=self.traits,
            days=self.days,
            world=world,
            synced=self._synced,
            built=self._built,
            cache=self._cache,
        )

    def base(self, identity: Identity) -> BitMap:
        """Give everyone who may be in an audience."""
        return self._bases[identity]

    def people(self, identity: Identity) -> People:
        """Give who is whose."""
        return self.world.people[identity]

    def members(self, rule: Rule, identity: Identity, as_of_ms: int) -> BitMap:
        """Give everyone whom a rule holds for."""
        return evaluate(rule, base=self.base(identity), leaf=self.leaf(identity, as_of_ms))

    def bitmap(self, criterion: Criterion, identity: Identity, as_of_ms: int) -> BitMap:
        """Give everyone whom a criterion holds for."""
        return self.leaf(identity, as_of_ms)(criterion)

    def leaf(self, identity: Identity, as_of_ms: int) -> Leaf:
        """Give the function that answers criteria for one evaluation."""
        day = self.days.day(as_of_ms)
        # An audience stands here with its members once they are known, with None until then.
        known: dict[str, BitMap | None] = {}

        def answer(criterion: Criterion) -> BitMap:
            if isinstance(criterion, InAudience):
                return self._audience(criterion.audience, identity, answer, known)
            versions = (self.people(identity).version, self.world.data_version, day)
            key = (canonical(criterion), identity, *versions)
            found = self._cache.get(key)
            if found is None:
                found = self._fresh(criterion, identity, day)
                self._cache.put(key, found)
            return found

        return answer

    @cached_property
    def known_events(self) -> frozenset[str]:
        """Give the names of all events that have come."""
        return frozenset(entry.event for entry in self.events.catalogue())

    @cached_property
    def known_traits(self) -> frozenset[str]:
        """Give the names of all traits that somebody has."""
        return frozenset(info.trait for info in self.traits.traits())

    def trait_values(self, trait: str, identity: Identity) -> list[TraitValue]:
        """Give the most frequent values of a trait, each with its people."""
        return [
            TraitValue(value=each.value, holders=self._persons(each.holders, identity))
            for each in self.traits.values(trait)
        ]

    def _fresh(self, criterion: Criterion, identity: Identity, day: int) -> BitMap:
        base, people = self.base(identity), self.people(identity)
        behaviour = Behaviour(
            events=self.events,
            people=people,
            base=base,
            day=day,
            currencies=self.world.currencies,
        )
        match criterion:
            case HasTrait():
                return self._has_trait(criterion, identity)
            case Did():
                return behaviour.did(criterion)
            case DidInOrder():
                return behaviour.did_in_order(criterion)
            case SeenOn():
                return behaviour.seen_on(criterion.site)
            case Synced():
                return people.persons_of_visitors(self._synced(criterion.partner)) & base
            case Identified():
                return people.persons_of_customers(self.world.customers) & base
            case Everyone():
                return base
            case InAudience():
                raise TypeError("in_audience is answered by leaf(), it depends on other audiences")

    def _has_trait(self, criterion: HasTrait, identity: Identity) -> BitMap:
        if criterion.op is Op.IS_NOT:
            holders = self.traits.holders(criterion.trait, Op.IS, criterion.value)
            return self.base(identity) - self._persons(holders, identity)
        holders = self.traits.holders(criterion.trait, criterion.op, criterion.value)
        return self._persons(holders, identity)

    def _persons(self, holders: BitMap, identity: Identity) -> BitMap:
        """Give the people behind customers and, where a trait is computed, unlinked visitors."""
        customers, visitors = holders.copy(), holders.copy()
        customers.remove_range(VISITOR_FIRST, ORDINAL_LAST + 2)
        visitors.remove_range(NOBODY, VISITOR_FIRST)
        persons = self.people(identity).persons_of_customers(customers) | visitors
        return persons & self.base(identity)

    def _audience(
        self, key: str, identity: Identity, answer: Leaf, known: dict[str, BitMap | None]
    ) -> BitMap:
        """Evaluate the audience's rule under the identity that asks; twins are as last built."""
        audience = self.world.audiences.get(key)
        if audience is None:
            raise UnknownAudienceError(f"There is no audience {key!r}; define it first")
        if audience.rule is None:
            return self._translated(self._built(key), audience.identity, identity)
        if key in known:
            members = known[key]
            if members is None:
                raise AudienceCycleError(f"The audience {key!r} needs itself")
            return members
        known[key] = None
        members = evaluate(audience.rule, base=self.base(identity), leaf=answer)
        known[key] = members
        return members

    def _translated(self, members: BitMap, built: Identity, asked: Identity) -> BitMap:
        if built is asked:
            return members & self.base(asked)
        old, new = self.people(built), self.people(asked)
        persons = new.persons_of_visitors(old.visitors_of(members))
        persons |= new.persons_of_customers(old.customers_of(members))
        return persons & self.base(asked)
