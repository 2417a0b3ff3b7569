"""The table of correspondence: which partner knows which visitor by which id.

Rows of offers, stored, deleted, refused and waiting ids come in and are never changed; live ids
and open offers come out. Each (id space, id) has its own dense ordinal.
"""

import threading
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of
from matching.id_ordinals_store import IdOrdinalsStore
from matching.id_states_store import IdStatesStore
from matching.id_texts_store import IdTextsStore
from matching.ids import CUSTOMER_FIRST, ORDINAL_LAST, VISITOR_FIRST
from matching.partner_answers_store import PartnerAnswersStore
from matching.partner_facts import VISITORS_PER_ID_MAX
from matching.rows_store import all_numbers, ticks
from matching.sql import sql

DAY_MS: Final = 86_400_000
OF_CUSTOMERS: Final = {"first": CUSTOMER_FIRST, "last": VISITOR_FIRST - 1}
NO_CHUNK: Final = (1 << 64) - 1
ORDINALS_PER_QUERY_MAX: Final = 10_000  # a server takes 128 KiB for one parameter
COLUMNS: Final = [
    "chunk",
    "row",
    "received_at",
    "partner",
    "id_space",
    "action",
    "reason",
    "nonce",
    "visitor",
    "id",
    "id_ordinal",
    "source",
    "browser",
]


class PartnerIdColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Rows to be stored: one list or array per column, all of one length."""

    chunk: Sequence[int] | NDArray[np.uint64]
    row: Sequence[int] | NDArray[np.uint32]
    received_at_ms: Sequence[int] | NDArray[np.int64]
    partner: Sequence[str]
    id_space: Sequence[str]
    action: Sequence[str]
    reason: Sequence[str]
    nonce: Sequence[int] | NDArray[np.uint64]
    visitor: Sequence[int] | NDArray[np.uint32]
    id: Sequence[str]
    id_ordinal: Sequence[int] | NDArray[np.uint32]
    source: Sequence[str]
    browser: Sequence[str] = ()
    """The family of the browser that was offered or answered; may be left out."""

    def __post_init__(self) -> None:
        """Fill in the one column that may be left out."""
        if not self.browser:
            msgspec.structs.force_setattr(self, "browser", [""] * len(self.row))


class CarriedIds(msgspec.Struct, frozen=True, kw_only=True):
    """One live id per visitor, by ordinal, as parallel arrays."""

    visitors: NDArray[np.uint32]
    id_ordinals: NDArray[np.uint32]


class LiveIds(CarriedIds, frozen=True, kw_only=True):
    """The same with the ids' texts, ordered by id, then visitor."""

    ids: list[str]


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A sync offered to a visitor and not answered yet."""

    nonce: int
    partner: str
    visitor: int
    at_ms: int
    browser: str = ""


class WaitingId(msgspec.Struct, frozen=True, kw_only=True):
    """An id that came before its offer; empty for a deletion."""

    nonce: int
    partner: str
    id: str
    at_ms: int


class PartnerIdRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a visitor; `action` is offered, stored, deleted, refused or waiting."""

    visitor: int
    partner: str
    id_space: str
    action: str
    reason: str
    id: str
    id_ordinal: int
    nonce: int
    source: str
    received_at_ms: int


