"""One moment's unchanging answer to who there is, and what has changed since another moment.

Values only: nothing here reads a table or evaluates a rule.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.rule import Audience
from matching.bitmaps import bitmap_of
from matching.ids import NOBODY
from matching.people import Identity, People

ARRIVED_MAX: Final = 200_000
"""Of more events than these only the owners are noted; reading all their events is cheaper then."""


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


class EventsAsked(Protocol):
    """An event of a site, or of all where it is empty, on some days."""

    @property
    def event(self) -> str: ...
    @property
    def site(self) -> str: ...
    @property
    def first_day(self) -> int: ...
    @property
    def last_day(self) -> int: ...


class Arrived(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The events of one insert as parallel arrays, without those of bots."""

    number: int
    """Its place among all inserts; sets that count it in do not count it again."""
    events: Sequence[str]
    event: NDArray[np.integer[Any]]
    """Which of `events` each is; so too `site` and `sites`."""
    sites: Sequence[str]
    site: NDArray[np.integer[Any]]
    visitor: NDArray[np.uint32]
    customer: NDArray[np.uint32]
    day: NDArray[np.integer[Any]]

    def asked(self, asked: EventsAsked) -> NDArray[np.bool_]:
        """Tell which events are asked for."""
        wanted = self.named(asked.event)
        wanted &= (self.day >= asked.first_day) & (self.day <= asked.last_day)
        if asked.site:
            wanted &= self.on_site(asked.site)
        return wanted

    def whose(self, wanted: NDArray[np.bool_], people: People) -> NDArray[np.uint32]:
        """Give the person of each of some events; 0 is nobody."""
        return people.fold(self.visitor[wanted], self.customer[wanted])

    def named(self, *events: str) -> NDArray[np.bool_]:
        """Tell which events have one of these names."""
        wanted = np.array([name in events for name in self.events], dtype=np.bool_)
        found: NDArray[np.bool_] = wanted[self.event]
        return found

    def on_site(self, site: str) -> NDArray[np.bool_]:
        """Tell which events came on the site."""
        wanted = np.array([name == site for name in self.sites], dtype=np.bool_)
        found: NDArray[np.bool_] = wanted[self.site]
        return found


class Touched(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What came or went since a moment: events one by one, or whose they are, by ordinal."""

    arrived: tuple[Arrived, ...] = ()
    visitors: BitMap = msgspec.field(default_factory=BitMap)
    """Owners of events that may have come or gone and do not stand in `arrived`."""
    customers: BitMap = msgspec.field(default_factory=BitMap)
    bots: BitMap = msgspec.field(default_factory=BitMap)
    """Visitors with an event that was flagged as a bot's."""
    days: frozenset[tuple[str, int]] = frozenset()
    days_unknown: bool = False
    """Whether events of any name and day may have gone."""

    def __bool__(self) -> bool:
        owners = self.visitors or self.customers
        return bool(self.arrived or owners or self.days or self.days_unknown)

    def __or__(self, other: "Touched") -> "Touched":
        arrived = (*self.arrived, *other.arrived)
        if sum(part.visitor.size for part in arrived) > ARRIVED_MAX:
            return self.by_owners() | other.by_owners()
        return Touched(
            arrived=arrived,
            visitors=self.visitors | other.visitors,
            customers=self.customers | other.customers,
            bots=self.bots | other.bots,
            days=self.days | other.days,
            days_unknown=self.days_unknown or other.days_unknown,
        )

    def by_owners(self) -> "Touched":
        """Note of the events that arrived only whose they are."""
        visitors = [bitmap_of(part.visitor) for part in self.arrived]
        customers = [bitmap_of(part.customer) for part in self.arrived]
        nobody = BitMap([NOBODY])
        return msgspec.structs.replace(
            self,
            arrived=(),
            visitors=BitMap.union(self.visitors, *visitors) - nobody,
            customers=BitMap.union(self.customers, *customers) - nobody,
        )
