"""Segment-spec messages: a request's bytes come in, checked messages with their own bytes go out.

Source of the fields: the Segment spec (common fields, the six types, batch).
Nothing here knows cookies, consent or keys.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from service.tag.batch_cut import cut_batch
from service.tag.strict_json import TOO_DEEP, json_fault

MESSAGE_BYTES_MAX: Final = 32 * 1024
BATCH_BYTES_MAX: Final = 500 * 1024
BATCH_MESSAGES_MAX: Final = 1_000
SERVER_TIME_AHEAD_MS_MAX: Final = 366 * 86_400_000
NAME_LENGTH_MAX: Final = 512
"""Characters of an id or of an event's name."""

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


GppSection = Annotated[int, msgspec.Meta(ge=-1, le=65_535)]


class ConsentFields(msgspec.Struct, frozen=True, kw_only=True):
    """`context.consent` as our tag sends it."""

    tcf: str = ""
    gdpr: bool | int | None = None
    gpp: str = ""
    gpp_sid: tuple[GppSection, ...] = ()
    us_privacy: str = ""
    gpc: bool = False
    explicit: dict[str, bool] | None = None


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """`context.library`: which SDK sent the message."""

    given_name: str | None = msgspec.field(default=None, name="name")

    @property
    def name(self) -> str:
        """The SDK's name; empty when it gave none."""
        return self.given_name or ""


class Context(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The part of `context` that the endpoint acts on; the rest stays in the bytes."""

    token: str | None = ""
    consent: ConsentFields | None = None
    user_agent: str | None = ""
    library: Library | None = None


FACTS_OF: Final[dict[str, tuple[str, ...]]] = {
    "page": ("name", "category"),
    "screen": ("name", "category"),
    "group": ("group_id",),
    "alias": ("previous_id",),
}
"""Fields beside `properties` and `traits` that are kept with them."""


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One message of the Segment spec."""

    type: str = ""
    given_id: str | None = msgspec.field(default=None, name="messageId")
    user_id: str | int | None = None
    anonymous_id: str | int | None = None
    given_event: str | None = msgspec.field(default=None, name="event")
    timestamp: str | None = None
    sent_at: str | None = None
    properties: msgspec.Raw = msgspec.Raw(b"")
    traits: msgspec.Raw = msgspec.Raw(b"")
    name: Any = None
    category: Any = None
    group_id: Any = None
    previous_id: Any = None
    context: Context | None = None
    write_key: str | None = ""

    @property
    def message_id(self) -> str:
        """The messageId; empty when there is none."""
        return self.given_id or ""

    @property
    def event(self) -> str:
        """The name of a tracked event; empty when there is none."""
        return self.given_event or ""

    def facts(self, kind: str) -> bytes:
        """Give the JSON object of what a message of this kind tells, its own fields included."""
        raw = bytes(self.traits if kind in {"identify", "group"} else self.properties)
        named = {name: getattr(self, name) for name in FACTS_OF.get(kind, ())}
        own = {name: value for name, value in named.items() if isinstance(value, str | int)}
        if raw[:1] != b"{":
            raw = b"{}"
        if not own:
            return raw
        return msgspec.json.encode(own | msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))

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
    oversized: bool = False


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


UNDECODABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding a stranger's bytes may raise."""


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
    if body.lstrip()[:1] != b"[":
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
        why = f"a message of {len(raw)} bytes; at most {MESSAGE_BYTES_MAX} are taken"
        return Given(message=None, raw=raw[:200], problem=why, oversized=True)
    fault = json_fault(raw)
    if fault:
        return Given(message=None, raw=raw, problem=fault)
    try:
        message = _message.decode(raw)
    except UNDECODABLE as problem:
        return Given(message=None, raw=raw, problem=_text_of(problem))
    kind = type_ or message.type
    fault = _fault_of(message, kind)
    if fault:
        return Given(message=None, raw=raw, problem=fault)
    return Given(message=msgspec.structs.replace(message, type=kind), raw=raw)


def _text_of(problem: Exception) -> str:
    return TOO_DEEP if isinstance(problem, RecursionError) else str(problem)


def _fault_of(message: Message, kind: str) -> str:
    if kind not in TYPES:
        return f"type is {kind!r}; give one of {', '.join(sorted(TYPES))}"
    if kind == "track" and not message.event:
        return "a track message without `event`"
    for name, raw in (("properties", message.properties), ("traits", message.traits)):
        if bytes(raw)[:1] not in {b"", b"{", b"n"}:
            return f"`{name}` must be an object"
    for name, text in (
        ("userId", message.customer),
        ("anonymousId", message.browser),
        ("messageId", message.message_id),
        ("event", message.event),
    ):
        if len(text) > NAME_LENGTH_MAX:
            return f"`{name}` has {len(text)} characters; at most {NAME_LENGTH_MAX} are taken"
    for name, time in (("timestamp", message.timestamp), ("sentAt", message.sent_at)):
        if time and not is_time(time):
            return f"`{name}` is {time[:40]!r}; give an ISO 8601 time"
    return ""


def server_time_fault(message: Message, *, received_ms: int) -> str:
    """Say why the time that a server gives a message cannot stand, or nothing."""
    if not message.timestamp:
        return ""
    if 0 <= read_time_ms(message.timestamp) <= received_ms + SERVER_TIME_AHEAD_MS_MAX:
        return ""
    return (
        f"`timestamp` is {message.timestamp[:40]!r}; give a time from 1970 to a year ahead at most"
    )


def read_time_ms(text: str) -> int:
    """Read an ISO 8601 time as milliseconds since the epoch; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def is_time(text: str) -> bool:
    """Tell an ISO 8601 time from other text."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
