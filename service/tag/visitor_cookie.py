"""The first-party cookie that names a browser, the reference that a page may see, the opt-out.

Text comes in from headers, values and `Set-Cookie` lines go out. A forged or foreign cookie is no
visitor.
"""

import re
import secrets
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, Literal

import msgspec

from matching.ids import ERASED_VISITOR, VisitorId
from service.tag.tokens import Keys, TokenError

LIVES_S: Final = 395 * 86_400
"""13 months, the most that a consent may be kept without asking again."""
RENEW_AFTER_S: Final = 86_400
ID_LENGTH_MIN: Final = 16
"""Ids of messages that are shorter may not be one browser's alone."""
REFERENCE_PREFIX: Final = "jr."
HOST_PREFIX: Final = "__Host-"

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DOMAIN: Final = re.compile(r"\.?(?:[A-Za-z0-9-]{1,63}\.)*[A-Za-z0-9-]{1,63}")
_PATH: Final = re.compile(r"/[!-:<-~]*")


class CookieSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a site sets its visitor cookie."""

    name: str = "jml"
    domain: str = ""
    path: str = "/"
    same_site: Literal["Lax", "Strict", "None"] = "Lax"

    def __post_init__(self) -> None:
        """Refuse what a browser would not take, or what would end the line early."""
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"cookie.name is {self.name!r}; give letters, digits, - and _")
        if self.domain and not _DOMAIN.fullmatch(self.domain):
            raise ValueError(f"cookie.domain is {self.domain!r}; give one such as shop.example")
        if not _PATH.fullmatch(self.path):
            raise ValueError(f"cookie.path is {self.path!r}; it must begin with / and hold no ;")
        if self.name.startswith(HOST_PREFIX) and (self.domain or self.path != "/"):
            raise ValueError(f"a {HOST_PREFIX} cookie has no domain, and / as its path")

    @property
    def always_secure(self) -> bool:
        """Whether browsers take this cookie only with Secure."""
        return self.same_site == "None" or self.name.startswith((HOST_PREFIX, "__Secure-"))


class VisitorCookie(msgspec.Struct, frozen=True, kw_only=True):
    """A verified cookie: who, and since when this copy of it stands."""

    visitor: VisitorId
    issued_s: int


def find_cookies(header: str, name: str) -> Iterator[str]:
    """Find all cookies of a name in a `Cookie` header: a page above or below may set one too."""
    if name not in header:
        return
    for part in header.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            yield value


def find_cookie(header: str, name: str) -> str:
    """Find the first cookie of a name; empty when it is not there."""
    return next(find_cookies(header, name), "")


def mint_visitor() -> VisitorId:
    """Make a new visitor: 128 random bits."""
    return VisitorId(secrets.token_bytes(16))


def first_visitor(keys: Keys, message_id: str, *seen: str, now_s: int) -> VisitorId:
    """Give a browser without cookie its visitor, by its first message and what is seen of it.

    Why no random one: when the answer to a first visit is lost, its cookie is too, and the message
    that is then sent again must count once. It does within the hour. A short id may be anybody's.
    """
    if len(message_id) < ID_LENGTH_MIN:
        return mint_visitor()
    hour = struct.pack("<I", now_s // 3600)
    parts = [each.encode() for each in (message_id, *seen)]
    return VisitorId(keys.keyed_hash("first visitor", hour, *parts))


def write_cookie(keys: Keys, visitor: VisitorId, *, now_s: int) -> str:
    """Give the cookie's value for this visitor."""
    return keys.sign("cookie", visitor + struct.pack("<I", now_s))


def read_cookie(keys: Keys, value: str, *, now_s: int | None = None) -> VisitorCookie | None:
    """Give the visitor of a cookie that we signed, or None; with `now_s` its age counts too."""
    if not value:
        return None
    try:
        payload = keys.verify("cookie", value, 20)
    except TokenError:
        return None
    visitor = VisitorId(payload[:16])
    if visitor == ERASED_VISITOR:
        return None
    (issued_s,) = struct.unpack("<I", payload[16:])
    found = VisitorCookie(visitor=visitor, issued_s=issued_s)
    return None if now_s is not None and is_too_old(found, now_s=now_s) else found


def is_too_old(cookie: VisitorCookie, *, now_s: int) -> bool:
    """Tell a cookie that outlived its 13 months, whatever the browser says."""
    return now_s - cookie.issued_s > LIVES_S


def must_renew(cookie: VisitorCookie, *, now_s: int) -> bool:
    """Renew at most once a day, so that a returning browser keeps its 13 months."""
    return now_s - cookie.issued_s > RENEW_AFTER_S


def quiet_until_s(cookie: VisitorCookie) -> int:
    """Tell until when a cookie is neither too old nor to be renewed."""
    return cookie.issued_s + min(RENEW_AFTER_S, LIVES_S)


def set_cookie(
    settings: CookieSettings, value: str, *, secure: bool, lives_s: int = LIVES_S
) -> str:
    """Give the `Set-Cookie` line of a first-party cookie that scripts cannot read."""
    return f"{settings.name}={value}{_attributes(settings, secure, lives_s)}"


@lru_cache(maxsize=256)
def _attributes(settings: CookieSettings, secure: bool, lives_s: int) -> str:
    parts = ["", f"Path={settings.path}", f"Max-Age={lives_s}"]
    if settings.domain:
        parts.append(f"Domain={settings.domain}")
    parts += ["HttpOnly", f"SameSite={settings.same_site}"]
    if secure or settings.always_secure:
        parts.append("Secure")
    return "; ".join(parts)


def write_reference(keys: Keys, visitor: VisitorId) -> str:
    """Give the reference by which a page or backend names this browser; it is no cookie."""
    return REFERENCE_PREFIX + keys.sign("reference", visitor)


def read_reference(keys: Keys, text: str) -> VisitorId | None:
    """Give the visitor that a reference names, or None."""
    if not text.startswith(REFERENCE_PREFIX):
        return None
    try:
        return VisitorId(keys.verify("reference", text.removeprefix(REFERENCE_PREFIX), 16))
    except TokenError:
        return None


def visitor_of_sdk(keys: Keys, site: str, anonymous: str) -> VisitorId:
    """Give the visitor of an SDK's own anonymousId: a keyed hash, so nobody can aim at a cookie."""
    return VisitorId(keys.keyed_hash("sdk visitor", site.encode(), anonymous.encode()))


def write_opt_out(keys: Keys, *, now_s: int) -> str:
    """Give the value of the opt-out cookie; it carries no id."""
    return keys.sign("opt-out", struct.pack("<I", now_s))


def is_opted_out(keys: Keys, value: str) -> bool:
    """Tell whether this is an opt-out cookie of ours."""
    if not value:
        return False
    try:
        keys.verify("opt-out", value, 4)
    except TokenError:
        return False
    return True
