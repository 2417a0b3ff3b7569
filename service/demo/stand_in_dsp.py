"""DSPs for the demo and the tests, played over real HTTP from the partners' own facts.

Comes in: the request that a browser fires at a partner. Goes out: a cookie of that "partner" and a
redirect to our callback with its id, or a refusal. Never part of a service that faces the world.
"""

import hashlib
import string
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from enum import StrEnum
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from matching.partner_facts import Direction, IdRules, RedirectPosition, Sync
from matching.partner_id_rules import IdStatus, check_shape
from matching.partners import Partner, known_facts
from matching.play_partner import Heard, hear, path_pattern, reply, with_parameters

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

PLAYED: Final = ("xandr", "the_trade_desk", "pixel")
COOKIE_NAMES: Final = {"xandr": "uuid2", "the_trade_desk": "TDID", "pixel": "pxid"}
COOKIE_LIVES_S: Final = 90 * 86_400
NO_CONTENT: Final = 204
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
BOUNCE: Final = "/bounce"
ANY_MACRO: Final = "${USER_ID}"
ITS_ERROR: Final = "15"


class Outcome(StrEnum):
    """How one browser fared at one stand-in."""

    RETURNED = "returned"
    OPTED_OUT = "opted_out"
    NEVER_RETURNED = "never_returned"
    LITERAL_MACRO = "literal_macro"
    """It forgot to put its id in."""
    EMPTY = "empty"
    """It says that it knows the browser no more."""
    FAILED = "failed"
    """It calls back with an error in place of an id."""
    LEARNT = "learnt"
    """It keeps our id; nothing goes back."""
    REFUSED = "refused"


Fates = Mapping[str, Mapping[Outcome, float]]
NO_FATES: Final[Fates] = {}


class Play(msgspec.Struct, frozen=True):
    """One partner being played: the facts it is played by."""

    key: str
    sync: Sync
    ids: IdRules

    @property
    def cookie_name(self) -> str:
        """Name the cookie by which this partner knows a browser."""
        return COOKIE_NAMES.get(self.key, f"{self.key}_id")


