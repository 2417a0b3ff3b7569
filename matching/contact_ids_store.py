"""Customers' hashed contacts as rows of the table of correspondence, beside the ids of partners.

What the CRM imported comes in from `customers`, still sealed; rows with the customer's ordinal in
place of a visitor's go out. Every contact has one row, whatever is imported how often.
"""

from typing import Final

from clickhouse_connect.driver.client import Client

from matching.ids import VISITOR_FIRST
from matching.other_ids import CONTACT_SPACES
from matching.partner_ids_store import PartnerIdColumns, PartnerIdsStore
from matching.sql import sql

SOURCE: Final = "crm"
ROWS_AN_INSERT: Final = 200_000


class ContactIdsStore:
    """Completes `partner_ids` by the contacts of `customers`."""

    def __init__(self, client: Client, partner_ids: PartnerIdsStore) -> None:
        self._client = client
        self._partner_ids = partner_ids

    def complete(self, *, at_ms: int) -> int:
        """Store a row for each contact that has none yet, and say how many."""
        parameters = {"customer_last": VISITOR_FIRST - 1}
        found = self._client.query(sql("contacts_without_row"), parameters=parameters).result_rows
        for start in range(0, len(found), ROWS_AN_INSERT):
            piece = found[start : start + ROWS_AN_INSERT]
            self._insert([(each[0], CONTACT_SPACES[each[1]], each[2]) for each in piece], at_ms)
        return len(found)

    def _insert(self, rows: list[tuple[int, str, str]], at_ms: int) -> None:
        count = len(rows)
        ordinals = [0] * count
        for space in CONTACT_SPACES.values():
            places = [place for place, row in enumerate(rows) if row[1] == space]
            given = self._partner_ids.id_ordinals(space, [rows[place][2] for place in places])
            for place, ordinal in zip(places, given.tolist(), strict=True):
                ordinals[place] = ordinal
        self._partner_ids.insert(
            PartnerIdColumns(
                chunk=[0] * count,
                row=list(range(count)),
                received_at_ms=[at_ms] * count,
                partner=[""] * count,
                id_space=[row[1] for row in rows],
                action=["stored"] * count,
                reason=[""] * count,
                nonce=[0] * count,
                visitor=[row[0] for row in rows],
                id=[row[2] for row in rows],
                id_ordinal=ordinals,
                source=[SOURCE] * count,
            )
        )
