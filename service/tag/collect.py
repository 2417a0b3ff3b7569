"""A request comes in, an answer and the records to keep go out; nothing is written here.

The journey of each message stands in `steps.py`; which routes exist, in `routes.py`.
"""

import gzip
import math
from collections.abc import Callable, Sequence

import msgspec

from matching.ids import VisitorId
from service.tag import message_bodies, visitor_cookie
from service.tag.arrival import (
    Arrival,
    arrival_of,
    click_of,
    count_link,
    link_header,
    reference_header,
)
from service.tag.door import Door
from service.tag.glance import keep_at_a_glance, keep_pixel_at_a_glance
from service.tag.message_bodies import BATCH_BYTES_MAX, Given, GivenBatch, Unreadable
from service.tag.messages import server_time_fault
from service.tag.other_id_records import other_id_records
from service.tag.pixel import PLAIN_PIXEL, pixel_message
from service.tag.rate import Rates
from service.tag.record import Kind, stamp_of
from service.tag.request import (
    BodyTooLarge,
    TagAnswer,
    TagRequest,
    cors_headers,
    gif,
    inflated,
    through_proxies,
)
from service.tag.sender import Sender, known_sender, sender_of, tag_sender
from service.tag.steps import (
    NO_VISITOR,
    STEPS_OF_ANONYMOUS,
    STEPS_OF_SEGMENT,
    STEPS_OF_TAG,
    Draft,
    DropReason,
    Step,
    Stop,
    draft_of,
    record_of,
)
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Keys
from service.tag.write_keys import basic_key, key_of, same_key

