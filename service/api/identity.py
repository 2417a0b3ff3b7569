"""The identity card: all that is known of one person, and why a partner reaches it or not."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from litestar import Request, get
from litestar.types import ControllerRouterHandler

from audiences.event_store import EventRow
from matching.consent.history import answers_of
from matching.partner_facts import Partner
from matching.partner_ids_store import PartnerIdRow
from matching.person_rows_store import CONSENTS_OF_EACH_MAX
from service.api.auth import Scope, key_of, needs
from service.api.errors import NotFound
from service.api.person_reach import (
    at_partner,
    at_seats,
    held_by_seats,
    memberships,
    of_browser,
)
from service.engine.engine import Engine
from service.engine.memberships import audiences_of
from service.engine.person_links import Browser, PersonLink, links_of_person
from service.engine.person_status import PersonStatus
from service.engine.reach_facts import CONTACTS
from service.engine.seat_reach import target_of_partner
from service.engine.subjects import Subject

EVENTS_SHOWN: Final = 50


@get("/api/identity/{name:str}", guards=[needs(Scope.PEOPLE_READ)], sync_to_thread=True)
def identity_card(request: Request[Any, Any, Any], name: str) -> dict[str, Any]:
    """Show the person whom a CRM id, e-mail, alias, visitor or partner's id names."""
    engine = request.app.state.engine
    subject = engine.subjects.find(name)
    if subject is None:
        raise NotFound(f"nobody is known as {name!r}: no CRM id, visitor, e-mail or partner's id")
    engine.stores.operation.put_audit(key_of(request).id, "card", "person", "card")
    return card_of(engine, subject)


def card_of(engine: Engine, subject: Subject) -> dict[str, Any]:
    """Put the card of one person together."""
    stores = engine.stores
    rows = engine.subjects.partner_ids_of(subject)
    person = PersonStatus(engine, subject, rows)
    events = stores.asked_events.events_of(subject.owners, EVENTS_SHOWN)
    keys, held = audiences_of(engine, subject), held_by_seats(engine, rows)
    return {
        "person": "customer" if subject.customer else "visitor",
        "crm_id": subject.crm_id or None,
        "traits": _traits(engine, subject),
        "third_party_traits": _third_party_traits(engine, subject),
        **_names(engine, subject),
        **_browsers(engine, subject, rows, person),
        "partners": [at_partner(engine, each, subject, person) for each in engine.config.partners],
        "seats": at_seats(engine, subject, person, keys, held),
        "audiences": keys,
        "memberships": memberships(engine, subject, keys),
        "events": events_shown(events),
        "exports": held,
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


def partner_status(
    engine: Engine, partner: Partner, subject: Subject, rows: Sequence[PartnerIdRow]
) -> str:
    """Say "addressable", or exactly why this partner cannot reach the person."""
    target = target_of_partner(partner, engine.config)
    return PersonStatus(engine, subject, rows).at(target).status


def _traits(engine: Engine, subject: Subject) -> dict[str, Any]:
    person = subject.customer or next(iter(subject.visitors), 0)
    return dict(engine.stores.traits.traits_of(person)) if person else {}


def _third_party_traits(engine: Engine, subject: Subject) -> list[dict[str, Any]]:
    """Show what others say of the customer or of its browsers, and who says it."""
    return [
        {"trait": each.trait, "value": each.plain, "source": each.source, "at": each.at_ms}
        for each in engine.stores.third_party.traits_of(subject.owners)
    ]


def _names(engine: Engine, subject: Subject) -> dict[str, Any]:
    """Show aliases by kind, never hashes of contacts, and what the customer said of being sent."""
    names = engine.stores.customers.names(subject.customer) if subject.customer else []
    aliases: dict[str, list[str]] = {}
    for name in names:
        if name.kind in engine.config.customers.aliases:
            aliases.setdefault(name.kind, []).append(name.value)
    answer = next((name for name in names if name.kind == "opt_in"), None)
    return {
        "aliases": aliases,
        "opt_in": {"value": answer.value == "1", "at": answer.at_ms, "source": answer.source}
        if answer
        else None,
    }


def _browsers(
    engine: Engine, subject: Subject, rows: Sequence[PartnerIdRow], person: PersonStatus
) -> dict[str, Any]:
    """Show the browsers that are this person's, and others that named it and are not."""
    seen = engine.stores.asked_events.seen(list(subject.visitors)) if subject.visitors else {}
    links = links_of_person(engine, subject)
    return {
        "visitors": [
            {
                **_browser(browser),
                "first_seen": seen[ordinal][0] if ordinal in seen else None,
                "last_seen": seen[ordinal][1] if ordinal in seen else None,
                "ids": _ids([row for row in rows if row.visitor == ordinal]),
                "partners": [
                    of_browser(engine, each, ordinal, person) for each in engine.config.partners
                ],
                "consent": _consent(engine, person, ordinal),
            }
            for ordinal, browser in links.own.items()
        ],
        "not_linked": [_browser(each) for each in links.not_linked],
    }


def _browser(browser: Browser) -> dict[str, Any]:
    return {
        "visitor": browser.visitor.hex(),
        "status": browser.status,
        "reason": browser.reason,
        "links": [_link(each) for each in browser.links],
        "shared": msgspec.to_builtins(browser.shared),
    }


def _link(link: PersonLink) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(link)
    return plain


def _ids(rows: Sequence[PartnerIdRow]) -> list[dict[str, Any]]:
    """Show the newest id of each space, unless it was deleted; hashed contacts without text."""
    newest: dict[str, PartnerIdRow] = {}
    for row in rows:
        if row.action in {"stored", "deleted"}:
            newest.setdefault(row.id_space, row)
    return [
        {
            "partner": row.partner,
            "id_space": space,
            "id": None if space in CONTACTS else row.id,
            "seen": row.received_at_ms,
        }
        for space, row in newest.items()
        if row.action == "stored"
    ]


def _consent(engine: Engine, person: PersonStatus, visitor: int) -> list[dict[str, Any]]:
    """Show what the browser said, newest first, and what each answer meant from then on."""
    rows, stores = person.consents.get(visitor, []), engine.stores
    is_cut = len(rows) == CONSENTS_OF_EACH_MAX
    decide = engine.decide
    answers = stores.consents.answers(visitor, decide) if is_cut else answers_of(rows, decide)
    return [
        {
            "at": each.at_ms,
            "site": each.site,
            "signals": each.signals,
            "kinds": each.kinds,
            "uses": msgspec.to_builtins(each.uses),
        }
        for each in answers
    ]


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (identity_card,)
