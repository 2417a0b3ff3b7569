"""Why a seat reaches a customer by its own contacts or not, told by point reads alone.

In go a customer, its contacts as the CRM says them and what its browsers said; out comes one answer
of `addressability.py`, the same that the bitmaps of `seat_reach.py` give. Nothing is opened here.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Final

import msgspec

from matching.consent.google import GOOGLE_KEYS
from matching.contact_ids_store import SOURCE
from matching.customer_names_store import OPT_IN
from matching.partner_facts import VISITORS_PER_ID_MAX
from matching.partner_ids_store import PartnerIdRow
from service.engine.addressability import ORDER, Addressability, Answer
from service.engine.engine import Engine
from service.engine.person_consent import PersonConsent
from service.engine.reach_facts import CONTACTS, is_google
from service.engine.seat_reach import Target

CARRIERS_ASKED: Final = VISITORS_PER_ID_MAX + 1
"""So many show that an id is carried by too many."""


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """One contact, sealed as it rests, and the customers of whom the CRM says it."""

    id_space: str
    ordinal: int
    text: str
    customers: Sequence[int]


IsDenied = Callable[[Target, Contact], bool]
"""Tells whether somebody with this contact may not be sent to a target, so that nobody is."""


def contacts_of(engine: Engine, id_space: str, ids: Mapping[int, str]) -> list[Contact]:
    """Find who has these contacts, sealed texts by ordinal."""
    texts = list(ids.values())
    found = engine.stores.contact_ids.carriers(id_space, texts, limit=CARRIERS_ASKED)
    return [
        Contact(id_space=id_space, ordinal=each, text=text, customers=found.get(each, ()))
        for each, text in ids.items()
    ]


class ContactStatus:
    """One customer, by its contacts; 0 is nobody."""

    def __init__(self, engine: Engine, customer: int, consent: PersonConsent) -> None:
        self._engine = engine
        self._customer = customer
        self._consent = consent
        self._contacts: dict[str, list[Contact]] = {}

    @property
    def is_opted_in(self) -> bool:
        """Whether the customer lets its hashed contacts be sent."""
        return OPT_IN in self._granted

    def barred(self, target: Target) -> Addressability | None:
        """Say what forbids to send the customer there, whatever its contacts."""
        if self._customer in self._engine.suppressed:
            return Addressability.SUPPRESSED
        if self._consent.sends_gpc:
            return Addressability.GPC
        partner = target.partner
        if partner is None or (is_google(partner) and not self._granted.issuperset(GOOGLE_KEYS)):
            return Addressability.NO_CONSENT
        return None

    def may_be_sent(self, target: Target) -> bool:
        """Tell whether its contacts may be sent there."""
        return self.is_opted_in and self.barred(target) is None

    def at(
        self, target: Target, rows: Sequence[PartnerIdRow], is_denied: IsDenied
    ) -> Answer | None:
        """Give the answer of the contact that comes furthest; None where contacts are no ids.

        `rows` are those of the table of correspondence, newest first.
        """
        if not self._customer or not target.takes_contacts:
            return None
        spaces = [space for space in target.id_spaces if space in CONTACTS]
        if barred := self.barred(target):
            return Answer(status=barred, id_space=spaces[0])
        answers = [self._in_space(target, space, rows, is_denied) for space in spaces]
        return max(answers, key=lambda each: ORDER.index(each.status))

    @cached_property
    def _granted(self) -> frozenset[str]:
        if not self._customer:
            return frozenset()
        return self._engine.stores.customers.granted_by(self._customer)

    def _in_space(
        self, target: Target, space: str, rows: Sequence[PartnerIdRow], is_denied: IsDenied
    ) -> Answer:
        if space not in self._contacts:
            ids = _live_contacts(space, rows)
            self._contacts[space] = contacts_of(self._engine, space, ids)
        found = Addressability.NO_CONTACT
        for contact in self._contacts[space]:
            status = Addressability.ADDRESSABLE
            if len(contact.customers) > VISITORS_PER_ID_MAX:
                status = Addressability.FAN_OUT
            elif not self.is_opted_in:
                status = Addressability.NOT_OPTED_IN
            elif is_denied(target, contact):
                status = Addressability.DENIED_ELSEWHERE
            found = max(found, status, key=ORDER.index)
        return Answer(status=found, id_space=space)


def _live_contacts(space: str, newest_first: Sequence[PartnerIdRow]) -> dict[int, str]:
    """Give the contacts that the CRM says today, sealed, by ordinal."""
    found: dict[int, PartnerIdRow] = {}
    for row in newest_first:
        if row.id_space == space and row.source == SOURCE:
            found.setdefault(row.id_ordinal, row)
    return {ordinal: row.id for ordinal, row in found.items() if row.action == "stored"}
