"""Names of customers in the table `customers`: aliases, sealed contact hashes and answers.

Rows come in and are never changed; a name's newest value stands, of two answers at one time the
refusal. Ordinals are given by `customer_store.py`.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client
from pyroaring import BitMap

from matching.bitmaps import bitmap_of
from matching.consent.google import GOOGLE_KEYS
from matching.rows_store import all_numbers
from matching.sql import sql

COLUMNS: Final = ["customer", "kind", "value", "source", "at", "slot"]
OPT_IN: Final = "opt_in"
ANSWERS: Final = frozenset({OPT_IN, *GOOGLE_KEYS})
"""Kinds whose newest value counts: '1', '0', or '' where an answer was taken back."""
SLOT_OF_ANSWER: Final = {"0": 0, "1": 1, "": 2}
"""Why slots of their own: of a yes and a no at one time the no must still be there."""


class CustomerName(msgspec.Struct, frozen=True, kw_only=True):
    """An alias, a sealed contact hash (kind `email`, `phone`) or an answer such as `opt_in`.

    Another value in the same slot of a kind and source replaces this one, an empty one takes it
    away.
    """

    customer: int
    kind: str
    value: str
    source: str
    at_ms: int
    slot: int = 0


def insert_names(client: Client, rows: Sequence[CustomerName], *, at_once: int) -> None:
    """Store names, so many in one insert."""
    for begin in range(0, len(rows), at_once):
        some = rows[begin : begin + at_once]
        columns: list[list[Any]] = [
            [row.customer for row in some],
            [row.kind for row in some],
            [row.value for row in some],
            [row.source for row in some],
            [row.at_ms for row in some],
            [SLOT_OF_ANSWER[row.value] if row.kind in ANSWERS else row.slot for row in some],
        ]
        client.insert("customers", columns, column_names=COLUMNS, column_oriented=True)


def read_names(client: Client, customer: int) -> list[CustomerName]:
    """Give one customer's names, newest per kind and value; of opt-ins only the newest."""
    rows = client.query(sql("customer_names"), parameters={"customer": customer}).result_rows
    names = [
        CustomerName(customer=customer, kind=kind, value=value, source=source, at_ms=at_ms)
        for kind, value, source, at_ms in rows
    ]
    opt_ins = [name for name in names if name.kind == OPT_IN]
    return [name for name in names if name.kind != OPT_IN or (name is opt_ins[0] and name.value)]


def read_customer_of(client: Client, kind: str, value: str) -> int | None:
    """Give the customer who took this name last."""
    asked = {"kind": kind, "value": value}
    rows = client.query(sql("customer_by_name"), parameters=asked).result_rows
    return int(rows[0][0]) if rows else None


def read_granted(client: Client, answer: str) -> BitMap:
    """Give the customers whose newest answer of a kind is a yes."""
    return bitmap_of(all_numbers(client, sql("opted_in_customers"), {"kind": answer}))


def read_granted_by(client: Client, customer: int) -> frozenset[str]:
    """Give the kinds of answers that are a yes of this customer."""
    asked = {"customer": customer, "kinds": sorted(ANSWERS)}
    rows = client.query(sql("granted_by_customer"), parameters=asked).result_rows
    return frozenset(kind for (kind,) in rows)
