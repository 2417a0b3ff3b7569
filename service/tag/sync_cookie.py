"""The sync cookie: when this browser was last sent to each partner. It never holds an id.

Six bytes for each partner, so that forty of them stay far below a kilobyte. Only `/cookie_sync`
writes it; whatever is unreadable counts as never attempted.
"""

import base64
import binascii
import struct
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Final

from msgspec.structs import replace

from matching.partner_facts import Partner
from service.tag import visitor_cookie
from service.tag.request import TagRequest
from service.tag.tag_state import Site

SYNC_COOKIE: Final = "jml_sync"
ATTEMPTS_MAX: Final = 120
EPOCH_S: Final = 1_735_689_600
"""2025: minutes since then fit into three bytes until 2056."""
_KEY_BYTES: Final = 3
_ENTRY: Final = struct.Struct(">3sBH")
"""A partner's mark, and minutes in 24 bits."""
_MINUTES_LAST: Final = (1 << 24) - 1


class CookieMarks:
    """The partners that the cookie may name: their marks, and for how long an attempt counts."""

    def __init__(self, partners: Iterable[Partner]) -> None:
        self.of_key = {each.key: (_mark(each.key), each.refresh_days * 86_400) for each in partners}
        self.key_of = {mark: key for key, (mark, _) in self.of_key.items()}


def read_attempts(request: TagRequest, marks: CookieMarks) -> dict[str, int]:
    """Give the moment of the last attempt at each of these partners, in seconds."""
    text = visitor_cookie.find_cookie(request.header("cookie"), SYNC_COOKIE)
    packed = _unpack(text) if text else b""
    return {
        key: EPOCH_S + ((high << 16) + low) * 60
        for mark, high, low in _ENTRY.iter_unpack(packed)
        if (key := marks.key_of.get(mark))
    }


def write_attempts(
    request: TagRequest, site: Site, attempts: Mapping[str, int], marks: CookieMarks
) -> str:
    """Give the `Set-Cookie` line; attempts that bar nothing any more are left out."""
    now_s, kept = request.now_s, []
    for key, moment in attempts.items():
        mark, lives_s = marks.of_key.get(key, (b"", 0))
        if now_s - moment < lives_s:
            kept.append((moment, mark))
    kept.sort(reverse=True)
    packed = b"".join([_packed(mark, moment) for moment, mark in kept[:ATTEMPTS_MAX]])
    value = base64.urlsafe_b64encode(packed).decode()
    return visitor_cookie.set_cookie(of_site(site, SYNC_COOKIE), value, secure=request.secure)


def of_site(site: Site, name: str) -> visitor_cookie.CookieSettings:
    """Give how a site sets another of our cookies: wherever its visitor cookie goes."""
    return replace(site.cookie, name=name)


def _mark(key: str) -> bytes:
    return blake2b(key.encode(), digest_size=_KEY_BYTES).digest()


def _packed(mark: bytes, moment_s: int) -> bytes:
    minutes = min(max(0, moment_s - EPOCH_S) // 60, _MINUTES_LAST)
    return _ENTRY.pack(mark, minutes >> 16, minutes & 0xFFFF)


def _unpack(text: str) -> bytes:
    try:
        packed = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    too_many = len(packed) > ATTEMPTS_MAX * _ENTRY.size
    return b"" if too_many or len(packed) % _ENTRY.size else packed
