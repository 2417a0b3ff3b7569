"""Which audiences a person is in, and which of them its own browser may be told.

Audiences of the customer, and those of the browser that its customer decides, are told only between
an authenticated link and logout.
"""

from collections.abc import Sequence
from typing import Final

from pyroaring import BitMap

from audiences.definitions import tells_of_customer
from matching.consent.decide import Signals, Use
from matching.identification import AuthState, Method, auth_state
from matching.ids import NOBODY
from matching.people import Identity
from matching.people_store import Link
from service.engine.chunk_links import SIGNED_OUT
from service.engine.engine import Engine
from service.engine.subjects import Subject
from service.tag.tag_state import Site

CLAIMED: Final = AuthState.CLAIMED
LOGINS: Final = frozenset({Method.LOGIN, Method.FORM})
"""What begins a session again after a logout; a form's word counts on its own open site alone."""


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
    _, person = session_of(engine, visitor, site)
    told = browser | BitMap([person]) if person else browser
    if engine.suppressed & (told | customers):
        return []
    audiences = engine.criteria.world.audiences
    public = {key for key, audience in audiences.items() if site.key in audience.public_to}
    if customers and not person:
        public = {key for key in public if not tells_of_customer(key, audiences)}
    return sorted(
        key
        for identity in Identity
        for key, members in engine.builder.members_by_key(identity).items()
        if key in public and told & members
    )


def session_of(engine: Engine, visitor: int, site: Site) -> tuple[AuthState, int]:
    """Tell what is known of who sits at this browser now, and for which customer it may speak.

    On a site that asks for no proof, what was claimed there may speak there, and nowhere else.
    """
    links = engine.stores.people.links_of(visitor=visitor)
    own = [link for link in links if link.status == "linked" and _may_speak(link, site)]
    newest = max(own, key=lambda link: link.at_ms, default=None)
    if newest is None:
        claims = any(auth_state(link.method, claimed=link.claimed) is CLAIMED for link in links)
        return (CLAIMED if claims else AuthState.UNKNOWN), NOBODY
    if _is_signed_out(engine, visitor, own):
        return AuthState.LOGGED_OUT, NOBODY
    return auth_state(newest.method, claimed=newest.claimed), newest.customer


def _may_speak(link: Link, site: Site) -> bool:
    state = auth_state(link.method, claimed=link.claimed)
    is_open = site.identify == "open" and link.site == site.key
    return state is AuthState.AUTHENTICATED or (state is CLAIMED and is_open)


def _is_signed_out(engine: Engine, visitor: int, links: Sequence[Link]) -> bool:
    """Tell whether a logout came and no login since; `links` are those to one customer.

    Orders and other calls of a server may come days later, so these open nothing again: only a
    login does, or a server's own `identify`.
    """
    sessions = engine.stores.sessions
    left_ms = sessions.newest_event(visitor, SIGNED_OUT)
    if left_ms is None:
        return False
    since = [link for link in links if link.at_ms > left_ms]
    if not since or any(link.method in LOGINS for link in since):
        return not since
    named_ms = sessions.newest_identify_by_server(visitor, since[0].customer)
    return all(link.at_ms != named_ms for link in since)
