"""The log of identifications, and the people that follow from it.

Observations come in as columns, two `People` snapshots (one per identity) come out. The whole log
is re-read at each refresh; who belongs to whom is decided in `people.py`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray

from matching.identification import (
    METHOD_CODES,
    METHODS,
    UNKNOWN_METHOD,
    IdentificationColumns,
    Observations,
)
from matching.people import (
    Identity,
    Limits,
    Links,
    LinkStatus,
    People,
    link,
    status_of_each,
)
from matching.rows_store import all_numbers, pieces_of_rows, ticks
from matching.sql import sql

__all__ = ["IdentificationColumns", "Link", "PeopleStore"]

COLUMNS = [
    "chunk",
    "row",
    "received_at",
    "at",
    "visitor",
    "customer",
    "method",
    "claimed",
    "site",
    "proof",
]
LOG_ROW = np.dtype(
    [
        ("visitor", "<u4"),
        ("customer", "<u4"),
        ("at_ms", "<i8"),
        ("method", "u1"),
        ("claimed", "?"),
        ("chunk", "<u8"),
        ("row", "<u4"),
        ("proof", "<u8"),
    ]
)


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One observation as the identity card shows it, with what became of it."""

    visitor: int
    customer: int
    method: str
    at_ms: int
    site: str
    claimed: bool
    status: LinkStatus


class PeopleStore:
    """The table `identifications`, and the newest people."""

    def __init__(self, client: Client, *, limits: Limits | None = None) -> None:
        self._client = client
        self._limits = limits or Limits()
        self._links = link(_observations([]), limits=self._limits, visitors=0)
        self._people = _snapshots(self._links, version=0)
        self._read = 0
        self._written = False

    def insert(self, columns: IdentificationColumns) -> None:
        """Store observations."""
        values: list[Any] = [getattr(columns, name) for name in columns.__struct_fields__]
        if len(columns.row) == 0:
            return
        for name in ("received_at", "at"):
            place = COLUMNS.index(name)
            values[place] = ticks(values[place])
        place = COLUMNS.index("claimed")
        values[place] = np.asarray(values[place], dtype=np.uint8)
        self._written = True
        self._client.insert("identifications", values, column_names=COLUMNS, column_oriented=True)

    def rows_of_chunk(self, chunk: int) -> NDArray[np.uint32]:
        """Give the rows of a chunk that are in the table."""
        return all_numbers(self._client, sql("identification_chunk_rows"), {"chunk": chunk})

    def refresh(self, *, visitors: int) -> bool:
        """Decide all links again from the log; tell whether one changed, which is a new version."""
        held = self._client.query(sql("identification_count")).result_rows[0][0]
        if held == self._read and not self._written:
            return False
        self._written, self._read = False, -1  # until the log is read to its end
        parameters = {"methods": list(METHODS), "codes": list(range(len(METHODS)))}
        pieces = pieces_of_rows(self._client, sql("identification_rows"), LOG_ROW, parameters)
        observations = _observations(list(pieces))
        self._read = observations.visitor.size
        links = link(observations, limits=self._limits, visitors=visitors)
        changed = not _same_customers(links.customer_of, self._links.customer_of)
        self._links = links
        if changed:
            version = self._people[Identity.BROWSER].version + 1
            self._people = _snapshots(links, version=version)
        return changed

    def people(self, identity: Identity) -> People:
        """Give the people of the last refresh."""
        return self._people[identity]

    @property
    def links(self) -> Links:
        """Give the links of the last refresh, with their reasons."""
        return self._links

    def links_of(self, *, customer: int | None = None, visitor: int | None = None) -> list[Link]:
        """Explain every observation of a visitor, or of a customer, newest first."""
        parameters = {
            "visitors": [] if visitor is None else [visitor],
            "customers": [] if customer is None else [customer],
        }
        rows = self._client.query(sql("identifications_of"), parameters=parameters).result_rows
        packed = [
            (each[0], each[1], each[2], METHOD_CODES.get(each[3], UNKNOWN_METHOD), *each[4:8])
            for each in rows
        ]
        observations = _observations([np.array(packed, dtype=LOG_ROW)])
        statuses = status_of_each(observations, self._links)
        return [
            Link(
                visitor=each[0],
                customer=each[1],
                at_ms=each[2],
                method=each[3],
                claimed=bool(each[4]),
                site=each[8],
                status=status,
            )
            for each, status in zip(rows, statuses, strict=True)
            if each[1] and (visitor == each[0] or customer == each[1])
        ]

    def recent_clicks(self, *, since_ms: int) -> dict[int, int]:
        """Give the visitors who came by a click link since then, with the newest click's time."""
        rows = self._client.query(sql("recent_clicks"), parameters={"since_ms": since_ms})
        return dict(rows.result_rows)  # type: ignore[arg-type]

    def erase(self, *, customers: Sequence[int], visitors: Sequence[int]) -> None:
        """Delete every observation of these people."""
        parameters = {"customers": list(customers), "visitors": list(visitors)}
        self._written = True
        self._client.command(sql("erase_identifications"), parameters=parameters)


def _observations(pieces: list[NDArray[np.void]]) -> Observations:
    log = np.concatenate(pieces) if pieces else np.empty(0, dtype=LOG_ROW)
    names = Observations.__struct_fields__
    return Observations(**{name: np.ascontiguousarray(log[name]) for name in names})


def _snapshots(links: Links, *, version: int) -> dict[Identity, People]:
    customer_of = links.customer_of.copy()
    customer_of.setflags(write=False)
    return {
        identity: People(identity=identity, version=version, customer_of=customer_of)
        for identity in Identity
    }


def _same_customers(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> bool:
    """Compare links, taking visitors beyond the shorter array as unlinked."""
    both = min(one.size, other.size)
    if one[both:].any() or other[both:].any():
        return False
    return bool((one[:both] == other[:both]).all())
