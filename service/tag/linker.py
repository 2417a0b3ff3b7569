"""The linker's token: a visitor on its way to another domain of its site.

A visitor, its site and browser come in, a sealed text of 60 characters goes out, and back. It lives
two minutes and may be used more than once within them, which is why it is bound to the browser.
"""

import struct
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from matching.ids import VisitorId
from service.tag.tokens import Keys, TokenError

LINK_LIVES_S: Final = 120
NEW: Final = "new"
"""What a page says in a token's place when it asks for one."""
_PURPOSE: Final = "linker"
_PAYLOAD: Final = struct.Struct("<16sI8s")


class LinkStatus(StrEnum):
    """What became of a linker's token; the metric's label and what tests assert."""

    TAKEN = "taken"
    FORGED = "forged"
    """Made elsewhere, damaged, or handed to another kind of browser."""
    EXPIRED = "expired"
    ANOTHER_SITE = "another_site"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    HAS_COOKIE = "has_cookie"
    """The browser is known on this domain already, and stays who it is."""
    NOT_KEPT = "not_kept"
    """No message of the request may be kept, so nobody is linked to anything."""


def make_link(keys: Keys, visitor: VisitorId, *, site: str, agent: str, now_s: int) -> str:
    """Make a token for this visitor of this site, in this browser."""
    payload = _PAYLOAD.pack(visitor, now_s + LINK_LIVES_S, _short(site))
    return keys.seal(_PURPOSE, payload, [agent.encode()])


def read_link(
    keys: Keys, text: str, *, site: str, agent: str, now_s: int
) -> tuple[LinkStatus, VisitorId | None]:
    """Give the visitor of a token that is good here and now, or why there is none."""
    try:
        payload = keys.unseal(_PURPOSE, text, [agent.encode()])
        visitor, expires_s, made_for = _PAYLOAD.unpack(payload)
    except (TokenError, struct.error, UnicodeEncodeError):
        return LinkStatus.FORGED, None
    if made_for != _short(site):
        return LinkStatus.ANOTHER_SITE, None
    if not now_s <= expires_s <= now_s + LINK_LIVES_S:
        return LinkStatus.EXPIRED, None
    return LinkStatus.TAKEN, VisitorId(visitor)


def _short(site: str) -> bytes:
    return blake2b(site.encode(), digest_size=8).digest()
