"""The log of identifications, and the people that follow from it.

Observations come in as columns, two `People` snapshots (one per identity) come out. How links are
brought up to the log stands in `links_renewal.py`, who belongs to whom in `votes.py`.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of
from matching.identification import (
    METHOD_CODES,
    UNKNOWN_METHOD,
    IdentificationColumns,
    Observations,
)
from matching.identification_log_store import (
    Described,
    IdentificationLog,
    joined_observations,
)
from matching.linking.deciding import status_of_each
from matching.linking.links import NO_CHANGES, Limits, Links, LinkStatus
from matching.linking.renewal import ROWS_PER_VISITOR_READ, LinksRenewal, Renewal
from matching.people import Identity, People
from matching.rows_store import all_numbers, ticks
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

    def __init__(
        self,
        client: Client,
        *,
        limits: Limits | None = None,
        rows_per_visitor_read: int = ROWS_PER_VISITOR_READ,
    ) -> None:
        self._client = client
        self.log = IdentificationLog(client)
        self._renewal = LinksRenewal(
            self.log, limits or Limits(), rows_per_visitor_read=rows_per_visitor_read
        )
        self._people = _first_people(self._renewal.standing.customer_of)
        self.changes = NO_CHANGES
        """Whose customer the last refresh changed, with the customers before and now."""

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
        rows = self._renewal.doubt_rows()
        self._client.insert("identifications", values, column_names=COLUMNS, column_oriented=True)
        self._renewal.inserted(_observations_of(columns), rows_before=rows)

    def rows_of_chunk(self, chunk: int) -> NDArray[np.uint32]:
        """Give the rows of a chunk that are in the table."""
        return all_numbers(self._client, sql("identification_chunk_rows"), {"chunk": chunk})

    def refresh(self, *, visitors: int) -> bool:
        """Bring all links up to the log; tell whether one changed, which is a new version."""
        self.changes = self._renewal.refresh(visitors=visitors)
        if self.changes.visitors.size == 0:
            return False
        customer_of = self._renewal.standing.customer_of
        self._people = {
            identity: people.renewed(customer_of, self.changes)
            for identity, people in self._people.items()
        }
        return True

    def people(self, identity: Identity) -> People:
        """Give the people of the last refresh."""
        return self._people[identity]

    @property
    def changed_visitors(self) -> BitMap:
        """Give the visitors whose customer the last refresh changed."""
        return bitmap_of(self.changes.visitors)

    @property
    def links(self) -> Links:
        """Give the links of the last refresh, with their reasons; the next one writes to them."""
        return self._renewal.standing.links

    @property
    def state_bytes(self) -> int:
        """Tell how much memory the links take."""
        return self._renewal.standing.bytes

    def read_again_whole(self) -> None:
        """Let the next refresh read everything."""
        self._renewal.doubt_rows()

    @property
    def last_renewal(self) -> Renewal:
        """Tell what the last refresh had to do."""
        return self._renewal.last

    def visitors_over_limit(self, customer: int) -> tuple[BitMap, BitMap]:
        """Give of a customer with too many visitors who stays linked, and who was cut."""
        with self._renewal.lock:
            return self._renewal.standing.visitors_over_limit(customer)

    def links_of(self, *, customer: int | None = None, visitor: int | None = None) -> list[Link]:
        """Explain every observation of a visitor, or of a customer, newest first."""
        visitors = [] if visitor is None else [visitor]
        visitors += [] if customer is None else self.log.named(customer)
        rows = self.log.described(visitors)
        own = _observations_of_rows(rows)
        # Why others: it depends on them whom a click link may link.
        log = [own, self._renewal.others_on_links(own)]
        with self._renewal.lock:
            statuses = status_of_each(joined_observations(log), self.links)
        return [
            Link(
                visitor=each.visitor,
                customer=each.customer,
                at_ms=each.at_ms,
                method=each.method,
                claimed=bool(each.claimed),
                site=each.site,
                status=status,
            )
            for each, status in zip(rows, statuses[: len(rows)], strict=True)
            if each.customer and (visitor == each.visitor or customer == each.customer)
        ]

    def recent_clicks(self, *, since_ms: int) -> dict[int, int]:
        """Give the visitors who came by a click link since then, with the newest click's time."""
        rows = self._client.query(sql("recent_clicks"), parameters={"since_ms": since_ms})
        return dict(rows.result_rows)  # type: ignore[arg-type]

    def erase(self, *, customers: Sequence[int], visitors: Sequence[int]) -> None:
        """Delete every observation of these people."""
        parameters = {"customers": list(customers), "visitors": list(visitors)}
        touched = self.log.touched_by_erasing(parameters)
        rows, before = self.log.count(), self._renewal.doubt_rows()
        self._client.command(sql("erase_identifications"), parameters=parameters)
        if before == rows:
            self._renewal.erased(touched, rows=self.log.count())


def _first_people(customer_of: NDArray[np.uint32]) -> dict[Identity, People]:
    return {
        identity: People(identity=identity, version=0, customer_of=customer_of)
        for identity in Identity
    }


def _observations_of(columns: IdentificationColumns) -> Observations:
    """Give what was inserted as it will be read."""
    return Observations(
        visitor=np.asarray(columns.visitor, dtype=np.uint32),
        customer=np.asarray(columns.customer, dtype=np.uint32),
        at_ms=np.asarray(columns.at_ms, dtype=np.int64),
        method=_codes(columns.method),
        claimed=np.asarray(columns.claimed, dtype=np.bool_),
        chunk=np.asarray(columns.chunk, dtype=np.uint64),
        row=np.asarray(columns.row, dtype=np.uint32),
        proof=np.asarray(columns.proof, dtype=np.uint64),
    )


def _observations_of_rows(rows: Sequence[Described]) -> Observations:
    return Observations(
        visitor=np.array([each.visitor for each in rows], dtype=np.uint32),
        customer=np.array([each.customer for each in rows], dtype=np.uint32),
        at_ms=np.array([each.at_ms for each in rows], dtype=np.int64),
        method=_codes([each.method for each in rows]),
        claimed=np.array([each.claimed for each in rows], dtype=np.bool_),
        chunk=np.array([each.chunk for each in rows], dtype=np.uint64),
        row=np.array([each.row for each in rows], dtype=np.uint32),
        proof=np.array([each.proof for each in rows], dtype=np.uint64),
    )


def _codes(methods: Sequence[str]) -> NDArray[np.uint8]:
    codes: dict[str, int] = {str(method): code for method, code in METHOD_CODES.items()}
    return np.array([codes.get(each, UNKNOWN_METHOD) for each in methods], dtype=np.uint8)
