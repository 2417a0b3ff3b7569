"""What a site reads of a caller, found once: origin, cookie, opt-out, agent, and what it said.

Everything here follows from the caller's headers, the published state and the keys; it is thrown
away with the state it was made for. Whether a message is kept is decided in `steps.py`.
"""

from collections.abc import Hashable
from typing import Final, TypeVar

import msgspec

from matching.consent.decide import Signal, Signals, Use, encode_signals
from matching.ids import ERASED_VISITOR, VisitorId
from service.tag import visitor_cookie
from service.tag.door import Door
from service.tag.harmless import is_harmless_context
from service.tag.messages import ConsentFields, read_context
from service.tag.record import Meta, pack_meta, who_of
from service.tag.request import (
    KNOWN_QUERY_LENGTH_MAX,
    TagAnswer,
    TagRequest,
    cors_headers,
    is_compressed,
    through_proxies,
    trusted_country,
)
from service.tag.signal_text import explicit_choices, signal_text, with_google
from service.tag.tag_state import Site, TagState
from service.tag.told import Manner, Told

AGENT_LENGTH_MAX: Final = 512
QUERIES_REMEMBERED_MAX: Final = 16
TOLD_REMEMBERED_MAX: Final = 8
TOLD_BYTES_MAX: Final = 4096
HEARD_MAX: Final = 4096
HEARD_BYTES_MAX: Final = 1024
ALWAYS: Final = 1 << 62
ARRIVALS: Final = ("link", "click", "who")
"""What a page brought with its address, and what it asks (`arrival.py`): no glance answers that."""
SITE_DEFAULT: Final = Signal.SITE_DEFAULT
Known = TypeVar("Known")


