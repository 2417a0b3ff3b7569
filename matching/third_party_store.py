"""The table `third_party_traits`: what others say of customers, and of browsers by partners' ids.

Typed values come in, each under its source; all that is said of a person comes out, newest first.
Whether it counts beside what the CRM says is decided where criteria are answered.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from matching.customer_traits_store import BOOLEAN, NUMBER, SET
from matching.sql import sql

COLUMNS: Final = ["trait", "holder", "source", "kind", "text", "number", "at"]


class ThirdPartyTrait(msgspec.Struct, frozen=True, kw_only=True):
    """One value as `customer_traits` writes it; `holder` is a customer's or visitor's ordinal.

    The empty kind takes away what this source said.
    """

    holder: int
    trait: str
    source: str
    kind: str
    text: str = ""
    number: float = 0.0
    at_ms: int

    @property
    def plain(self) -> object:
        """The value as JSON shows it."""
        return plain_value(self.kind, self.text, self.number)


def plain_value(kind: str, text: str, number: float) -> object:
    """Read a value as it is stored."""
    if kind == NUMBER:
        return int(number) if number.is_integer() else number
    if kind == BOOLEAN:
        return bool(number)
    return msgspec.json.decode(text, type=list[str]) if kind == SET else text


class ThirdPartyStore:
    """Writes, reads and erases them."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def insert(self, rows: Sequence[ThirdPartyTrait]) -> int:
        """Store values and count them; of one source the newest stands."""
        if rows:
            columns: list[list[Any]] = [
                [row.trait for row in rows],
                [row.holder for row in rows],
                [row.source for row in rows],
                [row.kind for row in rows],
                [row.text for row in rows],
                [row.number for row in rows],
                [row.at_ms for row in rows],
            ]
            self._client.insert(
                "third_party_traits", columns, column_names=COLUMNS, column_oriented=True
            )
        return sum(1 for row in rows if row.kind)

    def traits_of(self, holders: Sequence[int]) -> list[ThirdPartyTrait]:
        """Give all that is said of these customers and visitors: by trait, the newest first."""
        if not holders:
            return []
        parameters = {"holders": [int(each) for each in holders]}
        rows = self._client.query(sql("third_party_traits_of"), parameters=parameters).result_rows
        return [
            ThirdPartyTrait(
                trait=trait,
                holder=holder,
                source=source,
                kind=kind,
                text=text,
                number=number,
                at_ms=at_ms,
            )
            for trait, holder, source, kind, text, number, at_ms in rows
        ]

    def erase(self, holders: Sequence[int]) -> None:
        """Delete whatever is said of these customers and visitors."""
        if holders:
            parameters = {"holders": [int(each) for each in holders]}
            self._client.command(sql("erase_third_party_traits"), parameters=parameters)
