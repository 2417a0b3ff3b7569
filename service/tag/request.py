"""A tag request and its answer as plain values, so that every decision is a pure function of them.

The ASGI routes make the one and send the other; nothing here knows a server.
"""

import gzip
import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Final
from urllib.parse import parse_qs

import msgspec

from matching.consent.decide import Signals
from service.tag.tag_state import Site

GIF: Final = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c000000000100010000020144003b"
)


class TagRequest(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What the endpoint reads of one request."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    address: str = ""
    scheme: str = "http"
    received_us: int

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """The query's parameters; the first of each name counts."""
        parsed = parse_qs(self.query, keep_blank_values=True, max_num_fields=100)
        return {name: values[0] for name, values in parsed.items()}

    def header(self, name: str) -> str:
        """Give one header by its lower-case name; empty when absent."""
        return self.headers.get(name, "")

    @property
    def now_s(self) -> int:
        """The moment of receipt in seconds."""
        return self.received_us // 1_000_000

    @property
    def secure(self) -> bool:
        """Whether cookies may say Secure."""
        return self.scheme == "https"

    @property
    def own_origin(self) -> str:
        """The origin that this service was called by."""
        return f"{self.scheme}://{self.header('host')}"

    @property
    def cut_address(self) -> str:
        """The sender's network: the last byte of IPv4, all but three groups of IPv6 are gone."""
        if ":" in self.address:
            return ":".join(self.address.split(":")[:3]) + "::"
        return self.address.rpartition(".")[0] + ".0" if "." in self.address else ""

    def from_allowed_origin(self, site: Site) -> bool:
        """Tell whether a browser page may speak for this site; a request without Origin is none."""
        origin = self.header("origin")
        return not origin or origin in site.origins or origin == self.own_origin


class TagAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class BodyTooLarge(Exception):
    """A body above its limit, counted after inflation."""


def inflated(request: TagRequest, limit: int) -> bytes:
    """Give the body as the sender wrote it; refuse one that is larger than `limit` bytes."""
    if request.header("content-encoding") != "gzip":
        body = request.body
    else:
        body = _gunzip(request.body, limit)
    if len(body) > limit:
        raise BodyTooLarge(f"a body of more than {limit} bytes")
    return body


def _gunzip(body: bytes, limit: int) -> bytes:
    # Why by steps: a few bytes can inflate to gigabytes, so never more than the limit is made.
    engine = zlib.decompressobj(wbits=31)
    try:
        plain = engine.decompress(body, limit + 1)
    except zlib.error as problem:
        raise gzip.BadGzipFile(f"the body is not gzip: {problem}") from problem
    if not engine.eof and len(plain) <= limit:
        raise gzip.BadGzipFile("the gzip body is cut off")
    return plain


def cors_headers(request: TagRequest) -> tuple[tuple[str, str], ...]:
    """Let the calling page read the answer; callers check the origin before."""
    origin = request.header("origin")
    if not origin:
        return ()
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", "Jumelle-Visitor, Retry-After"),
        ("Vary", "Origin"),
    )


def preflight(request: TagRequest) -> TagAnswer:
    """Answer a CORS preflight; the request itself is what gets checked."""
    asked = request.header("access-control-request-headers")
    headers = cors_headers(request)
    headers += (
        ("Access-Control-Allow-Methods", "GET, POST"),
        ("Access-Control-Allow-Headers", asked or "content-type"),
        ("Access-Control-Max-Age", "86400"),
    )
    return TagAnswer(status=204, headers=headers)


def gif(*headers: tuple[str, str]) -> TagAnswer:
    """Answer with the one-pixel GIF, never cached."""
    fixed = (("Content-Type", "image/gif"), ("Cache-Control", "no-store"))
    return TagAnswer(status=200, headers=fixed + headers, body=GIF)


def refusal(status: int, text: str, *headers: tuple[str, str]) -> TagAnswer:
    """Answer with one sentence of plain text."""
    fixed = (("Content-Type", "text/plain; charset=utf-8"),)
    return TagAnswer(status=status, headers=fixed + headers, body=text.encode())


def header_signals(request: TagRequest, *, opted_out: bool) -> Signals:
    """Give the signals that a request carries outside its message."""
    return Signals(gpc=request.header("sec-gpc") == "1", opted_out=opted_out)
