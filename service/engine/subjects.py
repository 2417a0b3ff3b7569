"""Who is meant by an id that an operator typed: CRM id, e-mail, alias, visitor or partner's id.

Looks up and collects everything that is known under the name; changes nothing.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from pyroaring import BitMap

from matching.contact_hashes import Seal, contact_hash, crm_id_of, redact_text, seal
from matching.customer_store import CustomerStore
from matching.ids import CrmId, VisitorId
from matching.partner_ids_store import PartnerIdRow
from service.engine.stores import Stores
from service.engine.tombstones import Tombstones
from service.tag.tokens import Keys
from service.tag.visitor_cookie import read_reference, write_reference

VISITOR_HEX_CHARS: Final = 32
HEX: Final = frozenset("0123456789abcdef")


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """A customer with all its visitors, or one visitor."""

    customer: int = 0
    crm_id: CrmId = CrmId("")
    visitors: dict[int, VisitorId] = {}

    @property
    def owners(self) -> list[int]:
        """All ordinals of this person."""
        return [*([self.customer] if self.customer else []), *self.visitors]


class Subjects:
    """Finds people by any of their names."""

    def __init__(self, stores: Stores, keys: Keys, alias_kinds: Iterable[str]) -> None:
        self._stores = stores
        self._keys = keys
        self._seal: Seal = lambda hash_hex: seal(hash_hex, keys.contact_key)
        self._alias_kinds = tuple(alias_kinds)

    def find(self, text: str, *, by_plain_partner_id: bool = True) -> Subject | None:
        """Give the person whom this text names, or None.

        A partner's id is taken as `ID_SPACE:ID`, and alone only where a mistake does no harm: two
        partners may give two people the same id.
        """
        finders: tuple[Callable[[str], Subject | None], ...] = (
            self._by_visitor,
            self._by_crm_id,
            self._by_contact,
            self._by_alias,
            self._by_spaced_partner_id,
            *([self._by_partner_id] if by_plain_partner_id else []),
        )
        for finder in finders:
            subject = finder(text.strip())
            if subject is not None:
                return subject
        return None

    def of_customer(self, customer: int) -> Subject | None:
        """Give a customer with every visitor that was ever linked to it."""
        crm_id = self._stores.customers.crm_ids([customer]).get(customer)
        if crm_id is None:
            return None
        links = self._stores.people.links_of(customer=customer)
        linked = sorted({link.visitor for link in links if link.status == "linked"})
        visitors = self._stores.customers.visitor_ids(linked)
        return Subject(customer=customer, crm_id=crm_id, visitors=visitors)

    def of_visitor(self, visitor: int) -> Subject | None:
        """Give a visitor, or the customer that it is linked to."""
        for link in self._stores.people.links_of(visitor=visitor):
            if link.status == "linked":
                return self.of_customer(link.customer)
        found = self._stores.customers.visitor_ids([visitor])
        return Subject(visitors=found) if found else None

    def names_of(self, subject: Subject) -> list[tuple[str, str | bytes]]:
        """Give every name by which this person could come back."""
        names: list[tuple[str, str | bytes]] = []
        if subject.customer:
            names.append(("crm_id", subject.crm_id))
            names += [
                (name.kind, name.value)
                for name in self._stores.customers.names(subject.customer)
                if name.kind != "opt_in"
            ]
        names += [("visitor", visitor) for visitor in subject.visitors.values()]
        names += [
            ("partner_id", f"{row.id_space}\0{row.id}")
            for row in self.partner_ids_of(subject)
            if row.id
        ]
        return names

    def possible_names(self, text: str) -> list[tuple[str, str | bytes]]:
        """Give every name that a text could be, for somebody who is known no more."""
        text = text.strip()
        names: list[tuple[str, str | bytes]] = [("crm_id", crm_id_of(text, self._seal))]
        names += self._contact_names(text)
        names += [(kind, redact_text(text, self._seal)) for kind in self._alias_kinds]
        visitor = self._visitor_of(text)
        if visitor is not None:
            names.append(("visitor", visitor))
        names += [("partner_id", f"{space}\0{each}") for space, each in _spaced(text)]
        return names

    def reference_of(self, visitor: bytes) -> str:
        """Give the reference by which pages and backends name a visitor."""
        return write_reference(self._keys, VisitorId(visitor))

    def partner_ids_of(self, subject: Subject) -> list[PartnerIdRow]:
        """Give the rows of the table of correspondence for this person."""
        return self._stores.partner_ids.of_visitors(subject.owners) if subject.owners else []

    def _visitor_of(self, text: str) -> VisitorId | None:
        if len(text) == VISITOR_HEX_CHARS and set(text) <= HEX:
            return VisitorId(bytes.fromhex(text))
        return read_reference(self._keys, text)

    def _by_visitor(self, text: str) -> Subject | None:
        visitor = self._visitor_of(text)
        if visitor is None:
            return None
        ordinal = int(self._stores.customers.find_visitors([visitor])[0])
        return self.of_visitor(ordinal) if ordinal else None

    def _by_crm_id(self, text: str) -> Subject | None:
        ordinal = int(self._stores.customers.find_customers([crm_id_of(text, self._seal)])[0])
        return self.of_customer(ordinal) if ordinal else None

    def _by_contact(self, text: str) -> Subject | None:
        for name in self._contact_names(text):
            customer = self._stores.customers.find_by_name(*name)
            if customer:
                return self.of_customer(customer)
        return None

    def _contact_names(self, text: str) -> list[tuple[str, str]]:
        names = []
        for kind in ("email", "phone"):
            try:
                names.append((kind, self._seal(contact_hash(kind, text))))
            except ValueError:
                continue
        return names

    def _by_alias(self, text: str) -> Subject | None:
        for kind in self._alias_kinds:
            alias = redact_text(text, self._seal)
            customer = self._stores.customers.find_by_name(kind, alias)
            if customer:
                return self.of_customer(customer)
        return None

    def _by_spaced_partner_id(self, text: str) -> Subject | None:
        for space, each in _spaced(text):
            visitor = self._stores.partner_ids.visitor_of(each, id_space=space)
            if visitor:
                return self.of_visitor(visitor)
        return None

    def _by_partner_id(self, text: str) -> Subject | None:
        visitor = self._stores.partner_ids.visitor_of(text)
        return self.of_visitor(visitor) if visitor else None


def _spaced(text: str) -> list[tuple[str, str]]:
    """Read `ID_SPACE:ID` in every way, for both may hold colons."""
    parts = text.split(":")
    return [
        (":".join(parts[:count]), ":".join(parts[count:]))
        for count in range(1, len(parts))
        if parts[0] and any(parts[count:])
    ]


def suppressed_people(tombstones: Tombstones, customers: CustomerStore) -> BitMap:
    """Give the ordinals of all customers and visitors whom a tombstone suppresses."""
    if not tombstones.suppressed:
        return BitMap()
    crm_ids = customers.crm_ids(list(customers.customers()))
    visitors = customers.visitor_ids(list(customers.visitors()))
    forbids = tombstones.is_suppressed
    return BitMap(
        [key for key, crm_id in crm_ids.items() if forbids([("crm_id", crm_id)])]
        + [key for key, visitor in visitors.items() if forbids([("visitor", visitor)])]
    )
