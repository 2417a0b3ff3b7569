"""Customers' hashed contacts as rows of the table of correspondence, beside the ids of partners.

What the CRM imported comes in from `customers` and `contact_forms`, still sealed; rows with the
customer's ordinal in place of a visitor's go out, in the id spaces that are asked for. A contact
has one row in each, however often it is imported, and one more when the CRM says it no longer.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
from clickhouse_connect.driver.client import Client

from matching.contact_profiles import BASES, EMAIL_BASE, FORM_OF, PHONE_BASE, SPACES, standing_for
from matching.ids import CUSTOMER_FIRST, VISITOR_FIRST
from matching.partner_ids_store import (
    DAY_MS,
    CarriedIds,
    LiveIds,
    PartnerIdColumns,
    PartnerIdsStore,
)
from matching.rows_store import all_rows
from matching.sql import sql

SOURCE: Final = "crm"
CARRIED_ROW: Final = np.dtype([("customer", "<u4"), ("id_ordinal", "<u4")])
ROWS_AN_INSERT: Final = 200_000
CUSTOMERS_AT_ONCE: Final = 500_000
ALWAYS: Final = (EMAIL_BASE, PHONE_BASE)
"""The spaces in which messages name contacts too."""


class ContactIdsStore:
    """Completes `partner_ids` by the contacts of customers."""

    def __init__(self, client: Client, partner_ids: PartnerIdsStore) -> None:
        self._client = client
        self._partner_ids = partner_ids

    def complete(self, *, at_ms: int, spaces: Collection[str] = ALWAYS) -> int:
        """Store what is new and what is gone in these id spaces, and say how many rows that took.

        Spaces of other ids are passed over, so that a seat's own list may be given.
        """
        (last,) = self._client.query(sql("last_customer")).result_rows[0]
        stored = 0
        for space in sorted({*ALWAYS, *spaces} & set(SPACES)):
            for first in range(CUSTOMER_FIRST, last + 1, CUSTOMERS_AT_ONCE):
                stored += self._complete(space, first, first + CUSTOMERS_AT_ONCE - 1, at_ms)
        return stored

    def live(self, id_space: str) -> LiveIds:
        """Give every contact of customers in this id space, as long as the CRM says it."""
        asked = {"id_space": id_space, "first": CUSTOMER_FIRST, "last": VISITOR_FIRST - 1}
        columns = self._client.query(sql("contacts_live"), parameters=asked).result_columns
        customers, ordinals, ids = columns or ((), (), ())
        return LiveIds(
            visitors=np.array(customers, dtype=np.uint32),
            id_ordinals=np.array(ordinals, dtype=np.uint32),
            ids=list(ids),
        )

    def carried(self, id_space: str) -> CarriedIds:
        """Give the same as numbers alone, ordered by customer."""
        asked = {"id_space": id_space, "first": CUSTOMER_FIRST, "last": VISITOR_FIRST - 1}
        rows = all_rows(self._client, sql("contacts_carried"), CARRIED_ROW, asked)
        return CarriedIds(
            visitors=np.ascontiguousarray(rows["customer"]),
            id_ordinals=np.ascontiguousarray(rows["id_ordinal"]),
        )

    def carriers(self, id_space: str, ids: Collection[str], *, limit: int) -> dict[int, list[int]]:
        """Give the customers of whom the CRM says these contacts, by the contact's ordinal.

        Of each contact come `limit` customers at most.
        """
        asked = {
            "id_space": id_space,
            "ids": list(ids),
            "first": CUSTOMER_FIRST,
            "last": VISITOR_FIRST - 1,
            "limit": limit,
        }
        return self._by_ordinal("carriers_of_contacts", asked) if ids else {}

    def browsers(
        self,
        id_space: str,
        ids: Mapping[int, str],
        *,
        as_of_ms: int,
        lives_days: int,
        limit: int,
    ) -> dict[int, list[int]]:
        """Give the browsers whose messages named these contacts, ordinal and text, by ordinal."""
        if id_space not in ALWAYS:
            return {}
        asked = {
            "id_space": id_space,
            "ids": list(ids.values()),
            "ordinals": list(ids),
            "as_of_ms": as_of_ms,
            "since_ms": as_of_ms - lives_days * DAY_MS,
            "first": VISITOR_FIRST,
            "limit": limit,
        }
        return self._by_ordinal("carriers_of_partner_ids", asked)

    def _by_ordinal(self, query: str, asked: dict[str, object]) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for ordinal, owner in self._client.query(sql(query), parameters=asked).result_rows:
            found.setdefault(ordinal, []).append(owner)
        return found

    def _complete(self, space: str, first: int, last: int, at_ms: int) -> int:
        bases = {base: contact for contact, base in BASES.items()}
        kinds = [bases.get(each, each) for each in standing_for(space)]
        asked = {"kinds": kinds, "id_space": space, "first": first, "last": last}
        found = self._client.query(sql("contact_differences"), parameters=asked).result_rows
        for begin in range(0, len(found), ROWS_AN_INSERT):
            self._insert(space, found[begin : begin + ROWS_AN_INSERT], begin, at_ms)
        return len(found)

    def _insert(
        self, space: str, rows: Sequence[Sequence[object]], first_row: int, at_ms: int
    ) -> None:
        """Store rows in their order: what is gone first, so that what came stands."""
        count = len(rows)
        ids = [str(row[1]) for row in rows]
        self._partner_ids.insert(
            PartnerIdColumns(
                chunk=[0] * count,
                row=list(range(first_row, first_row + count)),
                received_at_ms=[at_ms] * count,
                partner=[""] * count,
                id_space=[space] * count,
                action=["stored" if row[2] == 1 else "deleted" for row in rows],
                reason=["" if row[2] == 1 else "no longer in the CRM" for row in rows],
                nonce=[0] * count,
                visitor=np.array([row[0] for row in rows], dtype=np.uint32),
                id=ids,
                id_ordinal=self._partner_ids.id_ordinals(space, ids),
                source=[SOURCE] * count,
            )
        )


def is_contact_space(space: str) -> bool:
    """Tell the id spaces whose ids are contacts of customers."""
    return space in FORM_OF and space in SPACES
