"""The requests that every server is asked, byte for byte the same but for the messageId.

A visitor whose cookie we signed sends a page message of our tag: 300 bytes of JSON in a list, as
the tag posts it, 11 headers of 800 bytes, 4 cookies, an explicit permission. Only the content type
differs from the tag's (text/plain), for a peer that reads JSON only when it is called so.
"""

import time
from typing import Final

import msgspec

from service.tag.tokens import Keys
from service.tag.visitor_cookie import mint_visitor, write_cookie

MARK: Final = "@" * 30
"""Stands where the load generator writes a number of its own into each request."""
BODY_BYTES: Final = 300
HEADER_BYTES: Final = 800
HEADERS: Final = 11
SITE_KEY: Final = "demo"
ORIGIN: Final = "https://shop.example"
AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
TWO_DAYS_S: Final = 2 * 86_400


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A request with its marks, once for each visitor; its answer and how many messages it has."""

    texts: tuple[str, ...]
    status: int
    messages: int = 1


def page(keys: Keys, *, renewed: bool, visitors: int = 1) -> Load:
    """POST one page message; with `renewed` the cookie is so old that each answer sets it.

    Several visitors take turns on each connection, as they do behind a proxy.
    """
    texts = tuple(_post(keys, [_message(0)], renewed=renewed) for _ in range(visitors))
    return Load(texts=texts, status=204)


def batch(keys: Keys, size: int) -> Load:
    """POST several page messages in one list."""
    text = _post(keys, [_message(index) for index in range(size)], renewed=False)
    return Load(texts=(text,), status=204, messages=size)


def pixel(keys: Keys, *, renewed: bool) -> Load:
    """GET the pixel, the message in its query."""
    target = f"/p.gif?key={SITE_KEY}&name=Bikes&messageId=m{MARK}a"
    lines = [line for line in _headers(keys, renewed=renewed) if not line.startswith("Content-")]
    text = f"GET {target} HTTP/1.1\r\n{_block(lines)}\r\n"
    return Load(texts=(text,), status=200)


def _post(keys: Keys, messages: list[str], *, renewed: bool) -> str:
    body = "[" + ",".join(messages) + "]"
    if len(messages) == 1:
        assert len(body) == BODY_BYTES, len(body)
    lines = [*_headers(keys, renewed=renewed), f"Content-Length: {len(body):05d}"]
    assert len(lines) == HEADERS, lines
    return f"POST /t?key={SITE_KEY} HTTP/1.1\r\n{_block(lines)}\r\n{body}"


def _message(index: int) -> str:
    return (
        f'{{"type":"page","messageId":"m{MARK}{chr(97 + index)}",'
        '"timestamp":"2026-11-21T09:30:00.000Z",'
        '"properties":{"url":"https://shop.example/","title":"Bikes"},'
        '"context":{"library":{"name":"jumelle-js","version":"0.1.0"},'
        '"consent":{"explicit":{"store":true}}},"sentAt":"2026-11-21T09:30:00.120Z"}'
    )


def _headers(keys: Keys, *, renewed: bool) -> list[str]:
    now_s = int(time.time())
    ours = write_cookie(keys, mint_visitor(), now_s=now_s - TWO_DAYS_S * renewed)
    cookies = [
        "_ga=GA1.1.1234567890.1763700000",
        "cart=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        f"jml={ours}",
        "lang=en",
    ]
    return [
        "Host: t.shop.example",
        "Connection: keep-alive",
        f"User-Agent: {AGENT}",
        "Content-Type: application/json",
        "Accept: */*",
        f"Origin: {ORIGIN}",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-US,en;q=0.7,fr;q=0.3",
        f"Cookie: {'; '.join(cookies)}",
        "Referer: https://shop.example/?utm_source=newsletter&utm_campaign=spring&sort=",
    ]


def _block(lines: list[str]) -> str:
    """Give the header lines, the referrer so long that a POST's are of the pinned size."""
    plain = "".join(f"{line}\r\n" for line in lines)
    if len(lines) == HEADERS:
        longer = HEADER_BYTES - len(plain)
        assert longer >= 0, longer
        plain = plain.replace("&sort=", "&sort=" + "a" * longer)
    return plain
