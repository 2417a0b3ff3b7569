"""Reads who did an event on each day of a span, as sets, or row by row where that is little.

In go an event and its days, out comes one value a day: of many events the database makes the sets,
of few they are made here, which is faster. What is read is not kept.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError
from numpy.typing import NDArray

from audiences.bitmap_states import decode_state
from audiences.calendar_days import date_of
from audiences.daily_bitmaps import Day
from audiences.event_selection import DAY_LAST
from audiences.event_source import Columns
from audiences.sql import sql
from matching.bitmaps import bitmap_of
from matching.columns_store import all_columns
from matching.ids import NOBODY

ROWS_READ_MAX: Final = 1_000_000
"""Of more rows than these the database makes the sets faster than numpy."""
COLUMNS: Final = {"day": "UInt16", "visitor": "UInt32", "customer": "UInt32"}
"""With their types, as ClickHouse names them."""
TOO_MANY_ROWS: Final = 158
"""ClickHouse's code for a query that would look through more rows than it may."""


class EventDaysStore:
    """The table `events`, asked for one name and a span of days."""

    def __init__(self, client: Client, *, rows_read_max: int = ROWS_READ_MAX) -> None:
        self._client = client
        self._rows_read_max = rows_read_max
        self._many: dict[str, tuple[int, int]] = {}
        """Of events that came often: a span of days in which they did."""

    def days(self, event: str, first: int, last: int) -> dict[int, Day]:
        """Give who did the event on each day from first to last; a day without any is not there."""
        rows = self.rows(event, first, last)
        if rows is not None:
            return dict(_days_of_rows(rows))
        parameters = _parameters(event, first, last)
        state = self._client.raw_query(sql("daily_bitmaps"), parameters=parameters, fmt="RowBinary")
        return dict(_days_of_states(memoryview(state)))

    def rows(self, event: str, first: int, last: int) -> Columns | None:
        """Give day, visitor and customer of each event of these days; None where they are many."""
        many = self._many.get(event)
        if many is not None and first <= many[0] and many[1] <= last:
            return None
        try:
            found = all_columns(
                self._client,
                sql("event_days"),
                list(COLUMNS.values()),
                _parameters(event, first, last) | {"rows_max": self._rows_read_max},
            )
        except DatabaseError as problem:
            if problem.code != TOO_MANY_ROWS:
                raise
            self._many[event] = (first, last)
            return None
        return dict(zip(COLUMNS, found, strict=True))


def _parameters(event: str, first: int, last: int) -> dict[str, Any]:
    return {
        "event": event,
        "first": date_of(max(0, first)),
        "last": date_of(min(DAY_LAST, max(0, last))),
    }


def _days_of_rows(rows: Columns) -> Iterator[tuple[int, Day]]:
    order = np.argsort(rows["day"], kind="stable")
    day, visitor, customer = (rows[name][order] for name in COLUMNS)
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
