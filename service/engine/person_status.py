"""Why a partner or seat reaches one person or not, told by point reads alone.

In go a person and what it is sent by, out comes one answer of `addressability.py` with its details:
the same that the bitmaps of `seat_reach.py` give for everybody.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import msgspec

from matching.consent.history import ConsentRow
from matching.ids import VISITOR_FIRST
from matching.partner_facts import VISITORS_PER_ID_MAX
from matching.partner_ids_store import DAY_MS, PartnerIdRow
from service.engine.addressability import ORDER, Addressability, Answer
from service.engine.contact_status import CARRIERS_ASKED, Contact, ContactStatus, contacts_of
from service.engine.engine import Engine
from service.engine.person_consent import PersonConsent
from service.engine.reach_facts import CONTACTS
from service.engine.seat_reach import Target
from service.engine.subjects import Subject

__all__ = ["Answer", "PersonStatus"]

IDS: Final = frozenset({"stored", "deleted"})


class PersonStatus:
    """One person, with all that decides whether it may be sent; asked for as many targets."""

    def __init__(
        self, engine: Engine, subject: Subject, rows: Sequence[PartnerIdRow] | None = None
    ) -> None:
        """Take a person; `rows` are those of the table of correspondence, if they are there."""
        self._engine = engine
        self._subject = subject
        self._given = rows
        self._consent = PersonConsent(engine, subject.visitors)
        self._contacts = ContactStatus(engine, subject.customer, self._consent)
        self._others: dict[int, PersonStatus | None] = {}
        self._answers: dict[str, list[Answer]] = {}
        self._now_ms = engine.now_ms()

    def at(self, target: Target) -> Answer:
        """Give the answer of the browser that comes furthest, or of the customer's contacts."""
        if self._subject.customer in self._engine.suppressed:
            return Answer(status=Addressability.SUPPRESSED)
        answers = list(self.browsers(target))
        own = self._rows.get(self._subject.customer, [])
        contact = self._contacts.at(target, own, self._is_denied_contact)
        if contact is not None:
            answers.append(contact)
        if not answers:
            return Answer(status=Addressability.NO_BROWSER)
        return max(answers, key=lambda each: (ORDER.index(each.status), each.last_returned or 0))

    def browsers(self, target: Target) -> list[Answer]:
        """Give the answer of each browser."""
        if target.key not in self._answers:
            several = self._carriers(target)
            self._answers[target.key] = [
                self._browser(target, visitor, several) for visitor in self._subject.visitors
            ]
        return self._answers[target.key]

    def barred(self, target: Target, visitor: int) -> Addressability | None:
        """Say what forbids to send a browser there, whatever its ids; None when nothing does."""
        engine, customer = self._engine, self._subject.customer
        if visitor in engine.suppressed or customer in engine.suppressed:
            return Addressability.SUPPRESSED
        if visitor in engine.reaches.bots:
            return Addressability.BOT
        if self._consent.sends_gpc:
            return Addressability.GPC
        is_allowed = self._consent.allows(target.partner, visitor)
        return None if is_allowed else Addressability.NO_CONSENT

    @property
    def is_opted_in(self) -> bool:
        """Whether the customer lets its hashed contacts be sent."""
        return self._contacts.is_opted_in

    def may_be_sent_by_contact(self, target: Target) -> bool:
        """Tell whether the customer's contacts may be sent there, whoever else has them."""
        return self._contacts.may_be_sent(target)

    @property
    def consents(self) -> dict[int, list[ConsentRow]]:
        """What each browser said of consent, newest first."""
        return self._consent.rows

    @cached_property
    def _rows(self) -> dict[int, list[PartnerIdRow]]:
        given = self._given
        if given is None:
            given = self._engine.subjects.partner_ids_of(self._subject)
        found: dict[int, list[PartnerIdRow]] = {}
        for row in given:
            found.setdefault(row.visitor, []).append(row)
        return found

    def _browser(self, target: Target, visitor: int, several: dict[int, list[int]]) -> Answer:
        rows = self._rows.get(visitor, [])
        spaces = [
            self._in_space(target, space, visitor, rows, several) for space in target.id_spaces
        ]
        best = max(spaces, key=lambda each: ORDER.index(each.status))
        if barred := self.barred(target, visitor):
            return msgspec.structs.replace(best, status=barred)
        is_nearer = ORDER.index(best.status) < ORDER.index(Addressability.OTHER_ID_SPACE)
        if is_nearer and any(self._live_id(rows, pool, target.lives_days) for pool in target.pools):
            return msgspec.structs.replace(best, status=Addressability.OTHER_ID_SPACE)
        return best

    def _in_space(
        self,
        target: Target,
        id_space: str,
        visitor: int,
        rows: Sequence[PartnerIdRow],
        several: dict[int, list[int]],
    ) -> Answer:
        """Say how far a browser's ids of one space came, whatever consent says."""
        own = [row for row in rows if row.id_space == id_space]
        newest = self._newest(own)
        stored = newest if newest is not None and newest.action == "stored" else None
        offered = next((row.received_at_ms for row in own if row.action == "offered"), None)
        refusal = next((row.reason for row in own if row.action == "refused"), None)
        return Answer(
            status=self._status(target, visitor, newest, own, several),
            visitor=visitor,
            id_space=id_space,
            id=stored.id if stored and id_space not in CONTACTS else None,
            last_offered=offered,
            last_returned=newest.received_at_ms if newest else None,
            expires_at=stored.received_at_ms + target.lives_days * DAY_MS if stored else None,
            refusal=refusal,
        )

    def _status(
        self,
        target: Target,
        visitor: int,
        newest: PartnerIdRow | None,
        own: Sequence[PartnerIdRow],
        several: dict[int, list[int]],
    ) -> Addressability:
        if newest is None:
            did = {row.action for row in own}
            if "refused" in did:
                return Addressability.REFUSED_ID
            return Addressability.NEVER_RETURNED if "offered" in did else target.nothing_known
        if newest.action == "deleted":
            return Addressability.DELETED
        if newest.received_at_ms < self._now_ms - target.lives_days * DAY_MS:
            return Addressability.EXPIRED
        others = [each for each in several.get(newest.id_ordinal, ()) if each != visitor]
        if len(others) >= VISITORS_PER_ID_MAX:
            return Addressability.FAN_OUT
        is_contact = newest.id_space in CONTACTS
        if is_contact and not self._subject.customer:
            return Addressability.NOT_LINKED
        if is_contact and not self.is_opted_in:
            return Addressability.NOT_OPTED_IN
        if is_contact:
            named = {newest.id_ordinal: newest.id}
            (contact,) = contacts_of(self._engine, newest.id_space, named)
            is_denied = self._is_denied_contact(target, contact)
        else:
            is_denied = any(self._denies(target, other) for other in others)
        return Addressability.DENIED_ELSEWHERE if is_denied else Addressability.ADDRESSABLE

    def _carriers(self, target: Target) -> dict[int, list[int]]:
        """Give who else carries the live ids that several browsers carry; most often nobody."""
        found: dict[int, list[int]] = {}
        for space in target.id_spaces:
            live = [self._live_id(rows, space, target.lives_days) for rows in self._rows.values()]
            found |= self._engine.stores.partner_ids.states.carriers(
                space,
                {row.id_ordinal: row.id for row in live if row},
                as_of_ms=self._now_ms,
                lives_days=target.lives_days,
            )
        return found

    def _denies(self, target: Target, visitor: int) -> bool:
        """Tell whether another browser with the same id may not be sent, so that the id may not."""
        other = self._other(visitor)
        return other is not None and other.barred(target, visitor) is not None

    def _is_denied_contact(self, target: Target, contact: Contact) -> bool:
        """Tell whether somebody with the same contact may not be sent, so that nobody is by it.

        Of browsers only those count that a customer who opted in has: who types an address into a
        page speaks for nobody else.
        """
        for customer in _if_few(contact.customers):
            other = self._other(customer)
            if other is not None and not other.may_be_sent_by_contact(target):
                return True
        visitors = self._engine.stores.contact_ids.browsers(
            contact.id_space,
            {contact.ordinal: contact.text},
            as_of_ms=self._now_ms,
            lives_days=target.lives_days,
            limit=CARRIERS_ASKED,
        )
        for visitor in _if_few(visitors.get(contact.ordinal, [])):
            other = self._other(visitor)
            if other is not None and other.is_opted_in and self._denies(target, visitor):
                return True
        return False

    def _other(self, owner: int) -> "PersonStatus | None":
        """Give somebody who carries the same id: the browser or customer of this ordinal."""
        if owner not in self._others:
            find = self._engine.subjects
            subject = find.of_customer(owner) if owner < VISITOR_FIRST else find.of_visitor(owner)
            self._others[owner] = PersonStatus(self._engine, subject) if subject else None
        return self._others[owner]

    def _live_id(
        self, rows: Sequence[PartnerIdRow], id_space: str, lives_days: int
    ) -> PartnerIdRow | None:
        newest = self._newest([row for row in rows if row.id_space == id_space])
        since_ms = self._now_ms - lives_days * DAY_MS
        is_live = newest and newest.action == "stored" and newest.received_at_ms >= since_ms
        return newest if is_live else None

    def _newest(self, own: Sequence[PartnerIdRow]) -> PartnerIdRow | None:
        """Give the newest id or deletion; one of a clock that is ahead does not count yet."""
        return next(
            (row for row in own if row.action in IDS and row.received_at_ms <= self._now_ms), None
        )


def _if_few(carriers: Sequence[int]) -> Sequence[int]:
    """Leave out those of an id that too many carry: it is nobody's."""
    return carriers if len(carriers) <= VISITORS_PER_ID_MAX else ()
