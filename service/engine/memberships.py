"""Which audiences a person is in, and which of them its own browser may be told.

Audiences of the customer, and those of the browser that its customer decides, are told only between
an authenticated link and logout.
"""

from typing import Final

from pyroaring import BitMap

from audiences.definitions import tells_of_customer
from matching.consent.decide import Signals, Use
from matching.ids import VISITOR_FIRST
from matching.people import Identity
from service.engine.engine import Engine
from service.engine.subjects import Subject
from service.tag.tag_state import Site

AUTHENTICATED: Final = frozenset({"login", "purchase", "server"})
SIGNED_OUT: Final = "Signed Out"


def audiences_of(engine: Engine, subject: Subject) -> list[str]:
    """Give the keys of all audiences that hold this person, under whichever identity."""
    owners = BitMap(subject.owners)
    return sorted(
        key
        for identity in Identity
        for key, members in engine.builder.members_by_key(identity).items()
        if owners & members
    )


def public_audiences(engine: Engine, visitor: int, site: Site, *, gpc: bool) -> list[str]:
    """Give the audiences marked public to this site that this browser may learn of."""
    standing = engine.stores.consents.standing(visitor)
    signals = standing.signals if standing else Signals(gpc=gpc)
    if signals is None or not engine.decide(signals, Use.PERSONALISE, None, site.key).allowed:
        return []
    browser = BitMap([visitor])
    customers = engine.criteria.people(Identity.BROWSER).customers_of(browser)
    person = _person(engine, visitor)
    told = browser if person is None else browser | BitMap([person])
    if engine.suppressed & (told | customers):
        return []
    audiences = engine.criteria.world.audiences
    public = {key for key, audience in audiences.items() if site.key in audience.public_to}
    if customers and person is None:
        public = {key for key in public if not tells_of_customer(key, audiences)}
    return sorted(
        key
        for identity in Identity
        for key, members in engine.builder.members_by_key(identity).items()
        if key in public and told & members
    )


def _person(engine: Engine, visitor: int) -> int | None:
    """Give the customer whom this browser speaks for now; None when it may not speak for one."""
    links = [
        link
        for link in engine.stores.people.links_of(visitor=visitor)
        if link.status == "linked" and not link.claimed and link.method in AUTHENTICATED
    ]
    if not links:
        return None
    newest = max(links, key=lambda link: link.at_ms)
    left_ms = engine.stores.asked_events.newest(visitor, SIGNED_OUT)
    if left_ms is not None and left_ms >= newest.at_ms:
        return None
    return newest.customer if newest.customer < VISITOR_FIRST else None
