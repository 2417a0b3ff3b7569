"""A request comes in, an answer and the records to keep go out; nothing is written here.

The journey of one message is a list of steps (`STEPS_OF_TAG`, `STEPS_OF_SEGMENT`): each adds to the
message's `Draft` or stops with a `DropReason`. Which routes exist is said in `routes.py`.
"""

import base64
import binascii
import gzip
from collections.abc import Callable, Mapping
from enum import StrEnum
from hmac import compare_digest
from typing import Final

import msgspec

from matching.consent.decide import Signals, Use, encode_signals
from matching.contact_hashes import Seal, may_hold_contact, redact_json, seal
from matching.ids import VisitorId
from service.tag import messages, visitor_cookie
from service.tag.messages import GivenBatch, Message
from service.tag.record import Kind, Meta, write_record
from service.tag.request import BodyTooLarge, TagAnswer, TagRequest, cors_headers, gif, inflated
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Keys, TokenError, read_identify

NO_VISITOR: Final = VisitorId(bytes(16))
OPT_OUT_COOKIE: Final = "jml_out"
SUPPRESSED_PURPOSE: Final = "tombstone"


class DropReason(StrEnum):
    """Why a message is not kept; the metric's label, the log's field and what tests assert."""

    UNKNOWN_KEY = "unknown_key"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    NO_CONSENT = "no_consent"
    OPTED_OUT = "opted_out"
    SUPPRESSED = "suppressed"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    SPOOL_FULL = "spool_full"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request: the answer, the records to append first, what was dropped."""

    answer: TagAnswer
    records: tuple[bytes, ...] = ()
    dropped: tuple[DropReason, ...] = ()

    @property
    def received(self) -> int:
        """How many records this request counts for in the balance."""
        return len(self.records) + len(self.dropped)


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


class Collector:
    """Turns tag requests into records; knows the published state and the installation's keys."""

    def __init__(self, *, state: Callable[[], TagState], keys: Keys) -> None:
        self._state = state
        self.keys = keys
        contact_key = keys.contact_key
        self._seal: Seal = lambda hash_hex: seal(hash_hex, contact_key)

    @property
    def state(self) -> TagState:
        """The newest published state."""
        return self._state()

    def collect_tag(self, request: TagRequest) -> Outcome:
        """`POST /t`: the tag's own messages; 204, or 4xx with the reason."""
        site = self.state.site_of_write_key.get(request.fields.get("key", ""))
        if site is None:
            return refused(request, 401, DropReason.UNKNOWN_KEY, "no site has this write key")
        try:
            batch = messages.read_tag_body(inflated(request, messages.BATCH_BYTES_MAX))
        except (messages.Unreadable, BodyTooLarge, gzip.BadGzipFile) as problem:
            return _unreadable(request, problem)
        return self._collect(request, site, batch, server=False, tag=True)

    def collect_segment(self, request: TagRequest, type_: str) -> Outcome:
        """`POST /v1/TYPE` and `/v1/batch` (type ""): what Segment's SDKs send."""
        try:
            body = inflated(request, messages.BATCH_BYTES_MAX)
            if type_:
                batch = messages.GivenBatch(given=messages.read_single(body, type_))
            else:
                batch = messages.read_batch(body)
        except (messages.Unreadable, BodyTooLarge, gzip.BadGzipFile) as problem:
            return _unreadable(request, problem)
        site, server = self._site_of(_key_of(request, batch))
        if site is None:
            return refused(request, 401, DropReason.UNKNOWN_KEY, "no site has this write key")
        return self._collect(request, site, batch, server=server, tag=False)

    def collect_pixel(self, request: TagRequest) -> Outcome:
        """`GET /p.gif`: one message in the query; always answered with the pixel."""
        fields = request.fields
        site = self.state.site_of_write_key.get(fields.get("key", ""))
        if site is None:
            return Outcome(answer=gif(), dropped=(DropReason.UNKNOWN_KEY,))
        raw = msgspec.json.encode(_pixel_message(fields))
        type_ = "track" if fields.get("event") else "page"
        batch = messages.GivenBatch(given=messages.read_single(raw, type_))
        outcome = self._collect(request, site, batch, server=False, tag=True)
        kept = [each for each in outcome.answer.headers if each[0] == "Set-Cookie"]
        return msgspec.structs.replace(outcome, answer=gif(*kept))

    def _site_of(self, key: str) -> tuple[Site | None, bool]:
        site = self.state.site_of_write_key.get(key)
        if site is not None:
            return site, False
        for each in self.state.sites:
            if key and each.server_key and _same(key, each.server_key):
                return each, True
        return None, False

    def _collect(
        self, request: TagRequest, site: Site, batch: GivenBatch, *, server: bool, tag: bool
    ) -> Outcome:
        if not request.from_allowed_origin(site):
            why = f"pages of {request.header('origin')} may not write to site {site.key}"
            return refused(request, 403, DropReason.ORIGIN_NOT_ALLOWED, why)
        records: list[bytes] = []
        dropped: list[DropReason] = []
        problems: list[dict[str, object]] = []
        minted: VisitorId | None = None
        for index, each in enumerate(batch.given):
            if each.message is None:
                dropped.append(DropReason.MALFORMED)
                problems.append({"index": index, "reason": each.problem})
                continue
            draft = Draft(
                message=each.message,
                raw=each.raw,
                request=request,
                site=site,
                server=server,
                sent_at=batch.sent_at,
            )
            if minted is not None:
                draft.visitor, draft.new_visitor = minted, True
            try:
                for step in STEPS_OF_TAG if tag else STEPS_OF_SEGMENT:
                    step(self, draft)
            except Stop as stop:
                dropped.append(stop.reason)
                records.extend(stop.records)
                continue
            if draft.new_visitor:
                minted = draft.visitor
            records.append(_record_of(draft))
        answer = self._answer(request, site, minted, problems, tag=tag)
        return Outcome(answer=answer, records=tuple(records), dropped=tuple(dropped))

    def _answer(
        self,
        request: TagRequest,
        site: Site,
        minted: VisitorId | None,
        problems: list[dict[str, object]],
        *,
        tag: bool,
    ) -> TagAnswer:
        headers = cors_headers(request)
        if not tag:
            body: dict[str, object] = {"success": True}
            if problems:
                body["refused"] = problems
            fixed = (("Content-Type", "application/json"),)
            return TagAnswer(status=200, headers=headers + fixed, body=msgspec.json.encode(body))
        if problems:
            status, body_bytes = 400, msgspec.json.encode({"refused": problems})
        else:
            status, body_bytes = 204, b""
        headers += self._cookie_headers(request, site, minted)
        return TagAnswer(status=status, headers=headers, body=body_bytes)

    def _cookie_headers(
        self, request: TagRequest, site: Site, minted: VisitorId | None
    ) -> tuple[tuple[str, str], ...]:
        visitor = minted
        if visitor is None:
            found = self.cookie_of(request, site)
            if found is None or not visitor_cookie.must_renew(found, now_s=request.now_s):
                return ()
            visitor = found.visitor
        value = visitor_cookie.write_cookie(self.keys, visitor, now_s=request.now_s)
        line = visitor_cookie.set_cookie(site.cookie, value, secure=request.secure)
        reference = visitor_cookie.write_reference(self.keys, visitor)
        return (("Set-Cookie", line), ("Jumelle-Visitor", reference))

    def cookie_of(self, request: TagRequest, site: Site) -> visitor_cookie.VisitorCookie | None:
        """Give the visitor that the request's cookie names, if it is one of ours."""
        value = visitor_cookie.find_cookie(request.header("cookie"), site.cookie.name)
        return visitor_cookie.read_cookie(self.keys, value)

    def is_opted_out(self, request: TagRequest) -> bool:
        """Tell whether the browser carries our opt-out cookie."""
        value = visitor_cookie.find_cookie(request.header("cookie"), OPT_OUT_COOKIE)
        return visitor_cookie.is_opted_out(self.keys, value)

    def is_suppressed(self, kind: str, name: bytes) -> bool:
        """Tell whether a visitor or customer must never be kept again."""
        hashed = self.keys.keyed_hash(SUPPRESSED_PURPOSE, kind.encode(), name).hex()
        return hashed in self.state.suppressed_hashes

    # The steps, in the order of STEPS_OF_TAG and STEPS_OF_SEGMENT.

    def drop_opted_out(self, draft: Draft) -> None:
        if not draft.server and self.is_opted_out(draft.request):
            raise Stop(DropReason.OPTED_OUT)

    def put_cookie_visitor(self, draft: Draft) -> None:
        found = None if draft.server else self.cookie_of(draft.request, draft.site)
        if found is not None:
            draft.visitor = found.visitor

    def put_named_visitor(self, draft: Draft) -> None:
        if draft.visitor != NO_VISITOR or not draft.message.browser:
            return
        name = draft.message.browser
        referred = visitor_cookie.read_reference(self.keys, name)
        draft.visitor = referred or visitor_cookie.visitor_of_sdk(self.keys, draft.site.key, name)

    def put_signals(self, draft: Draft) -> None:
        given = draft.message.context.consent if draft.message.context else None
        gpc = draft.request.header("sec-gpc") == "1" and not draft.server
        if given is None:
            draft.signals = Signals(gpc=gpc)
            return
        draft.signals = Signals(
            tcf=given.tcf,
            gdpr=None if given.gdpr is None else bool(given.gdpr),
            gpp=given.gpp,
            gpp_sid=given.gpp_sid,
            us_privacy=given.us_privacy,
            gpc=gpc or given.gpc,
            explicit=given.explicit,
        )

    def drop_without_consent(self, draft: Draft) -> None:
        if draft.server and draft.signals == Signals():
            return
        if self.state.decide(draft.signals, Use.STORE, draft.site).allowed:
            return
        if draft.visitor == NO_VISITOR or draft.signals == Signals():
            raise Stop(DropReason.NO_CONSENT)
        raise Stop(DropReason.NO_CONSENT, _withdrawal_of(draft))

    def mint_visitor(self, draft: Draft) -> None:
        if draft.visitor == NO_VISITOR and not draft.server:
            draft.visitor = visitor_cookie.mint_visitor()
            draft.new_visitor = True

    def drop_suppressed(self, draft: Draft) -> None:
        if not self.state.suppressed_hashes:
            return
        customer = draft.message.customer
        if draft.visitor != NO_VISITOR and self.is_suppressed("visitor", draft.visitor):
            raise Stop(DropReason.SUPPRESSED)
        if customer and self.is_suppressed("crm_id", customer.encode()):
            raise Stop(DropReason.SUPPRESSED)

    def put_proof(self, draft: Draft) -> None:
        ordered = draft.message.event == "Order Completed"
        if draft.server:
            draft.proved = draft.message.customer
            draft.method = "purchase" if ordered else "server"
            return
        token = draft.message.context.token if draft.message.context else ""
        if not token or not draft.site.identify_secret:
            return
        try:
            found = read_identify(
                draft.site.identify_secret,
                token,
                site=draft.site.key,
                now_s=draft.request.now_s,
            )
        except TokenError:
            return  # an expired or foreign token leaves a claim, decision 7
        named = draft.message.customer
        same_browser = not found.visitor or (
            visitor_cookie.read_reference(self.keys, found.visitor) == draft.visitor
        )
        if same_browser and named in {"", found.crm_id}:
            draft.proved, draft.method = found.crm_id, "purchase" if ordered else "login"

    def redact(self, draft: Draft) -> None:
        has_token = draft.message.context is not None and draft.message.context.token
        if not has_token and not may_hold_contact(draft.raw):
            return
        tree = msgspec.json.decode(draft.raw)
        if has_token:
            tree["context"].pop("token", None)
        draft.raw = msgspec.json.encode(redact_json(tree, self._seal))


