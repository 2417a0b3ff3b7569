"""Erases a person: the tombstone first, then the seats' removals frozen, then every table.

Suppression forbids the future without erasing the past; lifting allows a name again. Each act gives
a receipt and a row in the audit log.
"""

import secrets
import time
from collections import defaultdict
from collections.abc import Sequence

import msgspec
from pyroaring import BitMap

from audiences.exports.export_store import IdText
from service.engine.stores import Stores
from service.engine.subjects import Subject, Subjects
from service.engine.tombstones import Act, Tombstone, Tombstones


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """Proof that an act was carried out; it names nobody."""

    receipt: str
    act: Act
    at_ms: int
    visitors: int = 0
    customers: int = 0
    partner_ids: int = 0
    seats: tuple[str, ...] = ()


def erase(
    subject: Subject, *, subjects: Subjects, stores: Stores, tombstones: Tombstones, actor: str
) -> Receipt:
    """Erase everything that is known of this person, seats included."""
    names = subjects.names_of(subject)
    tombstone = _tombstone(Act.ERASE, names, tombstones)
    tombstones.add(tombstone)
    seats = _freeze_removals(subject, subjects, stores)
    customers = [subject.customer] if subject.customer else []
    visitors = list(subject.visitors)
    partner_ids = len([name for kind, name in names if kind == "partner_id"])
    stores.events.erase(customers=customers, visitors=visitors)
    stores.people.erase(customers=customers, visitors=visitors)
    stores.consents.erase(visitors)
    stores.partner_ids.erase(visitors)
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
    names: Sequence[tuple[str, str | bytes]], *, stores: Stores, tombstones: Tombstones, actor: str
) -> Receipt:
    """Allow a name again; nothing that was erased comes back."""
    tombstone = _tombstone(Act.LIFT, names, tombstones)
    tombstones.add(tombstone)
    return _receipt(stores, actor, _plain_receipt(tombstone, Subject()))


def _tombstone(
    act: Act, names: Sequence[tuple[str, str | bytes]], tombstones: Tombstones
) -> Tombstone:
    hashes = tuple(sorted({tombstones.hash_of(kind, name) for kind, name in names}))
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


def _freeze_removals(subject: Subject, subjects: Subjects, stores: Stores) -> tuple[str, ...]:
    """Keep the texts of ids that seats hold, so that their removal survives the erasure."""
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
