"""The identity card: all that is known of one person, and why a partner reaches it or not."""

from collections.abc import Sequence
from typing import Any, Final

from litestar import Request, get
from litestar.types import ControllerRouterHandler
from pyroaring import BitMap

from audiences.event_store import EventRow
from matching.consent.decide import Signals, Use
from matching.consent_store import has_gpc
from matching.partner_facts import Partner
from matching.partner_ids_store import DAY_MS, PartnerIdRow
from service.api.auth import Scope, needs
from service.api.errors import NotFound
from service.engine.engine import Engine
from service.engine.memberships import audiences_of
from service.engine.subjects import Subject

EVENTS_SHOWN: Final = 50


@get("/api/identity/{name:str}", guards=[needs(Scope.PEOPLE_READ)], sync_to_thread=True)
def identity_card(request: Request[Any, Any, Any], name: str) -> dict[str, Any]:
    """Show the person whom a CRM id, e-mail, alias, visitor or partner's id names."""
    engine = request.app.state.engine
    subject = engine.subjects.find(name)
    if subject is None:
        raise NotFound(f"nobody is known as {name!r}: no CRM id, visitor, e-mail or partner's id")
    return card_of(engine, subject)


def card_of(engine: Engine, subject: Subject) -> dict[str, Any]:
    """Put the card of one person together."""
    stores = engine.stores
    rows = engine.subjects.partner_ids_of(subject)
    seen = stores.asked_events.seen(list(subject.visitors)) if subject.visitors else {}
    events = stores.asked_events.events_of(subject.owners, EVENTS_SHOWN)
    return {
        "person": "customer" if subject.customer else "visitor",
        "crm_id": subject.crm_id or None,
        "traits": _traits(engine, subject),
        "visitors": [
            _visitor(engine, ordinal, visitor.hex(), rows, seen.get(ordinal))
            for ordinal, visitor in subject.visitors.items()
        ],
        "partners": [
            {"partner": partner.key, "status": partner_status(engine, partner, subject, rows)}
            for partner in engine.config.partners
        ],
        "audiences": audiences_of(engine, subject),
        "events": events_shown(events),
        "exports": _held(engine, rows),
    }


def events_shown(events: Sequence[EventRow]) -> list[dict[str, Any]]:
    """Show events without the ordinals of their owners."""
    return [
        {
            "at": event.at_ms,
            "event": event.event,
            "site": event.site,
            "properties": event.properties,
        }
        for event in events
    ]


def _traits(engine: Engine, subject: Subject) -> dict[str, Any]:
    person = subject.customer or next(iter(subject.visitors), 0)
    return dict(engine.stores.traits.traits_of(person)) if person else {}


def _visitor(
    engine: Engine,
    ordinal: int,
    name: str,
    rows: Sequence[PartnerIdRow],
    seen: tuple[int, int] | None,
) -> dict[str, Any]:
    links = engine.stores.people.links_of(visitor=ordinal)
    crm_ids = engine.stores.customers.crm_ids([link.customer for link in links if link.customer])
    newest: dict[str, PartnerIdRow] = {}
    for row in rows:
        if row.visitor == ordinal and row.action in {"stored", "deleted"}:
            newest.setdefault(row.id_space, row)
    return {
        "visitor": name,
        "first_seen": seen[0] if seen else None,
        "last_seen": seen[1] if seen else None,
        "links": [
            {
                "crm_id": crm_ids.get(link.customer),
                "method": link.method,
                "at": link.at_ms,
                "site": link.site,
                "status": link.status,
            }
            for link in links
            if link.customer
        ],
        "ids": [
            {"partner": row.partner, "id_space": space, "id": row.id, "seen": row.received_at_ms}
            for space, row in newest.items()
            if row.action == "stored"
        ],
        "consent": [
            {"at": row.received_at_ms, "signals": row.signals, "site": row.site}
            for row in engine.stores.consents.history(ordinal)
        ],
    }


def partner_status(
    engine: Engine, partner: Partner, subject: Subject, rows: Sequence[PartnerIdRow]
) -> str:
    """Say "addressable", or exactly why this partner cannot reach the person."""
    if engine.suppressed & BitMap(subject.owners):
        return "suppressed"
    if not subject.visitors:
        return "no_browser"
    own = [row for row in rows if row.id_space == partner.id_space]
    statuses = [_status_of_visitor(engine, partner, each, own) for each in subject.visitors]
    status = min(statuses, key=ORDER.index)
    return "no_consent" if status == "addressable" and _has_gpc(engine, subject) else status


def _has_gpc(engine: Engine, subject: Subject) -> bool:
    """Tell whether one of the person's browsers sends GPC, which denies for all of them."""
    found = [engine.stores.consents.standing(visitor) for visitor in subject.visitors]
    return any(
        each is not None
        and each.signals is not None
        and has_gpc(each.signals, each.site, engine.decide)
        for each in found
    )


ORDER: Final = (
    "addressable",
    "no_consent",
    "expired",
    "deleted",
    "fan_out",
    "refused_id",
    "never_returned",
    "bot",
    "never_offered",
)
"""Of several browsers the one that is nearest to being reached speaks for the person."""


def _status_of_visitor(
    engine: Engine, partner: Partner, visitor: int, rows: Sequence[PartnerIdRow]
) -> str:
    own = [row for row in rows if row.visitor == visitor]
    if visitor in engine.criteria.world.excluded and not own:
        return "bot"
    newest = next((row for row in own if row.action in {"stored", "deleted"}), None)
    if newest is None:
        if any(row.action == "refused" for row in own):
            return "refused_id"
        return "never_returned" if own else "never_offered"
    if newest.action == "deleted":
        return "deleted"
    if newest.received_at_ms < engine.now_ms() - partner.lives_days * DAY_MS:
        return "expired"
    if engine.stores.partner_ids.fan_out(
        [newest.id_ordinal], as_of_ms=engine.now_ms(), lives_days=partner.lives_days
    ):
        return "fan_out"
    standing = engine.stores.consents.standing(visitor)
    site = standing.site if standing else engine.config.default_site.key
    signals = standing.signals if standing else Signals()
    if signals is None or not engine.decide(signals, Use.EXPORT, partner.consent, site).allowed:
        return "no_consent"
    return "addressable"


def _held(engine: Engine, rows: Sequence[PartnerIdRow]) -> list[dict[str, Any]]:
    ordinals = sorted({row.id_ordinal for row in rows} - {0})
    return [
        {"seat": each.seat, "segment": each.segment, "held_since": each.sent_on.isoformat()}
        for each in engine.stores.exports.held_ids_of(ordinals)
    ]


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (identity_card,)