class StandIn:
    """The ASGI application; `counts` tells how often each outcome came about."""

    def __init__(
        self,
        *,
        callback_base: str,
        fates: Fates,
        seed: str,
        plays: Iterable[Play],
        bounces: Iterable[str],
    ) -> None:
        self.counts: Counter[tuple[str, Outcome]] = Counter()
        self.heard: dict[str, Heard] = {}
        """What each partner read in the last URL that was fired at it."""
        self._callback_base = callback_base.rstrip("/")
        self._fates = fates
        self._seed = seed
        self._bounces = frozenset(bounces)
        self._browsers: Counter[str] = Counter()
        self._plays = {play.key: play for play in plays}
        self._paths = {play.key: path_pattern(play.sync) for play in self._plays.values()}

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

    def answer(self, scope: Scope) -> tuple[int, Headers]:
        """Give the status and headers for one request."""
        key, path = _key_and_path(scope)
        play = self._plays.get(key)
        may_bounce = not path.startswith(f"{BOUNCE}/")
        path = path if may_bounce else path.removeprefix(BOUNCE)
        if play is None or scope["method"] != "GET" or not self._paths[key].fullmatch(path):
            return 404, []
        query = scope["query_string"].decode("ascii", "replace")
        known = _known_id(play, scope)
        if may_bounce and not known and key in self._bounces:
            # Why: some partners first see whether the browser keeps a cookie at all.
            place = f"{scope.get('root_path', '')}/{key}{BOUNCE}{path}?{query}"
            cookie = _cookie(play, self._new_id(play), scope).encode()
            return 302, [(b"set-cookie", cookie), (b"location", place.encode("ascii", "replace"))]
        return self._answer(play, f"https://{key}{path}?{query}", known, scope)

    def _answer(self, play: Play, url: str, known: str, scope: Scope) -> tuple[int, Headers]:
        its_id = known or self._new_id(play)
        heard = self.heard[play.key] = hear(play.sync, url)
        outcome = self._outcome(play, heard, its_id)
        location = self._location(play, heard, outcome, its_id)
        if location and not self._is_ours(location):
            outcome = Outcome.REFUSED
        self.counts[play.key, outcome] += 1
        if outcome is Outcome.REFUSED:
            return 400, []
        headers = [(b"set-cookie", _cookie(play, its_id, scope).encode())]
        if not location:
            return NO_CONTENT, headers
        return 302, [*headers, (b"location", location.encode("ascii"))]

    def _outcome(self, play: Play, heard: Heard, its_id: str) -> Outcome:
        if not _is_understood(play.sync, heard):
            return Outcome.REFUSED
        if play.sync.direction is not Direction.BACK:
            return Outcome.LEARNT
        share = int.from_bytes(self._digest(play.key, "fate", its_id)[:8], "big") / 2**64
        for outcome, part in self._fates.get(play.key, {}).items():
            if share < part:
                return outcome
            share -= part
        return Outcome.RETURNED

    def _location(self, play: Play, heard: Heard, outcome: Outcome, its_id: str) -> str:
        """Say where to send the browser; empty when it is sent nowhere."""
        sync, base = play.sync, self._callback_base
        match outcome:
            case Outcome.RETURNED:
                return reply(sync, heard, its_id=its_id, base=base)
            case Outcome.OPTED_OUT:
                said = next(iter(play.ids.sentinels), "0")
                return reply(sync, heard, its_id=said, base=base)
            case Outcome.LITERAL_MACRO:
                return reply(sync, heard, its_id=sync.user_macro or ANY_MACRO, base=base)
            case Outcome.EMPTY:
                return reply(sync, heard, its_id="", base=base)
            case Outcome.FAILED:
                bare = reply(sync, heard, its_id="", base=base)
                return with_parameters(bare, {sync.arrives.error: ITS_ERROR})
            case _:
                return ""

    def _new_id(self, play: Play) -> str:
        number = self._browsers[play.key]
        self._browsers[play.key] += 1
        return _make_id(play.ids.example, self._digest(play.key, "browser", str(number)))

    def _digest(self, *parts: str) -> bytes:
        return hashlib.blake2b("\0".join((self._seed, *parts)).encode(), digest_size=64).digest()

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
    fates: Fates = NO_FATES,
    partners: Iterable[Partner] | None = None,
    bounces: Iterable[str] = (),
) -> StandIn:
    """Make the application; rates are shares of browsers, by partner key.

    Without `partners` it plays the three of the demo. Those of `bounces` first send a browser
    without their cookie to themselves once more.
    """
    plays = [_play(key) for key in PLAYED] if partners is None else [_played(p) for p in partners]
    shares = {
        play.key: {
            Outcome.NEVER_RETURNED: never_return.get(play.key, 0.0),
            Outcome.OPTED_OUT: opted_out.get(play.key, 0.0),
            **fates.get(play.key, {}),
        }
        for play in plays
    }
    return StandIn(
        callback_base=callback_base, fates=shares, seed=seed, plays=plays, bounces=bounces
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


def _played(partner: Partner) -> Play:
    return Play(partner.key, partner.sync, partner.ids)


def _key_and_path(scope: Scope) -> tuple[str, str]:
    """Split the path as it was sent: encoded, for it may hold our callback."""
    raw: bytes | None = scope.get("raw_path")
    sent = scope["path"] if raw is None else raw.decode("ascii", "replace")
    key, slash, rest = sent.removeprefix(scope.get("root_path", "")).lstrip("/").partition("/")
    return key, slash + rest


def _is_understood(sync: Sync, heard: Heard) -> bool:
    """Tell whether the URL holds all that this partner cannot do without."""
    if (
        sync.direction is Direction.BACK
        and sync.redirect_position is not RedirectPosition.REGISTERED
    ):
        return bool(heard.redirect)
    return bool(heard.our_id or not sync.our_id_param) and all(heard.passed.values())


def _known_id(play: Play, scope: Scope) -> str:
    try:
        jar = SimpleCookie(_header(scope, b"cookie"))
    except CookieError:
        return ""
    kept = jar.get(play.cookie_name)
    return kept.value if kept and check_shape(play.ids, kept.value) is IdStatus.OK else ""


def _make_id(example: str, digest: bytes) -> str:
    """Write an id of the example's shape: its digits and letters become others, its signs stay."""
    is_hex = set(example) <= {*string.hexdigits, "-"} and not example.isdigit()
    numbers = iter(digest)
    return "".join(
        _other(each, next(numbers), is_hex=is_hex, first=place == 0)
        for place, each in enumerate(example)
    )


def _other(character: str, number: int, *, is_hex: bool, first: bool) -> str:
    if not character.isalnum():
        return character
    if is_hex:
        kinds = "0123456789abcdef"
    elif character.isdigit():
        kinds = string.digits[1:] if first else string.digits
    else:
        kinds = string.ascii_uppercase if character.isupper() else string.ascii_lowercase
    return kinds[number % len(kinds)]


def _cookie(play: Play, its_id: str, scope: Scope) -> str:
    host = _header(scope, b"host").rsplit(":", 1)[0]
    # Why: browsers drop SameSite=None without Secure, and Secure where the connection is not.
    secure = scope.get("scheme") == "https" or host == "localhost"
    site = "SameSite=None; Secure" if secure else "SameSite=Lax"
    kept = f"{play.cookie_name}={its_id}; Path=/{play.key}; Max-Age={COOKIE_LIVES_S}"
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
