"""The sync cookie: when this browser was last sent to each partner. It never holds an id.

Six bytes for each partner, so that forty of them stay far below a kilobyte. Only `/cookie_sync`
writes it; whatever is unreadable counts as never attempted.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from functools import lru_cache
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
_ENTRY_BYTES: Final = 6
_MINUTES_LAST: Final = (1 << 24) - 1


def read_attempts(request: TagRequest, partners: Iterable[Partner]) -> dict[str, int]:
    """Give the moment of the last attempt at each of these partners, in seconds."""
    text = visitor_cookie.find_cookie(request.header("cookie"), SYNC_COOKIE)
    packed = _unpack(text) if text else b""
    if not packed:
        return {}
    keys = {_mark(partner.key): partner.key for partner in partners}
    attempts = {}
    for start in range(0, len(packed), _ENTRY_BYTES):
        key = keys.get(packed[start : start + _KEY_BYTES])
        if key is not None:
            minutes = int.from_bytes(packed[start + _KEY_BYTES : start + _ENTRY_BYTES])
            attempts[key] = EPOCH_S + minutes * 60
    return attempts


def write_attempts(
    request: TagRequest, site: Site, attempts: Mapping[str, int], partners: Iterable[Partner]
) -> str:
    """Give the `Set-Cookie` line; attempts that bar nothing any more are left out."""
    lives_s = {partner.key: partner.refresh_days * 86_400 for partner in partners}
    kept = [
        (moment, key)
        for key, moment in attempts.items()
        if key in lives_s and request.now_s - moment < lives_s[key]
    ]
    packed = b"".join(
        _mark(key) + _minutes(moment).to_bytes(_KEY_BYTES)
        for moment, key in sorted(kept, reverse=True)[:ATTEMPTS_MAX]
    )
    value = base64.urlsafe_b64encode(packed).decode()
    return visitor_cookie.set_cookie(of_site(site, SYNC_COOKIE), value, secure=request.secure)


def of_site(site: Site, name: str) -> visitor_cookie.CookieSettings:
    """Give how a site sets another of our cookies: wherever its visitor cookie goes."""
    return replace(site.cookie, name=name)


@lru_cache(maxsize=1024)
def _mark(key: str) -> bytes:
    return blake2b(key.encode(), digest_size=_KEY_BYTES).digest()


def _minutes(moment_s: int) -> int:
    return min(max(0, moment_s - EPOCH_S) // 60, _MINUTES_LAST)


def _unpack(text: str) -> bytes:
    try:
        packed = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    too_many = len(packed) > ATTEMPTS_MAX * _ENTRY_BYTES
    return b"" if too_many or len(packed) % _ENTRY_BYTES else packed
