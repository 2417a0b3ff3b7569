"""Keeps what people did: `events` for criteria and `events_by_visitor` for point reads.

In go columns of loaded events, out come rows by visitor and customer ordinal: it never hears of
people. Every table is inserted, counted and repaired alone; which rows are missing is the loader's
question.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.bitmap_states import decode_state
from audiences.calendar_days import CalendarDays, date_of
from audiences.daily_bitmaps import Day
from audiences.event_columns import EventColumns, columns_of, taken, touched_by
from audiences.event_days_store import EventDaysStore
from audiences.event_selection import (
    DAY_LAST,
    Selection,
    bare_query,
    currency_parameters,
    owners_parameters,
    rows_parameters,
    rows_query,
)
from audiences.event_source import Columns
from audiences.native_block import DATE, Column, native_block
from audiences.sql import sql
from audiences.world import Touched
from matching.bitmaps import bitmap_of
from matching.columns_store import all_columns
from matching.ids import NOBODY, VISITOR_FIRST
from matching.rows_store import all_numbers, all_rows

__all__ = ["EventColumns", "EventRow", "EventStore"]

NO_CHUNK: Final = (1 << 64) - 1

ROWS: Final = np.dtype(
    [
        ("visitor", "<u4"),
        ("customer", "<u4"),
        ("at_ms", "<i8"),
        ("received_at_ms", "<i8"),
        ("chunk", "<u8"),
        ("row", "<u4"),
        ("day", "<u2"),
        ("is_refund", "?"),
        ("amount", "<f8"),
    ]
)
OWNERS: Final = {"visitor": "UInt32", "customer": "UInt32"}
AMOUNTS: Final = OWNERS | {"is_refund": "UInt8", "amount": "Float64", "other": "Float64"}
"""Columns with their types, as ClickHouse names them."""
OWNER_ROWS: Final = np.dtype([("row", "<u4"), ("owner", "<u4")])


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One event as card, access and "why" show it."""

    at_ms: int
    event: str
    site: str
    visitor: int
    customer: int
    flags: int
    properties: dict[str, Any]


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One event name: how often it came, first and last."""

    event: str
    count: int
    first_at_ms: int
    last_at_ms: int


class EventStore:
    """The two tables of events."""

    def __init__(self, client: Client, days: CalendarDays) -> None:
        self._client = client
        self._days = days
        self._by_day = EventDaysStore(client)
        self._touched = Touched()
        self._insertions, self._is_inserting = 0, False
        self._names: set[str] = set()

    def insert(self, columns: EventColumns) -> None:
        """Store the events, each with its calendar day."""
        day = np.clip(self._days.days(np.asarray(columns.at_ms, dtype=np.int64)), 0, DAY_LAST)
        made = columns_of(columns)
        touched = touched_by(made, day, self._insertions + 1)
        self._is_inserting = True
        try:
            self._insert("events", made | {"day": Column(type=DATE, values=day)})
        except BaseException:
            touched = touched.by_owners()  # nobody knows which of them are stored
            raise
        finally:
            self._touched |= touched
            self._insertions += 1
            self._is_inserting = False

    def insertions(self) -> int | None:
        """Count the inserts until now; None while one is under way."""
        return None if self._is_inserting else self._insertions

    def take_touched(self) -> Touched:
        """Tell whose events were stored or erased here since this was last asked."""
        touched, self._touched = self._touched, Touched()
        return touched

    def insert_by_visitor(
        self, columns: EventColumns, *, except_rows: NDArray[Any] | None = None
    ) -> None:
        """Store each event once per owner, but none of these (row, owner) again."""
        made = columns_of(columns)
        del made["message_hash"]
        visitor, customer = made["visitor"].values, made["customer"].values
        places = np.concatenate([np.flatnonzero(visitor), np.flatnonzero(customer)])
        owner = np.concatenate([visitor[visitor != NOBODY], customer[customer != NOBODY]])
        if except_rows is not None:
            # Why again: these rows may have been stored in the other table at an earlier try.
            self._touched |= Touched(visitors=bitmap_of(visitor), customers=bitmap_of(customer))
            wanted = ~np.isin(_pairs(made["row"].values[places], owner), _pairs_of(except_rows))
            places, owner = places[wanted], owner[wanted]
        owned = {name: taken(column, places) for name, column in made.items()}
        self._insert("events_by_visitor", owned | {"owner": Column(type="UInt32", values=owner)})

    def rows_of_chunk(self, chunk: int) -> NDArray[np.uint32]:
        """Give the stored rows of a chunk, ascending."""
        query = sql("event_rows_of_chunk")
        return all_rows(self._client, query, np.dtype("<u4"), {"chunk": chunk})

    def rows_of_chunk_by_visitor(self, chunk: int) -> NDArray[Any]:
        """Give the stored (row, owner) pairs of a chunk, ascending, as a structured array."""
        return all_rows(self._client, sql("owner_rows_of_chunk"), OWNER_ROWS, {"chunk": chunk})

    def message_hashes(
        self, since_ms: int, *, before_chunk: int | None = None
    ) -> NDArray[np.uint64]:
        """Give the hashes of the messages received since then, in chunks before this one."""
        chunk = NO_CHUNK if before_chunk is None else before_chunk
        parameters = {"since_ms": since_ms, "chunk": chunk}
        return all_rows(self._client, sql("message_hashes"), np.dtype("<u8"), parameters)

    def owners(self, selection: Selection) -> Columns:
        """Give visitor and customer of every event; for selections without conditions or field."""
        return self._columns("event_owners", OWNERS, owners_parameters(selection))

    def rows(
        self, selection: Selection, currencies: Mapping[str, str], *, moments: bool = False
    ) -> NDArray[Any]:
        """Give the events that meet the selection, with amounts; when exactly only if asked."""
        source = {"source": "events", "moments": moments}
        parameters = rows_parameters(selection, currencies) | source
        return all_rows(self._client, sql(rows_query(selection)), ROWS, parameters)

    def amounts(self, selection: Selection, currencies: Mapping[str, str]) -> Columns:
        """Give visitor, customer and, where a field is named, amount of the events that meet it."""
        bare = bare_query(selection, currencies)
        if bare is None:
            return self.rows(selection, currencies)
        name, parameters = bare
        if not selection.field:
            return self._columns(name, OWNERS, parameters)
        rows = self._columns(name, AMOUNTS, parameters)
        named, other = (np.where(np.isfinite(rows[x]), rows[x], 0.0) for x in ("amount", "other"))
        refund = rows["is_refund"] != 0
        amount = np.where(refund, -np.abs(np.where(named == 0, other, named)), named)
        return rows | {"amount": amount}

    def daily(self, event: str, first: int, last: int) -> dict[int, Day]:
        """Give who did the event on each day of a span; a day without any is not there."""
        return self._by_day.days(event, first, last)

    def few(self, event: str, first: int, last: int) -> Columns | None:
        """Give visitor and customer of each event of a span; None where they are too many."""
        return self._by_day.rows(event, first, last)

    def known(self, events: Iterable[str]) -> frozenset[str]:
        """Tell which of these events have ever come; one that came once is not asked for again."""
        asked = set(events)
        unsure = asked - self._names
        if unsure:
            found = self._client.query(sql("known_events"), parameters={"events": sorted(unsure)})
            self._names = self._names | {row[0] for row in found.result_rows}
        return frozenset(asked & self._names)

    def left_out(self, selection: Selection, currencies: Mapping[str, str]) -> int:
        """Count the events that a sum leaves out for their currency."""
        parameters = owners_parameters(selection) | currency_parameters(currencies)
        found = self._client.query(sql("event_rows_left_out"), parameters=parameters)
        return int(found.result_rows[0][0])

    def owners_on_site(self, site: str, *, last_day: int) -> Columns:
        """Give the visitors and customers that did anything on the site."""
        parameters = {"site": site, "last": date_of(last_day)}
        return self._columns("owners_on_site", OWNERS, parameters)

    def visitors_of_bots(self) -> BitMap:
        """Give the visitors with any event that was flagged as a bot's."""
        state = self._client.raw_query(sql("bots"), fmt="RowBinary")
        return decode_state(state)[0]

    def catalogue(self) -> list[CatalogueEntry]:
        """List the event names, the most frequent first."""
        rows = self._client.query(sql("event_catalogue")).result_rows
        names = CatalogueEntry.__struct_fields__
        return [CatalogueEntry(**dict(zip(names, row, strict=True))) for row in rows]

    def events_of(self, owners: Sequence[int], limit: int) -> list[EventRow]:
        """Give the newest events of a person's customers and visitors."""
        customers = [owner for owner in owners if owner < VISITOR_FIRST]
        parameters = {"owners": list(owners), "customers": customers, "limit": limit}
        rows = self._client.query(sql("events_of_owners"), parameters=parameters).result_rows
        return [_event_row(row) for row in rows]

    def newest(self, owner: int, event: str) -> int | None:
        """Give the moment of an owner's newest event of this name; None when there is none."""
        parameters = {"owner": owner, "event": event}
        ((count, at_ms),) = self._client.query(
            sql("newest_event_of_owner"), parameters=parameters
        ).result_rows
        return int(at_ms) if count else None

    def seen(self, visitors: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Give first and last moment of the visitors that did anything."""
        parameters = {"visitors": list(visitors)}
        rows = self._client.query(sql("seen_of_visitors"), parameters=parameters).result_rows
        return {visitor: (first, last) for visitor, first, last in rows}

    def erase(self, *, customers: Sequence[int], visitors: Sequence[int]) -> None:
        """Delete their events for good; one that names another customer only loses its visitor."""
        parameters = {"customers": list(customers), "visitors": list(visitors)}
        shared = all_numbers(self._client, sql("visitors_of_owners"), {"owners": list(customers)})
        touched = (bitmap_of(shared) | BitMap(visitors)) - BitMap([NOBODY])
        self._touched |= Touched(customers=BitMap(customers), visitors=touched, days_unknown=True)
        for step in (
            "erase_keep_others_events",
            "erase_events",
            "erase_owner_events",
            "erase_owner_visitors",
        ):
            self._client.command(sql(step), parameters=parameters)

    def _columns(
        self, query: str, types: Mapping[str, str], parameters: Mapping[str, Any]
    ) -> dict[str, NDArray[Any]]:
        found = all_columns(self._client, sql(query), list(types.values()), parameters)
        return dict(zip(types, found, strict=True))

    def _insert(self, table: str, columns: Mapping[str, Column]) -> None:
        if len(columns["row"].values):
            self._client.raw_insert(table, list(columns), native_block(columns), fmt="Native")


def _pairs_of(rows: NDArray[Any]) -> NDArray[np.uint64]:
    return _pairs(rows["row"], rows["owner"])


def _pairs(row: NDArray[Any], owner: NDArray[Any]) -> NDArray[np.uint64]:
    return row.astype(np.uint64) << np.uint64(32) | owner.astype(np.uint64)


def _event_row(row: Sequence[Any]) -> EventRow:
    at_ms, event, site, visitor, customer, flags, properties = row[:7]
    return EventRow(
        at_ms=at_ms,
        event=event,
        site=site,
        visitor=visitor,
        customer=customer,
        flags=flags,
        properties=msgspec.json.decode(properties) if properties else {},
    )
