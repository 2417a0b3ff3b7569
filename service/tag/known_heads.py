"""Requests that repeat a head byte for byte: they are compared, and need no parser.

The bytes of a request that the parser has read, or of one that may repeat its head, come in; the
head to compare with, or head, body and rest, go out. Length and cookie may differ, and a pixel's
query; what differs in anything else is left to the parser.
"""

import re
import string
from typing import Final, NamedTuple

from service.tag.request import Caller
from service.tag.sender import Sender

FAST_BODY_BYTES_MAX: Final = 64 * 1024
PIXEL: Final = "/p.gif"
COOKIE_SYNC: Final = "/cookie_sync"
SETUID: Final = "/setuid"
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*(?=\r\n)", re.IGNORECASE)
_COOKIE: Final = re.compile(rb"\r\ncookie:[ \t]*([^\r]*?)[ \t]*(?=\r\n)", re.IGNORECASE)
_PLAIN: Final = re.compile(rb"[!-~](?:[ -~]*[!-~])?")
"""A header's value that every parser reads alike."""
_PIXEL_BEGIN: Final = b"GET /p.gif?"
_IN_QUERY: Final = (string.ascii_letters + string.digits + "_.~%&=+:/,;@!*()'-").encode()
"""The signs that a query may hold; the parser judges all others."""
LENGTH_DIGITS_MAX: Final = 7
_LINE_END: Final = b" HTTP/1.1\r\n"


class Head(NamedTuple):
    """A request's head as the parser understood it."""

    method: str
    path: str
    query: str
    caller: Caller


class KnownHead:
    """A head whose bytes are known: a request that repeats them needs no parser.

    Its parts stand around the length of the body and around the cookie, if one came; of a pixel's
    head, the only part begins behind the target.
    """

    __slots__ = (
        "alike",
        "begin",
        "bytes",
        "cookie",
        "cookie_at",
        "head",
        "parts",
        "sender",
        "whole",
    )

    def __init__(self, head: Head, *parts: bytes, cookie: bytes = b"", cookie_at: int = -1) -> None:
        self.head = head
        self.parts = parts
        self.cookie = cookie
        self.cookie_at = cookie_at
        """Which of the values between the parts is the cookie; negative for none."""
        self.sender: Sender | None = None
        """Who the caller is to the site that was last asked for."""
        self.alike: Sender | None = None
        """Who the last one was whose head differed in the cookie alone."""
        self.whole = b""
        """The whole head as it was last time."""
        self.begin = self.bytes = 0
        """Where the body then begins, and how long the request is."""

    def take_cookie(self, cookie: bytes) -> None:
        """Go on with another browser, which sends the same head but for its cookie."""
        method, path, query, caller = self.head
        found: Sender | None = caller.memory.get(query)
        self.alike, self.sender, self.cookie = found or self.alike, None, cookie
        headers = {**caller.headers, "cookie": cookie.decode("ascii")}
        caller = Caller(headers=headers, address=caller.address, scheme=caller.scheme)
        self.head = Head(method, path, query, caller)


def cut_known(known: KnownHead, data: bytes) -> tuple[Head, bytes, bytes] | None:
    """Cut a whole request with this head off the data: its head, its body, and what follows."""
    if len(known.parts) == 1:
        return _cut_pixel(known, data)
    place, values = 0, []
    for part in known.parts[:-1]:
        if not data.startswith(part, place):
            return None
        place += len(part)
        end = data.find(b"\r", place)
        values.append(data[place:end])
        place = end
    length = values[1 if known.cookie_at == 0 else 0]
    if place < 0 or not length.isdigit() or len(length) > LENGTH_DIGITS_MAX:
        return None
    if not data.startswith(known.parts[-1], place):
        return None
    body = place + len(known.parts[-1])
    over = body + int(length)
    if over > len(data) or over - body > FAST_BODY_BYTES_MAX:
        return None
    if known.cookie_at >= 0 and values[known.cookie_at] != known.cookie:
        if not _PLAIN.fullmatch(values[known.cookie_at]):
            return None
        known.take_cookie(values[known.cookie_at])
    known.whole, known.begin, known.bytes = data[:body], body, over
    return known.head, data[body:over], data[over:]


def _cut_pixel(known: KnownHead, data: bytes) -> tuple[Head, bytes, bytes] | None:
    end = data.find(_LINE_END)
    if end < 0 or not data.startswith(_PIXEL_BEGIN) or not data.startswith(known.parts[0], end):
        return None
    query = data[len(_PIXEL_BEGIN) : end]
    if query.translate(None, _IN_QUERY):
        return None
    head = Head("GET", PIXEL, query.decode("ascii"), known.head.caller)
    return head, b"", data[end + len(known.parts[0]) :]


def known_head(head: Head, data: bytes) -> KnownHead | None:
    """Remember the bytes of a head; `data` must be exactly one request that the parser read."""
    if head.path in {COOKIE_SYNC, SETUID}:
        return None  # no messages: nothing of them may be judged at a glance
    end = data.find(b"\r\n\r\n") + 4
    lengths = list(_LENGTH.finditer(data, 0, end - 2))
    if head.method == "GET":
        begin = data.find(_LINE_END)
        if lengths or begin < 0 or end != len(data):
            return None
        return KnownHead(head, data[begin:])
    if len(lengths) != 1 or end + int(lengths[0][1]) != len(data):
        return None
    begin, after = lengths[0].span(1)
    cookies = list(_COOKIE.finditer(data, 0, end - 2))
    if len(cookies) != 1 or not _PLAIN.fullmatch(cookies[0][1]):
        return KnownHead(head, data[:begin], data[after:end])
    cookie, (left, right) = cookies[0][1], cookies[0].span(1)
    if left < begin:
        parts, at = (data[:left], data[right:begin], data[after:end]), 0
    else:
        parts, at = (data[:begin], data[after:left], data[right:end]), 1
    return KnownHead(head, *parts, cookie=cookie, cookie_at=at)
