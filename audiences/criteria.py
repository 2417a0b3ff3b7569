"""Gives the people of a criterion as one bitmap, cached until what it depends on changes.

A criterion is answered within the base of one identity, as of a day, over an unchanging `World`:
who there is, who is whose, and which audiences are defined. The stores are asked for rows; nothing
here stores or builds.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.answers import Answers, persons_of_holders
from audiences.calendar_days import CalendarDays
from audiences.canonical import canonical
from audiences.conditions import Op
from audiences.criterion_cache import Cached, CacheKey, CriterionCache
from audiences.daily_bitmaps import DailyBitmaps
from audiences.definitions import AudienceCycleError, UnknownAudienceError
from audiences.evaluate import Leaf, evaluate
from audiences.event_counts import EventCounts
from audiences.event_selection import Selection
from audiences.event_store import EventStore
from audiences.rule import Criterion, InAudience, Rule
from audiences.third_party import with_third_parties
from audiences.trait_memory import TraitMemory
from audiences.trait_store import TraitStore, TraitValue
from audiences.world import World
from matching.people import Identity, People

__all__ = ["Criteria", "CriterionCache", "World"]

NEVER_STALE: Final = 1 << 62
FORMS_MAX: Final = 5_000
"""Of so many criteria the canonical form is remembered; then all are forgotten."""


class Criteria:
    """The criteria over one world; bitmaps that come out are shared and must not be changed.

    `loaded_until_ms` tells up to when all that came is in the tables, `insertions` how many inserts
    of events there were, None while one is under way.
    """

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
        loaded_until_ms: Callable[[], int] = lambda: NEVER_STALE,
        insertions: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.events = events
        self.days = days
        self.world = world
        self.cache = CriterionCache() if cache is None else cache
        self.daily = DailyBitmaps(events.daily, events.few)
        self.counts = EventCounts()
        self.insertions = insertions
        self.traits = TraitMemory(traits)
        self.synced = synced
        self.loaded_until_ms = loaded_until_ms
        self._built = built
        self._forms: dict[int, tuple[Criterion, bytes]] = {}
        self._left_out: dict[bytes, int] = {}
        self._bases = {identity: world.base(identity) for identity in world.people}

    def renewed(self, world: World) -> "Criteria":
        """Give the criteria over a newer world; what still holds stays cached.

        Of newer data nothing is known here, so that everything is asked anew.
        """
        if world.data_version != self.world.data_version:
            self.daily.forget_all()
            self.traits.forget()
            self.cache.forget_older(world.data_version)
            return self.over(world, counts=EventCounts())
        return self.over(world)

    def over(self, world: World, *, counts: EventCounts | None = None) -> "Criteria":
        """Give the criteria over another world with all memory of this one, or other counts."""
        new = object.__new__(Criteria)
        new.__dict__ |= self.__dict__
        new.world = world
        new.counts = self.counts if counts is None else counts
        new._left_out = {}
        new._bases = {identity: world.base(identity) for identity in world.people}
        return new

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

    def key(self, criterion: Criterion, identity: Identity, day: int) -> CacheKey:
        """Give all that a criterion's people depend on."""
        return self.key_of(self._form(criterion), identity, day)

    def key_of(self, form: bytes, identity: Identity, day: int) -> CacheKey:
        """Give the key of a criterion of this canonical form."""
        return (form, identity, self.people(identity).version, self.world.data_version, day)

    def leaf(self, identity: Identity, as_of_ms: int) -> Leaf:
        """Give the function that answers criteria for one evaluation."""
        day = self.days.day(as_of_ms)
        # An audience stands here with its members once they are known, with None until then.
        known: dict[str, BitMap | None] = {}

        def answer(criterion: Criterion) -> BitMap:
            if isinstance(criterion, InAudience):
                return self._audience(criterion.audience, identity, answer, known)
            key = self.key(criterion, identity, day)
            found = self.cache.get(key)
            if found is None:
                found = self.answers(identity, day).of(criterion)
                self.cache.put(key, Cached(criterion=criterion, members=found))
            return found

        return answer

    def _form(self, criterion: Criterion) -> bytes:
        # Why by place in memory: a rule's own criteria are asked again and again.
        found = self._forms.get(id(criterion))
        if found is None:
            if len(self._forms) >= FORMS_MAX:
                self._forms.clear()
            found = self._forms[id(criterion)] = (criterion, canonical(criterion))
        return found[1]

    def answers(self, identity: Identity, day: int) -> Answers:
        """Give what answers criteria for everybody, with nothing cached but days and counts."""
        return Answers(
            world=self.world,
            identity=identity,
            base=self.base(identity),
            day=day,
            events=self.events,
            daily=self.daily,
            counts=self.counts,
            insertions=self.insertions,
            holders=self.traits.holders,
            said=self.traits.said,
            synced=self.synced,
        )

    def known_events(self, events: Iterable[str]) -> frozenset[str]:
        """Tell which of these events have ever come."""
        return self.events.known(events)

    def known_traits(self, traits: Iterable[str]) -> frozenset[str]:
        """Tell which of these traits somebody has."""
        return frozenset(filter(self.traits.knows, traits))

    def left_out(self, selection: Selection) -> int:
        """Count the events that a sum leaves out for their currency."""
        key = msgspec.json.encode(selection)
        if key not in self._left_out:
            self._left_out[key] = self.events.left_out(selection, self.world.currencies)
        return self._left_out[key]

    def trait_values(self, trait: str, identity: Identity) -> list[TraitValue]:
        """Give the most frequent values of a trait, each with its people."""
        base, people = self.base(identity), self.people(identity)
        found = {
            each.value: persons_of_holders(each.holders, self.world, identity, base)
            for each in self.traits.values(trait)
        }
        said = self.traits.values_said(trait)
        if said:
            holders = self.traits.holders(trait, Op.EXISTS, None)
            having = persons_of_holders(holders, self.world, identity, base)
        for value, who in said:
            own = found.get(value, BitMap())
            found[value] = with_third_parties(own, who, having=having, people=people, base=base)
        return [TraitValue(value=value, holders=holders) for value, holders in found.items()]

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
