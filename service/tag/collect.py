"""A request comes in, an answer and the records to keep go out; nothing is written here.

The journey of each message stands in `steps.py`; which routes exist, in `routes.py`.
"""

import base64
import binascii
import gzip
from collections.abc import Callable, Mapping, Sequence
from hmac import compare_digest

import msgspec

from matching.ids import VisitorId
from service.tag import messages, visitor_cookie
from service.tag.door import Door
from service.tag.messages import GivenBatch
from service.tag.request import BodyTooLarge, TagAnswer, TagRequest, cors_headers, gif, inflated
from service.tag.steps import (
    STEPS_OF_SEGMENT,
    STEPS_OF_TAG,
    Draft,
    DropReason,
    Stop,
    record_of,
)
from service.tag.tag_state import Site


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request: the answer, the records to append first, what was dropped."""

    answer: TagAnswer
    records: tuple[bytes, ...] = ()
    dropped: tuple[DropReason, ...] = ()

    @property
    def received(self) -> int:
        """How many records this request counts for in the balance."""
        return len(self.records) + len(self.dropped)


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of imported messages: records to append, and refused lines with reasons."""

    records: tuple[bytes, ...]
    refused: tuple[tuple[int, str], ...]


class Collector(Door):
    """Turns tag requests into records."""

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

    def collect_import(
        self,
        site: Site,
        lines: Sequence[bytes],
        *,
        refused: Callable[[str], bool],
        received_us: int,
    ) -> Imported:
        """Take messages from a file as if the site's server had sent them; line numbers from 1."""
        request = TagRequest(
            method="POST", path="/v1/batch", query="", headers={}, received_us=received_us
        )
        records: list[bytes] = []
        problems: list[tuple[int, str]] = []
        for number, line in enumerate(lines, start=1):
            (given,) = messages.read_single(line, "")
            if given.message is None:
                problems.append((number, given.problem))
                continue
            if refused(given.message.customer):
                problems.append((number, "erased: this person asked to be forgotten"))
                continue
            draft = Draft(
                message=given.message, raw=given.raw, request=request, site=site, server=True
            )
            try:
                for step in STEPS_OF_SEGMENT:
                    step(self, draft)
            except Stop as stop:
                problems.append((number, stop.reason))
                continue
            records.append(record_of(draft))
        return Imported(records=tuple(records), refused=tuple(problems))

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
            records.append(record_of(draft))
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


def refused(request: TagRequest, status: int, reason: DropReason, why: str) -> Outcome:
    """Refuse a whole request with its reason."""
    body = msgspec.json.encode({"success": False, "reason": reason, "detail": why})
    headers = (("Content-Type", "application/json"), *cors_headers(request))
    return Outcome(answer=TagAnswer(status=status, headers=headers, body=body), dropped=(reason,))


def _unreadable(request: TagRequest, problem: Exception) -> Outcome:
    if isinstance(problem, BodyTooLarge):
        return refused(request, 413, DropReason.TOO_LARGE, str(problem))
    return refused(request, 400, DropReason.MALFORMED, str(problem))


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