STEPS_OF_TAG: Final = (
    Collector.drop_opted_out,
    Collector.put_cookie_visitor,
    Collector.put_signals,
    Collector.drop_without_consent,
    Collector.mint_visitor,
    Collector.drop_suppressed,
    Collector.put_proof,
    Collector.redact,
)
STEPS_OF_SEGMENT: Final = (
    Collector.drop_opted_out,
    Collector.put_cookie_visitor,
    Collector.put_named_visitor,
    Collector.put_signals,
    Collector.drop_without_consent,
    Collector.drop_suppressed,
    Collector.put_proof,
    Collector.redact,
)


def refused(request: TagRequest, status: int, reason: DropReason, why: str) -> Outcome:
    """Refuse a whole request with its reason."""
    body = msgspec.json.encode({"success": False, "reason": reason, "detail": why})
    headers = (("Content-Type", "application/json"), *cors_headers(request))
    return Outcome(answer=TagAnswer(status=status, headers=headers, body=body), dropped=(reason,))


def _unreadable(request: TagRequest, problem: Exception) -> Outcome:
    if isinstance(problem, BodyTooLarge):
        return refused(request, 413, DropReason.TOO_LARGE, str(problem))
    return refused(request, 400, DropReason.MALFORMED, str(problem))


def _record_of(draft: Draft) -> bytes:
    context = draft.message.context
    agent = draft.request.header("user-agent")
    if draft.server:
        agent = context.user_agent if context else ""
    meta = Meta(
        site=draft.site.key,
        type=draft.message.type,
        server=draft.server,
        agent=agent[:512],
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


def _key_of(request: TagRequest, batch: GivenBatch) -> str:
    scheme, _, coded = request.header("authorization").partition(" ")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(coded, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    if request.fields.get("key"):
        return request.fields["key"]
    named = (each.message.write_key for each in batch.given if each.message)
    return batch.write_key or next((key for key in named if key), "")


def _pixel_message(fields: Mapping[str, str]) -> dict[str, object]:
    inside = {"key", "event", "name", "messageId", "anonymousId"}
    message: dict[str, object] = {
        "properties": {name: value for name, value in fields.items() if name not in inside}
    }
    for name in ("event", "name", "messageId", "anonymousId"):
        if fields.get(name):
            message[name] = fields[name]
    return message


def _same(given: str, expected: str) -> bool:
    return compare_digest(given.encode(), expected.encode())
