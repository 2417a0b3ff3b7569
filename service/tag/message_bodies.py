"""Reads request bodies: bytes come in, messages with their own bytes go out, or why not.

Each message is judged for itself, so that a bad one spoils no other. Most are of a form that is
known to be good at a glance (`harmless.py`); all others are looked at closely.
"""

from contextlib import suppress
from typing import Any, Final

import msgspec

from service.tag.batch_cut import cut_batch
from service.tag.harmless import is_harmless
from service.tag.messages import NAME_LENGTH_MAX, TYPES, Message, is_time
from service.tag.strict_json import TOO_DEEP, json_fault

MESSAGE_BYTES_MAX: Final = 32 * 1024
BATCH_BYTES_MAX: Final = 500 * 1024
BATCH_MESSAGES_MAX: Final = 1_000


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a request with its own bytes, or why it was refused."""

    message: Message | None
    raw: bytes
    problem: str = ""
    oversized: bool = False
    harmless: bool = False
    """Whether it certainly holds no contact; False leaves that open."""


class GivenBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The messages of one request, and what the batch says of all of them."""

    given: list[Given]
    write_key: str = ""
    sent_at: str = ""


class Batch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of `/v1/batch`."""

    batch: list[msgspec.Raw]
    write_key: str | None = ""
    sent_at: str | None = None


class Unreadable(Exception):
    """A body that is no message at all."""


UNDECODABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding a stranger's bytes may raise."""

_message: Final = msgspec.json.Decoder(Message)
_batch: Final = msgspec.json.Decoder(Batch)
_list: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OF_OBJECTS: Final = frozenset({b"", b"{", b"n"})
"""How objects begin; null and nothing at all stand for an empty one."""


def read_single(body: bytes, type_: str) -> list[Given]:
    """Read one message; `type_` is the route's."""
    return [_read_message(body, type_)]


def read_batch(body: bytes) -> GivenBatch:
    """Read a Segment batch with the write key and the time of sending that it carries."""
    try:
        batch = _batch.decode(body)
    except UNDECODABLE as problem:
        found, others = _cut(body, problem)
        key, sent_at = others.get("writeKey"), others.get("sentAt")
        batch = Batch(
            batch=found,
            write_key=key if isinstance(key, str) else "",
            sent_at=sent_at if isinstance(sent_at, str) else "",
        )
    _check_count(batch.batch)
    return GivenBatch(
        given=[_read_message(bytes(raw), "") for raw in batch.batch],
        write_key=batch.write_key or "",
        sent_at=_time_or_none(batch.sent_at),
    )


def read_tag_body(body: bytes) -> GivenBatch:
    """Read what the tag posts: one message or a list of them."""
    if body[:2] == b"[{" and body[-2:] == b"}]":
        # Why tried first: nearly all lists hold one message, and what is one object without its
        # brackets cannot be two.
        raw = body[1:-1]
        with suppress(*UNDECODABLE):
            return GivenBatch(given=[_given(_message.decode(raw), raw, "")])
    elif body.lstrip()[:1] != b"[":
        return GivenBatch(given=[_read_message(body, "")])
    try:
        raws = _list.decode(body)
    except UNDECODABLE as problem:
        raws, _ = _cut(body, problem)
    _check_count(raws)
    return GivenBatch(given=[_read_message(bytes(raw), "") for raw in raws])


def _cut(body: bytes, problem: Exception) -> tuple[list[msgspec.Raw], dict[str, Any]]:
    """Save the good messages of a list that cannot be decoded whole."""
    try:
        cut = cut_batch(body)
    except (ValueError, RecursionError):
        raise Unreadable(f"the body is no list of messages: {_text_of(problem)}") from problem
    return [msgspec.Raw(each) for each in cut.messages], cut.others


def _time_or_none(text: str | None) -> str:
    # Why not refused: it only corrects clocks, and belongs to no message in particular.
    return text if text and len(text) <= NAME_LENGTH_MAX and is_time(text) else ""


def _check_count(raws: list[msgspec.Raw]) -> None:
    if len(raws) > BATCH_MESSAGES_MAX:
        raise Unreadable(f"{len(raws)} messages in one batch; send at most {BATCH_MESSAGES_MAX}")


def _read_message(raw: bytes, type_: str) -> Given:
    if len(raw) > MESSAGE_BYTES_MAX:
        return _oversized(raw)
    try:
        message = _message.decode(raw)
    except UNDECODABLE as problem:
        return Given(message=None, raw=raw, problem=json_fault(raw) or _text_of(problem))
    return _given(message, raw, type_)


def _oversized(raw: bytes) -> Given:
    why = f"a message of {len(raw)} bytes; at most {MESSAGE_BYTES_MAX} are taken"
    return Given(message=None, raw=raw[:200], problem=why, oversized=True)


def _given(message: Message, raw: bytes, type_: str) -> Given:
    if len(raw) > MESSAGE_BYTES_MAX:
        return _oversized(raw)
    kind = type_ or message.type
    harmless = is_harmless(message, raw)
    fault = "" if harmless else json_fault(raw) or _context_fault(message)
    fault = fault or _fault_of(message, kind, short=harmless)
    if fault:
        return Given(message=None, raw=raw, problem=fault)
    if kind != message.type:
        message = msgspec.structs.replace(message, type=kind)
    return Given(message=message, raw=raw, harmless=harmless)


def _text_of(problem: Exception) -> str:
    return TOO_DEEP if isinstance(problem, RecursionError) else str(problem)


def _context_fault(message: Message) -> str:
    try:
        _ = message.context
    except UNDECODABLE as problem:
        return _text_of(problem).replace("`$", "`$.context")
    return ""


def _fault_of(message: Message, kind: str, *, short: bool) -> str:
    """Say what a message breaks of the spec; `short` says that its names are short."""
    if kind not in TYPES:
        return f"type is {kind!r}; give one of {', '.join(sorted(TYPES))}"
    if kind == "track" and not message.given_event:
        return "a track message without `event`"
    if not short:
        fault = _form_fault(message)
        if fault:
            return fault
    if message.timestamp and not is_time(message.timestamp):
        return f"`timestamp` is {message.timestamp[:40]!r}; give an ISO 8601 time"
    if message.sent_at and not is_time(message.sent_at):
        return f"`sentAt` is {message.sent_at[:40]!r}; give an ISO 8601 time"
    return ""


def _form_fault(message: Message) -> str:
    for name, raw in (("properties", message.properties), ("traits", message.traits)):
        if bytes(raw)[:1] not in _OF_OBJECTS:
            return f"`{name}` must be an object"
    for name, given in (
        ("userId", message.user_id),
        ("anonymousId", message.anonymous_id),
        ("messageId", message.given_id),
        ("event", message.given_event),
    ):
        if given is not None and len(text := str(given)) > NAME_LENGTH_MAX:
            return f"`{name}` has {len(text)} characters; at most {NAME_LENGTH_MAX} are taken"
    return ""
