"""What was observed of one person's browsers, read by key for all of them at once.

Visitors go in, their rows of `identifications` and `consents` come out; what follows from them,
`people.py` and `consent/` say. Nothing is written.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client

from matching.consent.history import ConsentRow
from matching.identification import METHOD_CODES, UNKNOWN_METHOD, Observations
from matching.rows_store import all_numbers
from matching.sql import sql

CONSENTS_OF_EACH_MAX: Final = 200
VISITORS_PER_QUERY_MAX: Final = 5_000  # a server takes 128 KiB for one parameter


class SeenLink(msgspec.Struct, frozen=True, kw_only=True):
    """One observation "this visitor is that customer" as it is stored; customer 0 names nobody."""

    visitor: int
    customer: int
    at_ms: int
    method: str
    claimed: bool
    chunk: int
    row: int
    proof: int
    site: str


class PersonRowsStore:
    """Point reads of what visitors said and did about who they are."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def named(self, customer: int) -> list[int]:
        """Give all visitors that were ever named as this customer, rightly or not."""
        found = all_numbers(self._client, sql("identified_as"), {"customer": customer})
        return [int(each) for each in found]

    def links(self, visitors: Sequence[int]) -> list[SeenLink]:
        """Give all observations of these visitors and of all who came by the same click links.

        So the log is whole of whomever it names, and each observation can be explained by it.
        """
        rows = self._links_of(visitors)
        proofs = sorted({row.proof for row in rows} - {0})
        if not proofs:
            return rows
        found = self._client.query(sql("visitors_of_click_links"), parameters={"proofs": proofs})
        others = sorted({visitor for (visitor,) in found.result_rows} - set(visitors))
        return rows + self._links_of(others)

    def consents(self, visitors: Sequence[int]) -> dict[int, list[ConsentRow]]:
        """Give each visitor's changes of consent, newest first, 200 at most."""
        found: dict[int, list[ConsentRow]] = {}
        parameters = {"limit": CONSENTS_OF_EACH_MAX}
        for visitor, at_ms, signals, site in self._rows(
            "consents_of_visitors", visitors, parameters
        ):
            row = ConsentRow(received_at_ms=at_ms, signals=signals, site=site)
            found.setdefault(visitor, []).append(row)
        return found

    def _links_of(self, visitors: Sequence[int]) -> list[SeenLink]:
        return [
            SeenLink(
                visitor=row[0],
                customer=row[1],
                at_ms=row[2],
                method=row[3],
                claimed=bool(row[4]),
                chunk=row[5],
                row=row[6],
                proof=row[7],
                site=row[8],
            )
            for row in self._rows("identifications_of_visitors", visitors, {})
        ]

    def _rows(
        self, query: str, visitors: Sequence[int], more: dict[str, Any]
    ) -> list[Sequence[Any]]:
        rows: list[Sequence[Any]] = []
        for begin in range(0, len(visitors), VISITORS_PER_QUERY_MAX):
            some = list(visitors[begin : begin + VISITORS_PER_QUERY_MAX])
            found = self._client.query(sql(query), parameters={"visitors": some, **more})
            rows += found.result_rows
        return rows


def observations_of(rows: Sequence[SeenLink]) -> Observations:
    """Lay rows out as a log."""
    codes = [METHOD_CODES.get(row.method, UNKNOWN_METHOD) for row in rows]  # type: ignore[call-overload]
    return Observations(
        visitor=np.array([row.visitor for row in rows], dtype=np.uint32),
        customer=np.array([row.customer for row in rows], dtype=np.uint32),
        at_ms=np.array([row.at_ms for row in rows], dtype=np.int64),
        method=np.array(codes, dtype=np.uint8),
        claimed=np.array([row.claimed for row in rows], dtype=np.bool_),
        chunk=np.array([row.chunk for row in rows], dtype=np.uint64),
        row=np.array([row.row for row in rows], dtype=np.uint32),
        proof=np.array([row.proof for row in rows], dtype=np.uint64),
    )
