"""How long do the identity card and a partner's waterfall take? Prints, asserts nothing.

Fills a new embedded database with ten million visitors, a million customers, ten million ids of
three partners and the sixteen million offers that they came of; opens the engine on it and times
cards of customers with 1, 5 and 100 browsers, and the waterfall of a partner for all people and for
an audience of half a million. Run: `uv run python loadtests/THIS [VISITORS]`; `--row` writes its
row into README.md. The bar of the facts: what was gathered is counted again within 1 ms, as reach.
"""

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from pyroaring import BitMap
from readme_row import write_row

from matching.consent.signals import Signals, encode_signals
from matching.identification import IdentificationColumns
from matching.ids import VISITOR_FIRST
from matching.people import Identity
from service.api.identity import card_of
from service.config import Environment, load_config, prepare_config
from service.engine.addressability import waterfall_of
from service.engine.clickhouse import ClickHouse
from service.engine.engine import Engine
from service.metrics import Balance
from service.tag.tokens import Keys

VISITORS: Final = next((int(each) for each in sys.argv[1:] if each.isdigit()), 10_000_000)
CUSTOMERS: Final = VISITORS // 10
PARTNERS: Final = {"xandr": "xandr", "the_trade_desk": "ttd", "pixel": "pixel"}
PER_PARTNER: Final = VISITORS // len(PARTNERS)
AUDIENCE: Final = VISITORS // 20
DAY_MS: Final = 86_400_000
DAYS: Final = 60
"""Half of the ids are older than the 30 days that one lives."""
NOW_MS: Final = 1_795_348_800_000
CARDS: Final = 100
BROWSERS_OF: Final = (1, 5, 100)
FILL_VISITORS: Final = """
insert into visitors (ordinal, id, chunk)
select toUInt32({first:UInt32} + number), reinterpretAsFixedString(sipHash128(number)), 1
from numbers({count:UInt64})
"""
FILL_CUSTOMERS: Final = """
insert into customers (customer, kind, value, source, at)
select toUInt32(1 + number), 'crm_id', toString(1000000000 + number), 'crm',
  fromUnixTimestamp64Milli({now_ms:Int64})
from numbers({count:UInt64})
"""
FILL_IDS: Final = """
insert into partner_ids
select 1 as chunk, toUInt32(number) as row,
  fromUnixTimestamp64Milli({now_ms:Int64} - toInt64(rand(number) % {span_ms:UInt64})) as at,
  {partner:String} as partner, {id_space:String} as id_space, {action:String} as action, '' as why,
  number + {first_nonce:UInt64} as nonce,
  toUInt32({first:UInt32} + (number * {step:UInt64}) % {visitors:UInt64}) as visitor,
  {action:String} = 'stored' ? lower(hex(sipHash128(number, {partner:String}))) : '' as id,
  {action:String} = 'stored' ? toUInt32({first_ordinal:UInt32} + number) : 0 as id_ordinal,
  'sync' as source, 'chrome' as browser
from numbers({count:UInt64})
settings max_insert_threads = 2
"""
FILL_CONSENTS: Final = """
insert into consents (chunk, row, received_at, visitor, signals, site)
select 1, toUInt32(number), fromUnixTimestamp64Milli({now_ms:Int64} - 1000),
  toUInt32({first:UInt32} + number * 4),
  [{yes:String}, {no:String}, {gpc:String}][multiIf(number % 10 < 7, 1, number % 100 < 99, 2, 3)],
  'demo'
from numbers({count:UInt64})
"""