class PartnerIdsStore:
    """The table `partner_ids`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ordinals = IdOrdinalsStore(client)
        self.answers = PartnerAnswersStore(client, self._ordinals.suspects)
        self.states = IdStatesStore(client, self._ordinals.shared)
        self.texts = IdTextsStore(client)
        self._lock = threading.RLock()

    def open(self) -> None:
        """Fill the ordinals of ids from the table; those given and not stored yet keep theirs."""
        self._ordinals.open()

    def id_ordinals(self, id_space: str, ids: Sequence[str]) -> NDArray[np.uint32]:
        """Give every id its ordinal; it is kept by the row that is stored with it."""
        return self._ordinals.give(id_space, ids)

    def insert(self, columns: PartnerIdColumns) -> None:
        """Store rows."""
        if len(columns.row) == 0:
            return
        values = [getattr(columns, name) for name in PartnerIdColumns.__struct_fields__]
        values[COLUMNS.index("received_at")] = ticks(columns.received_at_ms)
        self._client.insert("partner_ids", values, column_names=COLUMNS, column_oriented=True)
        self._ordinals.stored(columns.id_ordinal, columns.visitor)

    def rows_of_chunk(self, chunk: int) -> NDArray[np.uint32]:
        """Give the rows of a chunk that are in the table."""
        return all_numbers(self._client, sql("partner_id_chunk_rows"), {"chunk": chunk})

    def live(self, id_space: str, *, as_of_ms: int, lives_days: int) -> LiveIds:
        """Give each visitor's newest id that was neither deleted since nor is too old.

        An id that more than `VISITORS_PER_ID_MAX` of these visitors carry is left out.
        """
        return self._live(_life(id_space, as_of_ms, lives_days))

    def live_of_customers(self, id_space: str, *, as_of_ms: int, lives_days: int) -> LiveIds:
        """Give the same of customers, for spaces in which their contacts are ids."""
        return self._live(_life(id_space, as_of_ms, lives_days) | OF_CUSTOMERS)

    def _live(self, parameters: dict[str, object]) -> LiveIds:
        columns = self._client.query(sql("live_partner_ids"), parameters=parameters).result_columns
        visitors, ordinals, ids = columns or ((), (), ())
        found = LiveIds(
            visitors=np.array(visitors, dtype=np.uint32),
            id_ordinals=np.array(ordinals, dtype=np.uint32),
            ids=list(ids),
        )
        return _without_fan_out(found)

    def visitors_with(self, id_space: str, *, as_of_ms: int, lives_days: int) -> BitMap:
        """Give the visitors of `live`."""
        parameters = _life(id_space, as_of_ms, lives_days)
        return bitmap_of(all_numbers(self._client, sql("visitors_with_partner_id"), parameters))

    def open_offers(self, *, since_ms: int, before_chunk: int | None = None) -> dict[int, Offer]:
        """Give the offers since then, in chunks before this one, that have no id yet, by nonce."""
        rows = self._since("open_offers", since_ms, before_chunk)
        return {
            row[0]: Offer(**dict(zip(Offer.__struct_fields__, row, strict=True))) for row in rows
        }

    def answered(self, *, since_ms: int, before_chunk: int | None = None) -> dict[int, int]:
        """Give the nonces with an id stored since then, in chunks before this one, and when."""
        return dict(self._since("answered_offers", since_ms, before_chunk))

    def waiting(self, *, since_ms: int, before_chunk: int | None = None) -> list[WaitingId]:
        """Give the ids since then, in chunks before this one, whose offer has not come yet."""
        return [
            WaitingId(nonce=nonce, partner=partner, id=id_, at_ms=at_ms)
            for nonce, partner, id_, at_ms in self._since("waiting_ids", since_ms, before_chunk)
        ]

    def other_ids_seen(
        self, *, since_ms: int, before_chunk: int | None = None
    ) -> dict[tuple[int, int], int]:
        """Give when messages since then named each (visitor, ordinal of the id) last."""
        rows = self._since("other_ids_seen", since_ms, before_chunk)
        return {(visitor, ordinal): at_ms for visitor, ordinal, at_ms in rows}

    def unconfirmed(
        self, *, since_ms: int, before_chunk: int | None = None
    ) -> dict[tuple[int, int], int]:
        """Give when one offer brought each (visitor, ordinal of the id) without a token of ours."""
        rows = self._since("unconfirmed_ids", since_ms, before_chunk)
        return {(visitor, ordinal): at_ms for visitor, ordinal, at_ms in rows}

    def of_visitors(self, visitors: Sequence[int]) -> list[PartnerIdRow]:
        """Give everything about these visitors, newest first."""
        rows = self._client.query(
            sql("partner_ids_of_visitors"), parameters={"visitors": list(visitors)}
        ).result_rows
        names = PartnerIdRow.__struct_fields__
        return [PartnerIdRow(**dict(zip(names, row, strict=True))) for row in rows]

    def visitor_of(self, partner_id: str, *, id_space: str = "") -> int | None:
        """Give the visitor for whom this id was stored last, in this id space or in any."""
        parameters = {"id": partner_id, "id_space": id_space, "first": VISITOR_FIRST}
        rows = self._client.query(sql("visitor_of_partner_id"), parameters=parameters).result_rows
        return int(rows[0][0]) if rows else None

    def ids_of(self, id_ordinals: Sequence[int]) -> dict[int, tuple[str, str]]:
        """Give (id space, id) of these ordinals; erased ids are left out."""
        found: dict[int, tuple[str, str]] = {}
        for begin in range(0, len(id_ordinals), ORDINALS_PER_QUERY_MAX):
            some = [int(each) for each in id_ordinals[begin : begin + ORDINALS_PER_QUERY_MAX]]
            rows = self._client.query(sql("partner_id_texts"), parameters={"ordinals": some})
            found |= {ordinal: (space, each) for ordinal, space, each in rows.result_rows}
        return found

    def erase(self, visitors: Sequence[int]) -> None:
        """Delete every row of these visitors; the ordinals of their ids are never given again."""
        if not visitors:
            return
        rows = self.of_visitors(visitors)
        gone = {row.id_ordinal for row in rows} - {0}
        with self._lock:
            if gone:
                # Why first: seats' ledgers tell ids by ordinal, so the highest must stay taken.
                self._keep_taken(self._ordinals.highest(), rows[0].received_at_ms)
            parameters = {"visitors": list(visitors)}
            self._client.command(sql("erase_partner_ids"), parameters=parameters)
            still = self.ids_of(sorted(gone))
            self._ordinals.forget(sorted(gone - still.keys()))

    def _since(self, query: str, since_ms: int, before_chunk: int | None) -> Sequence[Any]:
        chunk = NO_CHUNK if before_chunk is None else before_chunk
        parameters = {"since_ms": since_ms, "chunk": chunk}
        return self._client.query(sql(query), parameters=parameters).result_rows

    def _keep_taken(self, id_ordinal: int, received_at_ms: int) -> None:
        """Store a row of nobody that holds the highest ordinal."""
        self.insert(
            PartnerIdColumns(
                chunk=[0],
                row=[0],
                received_at_ms=[received_at_ms],
                partner=[""],
                id_space=[""],
                action=["deleted"],
                reason=["erased"],
                nonce=[0],
                visitor=[0],
                id=[""],
                id_ordinal=[id_ordinal],
                source=["erasure"],
            )
        )


def _life(id_space: str, as_of_ms: int, lives_days: int) -> dict[str, object]:
    return {
        "id_space": id_space,
        "as_of_ms": as_of_ms,
        "since_ms": as_of_ms - lives_days * DAY_MS,
        "visitors_max": VISITORS_PER_ID_MAX,
        "first": VISITOR_FIRST,
        "last": ORDINAL_LAST,
    }


def _without_fan_out(live: LiveIds) -> LiveIds:
    carried = np.bincount(live.id_ordinals)[live.id_ordinals] <= VISITORS_PER_ID_MAX
    if carried.all():
        return live
    kept = np.flatnonzero(carried)
    return LiveIds(
        visitors=live.visitors[kept],
        id_ordinals=live.id_ordinals[kept],
        ids=[live.ids[row] for row in kept.tolist()],
    )
