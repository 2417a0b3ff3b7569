"""Keeps what people did: `events` for criteria and `events_by_visitor` for point reads.

In go columns of loaded events, out come rows by visitor and customer ordinal: it never hears of
people. Every table is inserted, counted and repaired alone; which rows are missing is the loader's
question.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.bitmap_states import decode_state
from audiences.calendar_days import CalendarDays, date_of
from audiences.event_selection import (
    DAY_LAST,
    Selection,
    currency_parameters,
    owners_parameters,
    rows_parameters,
    rows_query,
)
from audiences.sql import sql
from matching.ids import NOBODY, VISITOR_FIRST
from matching.rows_store import all_rows, ticks

FLAG_BOT: Final = 2
"""Bit of `flags`: judged to come from a bot; such events count for nobody."""
NO_CHUNK: Final = (1 << 64) - 1

OWNERS: Final = np.dtype([("visitor", "<u4"), ("customer", "<u4")])
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
OWNER_ROWS: Final = np.dtype([("row", "<u4"), ("owner", "<u4")])
Ints = Sequence[int] | NDArray[Any]


class EventColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Events to be stored: one list or array per column, all of one length."""

    chunk: Ints
    row: Ints
    received_at_ms: Ints
    at_ms: Ints
    event: Sequence[str]
    site: Sequence[str]
    visitor: Ints
    customer: Ints
    message_hash: Ints
    flags: Ints
    properties: Sequence[str]


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

    def insert(self, columns: EventColumns) -> None:
        """Store the events, each with its calendar day."""
        day = np.clip(self._days.days(np.asarray(columns.at_ms, dtype=np.int64)), 0, DAY_LAST)
        self._insert("events", _columns(columns) | {"day": day.tolist()})

    def insert_by_visitor(
        self, columns: EventColumns, *, except_rows: NDArray[Any] | None = None
    ) -> None:
        """Store each event once per owner, but none of these (row, owner) again."""
        stored = set() if except_rows is None else set(map(tuple, except_rows.tolist()))
        owners = zip(
            ticks(columns.row), ticks(columns.visitor), ticks(columns.customer), strict=True
        )
        picked = [
            (index, owner)
            for index, (row, visitor, customer) in enumerate(owners)
            for owner in (visitor, customer)
            if owner != NOBODY and (row, owner) not in stored
        ]
        plain = _columns(columns)
        plain.pop("message_hash")
        chosen = {name: [column[index] for index, _ in picked] for name, column in plain.items()}
        self._insert("events_by_visitor", chosen | {"owner": [owner for _, owner in picked]})

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

    def owners(self, selection: Selection) -> NDArray[Any]:
        """Give visitor and customer of every event; for selections without conditions or field."""
        query = sql("event_owners")
        return all_rows(self._client, query, OWNERS, owners_parameters(selection))

    def rows(self, selection: Selection, currencies: Mapping[str, str]) -> NDArray[Any]:
        """Give the events that meet the selection, with amounts."""
        parameters = rows_parameters(selection, currencies)
        return all_rows(self._client, sql(rows_query(selection)), ROWS, parameters)

    def left_out(self, selection: Selection, currencies: Mapping[str, str]) -> int:
        """Count the events that a sum leaves out for their currency."""
        parameters = owners_parameters(selection) | currency_parameters(currencies)
        found = self._client.query(sql("event_rows_left_out"), parameters=parameters)
        return int(found.result_rows[0][0])

    def owners_on_site(self, site: str, *, last_day: int) -> NDArray[Any]:
        """Give the visitors and customers that did anything on the site."""
        parameters = {"site": site, "last": date_of(last_day)}
        return all_rows(self._client, sql("owners_on_site"), OWNERS, parameters)

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
        for step in (
            "erase_keep_others_events",
            "erase_events",
            "erase_owner_events",
            "erase_owner_visitors",
        ):
            self._client.command(sql(step), parameters=parameters)

    def _insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        if columns["row"]:
            rows = list(columns.values())
            self._client.insert(table, rows, column_names=list(columns), column_oriented=True)


def _columns(columns: EventColumns) -> dict[str, Any]:
    return {
        "chunk": ticks(columns.chunk),
        "row": ticks(columns.row),
        "received_at": ticks(columns.received_at_ms),
        "at": ticks(columns.at_ms),
        "event": columns.event,
        "site": columns.site,
        "visitor": ticks(columns.visitor),
        "customer": ticks(columns.customer),
        "message_hash": ticks(columns.message_hash),
        "flags": ticks(columns.flags),
        "properties": columns.properties,
    }


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
