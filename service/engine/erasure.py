"""Erases a person: the tombstone first, then the seats' removals frozen, then every table.

Suppression forbids the future without erasing the past; lifting allows a name again. Each act gives
a receipt and a row in the audit log.
"""

import secrets
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.exports.export_store import IdText
from service.engine.set_aside import forget_set_aside
from service.engine.spool_reader import SpoolReader
from service.engine.stores import Stores
from service.engine.subjects import Subject, Subjects
from service.engine.tombstones import Act, Tombstone, Tombstones

SURE_KIND: Final = {True: "crm_id", False: "visitor"}
"""The names that nobody shares: of a customer, and of a browser without one."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Proof that an act was carried out; it names nobody."""

    receipt: str
    act: Act
    at_ms: int
    visitors: int = 0
    customers: int = 0
    partner_ids: int = 0
    seats: tuple[str, ...] = ()
    claims: int = 0
    """Events of other browsers that only claimed to be this customer: they stay, unlinked."""
    set_aside: int = 0
    """Bad records and quarantined files that named the person."""


def erase(
    subject: Subject,
    *,
    subjects: Subjects,
    stores: Stores,
    reader: SpoolReader,
    tombstones: Tombstones,
    actor: str,
) -> Receipt:
    """Erase everything that is known of this person, seats included.

    What still waits in the spool is not awaited: the tombstone covers it.
    """
    names = subjects.names_of(subject)
    tombstone = _tombstone(Act.ERASE, names, tombstones)
    tombstones.add(tombstone)
    set_aside = forget_set_aside(
        subject, subjects=subjects, operation=stores.operation, reader=reader
    )
    claims = _claims_of_others(subject, stores)
    seats = _freeze_removals(subject, subjects, stores)
    customers = [subject.customer] if subject.customer else []
    visitors = list(subject.visitors)
    partner_ids = len([name for kind, name in names if kind == "partner_id"])
    stores.events.erase(customers=customers, visitors=visitors)
    stores.people.erase(customers=customers, visitors=visitors)
    stores.consents.erase(visitors)
    stores.partner_ids.erase([*customers, *visitors])
    stores.third_party.erase([*customers, *visitors])
    stores.customers.erase(customers=customers, visitors=visitors)
    return _receipt(
        stores,
        actor,
        Receipt(
            receipt=tombstone.receipt,
            act=Act.ERASE,
            at_ms=tombstone.at_ms,
            visitors=len(visitors),
            customers=len(customers),
            partner_ids=partner_ids,
            seats=seats,
            claims=claims,
            set_aside=set_aside,
        ),
    )


def suppress(
    subject: Subject, *, subjects: Subjects, stores: Stores, tombstones: Tombstones, actor: str
) -> Receipt:
    """Forbid everything from now on; the past stays."""
    tombstone = _tombstone(Act.SUPPRESS, subjects.names_of(subject), tombstones)
    tombstones.add(tombstone)
    return _receipt(stores, actor, _plain_receipt(tombstone, subject))


def lift(
    text: str, *, subjects: Subjects, stores: Stores, tombstones: Tombstones, actor: str
) -> Receipt:
    """Allow a person again, by any name and with all of them; nothing that was erased comes back.

    Every name that fell with the same act is lifted, or the person's next import would be refused
    for another one.
    """
    subject = subjects.find(text, by_plain_partner_id=False)
    names = subjects.names_of(subject) if subject else subjects.possible_names(text)
    sure = [name for name in names if name[0] == SURE_KIND[bool(subject and subject.customer)]]
    together = tombstones.together(sure if subject else names)
    tombstone = _tombstone(Act.LIFT, names, tombstones, together=together)
    tombstones.add(tombstone)
    return _receipt(stores, actor, _plain_receipt(tombstone, Subject()))


def _tombstone(
    act: Act,
    names: Sequence[tuple[str, str | bytes]],
    tombstones: Tombstones,
    *,
    together: Iterable[str] = (),
) -> Tombstone:
    own = {tombstones.hash_of(kind, name) for kind, name in names}
    hashes = tuple(sorted(own.union(together)))
    at_ms = time.time_ns() // 1_000_000
    return Tombstone(act=act, at_ms=at_ms, receipt=secrets.token_hex(8), hashes=hashes)


def _plain_receipt(tombstone: Tombstone, subject: Subject) -> Receipt:
    return Receipt(
        receipt=tombstone.receipt,
        act=tombstone.act,
        at_ms=tombstone.at_ms,
        visitors=len(subject.visitors),
        customers=1 if subject.customer else 0,
    )


def _claims_of_others(subject: Subject, stores: Stores) -> int:
    if not subject.customer:
        return 0
    links = stores.people.links_of(customer=subject.customer)
    return sum(1 for link in links if link.claimed and link.visitor not in subject.visitors)


def _freeze_removals(subject: Subject, subjects: Subjects, stores: Stores) -> tuple[str, ...]:
    """Keep the texts of ids that seats hold, so that their removal survives the erasure.

    Contacts stay sealed, as they rest: the run that removes them opens them.
    """
    texts = {
        row.id_ordinal: IdText(id_space=row.id_space, id=row.id, id_ordinal=row.id_ordinal)
        for row in subjects.partner_ids_of(subject)
        if row.id_ordinal
    }
    held: dict[tuple[str, str], BitMap] = defaultdict(BitMap)
    for each in stores.exports.held_ids_of(list(texts)):
        held[each.seat, each.segment] |= BitMap(each.id_ordinals)
    for (seat, segment), ordinals in sorted(held.items()):
        stores.exports.freeze_removals(seat, segment, [texts[each] for each in ordinals])
    return tuple(sorted({seat for seat, _ in held}))


def _receipt(stores: Stores, actor: str, receipt: Receipt) -> Receipt:
    detail = msgspec.json.encode(receipt).decode()
    stores.operation.put_audit(actor, receipt.act, receipt.receipt, detail)
    return receipt
