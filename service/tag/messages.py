"""Messages of the Segment spec as values: the common fields, the six types, `context`.

Source of the fields: the Segment spec. What bytes they are read from is `message_bodies.py`'s.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec

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
    ad_user_data: str | bool | None = None
    ad_personalization: str | bool | None = None
    """Google's two fields, in the words of its consent mode."""


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
    anonymous: bool | None = False
    """Nothing of this message may be stored, neither here nor in the browser."""
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


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
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
    raw_context: msgspec.Raw = msgspec.field(default=msgspec.Raw(b""), name="context")
    write_key: str | None = ""

    @property
    def context(self) -> Context | None:
        """The part of `context` that counts here; raise MsgspecError when it cannot be read."""
        return read_context(bytes(self.raw_context))

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


_context: Final = msgspec.json.Decoder(Context | None)


def read_context(raw: bytes) -> Context | None:
    """Read the bytes of a `context`; none are none. Raise MsgspecError for another form."""
    found: Context | None = _context.decode(raw) if raw else None
    return found


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
