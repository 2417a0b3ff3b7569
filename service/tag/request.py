"""A tag request and its answer as plain values, so that every decision is a pure function of them.

The routes and the protocol make the one and send the other; nothing here knows a server.
"""

import gzip
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from matching.consent.decide import Signals
from matching.consent.site_default import known_country
from service.tag.tag_state import Networks, Site

GIF: Final = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c000000000100010000020144003b"
)


FIELDS_MAX: Final = 100
KNOWN_QUERY_LENGTH_MAX: Final = 200
"""Longer queries are read anew each time, so that the memory of them stays small."""
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: what all requests of one browser on one connection have in common."""

    headers: Mapping[str, str]
    address: str = ""
    scheme: str = "http"
    proxied: bool = False
    """Whether a trusted proxy speaks for it, whose headers about the visitor count."""
    memory: dict[Any, Any] = msgspec.field(default_factory=dict)
    """What was found out about this caller, by name; whoever keeps it says when it is stale."""

    @property
    def own_origin(self) -> str:
        """The origin that this service was called by."""
        return f"{self.scheme}://{self.headers.get('host', '')}"

    @property
    def cut_address(self) -> str:
        """The sender's network: only /24 of IPv4 and /48 of IPv6 stay."""
        if ":" not in self.address:
            return self.address.rpartition(".")[0] + ".0" if "." in self.address else ""
        found = address_of(self.address)
        if found is None:
            return ""
        kept = 24 if found.version == 4 else 48
        return str(ip_network((found, kept), strict=False).network_address)


class TagRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoint reads of one request."""

    method: str
    path: str
    query: str
    caller: Caller
    body: bytes = b""
    received_us: int

    @property
    def fields(self) -> Mapping[str, str]:
        """The query's parameters; the first of each name counts."""
        return fields_of(self.query)

    def header(self, name: str) -> str:
        """Give one header by its lower-case name; empty when absent."""
        return self.caller.headers.get(name, "")

    @property
    def has_gpc(self) -> bool:
        """Tell whether the browser sends Global Privacy Control; any word but 0 is one."""
        # Why not "1" alone: a proxy that joins two such headers writes "1, 1".
        return self.header("sec-gpc").strip() not in {"", "0"}

    @property
    def now_s(self) -> int:
        """The moment of receipt in seconds."""
        return self.received_us // 1_000_000

    @property
    def secure(self) -> bool:
        """Whether cookies may say Secure."""
        return self.caller.scheme == "https"

    def own_origin_of(self, site: Site) -> str:
        """Give the origin that this service was called by, when the site vouches for its host.

        Anybody can send a Host header: only this machine and the hosts of the site's own pages
        are believed, all others give "".
        """
        host = _host_of(self.caller.own_origin)
        known = host in LOOPBACK or any(host == _host_of(each) for each in site.origins)
        return self.caller.own_origin if host and known else ""

    def from_allowed_origin(self, site: Site) -> bool:
        """Tell whether a browser page may speak for this site; a request without Origin is none."""
        origin = self.header("origin")
        return not origin or origin in site.origins or origin == self.caller.own_origin


def fields_of(query: str) -> Mapping[str, str]:
    """Give the parameters of a query; the first of each name counts."""
    return (_known_fields if len(query) <= KNOWN_QUERY_LENGTH_MAX else _fields_of)(query)


def _fields_of(query: str) -> Mapping[str, str]:
    if "%" not in query and "+" not in query and query.count("&") < FIELDS_MAX:
        plain: dict[str, str] = {}
        for pair in query.split("&"):
            if pair:
                name, _, value = pair.partition("=")
                plain.setdefault(name, value)
        return plain  # what the library below would give, for a sixth of its cost
    try:
        parsed = parse_qs(query, keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        return {}  # more parameters than any call of ours has
    return MappingProxyType({name: values[0] for name, values in parsed.items()})


_known_fields: Final = lru_cache(maxsize=4096)(_fields_of)


def _host_of(origin: str) -> str:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return ""
    return "" if "@" in parts.netloc or parts.path else parts.hostname or ""


def address_of(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address of either kind; an IPv4 address inside IPv6 is the IPv4 one."""
    try:
        found = ip_address(text.strip())
    except ValueError:
        return None
    inside = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return inside or found


def through_proxies(request: TagRequest, trusted: Networks) -> TagRequest:
    """Give the request as the first trusted proxy got it: the visitor's address and scheme.

    What anybody else says of addresses and schemes is not believed.
    """
    if not trusted:
        return request
    known = request.caller.memory.get("through_proxies")
    if known is None or known[0] is not trusted:
        known = (trusted, _behind(request.caller, trusted))
        request.caller.memory["through_proxies"] = known
    return msgspec.structs.replace(request, caller=known[1])


def behind_proxies(caller: Caller) -> Caller:
    """Give the caller that `through_proxies` last found behind this one, or itself."""
    known = caller.memory.get("through_proxies")
    return caller if known is None else known[1]


def _behind(caller: Caller, trusted: Networks) -> Caller:
    if not _is_in(caller.address, trusted):
        return caller
    address = caller.address
    for hop in reversed(caller.headers.get("x-forwarded-for", "").split(",")):
        if address_of(hop) is None:
            break
        address = hop.strip()
        if not _is_in(address, trusted):
            break
    proto = caller.headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
    scheme = proto if proto in {"http", "https"} else caller.scheme
    return Caller(headers=caller.headers, address=address, scheme=scheme, proxied=True)


def _is_in(text: str, networks: Networks) -> bool:
    address = address_of(text)
    return address is not None and any(address in network for network in networks)


class TagAnswer(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What goes back; one that is sent often remembers its bytes."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class BodyTooLarge(Exception):
    """A body above its limit, counted after inflation."""


def inflated(request: TagRequest, limit: int) -> bytes:
    """Give the body as the sender wrote it; refuse one that is larger than `limit` bytes."""
    body = _gunzip(request.body, limit) if is_compressed(request) else request.body
    if len(body) > limit:
        raise BodyTooLarge(f"a body of more than {limit} bytes")
    return body


def is_compressed(request: TagRequest) -> bool:
    """Tell whether the body is gzip."""
    return request.header("content-encoding").strip().lower() in {"gzip", "x-gzip"}


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


def cors_headers(request: TagRequest, *sites: Site) -> tuple[tuple[str, str], ...]:
    """Let the calling page read the answer, when one of these sites allows its origin."""
    origin = request.header("origin")
    if not origin or not any(request.from_allowed_origin(site) for site in sites):
        return ()
    return (
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", "Jumelle-Visitor, Jumelle-Link, Retry-After"),
        ("Vary", "Origin"),
    )


def preflight(request: TagRequest, sites: Iterable[Site]) -> TagAnswer:
    """Answer a CORS preflight for the sites that the request may be meant for."""
    asked = request.header("access-control-request-headers")
    headers = cors_headers(request, *sites)
    if not headers:
        return TagAnswer(status=204, headers=(("Vary", "Origin"),))
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


def header_signals(request: TagRequest, site: Site) -> Signals:
    """Give the signals that a request carries outside its message."""
    return Signals(gpc=request.has_gpc, country=trusted_country(request, site))


def trusted_country(request: TagRequest, site: Site) -> str:
    """Give the visitor's country by the header that the site names; only proxies are believed."""
    if not site.country_header or not request.caller.proxied:
        return ""
    return known_country(request.header(site.country_header.lower()))
