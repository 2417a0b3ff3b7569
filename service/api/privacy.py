"""The privacy officer's routes: access, erasure, suppression, lifting and the receipts."""

import logging
from typing import Any, Final

import msgspec
from litestar import Request, get, post
from litestar.types import ControllerRouterHandler

from service.api.auth import Scope, key_of, needs
from service.api.errors import NotFound
from service.api.identity import card_of, events_shown
from service.engine.engine import Engine, LoadFailed
from service.engine.erasure import Receipt, erase, lift, suppress
from service.engine.subjects import Subject

RECEIPTS_SHOWN: Final = 1_000
EVENTS_MAX: Final = 1_000_000

log: Final = logging.getLogger("jumelle.privacy")


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom a request is about: any name that the identity card takes."""

    id: str


@post("/api/privacy/access", guards=[needs(Scope.PRIVACY)], status_code=200, sync_to_thread=True)
def access(request: Request[Any, Any, Any], data: Named) -> dict[str, Any]:
    """Give everything that is known of a person, every event included."""
    engine = request.app.state.engine
    subject = _subject(engine, data.id)
    engine.stores.operation.put_audit(key_of(request).id, "access", "person", "card and events")
    events = engine.stores.asked_events.events_of(subject.owners, EVENTS_MAX)
    return {**card_of(engine, subject), "events": events_shown(events)}


@post("/api/privacy/erase", guards=[needs(Scope.PRIVACY)], status_code=202, sync_to_thread=True)
def erase_person(request: Request[Any, Any, Any], data: Named) -> dict[str, Any]:
    """Erase a person everywhere; the seats' removals leave with the next export."""
    engine = request.app.state.engine
    with engine.changing:
        _tick(engine)
        receipt = erase(
            _sure_subject(engine, data.id),
            subjects=engine.subjects,
            stores=engine.stores,
            reader=engine.reader,
            tombstones=engine.tombstones,
            actor=key_of(request).id,
        )
        engine.loader.open()
        _tick(engine, must_rebuild=True)
    return _shown(receipt)


@post("/api/privacy/suppress", guards=[needs(Scope.PRIVACY)], status_code=202, sync_to_thread=True)
def suppress_person(request: Request[Any, Any, Any], data: Named) -> dict[str, Any]:
    """Keep nothing more of a person and send it nowhere; the past stays."""
    engine = request.app.state.engine
    with engine.changing:
        receipt = suppress(
            _sure_subject(engine, data.id),
            subjects=engine.subjects,
            stores=engine.stores,
            tombstones=engine.tombstones,
            actor=key_of(request).id,
        )
        engine.refresh_suppressed()
        _tick(engine, must_rebuild=True)
    return _shown(receipt)


@post("/api/privacy/lift", guards=[needs(Scope.PRIVACY)], status_code=202, sync_to_thread=True)
def lift_person(request: Request[Any, Any, Any], data: Named) -> dict[str, Any]:
    """Allow a name again after erasure or suppression."""
    engine = request.app.state.engine
    with engine.changing:
        receipt = lift(
            data.id,
            subjects=engine.subjects,
            stores=engine.stores,
            tombstones=engine.tombstones,
            actor=key_of(request).id,
        )
        engine.refresh_suppressed()
        _tick(engine, must_rebuild=True)
    return _shown(receipt)


@get("/api/privacy/receipts", guards=[needs(Scope.PRIVACY)], sync_to_thread=True)
def receipts(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List what was done for whom; receipts name nobody."""
    engine = request.app.state.engine
    rows = engine.stores.operation.audit(RECEIPTS_SHOWN, acts=("erase", "suppress", "lift"))
    return {"receipts": [msgspec.json.decode(row.detail) for row in rows]}


def _subject(engine: Engine, name: str) -> Subject:
    subject = engine.subjects.find(name)
    if subject is None:
        raise NotFound(f"nobody is known as {name!r}; nothing was done")
    return subject


def _sure_subject(engine: Engine, name: str) -> Subject:
    subject = engine.subjects.find(name, by_plain_partner_id=False)
    if subject is None:
        raise NotFound(
            f"nobody is known as {name!r}; nothing was done. A partner's id is taken as "
            "ID_SPACE:ID only, for two partners may give the same id to two people"
        )
    return subject


def _tick(engine: Engine, *, must_rebuild: bool = False) -> None:
    """Make everything new; a spool that cannot be loaded holds up no act of privacy."""
    try:
        engine.tick(must_rebuild=must_rebuild)
    except LoadFailed:
        log.exception("the spool could not be loaded; the tombstone covers what waits in it")


def _shown(receipt: Receipt) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(receipt)
    return shown


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    access,
    erase_person,
    suppress_person,
    lift_person,
    receipts,
)
