"""Reads who did an event on each day of a span, as sets.

In go an event and its days, out comes one value a day: of many events the database makes the sets,
of few they are made here, which is faster. Nothing is kept.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray

from audiences.bitmap_states import decode_state
from audiences.calendar_days import date_of
from audiences.daily_bitmaps import Day
from audiences.event_selection import DAY_LAST
from audiences.sql import sql
from matching.bitmaps import bitmap_of
from matching.columns_store import all_columns
from matching.ids import NOBODY

ROWS_READ_MAX: Final = 1_000_000
"""Of more rows than these the database makes the sets faster than numpy."""


def days_of(
    client: Client, event: str, first: int, last: int, *, rows_read_max: int = ROWS_READ_MAX
) -> dict[int, Day]:
    """Give who did the event on each day from first to last; a day without any is not there."""
    parameters = _parameters(event, first, last)
    if rows_on_days(client, event, first, last) <= rows_read_max:
        return dict(_days_of_rows(client, parameters))
    state = client.raw_query(sql("daily_bitmaps"), parameters=parameters, fmt="RowBinary")
    return dict(_days_of_states(memoryview(state)))


def rows_on_days(client: Client, event: str, first: int, last: int) -> int:
    """Tell about how many rows the event has on these days: as many as would be looked through."""
    parameters = _parameters(event, first, last)
    found = client.query(sql("event_rows_on_days"), parameters=parameters).result_rows
    return sum(int(rows) for _, _, _, rows, _ in found)


def _parameters(event: str, first: int, last: int) -> dict[str, Any]:
    return {
        "event": event,
        "first": date_of(max(0, first)),
        "last": date_of(min(DAY_LAST, max(0, last))),
    }


def _days_of_rows(client: Client, parameters: Mapping[str, Any]) -> Iterator[tuple[int, Day]]:
    types = ("UInt16", "UInt32", "UInt32")
    day, visitor, customer = all_columns(client, sql("event_days"), types, parameters)
    order = np.argsort(day, kind="stable")
    day, visitor, customer = day[order], visitor[order], customer[order]
    starts = np.flatnonzero(np.diff(day, prepend=day[:1] + 1))
    for begin, end in zip(starts, [*starts[1:], day.size], strict=False):
        yield int(day[begin]), _day(visitor[begin:end], customer[begin:end])


def _day(visitors: NDArray[np.uint32], customers: NDArray[np.uint32]) -> Day:
    named = customers != NOBODY
    found = Day(
        unnamed=bitmap_of(visitors[~named]),
        customers=bitmap_of(customers[named]),
        named=bitmap_of(visitors[named]),
    )
    for some in (found.unnamed, found.named):
        some.discard(NOBODY)
    return found


def _days_of_states(rows: memoryview) -> Iterator[tuple[int, Day]]:
    offset = 0
    while offset < len(rows):
        day = int.from_bytes(rows[offset : offset + 2], "little")
        unnamed, offset = decode_state(rows, offset + 2)
        customers, offset = decode_state(rows, offset)
        named, offset = decode_state(rows, offset)
        for visitors in (unnamed, named):
            visitors.discard(NOBODY)
        yield day, Day(unnamed=unnamed, customers=customers, named=named)
