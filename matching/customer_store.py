"""Who exists: visitors and customers with their ordinals, names and traits, as stored.

Ids come in, ordinals go out only after their rows are acknowledged; contact hashes arrive sealed.
The caches in memory hold nothing that the tables `visitors` and `customers` do not.
"""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from matching import customer_traits_store
from matching.bitmaps import bitmap_of
from matching.crm.rows_store import CrmRowsStore
from matching.customer_names_store import (
    OPT_IN,
    CustomerName,
    insert_names,
    read_customer_of,
    read_granted,
    read_granted_by,
    read_names,
)
from matching.customer_traits_store import BROWSER_SOURCE, CustomerTrait
from matching.identification import is_blocked
from matching.ids import CUSTOMER_FIRST, ORDINAL_LAST, VISITOR_FIRST, CrmId, VisitorId
from matching.ordinals import Keys, Ordinals, bytes_of_keys, keys_of_bytes, keys_of_text
from matching.rows_store import all_numbers, pieces_of_rows
from matching.sql import sql

__all__ = ["BROWSER_SOURCE", "CustomerName", "CustomerStore", "CustomerTrait"]

ROWS_PER_INSERT_MAX: Final = 500_000
ORDINALS_PER_QUERY_MAX: Final = 10_000  # a server takes 128 KiB for one parameter

VISITORS, CUSTOMERS = "visitors", "customers"
COLUMNS: Final = {
    VISITORS: ["ordinal", "id", "chunk"],
    CUSTOMERS: ["customer", "kind", "value", "source", "at"],
}
RANGES: Final = {
    VISITORS: (VISITOR_FIRST, ORDINAL_LAST),
    CUSTOMERS: (CUSTOMER_FIRST, VISITOR_FIRST - 1),
}
VISITOR_ROW: Final = np.dtype([("ordinal", "<u4"), ("key", "<u8", (2,))])

Columns = list[Sequence[Any]]