Headers = tuple[tuple[str, str], ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request: the answer, the records to append first, what was dropped."""

    answer: TagAnswer
    records: tuple[bytes, ...] = ()
    dropped: tuple[DropReason, ...] = ()

    @property
    def received(self) -> int:
        """How many records this request counts for in the balance."""
        return len(self.records) + len(self.dropped)


class Collector(Door):
    """Turns tag requests into records."""

    def __init__(self, *, state: Callable[[], TagState], keys: Keys) -> None:
        super().__init__(state=state, keys=keys)
        self._rates = Rates()

    def collect_tag(self, request: TagRequest) -> Outcome:
        """`POST /t`: the tag's own messages; 204, or 4xx with the reason."""
        sender = known_sender(self, request) or tag_sender(self, request)
        if sender is None:
            return refused(request, 401, DropReason.UNKNOWN_KEY, "no site has this write key")
        found: list[bytes] = []
        stamp = stamp_of(Kind.MESSAGE, request.received_us)
        if sender.is_common and keep_at_a_glance(self, sender, request.body, stamp, found):
            answer = self.answer_to_known(sender, request.now_s)
            if answer is not None:
                return Outcome(answer=answer, records=tuple(found))
        request = through_proxies(request, sender.state.proxy_networks)
        try:
            small = not sender.inflates and len(request.body) <= BATCH_BYTES_MAX
            body = request.body if small else inflated(request, BATCH_BYTES_MAX)
            batch = message_bodies.read_tag_body(body)
        except (Unreadable, BodyTooLarge, gzip.BadGzipFile) as problem:
            return _unreadable(request, problem, sender.site)
        return self._collect(request, sender, batch, tag=True)

    def answer_to_known(self, sender: Sender, now_s: int) -> TagAnswer | None:
        """Answer who `is_common`, once a day with its cookie; None when that is too old."""
        if now_s <= sender.quiet_until_s:
            return sender.plain_answer
        if sender.cookie_at(now_s) is None:
            return None
        headers = sender.cors + self._cookie_headers(now_s, sender, None)
        return TagAnswer(status=204, headers=headers)

    def collect_segment(self, request: TagRequest, type_: str) -> Outcome:
        """`POST /v1/TYPE` and `/v1/batch` (type ""): what Segment's SDKs send."""
        try:
            body = inflated(request, BATCH_BYTES_MAX)
            if type_:
                batch = GivenBatch(given=message_bodies.read_single(body, type_))
            else:
                batch = message_bodies.read_batch(body)
        except (Unreadable, BodyTooLarge, gzip.BadGzipFile) as problem:
            return _unreadable(request, problem, self.site_meant(request))
        site, server = self._site_of(key_of(request, batch))
        if site is None:
            return refused(request, 401, DropReason.UNKNOWN_KEY, "no site has this write key")
        sender = sender_of(self, request, site, server=server)
        return self._collect(request, sender, batch, tag=False)

    def collect_pixel(self, request: TagRequest) -> Outcome:
        """`GET /p.gif`: one message in the query; always answered with the pixel."""
        fields = request.fields
        site = self.state.site_of_write_key.get(fields.get("key", ""))
        if site is None:
            return Outcome(answer=PLAIN_PIXEL, dropped=(DropReason.UNKNOWN_KEY,))
        sender = sender_of(self, request, site, server=False)
        if sender.is_common and request.now_s <= sender.quiet_until_s:
            found: list[bytes] = []
            stamp = stamp_of(Kind.MESSAGE, request.received_us)
            if keep_pixel_at_a_glance(self, sender, fields, stamp, found):
                return Outcome(answer=PLAIN_PIXEL, records=tuple(found))
        batch = GivenBatch(given=message_bodies.read_single(pixel_message(fields), ""))
        outcome = self._collect(request, sender, batch, tag=True)
        kept = [each for each in outcome.answer.headers if each[0] == "Set-Cookie"]
        return msgspec.structs.replace(outcome, answer=gif(*kept))

    def sites_meant(self, request: TagRequest) -> tuple[Site, ...]:
        """Give the sites for which a request without a readable body may ask: those of its key.

        Without a key outside the body it may be for any of them.
        """
        key = request.fields.get("key") or request.fields.get("account") or basic_key(request)
        site = self._site_of(key)[0]
        return (site,) if site else () if key else self.state.sites

    def site_meant(self, request: TagRequest) -> Site | None:
        """Give the one site whose key stands outside the body."""
        found = self.sites_meant(request)
        return found[0] if len(found) == 1 else None

    def _site_of(self, key: str) -> tuple[Site | None, bool]:
        site = self.state.site_of_write_key.get(key)
        if site is not None:
            return site, False
        for each in self.state.sites:
            if key and each.server_key and same_key(key, each.server_key):
                return each, True
        return None, False

    def _collect(
        self, request: TagRequest, sender: Sender, batch: GivenBatch, *, tag: bool
    ) -> Outcome:
        site, server = sender.site, sender.server
        if not sender.may_write:
            why = f"pages of {request.header('origin')} may not write to site {site.key}"
            return refused(request, 403, DropReason.ORIGIN_NOT_ALLOWED, why)
        if site.rate_max:
            wait_s = self._rates.take(
                (site.key, server),
                len(batch.given),
                rate_max=site.rate_max,
                now_s=request.received_us / 1_000_000,
            )
            if wait_s > 0:
                return _over_rate(request, site, len(batch.given), wait_s)
        arrival = arrival_of(self, request, sender)
        kept = _Kept(linked=arrival.visitor)
        for index, each in enumerate(batch.given):
            if each.message is None:
                kept.refuse(index, each)
                continue
            fault = server and server_time_fault(
                each.message, received_ms=request.received_us // 1000
            )
            if fault:
                kept.refuse(index, Given(message=None, raw=each.raw, problem=fault))
                continue
            draft = draft_of(each.message, each, sender, request, batch.sent_at)
            self._take(draft, kept, STEPS_OF_TAG if tag else STEPS_OF_SEGMENT)
        self._arrive(request, sender, arrival, kept)
        if tag:
            answer = self._tag_answer(request, sender, kept)
        else:
            nothing = len(kept.problems) == len(batch.given) > 0
            answer = _segment_answer(sender, kept, status=400 if nothing else 200)
        return Outcome(answer=answer, records=tuple(kept.records), dropped=tuple(kept.dropped))

    def _take(self, draft: Draft, kept: "_Kept", steps: Sequence[Step]) -> None:
        if draft.anonymous:
            if draft.sender.site.anonymous:
                steps = STEPS_OF_ANONYMOUS
        elif kept.minted is not None:
            draft.visitor, draft.new_visitor = kept.minted, True
        else:
            draft.linked = kept.linked
        try:
            for step in steps:
                step(self, draft)
        except Stop as stop:
            kept.dropped.append(stop.reason)
            kept.records.extend(stop.records)
            return
        kept.records.append(record_of(self, draft))
        if draft.anonymous:
            return  # nothing of it may reach a cookie or an id
        if draft.new_visitor:
            kept.minted = draft.visitor
        if not kept.taken:
            kept.taken, kept.visitor, kept.signals = True, draft.visitor, draft.told.encoded
        kept.records.extend(other_id_records(draft))

    def _arrive(self, request: TagRequest, sender: Sender, arrival: Arrival, kept: "_Kept") -> None:
        """Put a newsletter's click before the page that it led to, and count the linker's token."""
        count_link(arrival, kept.minted)
        if arrival.click and kept.taken:
            found = click_of(self, request, sender, arrival.click, kept.visitor, kept.signals)
            if found is not None:
                kept.records.insert(0, found)

    def _tag_answer(self, request: TagRequest, sender: Sender, kept: "_Kept") -> TagAnswer:
        named: Headers = ()
        if kept.taken:
            named = self._cookie_headers(request.now_s, sender, kept.minted)
            named = named or reference_header(self, request, sender)
        headers = sender.cors + named + link_header(self, request, sender)
        if headers == sender.cors and not kept.problems:
            return sender.plain_answer
        if not kept.problems:
            return TagAnswer(status=204, headers=headers)
        body = msgspec.json.encode({"refused": kept.problems})
        return TagAnswer(status=400, headers=headers, body=body)

    def _cookie_headers(self, now_s: int, sender: Sender, minted: VisitorId | None) -> Headers:
        visitor = minted
        if visitor is None:
            found = sender.cookie_at(now_s)
            if found is None or not visitor_cookie.must_renew(found, now_s=now_s):
                return ()
            visitor = found.visitor
        value = visitor_cookie.write_cookie(self.keys, visitor, now_s=now_s)
        line = visitor_cookie.set_cookie(sender.site.cookie, value, secure=sender.secure)
        reference = visitor_cookie.write_reference(self.keys, visitor)
        return (("Set-Cookie", line), ("Jumelle-Visitor", reference))


class _Kept(msgspec.Struct):
    """What has become of a request's messages so far."""

    records: list[bytes] = []
    dropped: list[DropReason] = []
    problems: list[dict[str, object]] = []
    minted: VisitorId | None = None
    linked: VisitorId | None = None
    """Whom the linker names, for a browser without a cookie."""
    taken: bool = False
    """Whether any named message came through; else the browser's cookie is left alone."""
    visitor: VisitorId = NO_VISITOR
    """Whose the first of them is, and what it says of consent."""
    signals: str = ""

    def refuse(self, index: int, given: Given) -> None:
        """Note a message that cannot be read, with its place and the reason."""
        self.dropped.append(DropReason.TOO_LARGE if given.oversized else DropReason.MALFORMED)
        self.problems.append({"index": index, "reason": given.problem})


def _segment_answer(sender: Sender, kept: _Kept, *, status: int) -> TagAnswer:
    body: dict[str, object] = {"success": status == 200}
    if kept.problems:
        body["refused"] = kept.problems
    headers = (*sender.cors, ("Content-Type", "application/json"))
    return TagAnswer(status=status, headers=headers, body=msgspec.json.encode(body))


def _over_rate(request: TagRequest, site: Site, count: int, wait_s: float) -> Outcome:
    # Why whole: the sender repeats the request, and half of it would then come twice.
    why = f"site {site.key} takes {site.rate_max:g} messages a second; send this again later"
    outcome = refused(request, 429, DropReason.OVER_RATE, why, site)
    retry = ("Retry-After", str(math.ceil(wait_s)))
    answer = msgspec.structs.replace(outcome.answer, headers=(*outcome.answer.headers, retry))
    return Outcome(answer=answer, dropped=(DropReason.OVER_RATE,) * count)


def refused(
    request: TagRequest, status: int, reason: DropReason, why: str, site: Site | None = None
) -> Outcome:
    """Refuse a whole request with its reason, which pages of the site may read."""
    sites = () if site is None else (site,)
    body = msgspec.json.encode({"success": False, "reason": reason, "detail": why})
    headers = (("Content-Type", "application/json"), *cors_headers(request, *sites))
    return Outcome(answer=TagAnswer(status=status, headers=headers, body=body), dropped=(reason,))


def _unreadable(request: TagRequest, problem: Exception, site: Site | None) -> Outcome:
    if isinstance(problem, BodyTooLarge):
        return refused(request, 413, DropReason.TOO_LARGE, str(problem), site)
    return refused(request, 400, DropReason.MALFORMED, str(problem), site)
