"""How long does an uncached behaviour criterion take? Ratios are printed, nothing is asserted.

Each criterion over people, with nothing cached, against the query that answers it for visitors,
without any identity, and against the same query on a table that was keyed by person beforehand,
which must find as many: alternated medians of CPU time. Once more with days and counts in memory.
Run: `uv run python loadtests/THIS [VISITORS] [EVENTS]`; `--row` writes its row into README.md.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Final

from audience_crowd.crowd import NOW_MS, Crowd, open_crowd, until_merged
from readme_row import write_row

from audiences.bitmap_states import decode_state
from audiences.calendar_days import date_of
from audiences.criteria import Criteria
from audiences.rule import Did, decode_rule
from matching.ids import VISITOR_FIRST
from matching.people import Identity

NUMBERS: Final = [int(each) for each in sys.argv[1:] if each.isdigit()]
VISITORS: Final = NUMBERS[0] if NUMBERS else 10_000_000
EVENTS: Final = NUMBERS[1] if len(NUMBERS) > 1 else 3 * VISITORS
TIMES: Final = 5
LAST: Final = Identity.LAST_AUTHENTICATED
ORDER: Final = "Order Completed"
SELECTED: Final = """from events where event in ({event:String}, {refund:String})
  and day between {first:Date} and {last:Date} and bitAnd(flags, 2) = 0"""
ONCE: Final = "select groupBitmapState(visitor) " + SELECTED
WHERE: Final = ONCE + " and total >= {least:Float64}"
BY_VISITOR: Final = "select groupBitmapState(visitor) from (select visitor " + SELECTED  # noqa: S608
COUNT: Final = BY_VISITOR + " group by visitor having count() >= {least:Float64})"
SUM: Final = BY_VISITOR + " group by visitor having sum(total) >= {least:Float64})"
PERSONS: Final = """create table deeds engine = MergeTree order by (event, day, visitor) as
select event, day, flags, total, person as visitor
from (
  select event, day, flags, total, toUInt64(visitor - {first:UInt32}) as place,
    multiIf(customer != 0, customer, place % 5 < 2,
            toUInt32(1 + place * 2654435761 % {customers:UInt64}), visitor) as person
  from events
)"""
ASKED: Final[list[tuple[str, dict[str, Any], str]]] = [
    ("order once, 30 d", {"event": ORDER, "within_days": 30}, ONCE),
    ("page once, 30 d", {"event": "Page", "within_days": 30}, ONCE),
    ("page once, 180 d", {"event": "Page", "within_days": 180}, ONCE),
    ("no order, 90 d", {"event": ORDER, "exactly": 0, "within_days": 90}, ONCE),
    ("order >= 2, 30 d", {"event": ORDER, "at_least": 2, "within_days": 30}, COUNT),
    ("page >= 3, 180 d", {"event": "Page", "at_least": 3, "within_days": 180}, COUNT),
    (
        "sum >= 200, 90 d",
        {"event": ORDER, "sum": {"field": "total", "at_least": 200}, "within_days": 90},
        SUM,
    ),
    (
        "order of 100, 90 d",
        {
            "event": ORDER,
            "where": [{"field": "total", "op": "at_least", "value": 100}],
            "within_days": 90,
        },
        WHERE,
    ),
]


def main() -> None:
    """Fill, ask, print."""
    with tempfile.TemporaryDirectory() as folder:
        crowd = open_crowd(Path(folder), visitors=VISITORS, events=EVENTS)
        crowd.client.command(
            PERSONS, parameters={"customers": VISITORS // 10, "first": VISITOR_FIRST}
        )
        until_merged(crowd.client)
        told = [_asked(crowd, name, plain, query) for name, plain, query in ASKED]
        crowd.clickhouse.close()
    figure = f"{VISITORS:,} visitors, {EVENTS:,} events: {'; '.join(told)}"
    print(figure)
    if "--row" in sys.argv:
        write_row(__file__, figure)


def _asked(crowd: Crowd, name: str, plain: dict[str, Any], query: str) -> str:
    rule = decode_rule({"type": "did", **plain})
    assert isinstance(rule, Did)
    last = crowd.days.day(NOW_MS)
    first: date = date_of(last - (rule.within_days or 0))
    parameters = {
        "event": rule.event,
        "refund": "Order Refunded" if rule.sum else rule.event,
        "first": first,
        "last": date_of(last),
        "least": (rule.sum.at_least if rule.sum else 100 if rule.where else rule.at_least) or 0,
    }
    criteria: list[Criteria] = []

    def cold() -> Any:
        criteria.append(crowd.criteria())
        return criteria[-1].bitmap(rule, LAST, NOW_MS)

    def warm() -> Any:
        known = criteria[-1]
        known.cache.forget_older(1 << 40)
        return known.bitmap(rule, LAST, NOW_MS)

    def by_visitor() -> Any:
        return crowd.client.raw_query(query, parameters=parameters, fmt="RowBinary")

    def by_person() -> Any:
        asked = query.replace("from events", "from deeds")
        return crowd.client.raw_query(asked, parameters=parameters, fmt="RowBinary")

    if rule.exactly != 0:
        assert cold() == decode_state(by_person())[0], name
    ways: tuple[Callable[[], Any], ...] = (cold, warm, by_visitor, by_person)
    taken: list[list[float]] = [[] for _ in ways]
    for _ in range(TIMES):
        for times, ask in zip(taken, ways, strict=True):
            started = time.process_time()
            ask()
            times.append(time.process_time() - started)
    ours, again, theirs, keyed = map(statistics.median, taken)
    print(
        f"  {name}: {1000 * ours:.0f} ms, again {1000 * again:.0f}, visitors {1000 * theirs:.0f}, "
        f"persons {1000 * keyed:.0f}",
        flush=True,
    )
    return (
        f"{name} {1000 * ours:.0f} ms = {ours / theirs:.2f} of the visitors' query, "
        f"{ours / keyed:.2f} of one keyed by person ({again / theirs:.2f} with days and counts "
        "in memory)"
    )


if __name__ == "__main__":
    main()
