"""Segment-spec messages: a request's bytes come in, checked messages with their own bytes go out.

Source of the fields: the Segment spec (common fields, the six types, batch).
Nothing here knows cookies, consent or keys.
"""

from datetime import datetime
from typing import Final, Literal

import msgspec

MESSAGE_BYTES_MAX: Final = 32 * 1024
BATCH_BYTES_MAX: Final = 500 * 1024
BATCH_MESSAGES_MAX: Final = 1_000

Type = Literal["identify", "track", "page", "screen", "group", "alias"]
LETTERS: Final[dict[str, Type]] = {
    "i": "identify",
    "t": "track",
    "p": "page",
    "s": "screen",
    "g": "group",
    "a": "alias",
}
TYPES: Final = frozenset(LETTERS.values())


class ConsentFields(msgspec.Struct, frozen=True, kw_only=True):
    """`context.consent` as our tag sends it."""

    tcf: str = ""
    gdpr: bool | int | None = None
    gpp: str = ""
    gpp_sid: tuple[int, ...] = ()
    us_privacy: str = ""
    gpc: bool = False
    explicit: dict[str, bool] | None = None


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """`context.library`: which SDK sent the message."""

    name: str = ""


class Context(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The part of `context` that the endpoint acts on; the rest stays in the bytes."""

    token: str = ""
    consent: ConsentFields | None = None
    user_agent: str = ""
    library: Library | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One message of the Segment spec."""

    type: str = ""
    message_id: str = ""
    user_id: str | int | None = None
    anonymous_id: str | int | None = None
    event: str = ""
    timestamp: str | None = None
    sent_at: str | None = None
    properties: msgspec.Raw = msgspec.Raw(b"")
    traits: msgspec.Raw = msgspec.Raw(b"")
    context: Context | None = None
    write_key: str = ""

    @property
    def customer(self) -> str:
        """The CRM id that the message names, as text; empty when it names none."""
        return "" if self.user_id is None else str(self.user_id).strip()

    @property
    def browser(self) -> str:
        """The anonymousId as text; empty when there is none."""
        return "" if self.anonymous_id is None else str(self.anonymous_id).strip()


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a request with its own bytes, or why it was refused."""

    message: Message | None
    raw: bytes
    problem: str = ""


class GivenBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The messages of one request, and what the batch says of all of them."""

    given: list[Given]
    write_key: str = ""
    sent_at: str = ""


class Batch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of `/v1/batch`."""

    batch: list[msgspec.Raw]
    write_key: str = ""
    sent_at: str | None = None


class Unreadable(Exception):
    """A body that is no message at all."""


_message = msgspec.json.Decoder(Message)
_batch = msgspec.json.Decoder(Batch)
_list = msgspec.json.Decoder(list[msgspec.Raw])


def read_single(body: bytes, type_: str) -> list[Given]:
    """Read one message; `type_` is the route's."""
    return [_read_message(body, type_)]


def read_batch(body: bytes) -> GivenBatch:
    """Read a Segment batch with the write key and the time of sending that it carries."""
    try:
        batch = _batch.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise Unreadable(f"the body is no batch of messages: {problem}") from problem
    _check_count(batch.batch)
    return GivenBatch(
        given=[_read_message(bytes(raw), "") for raw in batch.batch],
        write_key=batch.write_key,
        sent_at=batch.sent_at or "",
    )


def read_tag_body(body: bytes) -> GivenBatch:
    """Read what the tag posts: one message or a list of them."""
    if body.lstrip()[:1] != b"[":
        return GivenBatch(given=[_read_message(body, "")])
    try:
        raws = _list.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        raise Unreadable(f"the body is no list of messages: {problem}") from problem
    _check_count(raws)
    return GivenBatch(given=[_read_message(bytes(raw), "") for raw in raws])


def _check_count(raws: list[msgspec.Raw]) -> None:
    if len(raws) > BATCH_MESSAGES_MAX:
        raise Unreadable(f"{len(raws)} messages in one batch; send at most {BATCH_MESSAGES_MAX}")


def _read_message(raw: bytes, type_: str) -> Given:
    if len(raw) > MESSAGE_BYTES_MAX:
        why = f"a message of {len(raw)} bytes; at most {MESSAGE_BYTES_MAX} are taken"
        return Given(message=None, raw=raw[:200], problem=why)
    try:
        message = _message.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
        return Given(message=None, raw=raw, problem=str(problem))
    kind = type_ or message.type
    fault = _fault_of(message, kind)
    if fault:
        return Given(message=None, raw=raw, problem=fault)
    return Given(message=msgspec.structs.replace(message, type=kind), raw=raw)


def _fault_of(message: Message, kind: str) -> str:
    if kind not in TYPES:
        return f"type is {kind!r}; give one of {', '.join(sorted(TYPES))}"
    if kind == "track" and not message.event:
        return "a track message without `event`"
    for name, raw in (("properties", message.properties), ("traits", message.traits)):
        if bytes(raw)[:1] not in {b"", b"{", b"n"}:
            return f"`{name}` must be an object"
    for name, text in (("timestamp", message.timestamp), ("sentAt", message.sent_at)):
        if text and not is_time(text):
            return f"`{name}` is {text[:40]!r}; give an ISO 8601 time"
    return ""


def is_time(text: str) -> bool:
    """Tell an ISO 8601 time from other text."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
