"""Messages whose name tells their whole content, so that half of one is recognised anywhere."""

import json
import time
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

from service.tag.record import MAGIC, Kind, Meta, write_record

AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
EVENT: Final = "Fault Met"
# Why letters: long rows of digits could be phone numbers, which are not kept as they are.
LETTERS: Final = str.maketrans("0123456789", "ghijklmnop")


def name_of(series: str, number: int) -> str:
    """Name a message."""
    return f"{series}-{number:x}".translate(LETTERS)


def properties_of(name: str) -> dict[str, str]:
    """Give a message's properties: its name and a text of its own, of up to half a kilobyte."""
    digest = blake2b(name.encode(), digest_size=32).hexdigest().translate(LETTERS)
    return {"name": name, "text": digest * (1 + digest.count("a") % 8)}


def message_of(name: str, *, customer: str = "") -> dict[str, Any]:
    """Give a message as the tag or a server sends it."""
    made: dict[str, Any] = {
        "type": "track",
        "event": EVENT,
        "messageId": name,
        "anonymousId": f"browser {name[-2:]}",
        "properties": properties_of(name),
    }
    return made | ({"userId": customer} if customer else {})


def record_of(name: str) -> bytes:
    """Give the record that a tag process keeps of a message."""
    meta = Meta(site="demo", type="track", agent=AGENT, ip="192.0.2.0")
    visitor = blake2b(name.encode(), digest_size=16).digest()
    body = json.dumps(message_of(name)).encode()
    return write_record(Kind.MESSAGE, time.time_ns() // 1000, visitor, meta, body)


def chunk_of(names: Sequence[str]) -> bytes:
    """Give a whole chunk of these messages."""
    return MAGIC + b"".join(map(record_of, names))
