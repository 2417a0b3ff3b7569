"""How long do ten million stored ids take: a lookup, a seat's ids, a report? Printed, not asserted.

Fills the table of correspondence of a new embedded database with ten million ids of four partners
and the sixteen million offers that they came of, over thirty days, and times what the service asks
of it. Run: `uv run python loadtests/THIS`; `--row` writes its row into README.md.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from pyroaring import BitMap
from readme_row import write_row

from matching.ids import VISITOR_FIRST
from matching.partner_ids_store import PartnerIdsStore
from matching.partners import Partner, known_facts
from service.engine.clickhouse import ClickHouse
from service.engine.migrate import migrate
from service.engine.partner_health import PartnerWatch

IDS: Final = next((int(each) for each in sys.argv[1:] if each.isdigit()), 10_000_000)
PARTNERS: Final = 4
PER_PARTNER: Final = IDS // PARTNERS
DAYS: Final = 30
NOW_MS: Final = 1_795_348_800_000
TIMES: Final = 7
FILL: Final = """
insert into partner_ids
select 1 as chunk, toUInt32(number) as row,
  fromUnixTimestamp64Milli({now_ms:Int64} - toInt64(rand(number) % {span_ms:UInt32})) as at,
  {partner:String} as partner, {partner:String} as id_space, {action:String} as action, '' as why,
  number + {first_nonce:UInt64} as nonce, toUInt32({first_visitor:UInt32} + number) as visitor,
  {action:String} = 'stored' ? lower(hex(sipHash128(number, {partner:String}))) : '' as id,
  {action:String} = 'stored' ? toUInt32({first_ordinal:UInt32} + number) : 0 as id_ordinal,
  'sync' as source, ['chrome', 'safari', 'firefox', 'edge'][1 + number % 4] as browser
from numbers({count:UInt64})
settings max_insert_threads = 2
"""


def fill(client: Any) -> float:
    """Store offers and ids by the database itself and say how long it took."""
    started = time.monotonic()
    for number in range(PARTNERS):
        for action, count in (("offered", PER_PARTNER * 8 // 5), ("stored", PER_PARTNER)):
            client.command(
                FILL,
                parameters={
                    "now_ms": NOW_MS,
                    "span_ms": DAYS * 86_400_000 - 1,
                    "partner": f"partner_{number}",
                    "action": action,
                    "first_nonce": number * PER_PARTNER * 2 + 1,
                    "first_visitor": VISITOR_FIRST,
                    "first_ordinal": 1 + number * PER_PARTNER,
                    "count": count,
                },
            )
    return time.monotonic() - started


def median_s(ask: Callable[[int], object], times: int = TIMES) -> float:
    """Ask some times and give the median."""
    taken = []
    for number in range(times):
        started = time.monotonic()
        ask(number)
        taken.append(time.monotonic() - started)
    return statistics.median(taken)


def partners() -> list[Partner]:
    """Make the four partners."""
    facts = known_facts("pixel") | {"name": "P", "enabled": True}
    return [
        msgspec.convert(facts | {"key": key, "id_space": key}, Partner)
        for key in (f"partner_{number}" for number in range(PARTNERS))
    ]


def main() -> None:
    """Fill, ask, print."""
    with tempfile.TemporaryDirectory() as folder:
        clickhouse = ClickHouse(Path(folder), url="", threads=2)
        client = clickhouse.client()
        migrate(client)
        filled_s = fill(client)
        found = _ask(client)
        clickhouse.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024
    print(f"{IDS:,} ids and {IDS * 8 // 5:,} offers filled in {filled_s:.0f} s")
    told = ", ".join(f"{name} {_said(seconds)}" for name, seconds in found.items())
    print(f"{told}; RSS at most {peak:.1f} GiB")
    if "--row" in sys.argv:
        write_row(__file__, f"{IDS:,} ids: {told}; RSS at most {peak:.1f} GiB")


def _ask(client: Any) -> dict[str, float]:
    store = PartnerIdsStore(client)
    some = [PER_PARTNER // TIMES * number for number in range(TIMES)]
    texts = [
        client.query(
            "select id from partner_ids where id_space = 'partner_1' and visitor = {v:UInt32} "
            "and action = 'stored'",
            parameters={"v": VISITOR_FIRST + each},
        ).result_rows[0][0]
        for each in some
    ]
    life = {"as_of_ms": NOW_MS, "lives_days": 30}
    watch = PartnerWatch(
        partners=partners(), answers=store.answers, now_ms=lambda: NOW_MS, time_zone="Europe/Paris"
    )
    times = {
        "all rows of a visitor": median_s(
            lambda number: store.of_visitors([VISITOR_FIRST + some[number]])
        ),
        "a visitor by partner's id": median_s(
            lambda number: store.visitor_of(texts[number], id_space="partner_1")
        ),
        "10,000 ids by ordinal": median_s(
            lambda number: store.ids_of(range(some[number] + 1, some[number] + 10_001))
        ),
        f"who carries a seat's {PER_PARTNER:,} ids": median_s(
            lambda _: store.states.read("partner_1", as_of_ms=NOW_MS), 3
        ),
        "their texts": median_s(lambda _: _read_texts(store), 3),
        "the visitors of a partner": median_s(
            lambda _: store.visitors_with("partner_1", **life), 3
        ),
        "match rates by day and browser of all": median_s(lambda _: watch.reports(fresh=True), 3),
        "opening (ordinals of all ids)": median_s(lambda _: store.open(), 1),
    }
    first = watch.reports()[0]
    assert first.offered == PER_PARTNER * 8 // 5
    assert abs(first.match_rate - 0.625) < 1e-6, first.match_rate
    return times


def _read_texts(store: PartnerIdsStore) -> None:
    ids = BitMap(range(1 + PER_PARTNER, 1 + 2 * PER_PARTNER))
    assert sum(len(piece.ids) for piece in store.texts.pieces("partner_1", ids)) == PER_PARTNER


def _said(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


if __name__ == "__main__":
    main()
