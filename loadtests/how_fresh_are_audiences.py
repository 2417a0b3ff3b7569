"""How fresh are audiences at 1,000 events a second? Printed, not asserted.

People with 30 million events of 180 days, 240 behaviour and 60 trait criteria, 200 audiences: ticks
of four seconds' events each, of which a few visitors log in, through the very functions of a tick;
at the end every criterion and audience must equal a full evaluation by fresh criteria. The months
that are over are merged first, as the tables' settings have it done within a day.
Run: `uv run python loadtests/THIS [VISITORS] [EVENTS]`; `--row` writes its row into README.md.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from audience_crowd.crowd import (
    DAY_MS,
    NOW_MS,
    Crowd,
    links_of,
    open_crowd,
    random_traits,
    world_of,
)
from pyroaring import BitMap
from readme_row import write_row

from audiences.audience_store import AudienceStore
from audiences.bitmap_store import BitmapStore
from audiences.build import Builder
from audiences.computed_traits import Rfm
from audiences.evaluate import evaluate
from audiences.event_store import EventColumns
from audiences.freshness import refreshed
from audiences.rfm import RfmSettings, SegmentRange
from audiences.rule import Criterion, Rule, decode_audience, decode_rule
from audiences.touched_events_store import TouchedEventsStore
from matching.ids import VISITOR_FIRST
from matching.people import Identity

NUMBERS: Final = [int(each) for each in sys.argv[1:] if each.isdigit()]
VISITORS: Final = NUMBERS[0] if NUMBERS else 10_000_000
EVENTS: Final = NUMBERS[1] if len(NUMBERS) > 1 else 3 * VISITORS
TICK_S: Final = 4
A_SECOND: Final = 1_000
TICKS: Final = 6
RELINKED: Final = 80
AUDIENCES: Final = 200
LAST: Final = Identity.LAST_AUTHENTICATED
WINDOWS: Final = (7, 30, 90, 180)
KINDS: Final = ["Page", "Order Completed", "Product Viewed", "Product Added"]
KINDS_MORE: Final = [f"Kind {number}" for number in range(16)]
SETTINGS: Final = RfmSettings(
    window_days=90,
    segments=(SegmentRange(segment="all", recency=(1, 5), frequency_monetary=(1, 5)),),
)


def criteria_of_test() -> list[Criterion]:
    """Give 110 criteria of once, 110 of k times, 20 of sums and 60 of traits."""
    names = (KINDS + KINDS_MORE)[:14]
    spans = [(name, days) for name in names for days in WINDOWS]
    plain: list[dict[str, Any]] = []
    for number in range(110):
        name, days = spans[number % len(spans)]
        plain.append({"event": name, "within_days": days + number // len(spans)})
    for number in range(110):
        name, days = spans[number % len(spans)]
        plain.append({"event": name, "within_days": days, "at_least": 2 + number // len(spans)})
    for number in range(20):
        total = {"field": "total", "at_least": 50 + 40 * (number // 4)}
        plain.append({"event": "Order Completed", "sum": total, "within_days": WINDOWS[number % 4]})
    did = [decode_rule({"type": "did", **each}) for each in plain]
    traits = [
        decode_rule({"type": "trait", "trait": f"trait_{number}", "op": "is", "value": "yes"})
        for number in range(60)
    ]
    return [*did, *traits]  # type: ignore[list-item]


def audiences_of(criteria: list[Criterion]) -> list[Rule]:
    """Give audiences of three to six criteria each, some of them negated."""
    draw, found = np.random.default_rng(3), []
    for _ in range(AUDIENCES):
        some = [msgspec.to_builtins(criteria[at]) for at in draw.integers(0, 300, 6)]
        inner = {"type": "any", "of": some[:2]}
        rule = {"type": "all", "of": [inner, *some[2:4], {"type": "not", "rule": some[4]}]}
        found.append(decode_rule(rule))
    return found


def main() -> None:
    """Fill, tick, compare, print."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        crowd = open_crowd(Path(folder), visitors=VISITORS, events=EVENTS, by_visitor=True)
        merge_past_months(crowd)
        print(f"filled in {time.monotonic() - started:.0f} s", flush=True)
        figure = Fresh(crowd).run()
        crowd.clickhouse.close()
    print(figure)
    if "--row" in sys.argv:
        write_row(__file__, figure)


def merge_past_months(crowd: Crowd) -> None:
    """Merge every month but the newest to one part."""
    for table in ("events", "events_by_visitor"):
        months = crowd.client.query(f"select distinct _partition_id from {table} order by 1")  # noqa: S608 - of constants
        for (month,) in months.result_rows[:-1]:
            crowd.client.command(f"optimize table {table} partition id '{month}' final")


