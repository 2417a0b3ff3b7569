"""One run over seats: each seat's activations become its file, its manifest and its next state.

Here hashed contacts are opened, and nowhere else.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.build import NotBuiltError
from audiences.exports.report import ExportReport, ExportStatus
from audiences.exports.run import export_seat
from audiences.exports.seat_state import Asked, ExportRow
from audiences.exports.seats import Seat
from audiences.exports.wanted import Who
from matching.contact_hashes import SealError
from matching.partner_ids_store import CarriedIds
from matching.people import People
from service.engine.engine import Engine
from service.engine.opened_contacts import OpenedContacts
from service.engine.reach_facts import CONTACTS

TRIED: Final = 100
"""So many contacts of a space are opened before a run, to try the key."""


def run_exports(
    engine: Engine,
    run: int,
    seats: Sequence[Seat],
    *,
    asked: Asked = Asked(),  # noqa: B008
) -> list[ExportReport]:
    """Export these seats; loading and erasure wait meanwhile, so that preview equals export."""
    with engine.changing:
        engine.reaches.forget()
        return [_export_or_say(engine, run, seat, asked) for seat in seats]


def holdout_key(engine: Engine) -> bytes:
    """Give the key that decides who is held out; it stays when keys are renewed."""
    return engine.keys.derive("holdout", key_id=engine.keys.ids[0])


def _export_or_say(engine: Engine, run: int, seat: Seat, asked: Asked) -> ExportReport:
    """Export; where contacts cannot be opened, this seat alone fails and says why."""
    try:
        return _export(engine, run, seat, asked)
    except SealError as error:
        reason = f"seat {seat.key}: {error}"
        report = ExportReport(seat=seat.key, run=run, status=ExportStatus.FAILED, reason=reason)
        text = msgspec.json.encode(report).decode()
        row = ExportRow(run=run, seat=seat.key, status=report.status, report=text)
        engine.stores.exports.put_export(row)
        return report


def _export(engine: Engine, run: int, seat: Seat, asked: Asked) -> ExportReport:
    contacts = OpenedContacts(engine.keys.contact_key)

    def members(key: str) -> tuple[People, BitMap] | None:
        report = engine.builder.report(key)
        if report is None:
            return None
        try:
            return engine.criteria.people(report.identity), engine.builder.members(key)
        except NotBuiltError:
            return None

    def answers(people: People) -> Mapping[str, BitMap]:
        by_status = engine.reaches.of_seat(seat, people).by_status
        return {status.value: who for status, who in by_status.items()}

    live = engine.reaches.carried(seat)
    _try_key(engine, contacts, seat, live)
    return export_seat(
        seat,
        activations=engine.stores.exports.activations(seat.key),
        who=Who(
            members=members,
            answers=answers,
            live=live,
            allowed=engine.reaches.allowed(seat),
            suppressed=engine.suppressed,
            holdout_key=holdout_key(engine),
        ),
        texts=engine.stores.partner_ids.texts,
        store=engine.stores.exports,
        out_dir=engine.environment.data / "exports",
        run=run,
        now_ms=engine.now_ms(),
        asked=asked,
        time_zone=engine.environment.timezone,
        definitions=engine.criteria.world.audiences.get,
        opened=contacts.opened,
    )


def _try_key(
    engine: Engine, contacts: OpenedContacts, seat: Seat, live: Sequence[CarriedIds]
) -> None:
    """Open some contacts: a lost key is told although nothing may have to be sent."""
    for space, carried in zip(seat.id_spaces, live, strict=True):
        if space in CONTACTS and carried.id_ordinals.size:
            some = BitMap(carried.id_ordinals[:TRIED].tolist())
            for piece in engine.stores.partner_ids.texts.pieces(space, some):
                contacts.opened(space, piece.ids)
