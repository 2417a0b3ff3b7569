"""The journey of one message: each step adds to its `Draft`, or stops with a `DropReason`.

The order stands in `STEPS_OF_TAG` and `STEPS_OF_SEGMENT`. Nothing is written here.
"""

import json
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

import msgspec

from matching.contact_hashes import crm_id_of, may_hold_contact, redact_json
from matching.ids import VisitorId
from service.tag import visitor_cookie
from service.tag.door import Door
from service.tag.harmless import may_hold_token
from service.tag.message_bodies import Given
from service.tag.messages import NAME_LENGTH_MAX, Message
from service.tag.record import Kind, Meta, pack_meta, write_packed, write_record
from service.tag.request import TagRequest
from service.tag.sender import Sender, meta_of, packed_meta, told_by
from service.tag.tokens import TokenError, read_identify
from service.tag.told import Told

NO_VISITOR: Final = VisitorId(bytes(16))
COUNTED_TYPES: Final = frozenset({"page", "screen", "track"})
NAMELESS_FIELDS: Final = (
    *("type", "messageId", "event", "name", "category", "properties"),
    *("timestamp", "sentAt"),
)
REMOVED: Final = "removed"
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
    harmless: bool = False
    sender: Sender
    server: bool
    told: Told
    received_us: int
    sent_at: str = ""
    visitor: VisitorId = NO_VISITOR
    new_visitor: bool = False
    linked: VisitorId | None = None
    """Whom a good linker's token names, for a browser without a cookie."""
    anonymous: bool = False
    proved: str = ""
    method: str = ""


def draft_of(
    message: Message, given: Given, sender: Sender, request: TagRequest, sent_at: str = ""
) -> Draft:
    """Begin the journey of a message that was read."""
    told = told_by(sender, bytes(message.raw_context))
    return Draft(
        message=message,
        raw=given.raw,
        harmless=given.harmless,
        sender=sender,
        server=sender.server,
        received_us=request.received_us,
        sent_at=sent_at,
        told=told,
        anonymous=sender.anonymous or bool(told.context is not None and told.context.anonymous),
    )


class Stop(Exception):
    """A message is not kept; some records may still be, such as the withdrawal it carried."""

    def __init__(self, reason: DropReason, *records: bytes) -> None:
        super().__init__(reason)
        self.reason = reason
        self.records = records


Step = Callable[[Door, Draft], None]


def drop_opted_out(_: Door, draft: Draft) -> None:
    """Stop what a browser sends that opted out."""
    if draft.sender.opted_out:
        raise Stop(DropReason.OPTED_OUT)


def drop_anonymous(_: Door, draft: Draft) -> None:
    """Stop what asks to leave no trace; it says nothing of consent to other messages."""
    if draft.anonymous:
        raise Stop(DropReason.NO_CONSENT)


def drop_unless_counted(_: Door, draft: Draft) -> None:
    """Stop an anonymous message that somebody refused, or that is of another kind than counted."""
    if draft.told.refuses or draft.message.type not in COUNTED_TYPES:
        raise Stop(DropReason.NO_CONSENT)


def keep_nameless(_: Door, draft: Draft) -> None:
    """Leave of an anonymous message what names nobody: no id, trait, proof, consent or contact."""
    tree = msgspec.json.decode(draft.raw)
    kept = {name: tree[name] for name in NAMELESS_FIELDS if name in tree}
    context = tree.get("context") or {}
    kept["context"] = {
        "anonymous": True,
        **{name: context[name] for name in ("page", "library") if name in context},
    }
    draft.raw = _TOKEN.sub(b"token", _bytes_of(redact_json(kept, lambda _: REMOVED)))