class _NewRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that give new keys their ordinals, ascending."""

    table: str
    ordinals: NDArray[np.uint32]
    keys: Keys
    columns: Columns


class CustomerStore:
    """The tables `visitors` and `customers`; traits are kept by `customer_traits_store`."""

    def __init__(self, client: Client, *, rows_per_insert_max: int = ROWS_PER_INSERT_MAX) -> None:
        self._client = client
        self._rows_per_insert_max = rows_per_insert_max
        # Why: the loader and imports give ordinals from threads of their own.
        self._lock = threading.RLock()
        self.crm = CrmRowsStore(client)
        self._unsettled: list[_NewRows] = []
        self._clear()

    def open(self) -> None:
        """Fill the caches from the tables, forgetting what they held."""
        with self._lock:
            self._clear()
            self.crm.forget()
            for piece in pieces_of_rows(self._client, sql("visitor_rows"), VISITOR_ROW):
                self._take_over(VISITORS, piece["ordinal"], piece["key"].astype(np.uint64))
            with self._client.query_column_block_stream(sql("customer_rows")) as blocks:
                for ordinals, crm_ids in blocks:
                    customers = np.array(ordinals, dtype=np.uint32)
                    self._take_over(CUSTOMERS, customers, keys_of_text(crm_ids))
            last = self._client.query(sql("last_customer")).result_rows[0][0]
            self._caches[CUSTOMERS].reserve_through(last)

    def visitor_ordinals(self, ids: Sequence[bytes], chunk: int) -> NDArray[np.uint32]:
        """Give every id its ordinal, new ones stored before this returns; the zero id is 0."""
        return self.visitor_ordinals_of(keys_of_bytes(ids), chunk)

    def visitor_ordinals_of(self, keys: Keys, chunk: int) -> NDArray[np.uint32]:
        """Do the same for ids that are keys already."""

        def columns(new: NDArray[np.intp]) -> Columns:
            return [bytes_of_keys(keys[new]), [chunk] * new.size]

        return self._give(VISITORS, keys, columns)

    def customer_ordinals(
        self, crm_ids: Sequence[str], *, source: str, at_ms: int
    ) -> NDArray[np.uint32]:
        """Give every CRM id its ordinal, new ones stored before this returns; blocked ids are 0."""

        def columns(new: NDArray[np.intp]) -> Columns:
            count, values = new.size, [crm_ids[row] for row in new.tolist()]
            return [["crm_id"] * count, values, [source] * count, [at_ms] * count]

        return self._give(CUSTOMERS, _crm_keys(crm_ids), columns)

    def find_visitors(self, ids: Sequence[bytes]) -> NDArray[np.uint32]:
        """Give the ordinals of known ids, 0 for others."""
        with self._lock:
            return self._caches[VISITORS].find(keys_of_bytes(ids))

    def find_customers(self, crm_ids: Sequence[str]) -> NDArray[np.uint32]:
        """Give the ordinals of known CRM ids, 0 for others."""
        with self._lock:
            return self._caches[CUSTOMERS].find(_crm_keys(crm_ids))

    def visitor_ids(self, ordinals: Sequence[int]) -> dict[int, VisitorId]:
        """Give the ids of those visitors that are known and not erased."""
        with self._lock:
            keys = self._caches[VISITORS].keys_of(np.array(ordinals, dtype=np.uint32))
        ids = bytes_of_keys(keys)
        live = (keys != 0).any(axis=1).tolist()
        return {
            ordinal: VisitorId(each)
            for ordinal, each, is_live in zip(ordinals, ids, live, strict=True)
            if is_live
        }

    def crm_ids(self, ordinals: Sequence[int]) -> dict[int, CrmId]:
        """Give the CRM ids of those customers that are known and not erased."""
        found: dict[int, CrmId] = {}
        for begin in range(0, len(ordinals), ORDINALS_PER_QUERY_MAX):
            some = [int(each) for each in ordinals[begin : begin + ORDINALS_PER_QUERY_MAX]]
            rows = self._client.query(sql("crm_ids"), parameters={"customers": some}).result_rows
            found |= {customer: CrmId(value) for customer, value in rows}
        return found

    def put_names(self, rows: Sequence[CustomerName]) -> None:
        """Store aliases, sealed contact hashes and answers."""
        insert_names(self._client, rows, at_once=self._rows_per_insert_max)

    def names(self, customer: int) -> list[CustomerName]:
        """Give one customer's names, newest per kind and value; of opt-ins only the newest."""
        return read_names(self._client, customer)

    def find_by_name(self, kind: str, value: str) -> int | None:
        """Give the customer who took this name last."""
        return read_customer_of(self._client, kind, value)

    def opted_in(self) -> BitMap:
        """Give the customers whose newest opt-in is a yes."""
        return self.granted(OPT_IN)

    def granted(self, answer: str) -> BitMap:
        """Give the customers whose newest answer of a kind is a yes."""
        return read_granted(self._client, answer)

    def granted_by(self, customer: int) -> frozenset[str]:
        """Give the kinds of answers that are a yes of this customer."""
        return read_granted_by(self._client, customer)

    def customers(self) -> BitMap:
        """Give every customer that is not erased."""
        with self._lock:
            return self._live[CUSTOMERS].copy()

    def visitors(self) -> BitMap:
        """Give every visitor that is not erased."""
        with self._lock:
            return self._live[VISITORS].copy()

    @property
    def visitor_count(self) -> int:
        """How many visitors were ever given an ordinal, erased ones too."""
        with self._lock:
            return self._caches[VISITORS].next_ordinal - VISITOR_FIRST

    def put_traits(self, rows: Sequence[CustomerTrait]) -> int:
        """Store traits and count them; browsers' never overwrite those of another source."""
        stored = customer_traits_store.insert_traits(self._client, rows)
        # Why: a file that says otherwise must be heard again, though its row is the same as before.
        self.crm.look_again({row.customer for row in rows})
        return stored

    def traits_of(self, customer: int) -> dict[str, object]:
        """Give one customer's traits by name."""
        return customer_traits_store.read_traits(self._client, customer)

    def erase(self, *, customers: Sequence[int], visitors: Sequence[int]) -> None:
        """Wipe ids, names and traits for good; the ordinals stay taken. May be repeated."""
        with self._lock:
            self._settle()
            if visitors:
                self._client.command(sql("erase_visitors"), parameters={"visitors": list(visitors)})
            if customers:
                self._erase_customers(customers)
            for table, gone in ((VISITORS, visitors), (CUSTOMERS, customers)):
                self._caches[table].forget(gone)
                self._live[table] -= BitMap(gone)

    def _clear(self) -> None:
        self._caches = {
            table: Ordinals(first=first, last=last, seed=os.urandom(16))
            for table, (first, last) in RANGES.items()
        }
        self._live = {table: BitMap() for table in RANGES}

    def _take_over(self, table: str, ordinals: NDArray[np.uint32], keys: Keys) -> None:
        self._caches[table].load(ordinals, keys)
        self._live[table] |= bitmap_of(ordinals[keys.any(axis=1)])

    def _give(
        self, table: str, keys: Keys, columns: Callable[[NDArray[np.intp]], Columns]
    ) -> NDArray[np.uint32]:
        """Find or give ordinals; what is new leaves this store only when it is in the table."""
        with self._lock:
            self._settle()
            cache = self._caches[table]
            assigned = cache.assign(keys)
            if assigned.new.size == 0:
                return assigned.ordinals
            ordinals = assigned.ordinals[assigned.new]
            given = [cast(Sequence[Any], ordinals), *columns(assigned.new)]
            try:
                self._insert(table, given)
            except BaseException:
                cache.forget_from(int(ordinals[0]))
                self._unsettled.append(
                    _NewRows(table=table, ordinals=ordinals, keys=keys[assigned.new], columns=given)
                )
                raise
            self._live[table] |= bitmap_of(ordinals)
            return assigned.ordinals

    def _settle(self) -> None:
        """Bring rows whose insert was not acknowledged into the table, under the same ordinals.

        Why: the insert may have happened, or may yet; another key must never get its ordinals.
        """
        while self._unsettled:
            rows = self._unsettled[0]
            query = {VISITORS: "visitor_ordinals_from", CUSTOMERS: "customer_ordinals_from"}
            first = int(rows.ordinals[0])
            there = all_numbers(self._client, sql(query[rows.table]), {"first": first})
            missing = np.flatnonzero(~np.isin(rows.ordinals, there)).tolist()
            if missing:
                self._insert(rows.table, [[each[row] for row in missing] for each in rows.columns])
            self._take_over(rows.table, rows.ordinals, rows.keys)
            del self._unsettled[0]

    def _insert(self, table: str, columns: Columns) -> None:
        step = self._rows_per_insert_max
        for begin in range(0, len(columns[0]), step):
            self._client.insert(
                table,
                [column[begin : begin + step] for column in columns],
                column_names=COLUMNS[table],
                column_oriented=True,
            )

    def _erase_customers(self, customers: Sequence[int]) -> None:
        # Why first: with its mark in the table an ordinal stays taken however this ends.
        count = len(customers)
        marks: Columns = [
            list(customers),
            ["erased"] * count,
            [""] * count,
            [""] * count,
            [0] * count,
        ]
        self._insert(CUSTOMERS, marks)
        self._client.command(sql("erase_customers"), parameters={"customers": list(customers)})
        self.crm.erase(customers)
        customer_traits_store.delete_traits(self._client, customers)


def _crm_keys(crm_ids: Sequence[str]) -> Keys:
    """Make keys of CRM ids; the empty id and ids that no customer has are nobody's."""
    return keys_of_text(["" if is_blocked(each) else each for each in crm_ids])
