"""The table `customer_traits`: values of named attributes of customers, the newest stands.

Typed values come in from imports and messages; one customer's come out as a dict for the card.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from matching.sql import sql

BROWSER_SOURCE: Final = "browser"
"""Source of traits that a browser sent; they never overwrite those of any other source."""

COLUMNS: Final = ["trait", "customer", "kind", "text", "number", "source", "at"]
NUMBER, TEXT, DATE, BOOLEAN, SET = "number", "text", "date", "boolean", "set"


class CustomerTrait(msgspec.Struct, frozen=True, kw_only=True):
    """One value, by `kind`: number; text; date and boolean in both; set as a JSON list in text.

    A date's number counts days since 1970, a boolean's is 1 or 0, a set's its members. The empty
    kind takes the trait away.
    """

    customer: int
    trait: str
    kind: str
    text: str = ""
    number: float = 0.0
    source: str
    at_ms: int


def insert_traits(client: Client, rows: Sequence[CustomerTrait]) -> int:
    """Store values and count them; of browsers' only those that overwrite no better source."""
    rows = _without_shadowed(client, rows)
    if rows:
        columns: list[list[Any]] = [
            [row.trait for row in rows],
            [row.customer for row in rows],
            [row.kind for row in rows],
            [row.text for row in rows],
            [row.number for row in rows],
            [row.source for row in rows],
            [row.at_ms for row in rows],
        ]
        client.insert("customer_traits", columns, column_names=COLUMNS, column_oriented=True)
    return len(rows)


def read_traits(client: Client, customer: int) -> dict[str, object]:
    """Give one customer's traits by name."""
    rows = client.query(sql("traits_of_customer"), parameters={"customer": customer}).result_rows
    return {trait: _value(kind, text, number) for trait, kind, text, number in rows}


def delete_traits(client: Client, customers: Sequence[int]) -> None:
    """Delete every trait of these customers."""
    client.command(sql("erase_customer_traits"), parameters={"customers": list(customers)})


def _without_shadowed(client: Client, rows: Sequence[CustomerTrait]) -> Sequence[CustomerTrait]:
    asked = {(row.trait, row.customer) for row in rows if row.source == BROWSER_SOURCE}
    if not asked:
        return rows
    parameters = {
        "traits": [trait for trait, _ in asked],
        "customers": [customer for _, customer in asked],
        "browser": BROWSER_SOURCE,
    }
    better = set(client.query(sql("traits_not_from_browsers"), parameters=parameters).result_rows)
    better |= {(row.trait, row.customer) for row in rows if row.source != BROWSER_SOURCE}
    return [
        row
        for row in rows
        if row.source != BROWSER_SOURCE or (row.trait, row.customer) not in better
    ]


def _value(kind: str, text: str, number: float) -> object:
    if kind == NUMBER:
        return int(number) if number.is_integer() else number
    if kind == BOOLEAN:
        return bool(number)
    if kind == SET:
        return msgspec.json.decode(text, type=list[str])
    return text
