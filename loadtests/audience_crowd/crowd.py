"""A crowd for load tests of audiences: people, their links, and what they did in 180 days.

In go numbers of visitors and events, out come a world of people and filled tables of events; the
database makes the rows itself. A tenth as many customers as visitors, 40 % of the visitors linked,
20 kinds of events of which 65 % are page views and 3 % orders.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.calendar_days import CalendarDays
from audiences.conditions import Op, Value
from audiences.criteria import Criteria, World
from audiences.event_store import EventStore
from audiences.trait_store import ComputedTrait, TraitStore
from matching.ids import VISITOR_FIRST
from matching.people import Identity, People
from service.engine.clickhouse import ClickHouse
from service.engine.migrate import migrate

NOW_MS: Final = int(datetime(2026, 3, 30, 12, tzinfo=UTC).timestamp() * 1000)
DAY_MS: Final = 86_400_000
DAYS: Final = 180
QUIET_TIMES: Final = 4
KINDS: Final = (
    "Page",
    "Order Completed",
    "Product Viewed",
    "Product Added",
    *(f"Kind {number}" for number in range(16)),
)
EVENTS_AT_ONCE: Final = 2_000_000
# In a thousand: 650 page views, 30 orders, 100 product views, 60 added, ten of each other kind.
KIND_SQL: Final = """multiIf(die < 650, 'Page', die < 680, 'Order Completed',
  die < 780, 'Product Viewed', die < 840, 'Product Added',
  concat('Kind ', toString(intDiv(die - 840, 10))))"""
ROWS: Final = f"""
with number + {{begin:UInt64}} as n,
  sipHash64(n) as dice, dice % 1000 as die,
  toUInt32((sipHash64(n, 1) % {{visitors:UInt64}})) as place,
  toInt64({{first_ms:Int64}} + toInt64(n * {{step_ms:Float64}})) as ms,
  toUInt32(1 + (toUInt64(place) * 2654435761) % {{customers:UInt64}}) as customer_linked,
  place % 5 < 2 ? customer_linked : 0 as linked,
  die between 650 and 679 as is_order
select 1 as chunk, toUInt32(n) as row, fromUnixTimestamp64Milli(ms) as at, at as received_at,
  toDate(at, 'UTC') as day, {KIND_SQL} as event, 'shop' as site,
  {{first_visitor:UInt32}} + place as visitor,
  is_order and dice % 7 < 3 ? linked : 0 as customer,
  n as message_hash, 0 as flags, is_order ? dice % 20000 / 100 : 0. as total,
  is_order ? concat('{{"total":', toString(total), '}}') : '{{}}' as properties
from numbers({{count:UInt64}})
"""  # noqa: S608 - of constants
COLUMNS: Final = """chunk, row, at, received_at, day, event, site, visitor, customer, message_hash,
  flags, total, properties, url, currency, revenue, `products.product_id`, `products.sku`,
  `products.name`, `products.category`, `products.brand`, `products.variant`, `products.price`,
  `products.quantity`"""
FILL: Final = f"""
insert into events ({COLUMNS})
select *, '', '', 0., [], [], [], [], [], [], [], [] from ({ROWS})
"""  # noqa: S608 - of constants
FILL_BY_VISITOR: Final = f"""
insert into events_by_visitor
select chunk, row, received_at,
  arrayJoin(customer = 0 ? [visitor] : [visitor, customer]) as owner,
  at, event, site, visitor, customer, flags, properties
from ({ROWS})
"""  # noqa: S608 - of constants


class HeldTraits(TraitStore):
    """A trait store in which some traits are held by given people."""

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self.held: dict[str, BitMap] = {}

    def holders(self, trait: str, op: Op, value: Value) -> BitMap:
        """Give who holds the trait, whatever is asked of its value."""
        held = self.held.get(trait)
        return super().holders(trait, op, value) if held is None else held


class Crowd(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A database with events, and the world of those who did them."""

    clickhouse: ClickHouse
    client: Any
    days: CalendarDays
    events: EventStore
    traits: HeldTraits
    world: World

    def criteria(self, world: World | None = None) -> Criteria:
        """Give criteria over the crowd, with nothing cached."""
        return Criteria(
            events=self.events,
            traits=self.traits,
            days=self.days,
            world=world or self.world,
            synced=lambda _: BitMap(),
            built=lambda _: BitMap(),
            insertions=self.events.insertions,
        )


def open_crowd(folder: Path, *, visitors: int, events: int, by_visitor: bool = False) -> Crowd:
    """Make a crowd with so many visitors and events."""
    clickhouse = ClickHouse(folder, url="", threads=2)
    client = clickhouse.client()
    migrate(client)
    fill(client, visitors=visitors, events=events, by_visitor=by_visitor)
    days = CalendarDays("UTC")
    return Crowd(
        clickhouse=clickhouse,
        client=client,
        days=days,
        events=EventStore(client, days),
        traits=HeldTraits(client),
        world=world_of(visitors, links_of(visitors), data_version=1),
    )


def fill(client: Any, *, visitors: int, events: int, by_visitor: bool) -> None:
    """Let the database make the events, each day's after the day before."""
    for begin in range(0, events, EVENTS_AT_ONCE):
        parameters = {
            "begin": begin,
            "count": min(EVENTS_AT_ONCE, events - begin),
            "visitors": visitors,
            "customers": visitors // 10,
            "first_visitor": VISITOR_FIRST,
            "first_ms": NOW_MS - DAYS * DAY_MS,
            "step_ms": DAYS * DAY_MS / events,
        }
        for query in (FILL, FILL_BY_VISITOR) if by_visitor else (FILL,):
            client.command(query, parameters=parameters)
    until_merged(client)


def until_merged(client: Any) -> None:
    """Wait for merges to end: what is measured later is the CPU time of the process, theirs too."""
    quiet = 0
    while quiet < QUIET_TIMES:
        (running,) = client.query("select count() from system.merges").first_row
        quiet = 0 if running else quiet + 1
        time.sleep(0.5)


def links_of(visitors: int) -> NDArray[np.uint32]:
    """Link two visitors of five, as the events' named customers have it."""
    place = np.arange(visitors, dtype=np.uint64)
    linked = 1 + place * np.uint64(2_654_435_761) % np.uint64(visitors // 10)
    return np.where(place % 5 < 2, linked, 0).astype(np.uint32)


def world_of(visitors: int, customer_of: NDArray[np.uint32], *, data_version: int) -> World:
    """Give the world of so many visitors and a tenth as many customers."""
    return World(
        people={
            each: People(identity=each, version=data_version, customer_of=customer_of)
            for each in Identity
        },
        customers=BitMap(range(1, visitors // 10 + 1)),
        visitors=BitMap(range(VISITOR_FIRST, VISITOR_FIRST + visitors)),
        excluded=BitMap(),
        audiences={},
        currencies={"shop": "EUR"},
        data_version=data_version,
    )


def random_traits(world: World, shares: dict[str, float], *, seed: int = 1) -> dict[str, Any]:
    """Give computed traits that so large a share of all people have with the value `yes`."""
    draw = np.random.default_rng(seed)
    base = world.base(Identity.LAST_AUTHENTICATED)
    persons = np.frombuffer(base.to_array(), dtype=np.uint32)
    return {
        name: ComputedTrait(
            persons=persons,
            codes=(draw.random(persons.size) >= share).astype(np.uint8),
            values=("yes", "no"),
        )
        for name, share in shares.items()
    }