class Sender(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A caller as one site sees it; `server` says that it showed the site's secret key."""

    state: TagState
    site: Site
    server: bool
    may_write: bool
    cookie: visitor_cookie.VisitorCookie | None
    opted_out: bool
    anonymous: bool
    gpc: bool
    country: str
    """Where the visitor is, as a trusted proxy says; it decides which default holds."""
    agent: str
    ip: str
    secure: bool
    cors: tuple[tuple[str, str], ...]
    inflates: bool
    """Whether bodies come compressed."""
    is_asked_little: bool
    """Whether its cookie alone decides if it `is_common`."""
    is_common: bool
    """Whether nothing about it stands in the way of keeping what it sends with its cookie."""
    visitor: VisitorId
    """The cookie's; without a cookie no common sender."""
    quiet_until_s: int
    """Until then the cookie is neither too old nor to be renewed."""
    plain_answer: TagAnswer
    told: dict[bytes, Told]
    frames: dict[bytes, Manner]
    """What was judged of messages by their frame, for all to whom the same applies."""
    packed: dict[tuple[str, str], bytes]
    """By type and signals: what the record says of a message that proves nothing."""
    who: dict[tuple[str, str], bytes]
    """By type and signals: what follows the stamp in the record of such a message."""

    def cookie_at(self, now_s: int) -> visitor_cookie.VisitorCookie | None:
        """Give the visitor's cookie unless it has become too old."""
        found = self.cookie
        if now_s <= self.quiet_until_s:
            return found
        return None if found is None or visitor_cookie.is_too_old(found, now_s=now_s) else found


def sender_of(door: Door, request: TagRequest, site: Site, *, server: bool) -> Sender:
    """Give what the site reads of this caller; the caller remembers it."""
    memory = request.caller.memory
    name = (site.key, server)
    known: Sender | None = memory.get(name)
    if known is None or known.state is not door.state:
        known = memory[name] = _read(door, request, site, server=server)
    return known


def _read(door: Door, request: TagRequest, site: Site, *, server: bool) -> Sender:
    cors = cors_headers(request, site)
    cookie = None if server else door.cookie_of(request, site)
    agent = "" if server else request.header("user-agent")
    may_write = request.from_allowed_origin(site)
    opted_out = not server and door.is_opted_out(request)
    gpc = not server and request.has_gpc
    country = "" if server else trusted_country(request, site)
    anonymous, inflates = bool(request.header("sp-anonymous")), is_compressed(request)
    is_asked_little = (
        may_write
        and not (server or anonymous or inflates)
        and not (site.rate_max or door.state.suppressed_hashes)
    )
    return Sender(
        state=door.state,
        site=site,
        server=server,
        may_write=may_write,
        cookie=cookie,
        opted_out=opted_out,
        anonymous=anonymous,
        gpc=gpc,
        country=country,
        agent=door.redacted(agent[:AGENT_LENGTH_MAX]),
        ip="" if server else request.caller.cut_address,
        secure=request.secure,
        cors=cors,
        inflates=inflates,
        is_asked_little=is_asked_little,
        is_common=is_asked_little and cookie is not None and not opted_out,
        visitor=ERASED_VISITOR if cookie is None else cookie.visitor,
        quiet_until_s=ALWAYS if cookie is None else visitor_cookie.quiet_until_s(cookie),
        plain_answer=_heard(door.state, cors, TagAnswer(status=204, headers=cors)),
        told={},
        frames=_heard(door.state, (site.key, server, gpc, country), {}),
        packed={},
        who={},
    )


def sender_like(door: Door, alike: Sender, header: str, *, now_s: int) -> Sender:
    """Give the sender whose head differs from another browser's in the `Cookie` header alone."""
    cookie = door.cookie_in(header, alike.site, now_s=now_s)
    opted_out = door.is_opted_out_in(header)
    return msgspec.structs.replace(
        alike,
        cookie=cookie,
        opted_out=opted_out,
        is_common=alike.is_asked_little and cookie is not None and not opted_out,
        visitor=ERASED_VISITOR if cookie is None else cookie.visitor,
        quiet_until_s=ALWAYS if cookie is None else visitor_cookie.quiet_until_s(cookie),
        who={},
    )


def known_sender(door: Door, request: TagRequest) -> Sender | None:
    """Give the sender that was found for this caller and query; None when it is to be found."""
    known: Sender | None = request.caller.memory.get(request.query)
    return known if known is not None and known.state is door.state else None


def tag_sender(door: Door, request: TagRequest) -> Sender | None:
    """Give the sender of a request whose query holds the write key; None for a key of no site."""
    behind = through_proxies(request, door.state.proxy_networks)
    site = door.state.site_of_write_key.get(request.fields.get("key", ""))
    if site is None:
        return None
    found = sender_of(door, behind, site, server=False)
    if any(name in request.fields for name in ARRIVALS):
        found = msgspec.structs.replace(found, is_asked_little=False, is_common=False)
    memory = request.caller.memory
    if len(memory) < QUERIES_REMEMBERED_MAX and len(request.query) <= KNOWN_QUERY_LENGTH_MAX:
        memory[request.query] = found
    return found


def told_by(sender: Sender, raw: bytes) -> Told:
    """Give what these bytes of a message's `context` say; raise MsgspecError for another form."""
    known = sender.told.get(raw)
    if known is None:
        known = _hear(sender, raw)
        if len(sender.told) < TOLD_REMEMBERED_MAX and len(raw) <= TOLD_BYTES_MAX:
            sender.told[raw] = known
    return known


def _hear(sender: Sender, raw: bytes) -> Told:
    """Find what was said, among what others said alike to the same site."""
    heard = sender.state.heard
    name = (sender.site.key, sender.server, sender.gpc, sender.country, raw)
    known: Told | None = heard.get(name)
    if known is None:
        known = _decide(sender, raw)
        if len(raw) <= HEARD_BYTES_MAX:
            _heard(sender.state, name, known)
    return known


def _heard(state: TagState, name: Hashable, fresh: Known) -> Known:
    """Give what is remembered by this name, or remember the fresh one."""
    if len(state.heard) >= HEARD_MAX:
        state.heard.clear()
    found: Known = state.heard.setdefault(name, fresh)
    return found


def _decide(sender: Sender, raw: bytes) -> Told:
    context = read_context(raw)
    signals = _signals_of(sender, context.consent if context else None)
    unasked = sender.server and signals == Signals()
    decision = None if unasked else sender.state.decide(signals, Use.STORE, sender.site)
    may_store = decision is None or decision.allowed
    encoded = encode_signals(signals)
    special = context is not None and (context.token or context.anonymous)
    return Told(
        context=context,
        signals=signals,
        encoded=encoded,
        may_store=may_store,
        refuses=not may_store and decision is not None and decision.signal != SITE_DEFAULT,
        is_common=may_store and not special and (not raw or is_harmless_context(raw)),
        manners={},
    )


def _signals_of(sender: Sender, given: ConsentFields | None) -> Signals:
    if given is None:
        return Signals(gpc=sender.gpc, country=sender.country)
    signals = Signals(
        tcf=signal_text(given.tcf),
        gdpr=None if given.gdpr is None else bool(given.gdpr),
        gpp=signal_text(given.gpp),
        gpp_sid=given.gpp_sid,
        us_privacy=signal_text(given.us_privacy),
        gpc=sender.gpc or given.gpc,
        explicit=with_google(
            explicit_choices(given.explicit), given.ad_user_data, given.ad_personalization
        ),
        country=sender.country,
    )
    if sender.server and signals != Signals():
        signals = msgspec.structs.replace(signals, by_server=True)
    return signals


def packed_meta(door: Door, sender: Sender, told: Told, type_: str) -> bytes:
    """Give what the record of a message says of it, when it proves nothing."""
    if sender.server:  # whose agent each message may name itself
        return pack_meta(meta_of(door, sender, told, type_))
    name = (type_, told.encoded)
    known = sender.packed.get(name)
    if known is None:
        known = pack_meta(meta_of(door, sender, told, type_))
        if len(sender.packed) < TOLD_REMEMBERED_MAX:
            sender.packed[name] = known
    return known


def who_at(door: Door, sender: Sender, manner: Manner) -> bytes:
    """Give what follows the stamp in the record of a message of a sender who `is_common`."""
    packed = packed_meta(door, sender, manner.told, manner.type)
    known = who_of(sender.visitor, packed)
    if len(sender.who) < TOLD_REMEMBERED_MAX:
        sender.who[manner.name] = known
    return known


def meta_of(
    door: Door,
    sender: Sender,
    told: Told,
    type_: str,
    *,
    proved: str = "",
    method: str = "",
    sent_at: str = "",
) -> Meta:
    """Give what the record of a message says of it."""
    agent = sender.agent
    if sender.server:
        given = (told.context.user_agent if told.context else None) or ""
        agent = door.redacted(given[:AGENT_LENGTH_MAX])
    return Meta(
        site=sender.site.key,
        type=type_,
        server=sender.server,
        agent=agent,
        ip=sender.ip,
        signals=told.encoded,
        proved=proved,
        method=method if proved else "",
        sent_at=sent_at,
    )
