"""Three DSPs for the demo and the tests, played over real HTTP from the partners' shipped facts.

Comes in: the request that a browser fires at a partner. Goes out: a cookie of that "partner" and a
redirect to our callback with its id, or a refusal. Never part of a service that faces the world.
"""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from enum import StrEnum
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit
from uuid import UUID

import msgspec
from msgspec.structs import replace

from matching.partner_facts import IdRules, RedirectPosition, Sync
from matching.partners import Partner, known_facts

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PLAYED: Final = ("xandr", "the_trade_desk", "pixel")
COOKIE_NAMES: Final = {"xandr": "uuid2", "the_trade_desk": "TDID", "pixel": "pxid"}
COOKIE_LIVES_S: Final = 90 * 86_400
NO_CONTENT: Final = 204
HTTP_ENCODED: Final = ("http%3a", "https%3a")
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Outcome(StrEnum):
    """How one browser fared at one stand-in."""

    RETURNED = "returned"
    OPTED_OUT = "opted_out"
    NEVER_RETURNED = "never_returned"
    REFUSED = "refused"


class Play(msgspec.Struct, frozen=True):
    """One partner being played: the shipped facts it is played by."""

    key: str
    sync: Sync
    ids: IdRules

    @property
    def path(self) -> str:
        """Say where this stand-in answers."""
        return f"/{self.key}{urlsplit(self.sync.url_template).path}"


class StandIn:
    """The ASGI application; `counts` tells how often each outcome came about."""

    def __init__(
        self,
        *,
        callback_base: str,
        never_return: Mapping[str, float],
        opted_out: Mapping[str, float],
        seed: str,
    ) -> None:
        self.counts: Counter[tuple[str, Outcome]] = Counter()
        self._callback_base = callback_base.rstrip("/")
        self._never_return = never_return
        self._opted_out = opted_out
        self._seed = seed
        self._browsers: Counter[str] = Counter()
        self._plays = {play.path: play for play in map(_play, PLAYED)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or follow the server's start and stop."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        status, headers = self.answer(scope)
        # Why: without a length the server sends a second, empty chunk that waits for the first.
        if status != NO_CONTENT:
            headers = [*headers, (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def answer(self, scope: Scope) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Give the status and headers for one request."""
        play = self._plays.get(scope["path"].removeprefix(scope.get("root_path", "")))
        if play is None or scope["method"] != "GET":
            return 404, []
        its_id = _known_id(play, scope) or self._new_id(play)
        target = self._target(play, scope["query_string"].decode("ascii", "replace"))
        outcome = self._fate(play, its_id) if target else Outcome.REFUSED
        self.counts[play.key, outcome] += 1
        if outcome is Outcome.REFUSED:
            return 400, []
        headers = [(b"set-cookie", _cookie(play, its_id, scope).encode())]
        if outcome is Outcome.NEVER_RETURNED:
            return NO_CONTENT, headers
        said = "0" if outcome is Outcome.OPTED_OUT else its_id
        location = target.replace(play.sync.user_macro, quote(said, safe=""))
        return 302, [*headers, (b"location", location.encode("ascii"))]

    def _new_id(self, play: Play) -> str:
        number = self._browsers[play.key]
        self._browsers[play.key] += 1
        return _make_id(play.key, self._digest(play.key, "browser", str(number)))

    def _fate(self, play: Play, its_id: str) -> Outcome:
        share = int.from_bytes(self._digest(play.key, "fate", its_id)[:8], "big") / 2**64
        never = self._never_return.get(play.key, 0.0)
        if share < never:
            return Outcome.NEVER_RETURNED
        if share < never + self._opted_out.get(play.key, 0.0):
            return Outcome.OPTED_OUT
        return Outcome.RETURNED

    def _digest(self, *parts: str) -> bytes:
        return hashlib.blake2b("\0".join((self._seed, *parts)).encode(), digest_size=16).digest()

    def _target(self, play: Play, query: str) -> str:
        """Find where to send the browser, the macro still in it; empty when it may not go there."""
        if play.sync.redirect_position is RedirectPosition.REGISTERED:
            ours = parse_qs(query).get(play.sync.our_id_param, [""])[0]
            target = play.sync.registered_callback.replace("{base}", self._callback_base)
            return target.replace(play.sync.our_id_macro, quote(ours, safe="")) if ours else ""
        if play.sync.redirect_position is RedirectPosition.QUERY:
            target = unquote(query) if query[:12].lower().startswith(HTTP_ENCODED) else query
        else:
            target = parse_qs(query).get(_redirect_param(play.sync), [""])[0]
        return target if self._is_ours(target) else ""

    def _is_ours(self, target: str) -> bool:
        """Keep the stand-in from sending browsers anywhere but to the demo itself."""
        try:
            parts = urlsplit(target)
            host = parts.hostname
        except ValueError:
            return False
        ours = {urlsplit(self._callback_base).hostname, *LOOPBACK}
        printable = target.isascii() and target.isprintable() and "\\" not in target
        return printable and parts.scheme in {"http", "https"} and host in ours


def create_stand_in(
    *,
    callback_base: str,
    never_return: Mapping[str, float],
    opted_out: Mapping[str, float],
    seed: str,
) -> StandIn:
    """Make the application; rates are shares of browsers, by partner key."""
    return StandIn(
        callback_base=callback_base, never_return=never_return, opted_out=opted_out, seed=seed
    )


def stand_in_url(template_url: str, partner_key: str, base: str) -> str:
    """Point a partner's URL at the stand-in: https://real.host/path becomes base/key/path."""
    _, _, behind = template_url.partition("://")
    _, slash, rest = behind.partition("/")
    return f"{base.rstrip('/')}/{partner_key}{slash}{rest}"


def stand_in_partner(partner: Partner, base: str) -> Partner:
    """Give the partner with its sync pointed at the stand-in."""
    url = stand_in_url(partner.sync.url_template, partner.key, base)
    return replace(partner, sync=replace(partner.sync, url_template=url))


def _play(key: str) -> Play:
    facts = known_facts(key)
    return Play(
        key, msgspec.convert(facts["sync"], Sync), msgspec.convert(facts.get("ids", {}), IdRules)
    )


def _redirect_param(sync: Sync) -> str:
    found = re.search(r"([\w.-]+)=\{redirect\}", sync.url_template)
    return found[1] if found else ""


def _known_id(play: Play, scope: Scope) -> str:
    try:
        jar = SimpleCookie(_header(scope, b"cookie"))
    except CookieError:
        return ""
    kept = jar.get(COOKIE_NAMES[play.key])
    return kept.value if kept and re.fullmatch(play.ids.pattern, kept.value) else ""


def _make_id(key: str, digest: bytes) -> str:
    """Write an id in the shape of the real ones: 19 digits, a GUID, hexadecimal."""
    if key == "xandr":
        return str(10**18 + int.from_bytes(digest[:8], "big") % (9 * 10**18))
    if key == "the_trade_desk":
        return str(UUID(bytes=digest, version=4))
    return base64.b16encode(digest).decode().lower()


def _cookie(play: Play, its_id: str, scope: Scope) -> str:
    host = _header(scope, b"host").rsplit(":", 1)[0]
    # Why: browsers drop SameSite=None without Secure, and Secure where the connection is not.
    secure = scope.get("scheme") == "https" or host == "localhost"
    site = "SameSite=None; Secure" if secure else "SameSite=Lax"
    kept = f"{COOKIE_NAMES[play.key]}={its_id}; Path=/{play.key}; Max-Age={COOKIE_LIVES_S}"
    return f"{kept}; HttpOnly; {site}"


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        kind = message["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