def put_cookie_visitor(_: Door, draft: Draft) -> None:
    """Name the visitor by its signed cookie."""
    found = draft.sender.cookie_at(draft.received_us // 1_000_000)
    if found is not None:
        draft.visitor = found.visitor


def put_named_visitor(door: Door, draft: Draft) -> None:
    """Name the visitor by a reference of ours, or an SDK's own anonymousId."""
    if draft.visitor != NO_VISITOR or not draft.message.browser:
        return
    name = draft.message.browser
    referred = visitor_cookie.read_reference(door.keys, name)
    draft.visitor = referred or visitor_cookie.visitor_of_sdk(
        door.keys, draft.sender.site.key, name
    )


def drop_without_consent(_: Door, draft: Draft) -> None:
    """Stop what may not be stored; keep the withdrawal, which the loader drops for strangers."""
    if draft.told.may_store:
        return
    if draft.visitor == NO_VISITOR or draft.told.signals.is_silent:
        raise Stop(DropReason.NO_CONSENT)
    raise Stop(DropReason.NO_CONSENT, _withdrawal_of(draft))


def put_linked_visitor(_: Door, draft: Draft) -> None:
    """Name the visitor who came from another domain of the site."""
    if draft.visitor == NO_VISITOR and draft.linked is not None:
        draft.visitor, draft.new_visitor = draft.linked, True


def mint_visitor(door: Door, draft: Draft) -> None:
    """Make a new visitor where the browser has none; the same one for a message sent again."""
    if draft.visitor == NO_VISITOR and not draft.server:
        sender = draft.sender
        draft.visitor = visitor_cookie.first_visitor(
            door.keys,
            draft.message.message_id,
            sender.site.key,
            sender.agent,
            sender.ip,
            now_s=draft.received_us // 1_000_000,
        )
        draft.new_visitor = True


def drop_suppressed(door: Door, draft: Draft) -> None:
    """Stop what names somebody of whom nothing may be kept."""
    if not draft.sender.state.suppressed_hashes:
        return
    customer = crm_id_of(draft.message.customer, door.seal)
    if draft.visitor != NO_VISITOR and door.is_suppressed("visitor", draft.visitor):
        raise Stop(DropReason.SUPPRESSED)
    if customer and door.is_suppressed("crm_id", customer.encode()):
        raise Stop(DropReason.SUPPRESSED)


def put_proof(door: Door, draft: Draft) -> None:
    """Note which customer is proved, and how; everything else stays a claim."""
    context, site = draft.told.context, draft.sender.site
    if not draft.server and (context is None or not context.token or not site.identify_secret):
        return
    ordered = draft.message.event == "Order Completed"
    if draft.server:
        draft.proved = crm_id_of(draft.message.customer, door.seal)
        draft.method = "purchase" if ordered else "server"
        return
    token = context.token if context and context.token else ""
    try:
        found = read_identify(
            site.identify_secret, token, site=site.key, now_s=draft.received_us // 1_000_000
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
    if draft.harmless:
        return
    has_token = draft.told.context is not None and draft.told.context.token
    if has_token or may_hold_contact(draft.raw):
        tree = msgspec.json.decode(draft.raw)
        if has_token:
            tree["context"].pop("token", None)
        draft.raw = _bytes_of(redact_json(tree, door.seal))
    if may_hold_token(draft.raw):
        draft.raw = _TOKEN.sub(b"token", draft.raw)


def _bytes_of(tree: Any) -> bytes:
    try:
        return msgspec.json.encode(tree)
    except OverflowError:  # a whole number of more than 64 bits
        return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode()


STEPS_OF_TAG: Final[tuple[Step, ...]] = (
    drop_opted_out,
    drop_anonymous,
    put_cookie_visitor,
    drop_without_consent,
    put_linked_visitor,
    mint_visitor,
    drop_suppressed,
    put_proof,
    redact,
)
STEPS_OF_ANONYMOUS: Final[tuple[Step, ...]] = (
    drop_opted_out,
    drop_unless_counted,
    keep_nameless,
)
"""For sites that count before a permission; no step of these gives a message a visitor."""
STEPS_OF_SEGMENT: Final[tuple[Step, ...]] = (
    drop_opted_out,
    drop_anonymous,
    put_cookie_visitor,
    put_named_visitor,
    drop_without_consent,
    drop_suppressed,
    put_proof,
    redact,
)


def record_of(door: Door, draft: Draft) -> bytes:
    """Give the bytes that the spool keeps of a message that came through all steps."""
    sender, told, type_ = draft.sender, draft.told, draft.message.type
    if draft.anonymous:
        # Why the agent: it alone tells crawlers, and no table keeps it.
        meta = Meta(site=sender.site.key, type=type_, server=sender.server, agent=sender.agent)
        return write_record(Kind.MESSAGE, draft.received_us, NO_VISITOR, meta, draft.raw)
    if draft.proved or draft.sent_at:
        meta = meta_of(
            door,
            sender,
            told,
            type_,
            proved=draft.proved,
            method=draft.method,
            sent_at=draft.sent_at,
        )
        packed = pack_meta(meta)
    else:
        packed = packed_meta(door, sender, told, type_)
    return write_packed(Kind.MESSAGE, draft.received_us, draft.visitor, packed, draft.raw)


def _withdrawal_of(draft: Draft) -> bytes:
    meta = Meta(site=draft.sender.site.key, signals=draft.told.encoded)
    return write_record(Kind.CONSENT, draft.received_us, draft.visitor, meta, b"")