def fill(client: Any) -> float:
    """Store visitors, customers, offers, ids and consents by the database itself."""
    started = time.monotonic()
    asked = {"first": VISITOR_FIRST, "now_ms": NOW_MS, "visitors": VISITORS}
    client.command(FILL_VISITORS, parameters=asked | {"count": VISITORS})
    client.command(FILL_CUSTOMERS, parameters=asked | {"count": CUSTOMERS})
    said = {
        "yes": encode_signals(Signals(explicit={"store": True, "audiences": True, "sync": True})),
        "no": encode_signals(Signals(explicit={"audiences": True, "sync": False})),
        "gpc": encode_signals(Signals(gpc=True)),
    }
    client.command(FILL_CONSENTS, parameters=asked | said | {"count": VISITORS // 4})
    for number, (partner, id_space) in enumerate(PARTNERS.items()):
        for action, count in (("offered", PER_PARTNER * 8 // 5), ("stored", PER_PARTNER)):
            more = {
                "partner": partner,
                "id_space": id_space,
                "action": action,
                "count": count,
                "step": 7 + 4 * number,
                "span_ms": DAYS * DAY_MS - 1,
                "first_nonce": number * PER_PARTNER * 4 + 1,
                "first_ordinal": 1 + number * PER_PARTNER,
            }
            client.command(FILL_IDS, parameters=asked | more)
    return time.monotonic() - started


def link(engine: Engine) -> dict[int, int]:
    """Link four tenths of the visitors; give one customer with each number of browsers."""
    linked = VISITORS * 4 // 10
    index = np.arange(linked, dtype=np.uint32)
    customer = 1 + index % np.uint32(CUSTOMERS)
    known = {each: CUSTOMERS - number for number, each in enumerate(BROWSERS_OF)}
    begin = 0
    for browsers, one in known.items():
        customer[customer == one] = 1
        customer[begin : begin + browsers] = one
        begin += browsers
    step = 500_000
    for start in range(0, linked, step):
        some = index[start : start + step]
        count = some.size
        engine.stores.people.insert(
            IdentificationColumns(
                chunk=np.full(count, 1, dtype=np.uint64),
                row=some,
                received_at_ms=np.full(count, NOW_MS - DAY_MS, dtype=np.int64),
                at_ms=np.full(count, NOW_MS - DAY_MS, dtype=np.int64),
                visitor=some + np.uint32(VISITOR_FIRST),
                customer=customer[start : start + step],
                method=["login"] * count,
                claimed=np.zeros(count, dtype=np.bool_),
                site=["demo"] * count,
                proof=np.zeros(count, dtype=np.uint64),
            )
        )
    return known


def timed(ask: Callable[[], object]) -> tuple[float, float]:
    """Give wall and CPU milliseconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    ask()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000


def cards(engine: Engine, customer: int, times: int) -> str:
    """Ask for one customer's card often; give the median and the 99th of 100, and the CPU."""

    def ask() -> None:
        subject = engine.subjects.find(str(1_000_000_000 + customer - 1))
        assert subject is not None
        card_of(engine, subject)

    wall, cpu = zip(*(timed(ask) for _ in range(times)), strict=True)
    worst = sorted(wall)[int(len(wall) * 0.99)]
    half = statistics.median(wall)
    return f"{half:.0f} ms, p99 {worst:.0f} ms, {statistics.median(cpu):.0f} ms CPU"


def main() -> None:
    """Fill, ask, print."""
    with tempfile.TemporaryDirectory() as folder:
        clickhouse = ClickHouse(Path(folder) / "clickhouse", url="", threads=2)
        engine = Engine(
            environment=Environment(data=Path(folder), timezone=ZoneInfo("UTC")),
            config=load_config(prepare_config(Path(folder))),
            clickhouse=clickhouse,
            keys=Keys({1: os.urandom(32)}),
            balance=Balance(),
            clock=lambda: NOW_MS / 1000,
        )
        print(f"filled in {fill(clickhouse.client()):.0f} s", flush=True)
        told = _ask(engine)
        clickhouse.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024
    figure = f"{VISITORS:,} visitors: {'; '.join(told)}; RSS at most {peak:.1f} GiB"
    print(figure)
    if "--row" in sys.argv:
        write_row(__file__, figure)


def _ask(engine: Engine) -> list[str]:
    engine.stores.partner_ids.open()
    engine.stores.customers.open()
    known = link(engine)
    opening, _ = timed(engine.open)
    print(f"opened in {opening / 1000:.1f} s", flush=True)
    engine.reaches.forget()
    told = []
    for browsers, customer in known.items():
        subject = engine.subjects.of_customer(customer)
        assert subject is not None
        assert len(subject.visitors) == browsers, len(subject.visitors)
        told.append(f"card with {browsers} browsers {cards(engine, customer, CARDS)}")
        print(told[-1], flush=True)
    told += _parts(engine, known[1])
    return told + _waterfalls(engine)


def _parts(engine: Engine, customer: int) -> list[str]:
    """Time the point reads that a card is made of."""
    people = engine.stores.people
    found = statistics.median(
        timed(lambda: people.links_of(customer=customer))[0] for _ in range(20)
    )
    one = statistics.median(
        timed(lambda: people.links_of(visitor=VISITOR_FIRST + 12_345))[0] for _ in range(20)
    )
    rows = statistics.median(
        timed(lambda: engine.stores.partner_ids.of_visitors([VISITOR_FIRST + 12_345]))[0]
        for _ in range(20)
    )
    print(
        f"of which links_of a customer {found:.1f} ms, of a visitor {one:.1f} ms; ids {rows:.1f} ms"
    )
    return [f"links_of a customer {found:.1f} ms, a visitor {one:.1f} ms"]


def _waterfalls(engine: Engine) -> list[str]:
    people = engine.stores.people.people(Identity.LAST_AUTHENTICATED)
    partner = engine.config.partner("xandr")
    assert partner is not None
    base = np.frombuffer(engine.criteria.base(people.identity).to_array(), dtype=np.uint32)
    chosen = np.random.default_rng(7).choice(base, size=AUDIENCE, replace=False)
    members = BitMap(chosen.tolist())

    def whole() -> None:
        waterfall_of(engine.reaches.of_partner(partner, people).by_status, exact=True)

    def of_audience() -> None:
        found = engine.reaches.of_partner(partner, people).by_status
        waterfall_of(found, among=members, exact=True)

    engine.reaches.forget()
    first = timed(whole)
    second = timed(lambda: engine.reaches.of_partner(engine.config.partners[1], people))
    again = statistics.median(timed(whole)[0] for _ in range(50))
    audience = statistics.median(timed(of_audience)[0] for _ in range(50))
    preview = statistics.median(
        timed(lambda: engine.reaches.reach(people, members))[0] for _ in range(1, 6)
    )
    found = waterfall_of(engine.reaches.of_partner(partner, people).by_status, exact=True)
    print(msgspec.json.format(msgspec.json.encode(found)).decode())
    partners, seats = len(engine.config.partners), len(engine.config.seats)
    return [
        f"waterfall of the first partner {first[0]:,.0f} ms ({first[1]:,.0f} CPU)",
        f"of another {second[0]:,.0f} ms ({second[1]:,.0f} CPU)",
        f"again {again:.2f} ms, of {AUDIENCE:,} people {audience:.2f} ms",
        f"reach of {partners} partners and {seats} seats {preview:.2f} ms",
    ]


if __name__ == "__main__":
    main()
