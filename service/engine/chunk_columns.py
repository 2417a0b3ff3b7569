"""A chunk's rows become columns with ordinals, and only what is missing of them is inserted.

Ordinals are given before anything else of the chunk is stored; which rows are there already is told
by the caller.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audiences.event_store import EventColumns
from matching.identification import is_blocked
from matching.partner_ids_store import PartnerIdColumns
from service.engine.chunk_rows import ChunkRows, EventRow
from service.engine.stores import Stores
from service.tag.record import Kind
from service.tag.steps import NO_VISITOR

ROWS_AN_INSERT: Final = 200_000
ONLY_LOOKED_UP: Final = frozenset({Kind.PARTNER_ID, Kind.CONSENT})
"""Kinds of records that never make a visitor known."""


class ChunkOrdinals:
    """The ordinals of everybody whom a chunk names, given before anything else is inserted."""

    def __init__(self, stores: Stores, chunk: int, rows: ChunkRows, *, now_ms: int) -> None:
        records = [each.visitor for each in rows.others if each.kind not in ONLY_LOOKED_UP]
        visitors = sorted({*records, *(each.visitor for each in rows.events)} - {NO_VISITOR})
        found = stores.customers.visitor_ordinals(visitors, chunk)
        self.visitors: dict[bytes, int] = dict(zip(visitors, found.tolist(), strict=True))
        # Why only looked up: a withdrawal must not create the visitor whom it denies.
        denying = {each.visitor for each in rows.others if each.kind is Kind.CONSENT}
        others = sorted(denying - self.visitors.keys() - {NO_VISITOR})
        found = stores.customers.find_visitors(others)
        self.visitors.update(zip(others, found.tolist(), strict=True))
        named = {each.meta.proved for each in rows.others} | {each.proved for each in rows.events}
        proved = sorted(name for name in named if name and not is_blocked(name))
        given = stores.customers.customer_ordinals(proved, source="message", at_ms=now_ms)
        self.customers: dict[str, int] = dict(zip(proved, given.tolist(), strict=True))
        # Why only looked up: an unsigned claim must not be able to create customers.
        claims = sorted({each.claimed for each in rows.events} - {""})
        known = stores.customers.find_customers(claims)
        self._claimed: dict[str, int] = dict(zip(claims, known.tolist(), strict=True))

    def visitor(self, name: bytes) -> int:
        """Give a visitor's ordinal; 0 for none."""
        return self.visitors.get(name, 0)

    def customer(self, name: str) -> int:
        """Give a proved customer's ordinal; 0 for none."""
        return self.customers.get(name, 0)

    def claimed(self, name: str) -> int:
        """Give the ordinal of a customer whom a message only claimed; 0 when nobody has this id."""
        return self._claimed.get(name, 0)


def event_columns(chunk: int, events: Sequence[EventRow], people: ChunkOrdinals) -> EventColumns:
    """Give the events' columns, with both ordinals."""
    visitor, customer = people.visitors.get, people.customers.get
    return EventColumns(
        chunk=[chunk] * len(events),
        row=[each.row for each in events],
        received_at_ms=[each.received_ms for each in events],
        at_ms=[each.at_ms for each in events],
        event=[each.event for each in events],
        site=[each.site for each in events],
        visitor=[visitor(each.visitor, 0) for each in events],
        customer=[customer(each.proved, 0) for each in events],
        message_hash=[each.message_hash for each in events],
        flags=[each.flags for each in events],
        properties=[each.properties for each in events],
    )


def partner_columns(chunk: int, rows: Sequence[tuple[Any, ...]]) -> PartnerIdColumns:
    """Give the columns of rows (row, received, partner, space, action, reason, nonce, ...)."""
    row, received, partner, space, action, reason, nonce, visitor, uid, ordinal = transposed(
        rows, 10
    )
    return PartnerIdColumns(
        chunk=[chunk] * len(rows),
        row=row,
        received_at_ms=received,
        partner=partner,
        id_space=space,
        action=action,
        reason=reason,
        nonce=nonce,
        visitor=visitor,
        id=uid,
        id_ordinal=ordinal,
        source=["sync"] * len(rows),
    )


def transposed(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Turn rows into columns; no rows give empty columns."""
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(width)]


def insert_missing(
    columns: Any, there: NDArray[np.uint32] | None, insert: Callable[[Any], None]
) -> None:
    """Insert a chunk's rows, or only those that are not there yet, in pieces of one partition."""
    rows = np.asarray(columns.row, dtype=np.uint32)
    wanted = np.arange(len(rows))
    if there is not None:
        wanted = wanted[~np.isin(rows, there)]
    for start in range(0, len(wanted), ROWS_AN_INSERT):
        piece = wanted[start : start + ROWS_AN_INSERT].tolist()
        insert(_take(columns, piece))


def _take(columns: Any, piece: list[int]) -> Any:
    if len(piece) == len(columns.row):
        return columns
    kept = {
        name: [getattr(columns, name)[index] for index in piece]
        for name in columns.__struct_fields__
    }
    return type(columns)(**kept)