class Fresh:
    """The criteria of a crowd, kept fresh."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.criteria_asked = criteria_of_test()
        self.links = links_of(VISITORS)
        self.rfm = Rfm(SETTINGS)
        self.store = TouchedEventsStore(crowd.clickhouse.client(), crowd.days)
        self.taken: dict[str, list[float]] = defaultdict(list)
        self.draw = np.random.default_rng(5)
        shares = {f"trait_{n}": 0.02 + 0.9 * n / 60 for n in range(60)}
        held = random_traits(crowd.world, shares)
        for name, each in held.items():
            crowd.traits.held[name] = BitMap(each.persons[each.codes == 0])
        self.criteria = crowd.criteria()
        self.builder = self._builder(audiences_of(self.criteria_asked))

    def _builder(self, rules: list[Rule]) -> Builder:
        saved = AudienceStore(self.crowd.client)
        for number, rule in enumerate(rules):
            plain = {"name": f"a{number}", "rule": msgspec.to_builtins(rule)}
            saved.save(decode_audience(plain, key=f"a{number}"), NOW_MS)
        return Builder(
            audiences=saved,
            bitmaps=BitmapStore(self.crowd.client),
            criteria=lambda: self.criteria,
            twins=lambda *_: BitMap(),
        )

    def run(self) -> str:
        """Cache all, tick, compare with all asked anew."""
        with self._timed("all criteria in full"):
            leaf = self.criteria.leaf(LAST, NOW_MS)
            for each in self.criteria_asked:
                leaf(each)
        with self._timed("rfm of all"):
            self.crowd.traits.set_computed(self.rfm.of_all(self.criteria, NOW_MS))
        with self._timed("first build"):
            self.builder.build_all(NOW_MS)
        for number in range(TICKS):
            with self._timed("a tick"):
                self._tick(number)
        self._compare()
        return self._told()

    def _tick(self, number: int) -> None:
        with self._timed("insert"):
            columns = self._events(number)
            self.crowd.events.insert(columns)
            self.crowd.events.insert_by_visitor(columns)
        with self._timed("people"):
            self.links = self.links.copy()
            places = self.draw.integers(0, VISITORS, RELINKED)
            self.links[places] = self.draw.integers(1, VISITORS // 10, RELINKED)
            world = world_of(VISITORS, self.links, data_version=2 + number)
        with self._timed("criteria and rfm"):
            found = refreshed(
                self.criteria,
                world,
                self.crowd.events.take_touched(),
                store=self.store,
                rfm=self.rfm,
                as_of_ms=NOW_MS,
            )
            assert found is not None
            self.criteria = found.criteria
            self.crowd.traits.set_computed(found.computed)
        with self._timed("audiences"):
            self.builder.build_all(NOW_MS + TICK_S * 1000 * number, write_every_ms=300_000)

    def _events(self, number: int) -> EventColumns:
        count = TICK_S * A_SECOND
        names = np.array([*KINDS, *KINDS_MORE], dtype=object)
        shares = np.array([650, 30, 100, 60, *[10] * 16]) / 1000
        events = self.draw.choice(names, count, p=shares).tolist()
        orders = np.array([each == "Order Completed" for each in events])
        place = self.draw.integers(0, VISITORS, count)
        customer = np.where(orders & (self.draw.random(count) < 0.4), self.links[place], 0)
        totals = self.draw.integers(1, 200, count).tolist()
        at_ms = NOW_MS - self.draw.integers(0, 2 * DAY_MS, count) * (self.draw.random(count) < 0.1)
        return EventColumns(
            chunk=[100 + number] * count,
            row=list(range(count)),
            received_at_ms=[NOW_MS] * count,
            at_ms=at_ms.astype(np.int64),
            event=events,
            site=["shop"] * count,
            visitor=(VISITOR_FIRST + place).astype(np.uint32),
            customer=customer.astype(np.uint32),
            message_hash=list(range(count)),
            flags=[0] * count,
            properties=[f'{{"total":{total}}}' for total in totals],
        )

    def _compare(self) -> None:
        """Ask everything anew and compare it with what was patched."""
        fresh = self.crowd.criteria(self.criteria.world)
        mine, full = self.criteria.leaf(LAST, NOW_MS), fresh.leaf(LAST, NOW_MS)
        asked = len(self.criteria.cache)
        with self._timed("all criteria in full again"):
            for each in self.criteria_asked:
                assert mine(each) == full(each), each
        assert len(self.criteria.cache) == asked, "something was not patched"
        for number, rule in enumerate(audiences_of(self.criteria_asked)):
            members = evaluate(rule, base=fresh.base(LAST), leaf=full)
            assert self.builder.members(f"a{number}") == members, number
        scores = Rfm(SETTINGS).of_all(fresh, NOW_MS)
        for trait, each in scores.items():
            found = self.crowd.traits.holders(trait, "is", each.values[0])  # type: ignore[arg-type]
            assert found == BitMap(each.persons[each.codes == 0].tolist()), trait

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        wall, cpu = time.monotonic(), time.process_time()
        yield
        self.taken[what].append(time.process_time() - cpu)
        self.taken[f"{what}, wall"].append(time.monotonic() - wall)
        print(f"  {what}: {1000 * self.taken[what][-1]:.0f} ms CPU", flush=True)

    def _told(self) -> str:
        cpu = {what: statistics.median(times) for what, times in self.taken.items()}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024
        return (
            f"{VISITORS:,} visitors, {EVENTS:,} events, 240 + 60 criteria, {AUDIENCES} audiences, "
            f"{A_SECOND:,} events/s: a tick each {TICK_S} s takes {cpu['a tick'] * 1000:.0f} "
            f"ms CPU = {cpu['a tick'] / TICK_S:.2f} core, reflected within "
            f"{TICK_S + cpu['a tick, wall']:.1f} s; all criteria in full "
            f"{cpu['all criteria in full']:.1f} s CPU; patched equals full; RSS {peak:.1f} GiB"
        )


if __name__ == "__main__":
    main()
