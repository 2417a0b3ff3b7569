"""The journey of one message: each step adds to its `Draft`, or stops with a `DropReason`.

The order stands in `STEPS_OF_TAG` and `STEPS_OF_SEGMENT`. Nothing is written here.
"""

import json
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import msgspec

from matching.consent.decide import Signals, Use, encode_signals
from matching.contact_hashes import crm_id_of, may_hold_contact, redact_json, redact_text
from matching.ids import VisitorId
from service.tag import visitor_cookie
from service.tag.door import Door
from service.tag.messages import NAME_LENGTH_MAX, Message
from service.tag.record import Kind, Meta, write_record
from service.tag.request import TagRequest
from service.tag.tag_state import Site
from service.tag.tokens import TokenError, read_identify

NO_VISITOR: Final = VisitorId(bytes(16))
AGENT_LENGTH_MAX: Final = 512
EXPLICIT_KEYS: Final = frozenset({"store", "audiences", "sync", "personalise"})
UNREADABLE_SIGNAL: Final = "unreadable"
"""Stands for a consent string in no alphabet of theirs; it denies as the string itself would."""
_SIGNAL: Final = re.compile(r"[A-Za-z0-9_.~=-]*")
_TOKEN: Final = re.compile(rb"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{16,}|(?<=/c/)[\w-]{40,}")
"""A JWT anywhere, and the token of a newsletter link."""


class DropReason(StrEnum):
    """Why a message is not kept; the metric's label, the log's field and what tests assert."""

    UNKNOWN_KEY = "unknown_key"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    NO_CONSENT = "no_consent"
    OPTED_OUT = "opted_out"
    SUPPRESSED = "suppressed"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    OVER_RATE = "over_rate"
    SPOOL_FULL = "spool_full"


class Draft(msgspec.Struct, kw_only=True):
    """One message on its way to a record."""

    message: Message
    raw: bytes
    request: TagRequest
    site: Site
    server: bool
    sent_at: str = ""
    visitor: VisitorId = NO_VISITOR
    new_visitor: bool = False
    signals: Signals = Signals()
    proved: str = ""
    method: str = ""


class Stop(Exception):
    """A message is not kept; some records may still be, such as the withdrawal it carried."""

    def __init__(self, reason: DropReason, *records: bytes) -> None:
        super().__init__(reason)
        self.reason = reason
        self.records = records


Step = Callable[[Door, Draft], None]


def drop_opted_out(door: Door, draft: Draft) -> None:
    """Stop what a browser sends that opted out."""
    if not draft.server and door.is_opted_out(draft.request):
        raise Stop(DropReason.OPTED_OUT)


def put_cookie_visitor(door: Door, draft: Draft) -> None:
    """Name the visitor by its signed cookie."""
    found = None if draft.server else door.cookie_of(draft.request, draft.site)
    if found is not None:
        draft.visitor = found.visitor


def put_named_visitor(door: Door, draft: Draft) -> None:
    """Name the visitor by a reference of ours, or an SDK's own anonymousId."""
    if draft.visitor != NO_VISITOR or not draft.message.browser:
        return
    name = draft.message.browser
    referred = visitor_cookie.read_reference(door.keys, name)
    draft.visitor = referred or visitor_cookie.visitor_of_sdk(door.keys, draft.site.key, name)


def put_signals(_: Door, draft: Draft) -> None:
    """Gather the consent signals of message and request."""
    given = draft.message.context.consent if draft.message.context else None
    gpc = draft.request.header("sec-gpc") == "1" and not draft.server
    if given is None:
        draft.signals = Signals(gpc=gpc)
        return
    draft.signals = Signals(
        tcf=signal_text(given.tcf),
        gdpr=None if given.gdpr is None else bool(given.gdpr),
        gpp=signal_text(given.gpp),
        gpp_sid=given.gpp_sid,
        us_privacy=signal_text(given.us_privacy),
        gpc=gpc or given.gpc,
        explicit=explicit_choices(given.explicit),
    )
    if draft.server and draft.signals != Signals():
        draft.signals = msgspec.structs.replace(draft.signals, by_server=True)


def signal_text(text: str) -> str:
    """Give a consent string as it came, or what stands for one in no alphabet of theirs."""
    # Why: signals are kept as they came; what is none could be anything, an address too.
    return text if _SIGNAL.fullmatch(text.strip()) else UNREADABLE_SIGNAL


def explicit_choices(given: dict[str, bool] | None) -> dict[str, bool] | None:
    """Give the choices that there are; any other key could hold anything, an address too."""
    return None if given is None else {k: v for k, v in given.items() if k in EXPLICIT_KEYS}


