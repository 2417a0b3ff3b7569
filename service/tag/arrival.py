"""What the address of a page brought along: the linker's token, or a newsletter's.

The tag hands them over in the query of `/t`. Which visitor they name, or which record they give,
goes out; a token that is not good is counted and otherwise ignored: the messages stand alone.
"""

from typing import Final

import msgspec
from prometheus_client import Counter as Metric

from matching.contact_hashes import crm_id_of
from matching.ids import VisitorId
from service.metrics import REGISTRY
from service.tag.click_record import click_record
from service.tag.door import Door
from service.tag.linker import NEW, LinkStatus, make_link, read_link
from service.tag.request import TagRequest
from service.tag.sender import ARRIVALS, Sender
from service.tag.tokens import TokenError, read_click
from service.tag.visitor_cookie import write_reference

LINKS: Final = Metric(
    "jumelle_links",
    "Visitors who came from another domain of their site, by what became of the linker's token",
    ["status"],
    registry=REGISTRY,
)
PAGE_CLICKS: Final = Metric(
    "jumelle_page_clicks",
    "Newsletter tokens in the address of a page, by what became of them",
    ["status"],
    registry=REGISTRY,
)
TAG_PATH: Final = "/t"


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """What a request brought: a linked visitor with its status, and a newsletter's token."""

    status: LinkStatus | None = None
    visitor: VisitorId | None = None
    click: str = ""


NOTHING: Final = Arrival()


def arrival_of(door: Door, request: TagRequest, sender: Sender) -> Arrival:
    """Read the tokens of one request of the tag."""
    fields = request.fields
    if request.path != TAG_PATH or not any(name in fields for name in ARRIVALS):
        return NOTHING
    text = fields.get("link", "")
    if text in {"", NEW}:
        return Arrival(click=fields.get("click", ""))
    status, visitor = _linked(door, request, sender, text)
    return Arrival(status=status, visitor=visitor, click=fields.get("click", ""))


def _linked(
    door: Door, request: TagRequest, sender: Sender, text: str
) -> tuple[LinkStatus, VisitorId | None]:
    # Why not `may_write`: that also lets through what sends no origin, which no page can be.
    if request.header("origin") not in sender.site.origins:
        return LinkStatus.ORIGIN_NOT_ALLOWED, None
    if sender.cookie_at(request.now_s) is not None:
        return LinkStatus.HAS_COOKIE, None
    agent = request.header("user-agent")
    return read_link(door.keys, text, site=sender.site.key, agent=agent, now_s=request.now_s)


def count_link(arrival: Arrival, kept: VisitorId | None) -> None:
    """Count what became of the token, once the request's messages were judged."""
    if arrival.status is None:
        return
    taken = arrival.status is LinkStatus.TAKEN
    status = LinkStatus.NOT_KEPT if taken and kept != arrival.visitor else arrival.status
    LINKS.labels(status).inc()


def click_of(
    door: Door, request: TagRequest, sender: Sender, token: str, visitor: VisitorId, signals: str
) -> bytes | None:
    """Give the record of a newsletter's click that led here; None for a token not good here."""
    try:
        found = read_click(door.keys, token, now_s=request.now_s)
    except TokenError:
        PAGE_CLICKS.labels("refused").inc()
        return None
    customer = crm_id_of(found.crm_id, door.seal).encode()
    if found.site != sender.site.key or door.is_suppressed("crm_id", customer):
        PAGE_CLICKS.labels("refused").inc()
        return None
    PAGE_CLICKS.labels("taken").inc()
    return click_record(door, request, found, visitor, signals)


def reference_header(
    door: Door, request: TagRequest, sender: Sender
) -> tuple[tuple[str, str], ...]:
    """Give the reference that a page asked for, which has none though the browser is known."""
    if request.path != TAG_PATH or "who" not in request.fields:
        return ()
    cookie = sender.cookie_at(request.now_s)
    if cookie is None:
        return ()
    return (("Jumelle-Visitor", write_reference(door.keys, cookie.visitor)),)


def link_header(door: Door, request: TagRequest, sender: Sender) -> tuple[tuple[str, str], ...]:
    """Give the token that a page of the site asked for, if its browser is known here."""
    if request.path != TAG_PATH or request.fields.get("link") != NEW:
        return ()
    cookie = sender.cookie_at(request.now_s)
    if cookie is None or sender.opted_out or request.header("origin") not in sender.site.origins:
        return ()
    if door.is_suppressed("visitor", cookie.visitor):
        return ()
    agent = request.header("user-agent")
    text = make_link(
        door.keys, cookie.visitor, site=sender.site.key, agent=agent, now_s=request.now_s
    )
    return (("Jumelle-Link", text),)
