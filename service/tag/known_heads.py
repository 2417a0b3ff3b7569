"""Requests that repeat a head byte for byte: they are compared, and need no parser.

The bytes of a request that the parser has read, or of one that may repeat its head, come in; the
head to compare with, or head, body and rest, go out. What differs in anything is left to the
parser.
"""

import re
from typing import Final, NamedTuple

from service.tag.request import Caller

FAST_BODY_BYTES_MAX: Final = 64 * 1024
PIXEL: Final = "/p.gif"
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*(?=\r\n)", re.IGNORECASE)
_PIXEL_TARGET: Final = re.compile(rb"GET (/p\.gif\?[\w.~%&=+:/,;@!*()'-]*)")
"""With the signs that a query may hold; the parser judges all others."""
_LINE_END: Final = b" HTTP/1.1\r\n"


class Head(NamedTuple):
    """A request's head as the parser understood it."""

    method: str
    path: str
    query: str
    caller: Caller


class KnownHead(NamedTuple):
    """A head whose bytes are known: a request that repeats them needs no parser.

    Before and after stand around the length of the body; of a pixel's, before is empty and after
    begins behind the target.
    """

    head: Head
    before: bytes
    after: bytes


def cut_known(known: KnownHead, data: bytes) -> tuple[Head, bytes, bytes] | None:
    """Cut a whole request with this head off the data: its head, its body, and what follows."""
    if not known.before:
        return _cut_pixel(known, data)
    if not data.startswith(known.before):
        return None
    begin = len(known.before)
    end = data.find(b"\r", begin, begin + 8)
    length = data[begin:end]
    if end < 0 or not length.isdigit() or not data.startswith(known.after, end):
        return None
    body = end + len(known.after)
    over = body + int(length)
    if over > len(data) or over - body > FAST_BODY_BYTES_MAX:
        return None
    return known.head, data[body:over], data[over:]


def _cut_pixel(known: KnownHead, data: bytes) -> tuple[Head, bytes, bytes] | None:
    end = data.find(_LINE_END)
    target = _PIXEL_TARGET.fullmatch(data, 0, max(end, 0))
    if target is None or not data.startswith(known.after, end):
        return None
    query = target[1][len(PIXEL) + 1 :].decode("ascii")
    return known.head._replace(query=query), b"", data[end + len(known.after) :]


def known_head(head: Head, data: bytes) -> KnownHead | None:
    """Remember the bytes of a head; `data` must be exactly one request that the parser read."""
    end = data.find(b"\r\n\r\n") + 4
    lengths = list(_LENGTH.finditer(data, 0, end - 2))
    if head.method == "GET":
        begin = data.find(_LINE_END)
        if lengths or begin < 0 or end != len(data):
            return None
        return KnownHead(head, b"", data[begin:])
    if len(lengths) != 1 or end + int(lengths[0][1]) != len(data):
        return None
    begin, after = lengths[0].span(1)
    return KnownHead(head, data[:begin], data[after:end])