def drop_without_consent(door: Door, draft: Draft) -> None:
    """Stop what may not be stored; keep the withdrawal, which the loader drops for strangers."""
    if draft.server and draft.signals == Signals():
        return
    if door.state.decide(draft.signals, Use.STORE, draft.site).allowed:
        return
    if draft.visitor == NO_VISITOR or draft.signals == Signals():
        raise Stop(DropReason.NO_CONSENT)
    raise Stop(DropReason.NO_CONSENT, _withdrawal_of(draft))


def mint_visitor(_: Door, draft: Draft) -> None:
    """Make a new visitor where the browser has none."""
    if draft.visitor == NO_VISITOR and not draft.server:
        draft.visitor = visitor_cookie.mint_visitor()
        draft.new_visitor = True


def drop_suppressed(door: Door, draft: Draft) -> None:
    """Stop what names somebody of whom nothing may be kept."""
    if not door.state.suppressed_hashes:
        return
    customer = crm_id_of(draft.message.customer, door.seal)
    if draft.visitor != NO_VISITOR and door.is_suppressed("visitor", draft.visitor):
        raise Stop(DropReason.SUPPRESSED)
    if customer and door.is_suppressed("crm_id", customer.encode()):
        raise Stop(DropReason.SUPPRESSED)


def put_proof(door: Door, draft: Draft) -> None:
    """Note which customer is proved, and how; everything else stays a claim."""
    ordered = draft.message.event == "Order Completed"
    if draft.server:
        draft.proved = crm_id_of(draft.message.customer, door.seal)
        draft.method = "purchase" if ordered else "server"
        return
    token = draft.message.context.token if draft.message.context else None
    if not token or not draft.site.identify_secret:
        return
    try:
        found = read_identify(
            draft.site.identify_secret,
            token,
            site=draft.site.key,
            now_s=draft.request.now_s,
        )
    except (TokenError, RecursionError):
        return  # an expired or foreign token leaves a claim, decision 7
    named = draft.message.customer
    if len(found.crm_id) > NAME_LENGTH_MAX:
        return
    same_browser = not found.visitor or (
        visitor_cookie.read_reference(door.keys, found.visitor) == draft.visitor
    )
    if same_browser and named in {"", found.crm_id.strip()}:
        draft.proved = crm_id_of(found.crm_id, door.seal)
        draft.method = "purchase" if ordered else "login"


def redact(door: Door, draft: Draft) -> None:
    """Take tokens, addresses and phones out of the bytes."""
    has_token = draft.message.context is not None and draft.message.context.token
    if has_token or may_hold_contact(draft.raw):
        tree = msgspec.json.decode(draft.raw)
        if has_token:
            tree["context"].pop("token", None)
        draft.raw = _bytes_of(redact_json(tree, door.seal))
    if b"eyJ" in draft.raw or b"/c/" in draft.raw:
        draft.raw = _TOKEN.sub(b"token", draft.raw)


def _bytes_of(tree: Any) -> bytes:
    try:
        return msgspec.json.encode(tree)
    except OverflowError:  # a whole number of more than 64 bits
        return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()


STEPS_OF_TAG: Final[tuple[Step, ...]] = (
    drop_opted_out,
    put_cookie_visitor,
    put_signals,
    drop_without_consent,
    mint_visitor,
    drop_suppressed,
    put_proof,
    redact,
)
STEPS_OF_SEGMENT: Final[tuple[Step, ...]] = (
    drop_opted_out,
    put_cookie_visitor,
    put_named_visitor,
    put_signals,
    drop_without_consent,
    drop_suppressed,
    put_proof,
    redact,
)


def record_of(door: Door, draft: Draft) -> bytes:
    """Give the bytes that the spool keeps of a message that came through all steps."""
    context = draft.message.context
    agent = draft.request.header("user-agent")
    if draft.server:
        agent = (context.user_agent if context else None) or ""
    meta = Meta(
        site=draft.site.key,
        type=draft.message.type,
        server=draft.server,
        agent=redact_text(agent[:AGENT_LENGTH_MAX], door.seal),
        ip="" if draft.server else draft.request.cut_address,
        signals=encode_signals(draft.signals),
        proved=draft.proved,
        method=draft.method if draft.proved else "",
        sent_at=draft.sent_at,
    )
    return write_record(Kind.MESSAGE, draft.request.received_us, draft.visitor, meta, draft.raw)


def _withdrawal_of(draft: Draft) -> bytes:
    meta = Meta(site=draft.site.key, signals=encode_signals(draft.signals))
    return write_record(Kind.CONSENT, draft.request.received_us, draft.visitor, meta, b"")
