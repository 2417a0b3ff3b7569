"""What the Python peers share: the message they decode, their cookie scan and their headers.

They find the visitor's cookie, decode and check the body and answer; they verify no signature,
decide no consent and store nothing.
"""

from typing import Final

import msgspec

GIF: Final = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c000000000100010000020144003b"
)
ATTRIBUTES: Final = b"; Path=/; Max-Age=34128000; HttpOnly; SameSite=Lax"
Headers = tuple[tuple[bytes, bytes], ...]
CORS: Final[Headers] = (
    (b"access-control-allow-origin", b"https://shop.example"),
    (b"access-control-allow-credentials", b"true"),
    (b"access-control-expose-headers", b"Jumelle-Visitor, Retry-After"),
)
IMAGE: Final[Headers] = ((b"content-type", b"image/gif"), (b"cache-control", b"no-store"))


class Context(msgspec.Struct, rename="camel"):
    """The part of a message's context that is read."""

    token: str = ""
    consent: dict[str, msgspec.Raw] | None = None
    library: dict[str, str] | None = None


class Beacon(msgspec.Struct, rename="camel"):
    """A message of eleven fields."""

    type: str
    message_id: str
    timestamp: str = ""
    sent_at: str = ""
    customer: str = msgspec.field(default="", name="userId")
    anonymous_id: str = ""
    event: str = ""
    name: str = ""
    properties: msgspec.Raw = msgspec.Raw(b"")
    traits: msgspec.Raw = msgspec.Raw(b"")
    context: Context | None = None


decode: Final = msgspec.json.Decoder(Beacon | list[Beacon]).decode


def visitor_in(cookie: bytes) -> bytes:
    """Find the visitor's cookie in the header."""
    start = cookie.find(b"jml=")
    if start < 0:
        return b""
    end = cookie.find(b";", start)
    return cookie[start + 4 : end if end > 0 else len(cookie)]


def set_cookie(visitor: bytes) -> tuple[bytes, bytes]:
    """Give the header that sets the visitor's cookie again."""
    return (b"set-cookie", b"jml=" + visitor + ATTRIBUTES)
