"""Whom a name means: aliases and contacts of customers, partners' ids of visitors, many at once.

Names as they are stored come in, ordinals go out; a name that nobody has is left out. Reads the
tables `customers` and `partner_ids`, and changes nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from matching.ids import VISITOR_FIRST
from matching.sql import sql

BYTES_PER_QUERY_MAX: Final = 64 * 1024  # a server takes 128 KiB for one parameter


class KnownNamesStore:
    """Looks names up, some thousand in one question."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def customers_of(self, kind: str, values: Iterable[str]) -> dict[str, int]:
        """Give the customer who took each of these names of one kind last."""
        found: dict[str, int] = {}
        for some in _pieces(values):
            rows = self._rows("customers_of_names", {"kind": kind, "values": some})
            found |= {value: int(customer) for value, customer in rows}
        return found

    def visitors_of(self, id_space: str, ids: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """Give the visitors who carry each of these ids of one space now."""
        found: defaultdict[str, tuple[int, ...]] = defaultdict(tuple)
        for some in _pieces(ids):
            parameters = {"id_space": id_space, "ids": some, "first": VISITOR_FIRST}
            for text, visitor in self._rows("holders_of_ids", parameters):
                found[text] += (int(visitor),)
        return dict(found)

    def _rows(self, query: str, parameters: dict[str, Any]) -> Sequence[Any]:
        return self._client.query(sql(query), parameters=parameters).result_rows


def _pieces(texts: Iterable[str]) -> Iterable[list[str]]:
    """Cut texts into lists that fit a query, each text once."""
    some: list[str] = []
    size = 0
    for each in dict.fromkeys(texts):
        size += len(each.encode()) + 4
        if some and size > BYTES_PER_QUERY_MAX:
            yield some
            some, size = [], len(each.encode()) + 4
        some.append(each)
    if some:
        yield some
