"""A chunk's rows become columns with ordinals, and only what is missing of them is inserted.

Ordinals are given before anything else of the chunk is stored; which rows are there already is told
by the caller.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from audiences.event_store import EventColumns
from audiences.native_block import CodedTexts, PackedTexts
from matching.identification import is_blocked
from matching.ordinals import keys_of_bytes
from matching.partner_ids_store import PartnerIdColumns
from service.engine.chunk_rows import ChunkRows
from service.engine.event_rows import EventRows
from service.engine.partner_row import PartnerRow
from service.engine.stores import Stores
from service.tag.record import Kind
from service.tag.steps import NO_VISITOR

ROWS_AN_INSERT: Final = 200_000
ONLY_LOOKED_UP: Final = frozenset({Kind.PARTNER_ID, Kind.CONSENT})
"""Kinds of records that never make a visitor known."""


class ChunkOrdinals:
    """The ordinals of everybody whom a chunk names, given before anything else is inserted."""

    def __init__(self, stores: Stores, chunk: int, rows: ChunkRows, *, now_ms: int) -> None:
        events, customers = rows.events, stores.customers
        others = sorted({each.visitor for each in rows.others if each.kind not in ONLY_LOOKED_UP})
        keys = np.concatenate([events.visitor, keys_of_bytes(others)])
        found = customers.visitor_ordinals_of(keys, chunk)
        self._at = _by_place(events, found[: len(events)])
        given = found[len(events) :].tolist()
        self._visitors: dict[bytes, int] = dict(zip(others, given, strict=True))
        # Why only looked up: a withdrawal must not create the visitor whom it denies.
        denying = {each.visitor for each in rows.others if each.kind is Kind.CONSENT}
        unknown = sorted(denying - self._visitors.keys() - {NO_VISITOR})
        found = customers.find_visitors(unknown)
        self._visitors.update(zip(unknown, found.tolist(), strict=True))
        named = {each.meta.proved for each in rows.others} | _proved(events)
        proved = sorted(name for name in named if name and not is_blocked(name))
        found = customers.customer_ordinals(proved, source="message", at_ms=now_ms)
        self._customers: dict[str, int] = dict(zip(proved, found.tolist(), strict=True))
        # Why only looked up: an unsigned claim must not be able to create customers.
        claims = sorted(set(events.claimed.values()))
        found = customers.find_customers(claims)
        self._claimed: dict[str, int] = dict(zip(claims, found.tolist(), strict=True))

    def visitor(self, name: bytes) -> int:
        """Give the ordinal of a record's visitor; 0 for none."""
        return self._visitors.get(name, 0)

    def visitors(self, events: EventRows) -> NDArray[np.uint32]:
        """Give the ordinals of the events' visitors; 0 for none."""
        return self._at[events.place]

    def customer(self, name: str) -> int:
        """Give a proved customer's ordinal; 0 for none."""
        return self._customers.get(name, 0)

    def customers(self, events: EventRows) -> NDArray[np.uint32]:
        """Give the ordinals of the customers whom the events prove; 0 for none."""
        ordinals = np.array([self.customer(name) for name in events.customers], dtype=np.uint32)
        found = ordinals[events.proved]
        for index, name in events.opened_at():
            found[index] = self.customer(name)
        return found

    def claimed(self, name: str) -> int:
        """Give the ordinal of a customer whom a message only claimed; 0 when nobody has this id."""
        return self._claimed.get(name, 0)


def _by_place(events: EventRows, ordinals: NDArray[np.uint32]) -> NDArray[np.uint32]:
    at = np.zeros(int(events.place.max(initial=-1)) + 1, dtype=np.uint32)
    at[events.place] = ordinals
    return at


def _proved(events: EventRows) -> set[str]:
    """Name the customers whom these events prove, and nobody whose events were left out."""
    used = np.bincount(events.proved, minlength=len(events.customers)) > 0
    proved = {events.customers[code] for code in np.flatnonzero(used).tolist()}
    return proved | {name for _, name in events.opened_at()}


def event_columns(chunk: int, events: EventRows, people: ChunkOrdinals) -> EventColumns:
    """Give the events' columns, with both ordinals."""
    sites = {site: code for code, site in enumerate(_sites(events))}
    return EventColumns(
        chunk=np.full(len(events), chunk, dtype=np.uint64),
        row=events.row,
        received_at_ms=events.received_ms,
        at_ms=events.at_ms,
        event=events.event,
        site=CodedTexts(
            names=list(sites), codes=events.of_sender(lambda meta: sites[meta.site], np.uint32)
        ),
        visitor=people.visitors(events),
        customer=people.customers(events),
        message_hash=events.message_hash,
        flags=events.flags,
        properties=events.properties,
    )


def _sites(events: EventRows) -> Iterable[str]:
    return dict.fromkeys(each.site for each in events.senders)


def partner_columns(chunk: int, rows: Sequence[PartnerRow]) -> PartnerIdColumns:
    """Give the columns of rows."""
    columns = transposed(rows, len(PartnerRow._fields))
    return PartnerIdColumns(
        chunk=[chunk] * len(rows),
        row=columns[0],
        received_at_ms=columns[1],
        partner=columns[2],
        id_space=columns[3],
        action=columns[4],
        reason=columns[5],
        nonce=columns[6],
        visitor=columns[7],
        id=columns[8],
        id_ordinal=columns[9],
        source=columns[10],
        browser=columns[11],
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
        piece = wanted[start : start + ROWS_AN_INSERT]
        insert(columns if piece.size == len(rows) else _take(columns, piece))


def _take(columns: Any, piece: NDArray[np.intp]) -> Any:
    kept: dict[str, Any] = {}
    for name in columns.__struct_fields__:
        column = getattr(columns, name)
        if isinstance(column, np.ndarray | CodedTexts | PackedTexts):
            kept[name] = column.take(piece)
        else:
            kept[name] = [column[index] for index in piece.tolist()]
    return type(columns)(**kept)
