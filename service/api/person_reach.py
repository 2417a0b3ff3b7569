"""What the identity card says of partners, seats and audiences: reached or why not, in since when.

A person with its answers goes in, rows of the card go out; what decides is in the engine.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from pyroaring import BitMap

from audiences.exports.holdout import held_out
from audiences.exports.report import ExportReport, ExportStatus, SegmentReport, SegmentStatus
from audiences.exports.seat_state import Activation
from audiences.exports.waterfall import HELD_OUT
from matching.partner_facts import Partner
from matching.partner_ids_store import PartnerIdRow
from service.engine.addressability import WORDS, Addressability
from service.engine.engine import Engine
from service.engine.export_job import holdout_key
from service.engine.person_status import Answer, PersonStatus
from service.engine.reach_facts import CONTACTS
from service.engine.seat_reach import target_of_partner, target_of_seat
from service.engine.subjects import Subject

HELD: Final = "held"
NEXT_EXPORT: Final = "next_export"
BELOW: Final = SegmentStatus.BELOW_MINIMUM
UNDECIDED: Final = frozenset({ExportStatus.DRY_RUN, ExportStatus.FAILED, "prepared"})


def at_partner(
    engine: Engine, partner: Partner, subject: Subject, person: PersonStatus
) -> dict[str, Any]:
    """Show how far the person comes at a partner."""
    answer = person.at(target_of_partner(partner, engine.config))
    return {"partner": partner.key, **_answer(answer, subject)}


def of_browser(
    engine: Engine, partner: Partner, visitor: int, person: PersonStatus
) -> dict[str, Any]:
    """Show how far one of the person's browsers comes at a partner."""
    answers = person.browsers(target_of_partner(partner, engine.config))
    status = next(each.status for each in answers if each.visitor == visitor)
    return {"partner": partner.key, "status": status, "reason": WORDS[status]}


def at_seats(
    engine: Engine,
    subject: Subject,
    person: PersonStatus,
    audiences: Sequence[str],
    held: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Show how far the person comes at each seat, and what became there of its audiences."""
    active = [each for each in engine.stores.exports.activations() if each.audience in audiences]
    reports = _last_reports(engine, {each.seat for each in active})
    sent = {(each["seat"], each["segment"]): each["last_sent"] for each in held}
    shown = []
    for seat in engine.config.seats:
        answer = person.at(target_of_seat(seat, engine.config))
        rows = [
            _on_seat(
                each,
                answer.status,
                reports.get(seat.key),
                sent.get((seat.key, each.segment)),
                is_held_out=_is_held_out(engine, subject, each),
            )
            for each in active
            if each.seat == seat.key
        ]
        told = {"seat": seat.key, "partner": seat.partner, "min_size": seat.min_size}
        shown.append({**told, **_answer(answer, subject), "audiences": rows})
    return shown


def memberships(engine: Engine, subject: Subject, audiences: Sequence[str]) -> list[dict[str, Any]]:
    """Show the audiences with since when; None where the kept builds do not tell."""
    since = engine.stores.memberships.since(audiences, subject.owners)
    defined = engine.criteria.world.audiences
    return [
        {
            "audience": key,
            "name": defined[key].name if key in defined else key,
            "since": since[key].at_ms if key in since else None,
            "or_earlier": since[key].or_earlier if key in since else False,
        }
        for key in audiences
    ]


def held_by_seats(engine: Engine, rows: Sequence[PartnerIdRow]) -> list[dict[str, Any]]:
    """Show which seats hold the person's ids; hashed contacts have no text here.

    A seat's ledger knows when an id was sent last; that it was held before, it does not tell.
    """
    texts = {row.id_ordinal: None if row.id_space in CONTACTS else row.id for row in rows if row.id}
    return [
        {
            "seat": each.seat,
            "segment": each.segment,
            "held_since": each.sent_on.isoformat(),
            "last_sent": each.sent_on.isoformat(),
            "ids": [text for key in each.id_ordinals if (text := texts.get(key)) is not None],
        }
        for each in engine.stores.exports.held_ids_of(sorted(texts.keys() - {0}))
    ]


def _answer(answer: Answer, subject: Subject) -> dict[str, Any]:
    """Show one answer: the status, its reason in words and the details."""
    detail = msgspec.to_builtins(answer)
    del detail["status"]
    visitor = subject.visitors.get(detail.pop("visitor"))
    return {
        "status": answer.status,
        "reason": WORDS[answer.status],
        "detail": {"visitor": visitor.hex() if visitor else None, **detail},
    }


def _is_held_out(engine: Engine, subject: Subject, active: Activation) -> bool:
    """Tell whether all that the audience knows the person as is in its control group."""
    members = BitMap(subject.owners) & engine.builder.members(active.audience)
    apart = held_out(
        members,
        percent=active.holdout_percent,
        key=holdout_key(engine),
        audience=active.audience,
    )
    return bool(apart) and apart == members


def _last_reports(engine: Engine, seats: Iterable[str]) -> dict[str, ExportReport]:
    """Give of each seat what its newest run decided."""
    wanted, found = set(seats), dict[str, ExportReport]()
    for row in engine.stores.exports.exports() if wanted else ():
        if row.seat in wanted - found.keys() and row.status not in UNDECIDED:
            found[row.seat] = msgspec.json.decode(row.report, type=ExportReport)
    return found


def _on_seat(
    active: Activation,
    status: Addressability,
    report: ExportReport | None,
    last_sent: str | None,
    *,
    is_held_out: bool,
) -> dict[str, Any]:
    """Show what became of the person in one audience on a seat: held, or why not."""
    segments: Sequence[SegmentReport] = report.segments if report else ()
    key = (active.segment, active.audience)
    part = next((each for each in segments if (each.segment, each.audience) == key), None)
    told, reason = status.value, WORDS[status]
    if last_sent is not None:
        told, reason = HELD, "the seat holds it"
    elif status is Addressability.ADDRESSABLE and is_held_out:
        told, reason = HELD_OUT, "is of the audience's control group, which no segment gets"
    elif status is Addressability.ADDRESSABLE and part and part.status is BELOW:
        told, reason = BELOW.value, f"{WORDS[Addressability.BELOW_MINIMUM]}: {part.people}"
    elif status is Addressability.ADDRESSABLE:
        told, reason = NEXT_EXPORT, "can be sent, and goes with the next export"
    return {
        "audience": active.audience,
        "segment": active.segment,
        "status": told,
        "reason": reason,
        "last_sent": last_sent,
    }
