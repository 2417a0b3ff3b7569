"""Customers' hashed contacts stand in the table of correspondence, once each."""

from typing import Any

import pytest

from matching.contact_ids_store import ContactIdsStore
from matching.customer_store import CustomerName, CustomerStore
from matching.ids import CUSTOMER_FIRST, VISITOR_FIRST
from matching.partner_ids_store import PartnerIdColumns, PartnerIdsStore

pytestmark = pytest.mark.clickhouse

NOW_MS = 1_795_000_000_000
DAY_MS = 86_400_000
C, V = CUSTOMER_FIRST, VISITOR_FIRST
SEALED = [f"{number:096x}" for number in range(20)]


class Shop:
    """The stores of one database."""

    def __init__(self, database: Any) -> None:
        client = database.client()
        self.customers = CustomerStore(client)
        self.partner_ids = PartnerIdsStore(client)
        self.partner_ids.open()
        self.contacts = ContactIdsStore(client, self.partner_ids)

    def imports(self, *names: tuple[int, str, int]) -> None:
        """Store names as a CRM import does: (customer, kind, number of the contact)."""
        self.customers.put_names(
            [
                CustomerName(
                    customer=C + customer,
                    kind=kind,
                    value=SEALED[number],
                    source="crm",
                    at_ms=NOW_MS,
                )
                for customer, kind, number in names
            ]
        )

    def live(self, space: str) -> list[tuple[int, str]]:
        """List (customer, contact) of a space."""
        found = self.partner_ids.live_of_customers(space, as_of_ms=NOW_MS, lives_days=30)
        return [
            (customer - C, text)
            for customer, text in zip(found.visitors.tolist(), found.ids, strict=True)
        ]


@pytest.fixture
def shop(database: Any) -> Shop:
    """Give empty stores."""
    return Shop(database)


def test_each_contact_has_one_row(shop: Shop) -> None:
    """Imports may repeat: addresses and numbers become ids once; other names do not."""
    shop.imports((0, "email", 1), (1, "email", 2), (1, "phone", 3), (1, "card", 4))
    assert shop.contacts.complete(at_ms=NOW_MS) == 3
    shop.imports((0, "email", 1), (2, "email", 5))
    assert shop.contacts.complete(at_ms=NOW_MS) == 1
    assert shop.contacts.complete(at_ms=NOW_MS) == 0
    assert shop.live("email_sha256") == [(0, SEALED[1]), (1, SEALED[2]), (2, SEALED[5])]
    assert shop.live("phone_sha256") == [(1, SEALED[3])]


def test_contacts_of_customers_are_no_visitor_s(shop: Shop) -> None:
    """Visitors and customers of one id space are read apart, and no visitor is found by it."""
    shop.imports((0, "email", 1))
    shop.contacts.complete(at_ms=NOW_MS)
    ordinal = shop.partner_ids.id_ordinals("email_sha256", [SEALED[1]])
    put_visitor(shop, int(ordinal[0]))
    life: dict[str, Any] = {"as_of_ms": NOW_MS, "lives_days": 30}
    assert shop.partner_ids.live("email_sha256", **life).visitors.tolist() == [V]
    assert set(shop.partner_ids.visitors_with("email_sha256", **life)) == {V}
    assert shop.partner_ids.visitor_of(SEALED[1]) == V
    assert shop.live("email_sha256") == [(0, SEALED[1])]


def test_an_erased_customer_s_contacts_are_gone(shop: Shop) -> None:
    """Erasing the customer takes its rows; what another one carries stays."""
    shop.imports((0, "email", 1), (1, "email", 1))
    shop.contacts.complete(at_ms=NOW_MS)
    shop.partner_ids.erase([C])
    assert shop.live("email_sha256") == [(1, SEALED[1])]


def test_who_carries_a_contact_is_told_by_numbers(shop: Shop) -> None:
    """In bulk, and for a few contacts with as many customers as asked; what is gone is nobody's."""
    shop.imports(*((customer, "email", 1) for customer in range(4)), (4, "email", 2))
    shop.contacts.complete(at_ms=NOW_MS)
    shared, own = shop.partner_ids.id_ordinals("email_sha256", [SEALED[1], SEALED[2]]).tolist()
    shop.imports((0, "email", 2))
    shop.contacts.complete(at_ms=NOW_MS + 1)
    found = shop.contacts.carried("email_sha256")
    assert list(zip(found.visitors.tolist(), found.id_ordinals.tolist(), strict=True)) == [
        (C, own),
        *((C + customer, shared) for customer in (1, 2, 3)),
        (C + 4, own),
    ]
    live = shop.contacts.live("email_sha256")
    assert sorted(zip(live.visitors.tolist(), live.id_ordinals.tolist(), strict=True)) == list(
        zip(found.visitors.tolist(), found.id_ordinals.tolist(), strict=True)
    )
    few = shop.contacts.carriers("email_sha256", SEALED[1:3], limit=2)
    assert few == {shared: [C + 1, C + 2], own: [C, C + 4]}
    assert shop.contacts.carriers("email_sha256", [], limit=2) == {}


def test_browsers_that_named_a_contact_are_told_apart(shop: Shop) -> None:
    """A browser that named it lately is given, in the spaces that messages name alone."""
    shop.imports((0, "email", 1))
    shop.contacts.complete(at_ms=NOW_MS, spaces=["email_meta"])
    ordinal = int(shop.partner_ids.id_ordinals("email_sha256", [SEALED[1]])[0])
    put_visitor(shop, ordinal)
    asked: dict[str, Any] = {"as_of_ms": NOW_MS, "limit": 5}
    ids = {ordinal: SEALED[1]}
    assert shop.contacts.browsers("email_sha256", ids, lives_days=2, **asked) == {ordinal: [V]}
    assert shop.contacts.browsers("email_sha256", ids, lives_days=0, **asked) == {}
    assert shop.contacts.browsers("email_meta", ids, lives_days=2, **asked) == {}


def put_visitor(shop: Shop, ordinal: int) -> None:
    """Let a message have named the first contact of a visitor."""
    shop.partner_ids.insert(
        PartnerIdColumns(
            chunk=[1],
            row=[0],
            received_at_ms=[NOW_MS - DAY_MS],
            partner=[""],
            id_space=["email_sha256"],
            action=["stored"],
            reason=[""],
            nonce=[0],
            visitor=[V],
            id=[SEALED[1]],
            id_ordinal=[ordinal],
            source=["message"],
        )
    )
