"""Plays one sync with a partner as a browser without cookies would, and says what came back.

A partner comes in, every hop and a verdict go out. Nothing is stored: the callback is read where it
would arrive, never called. Redirects into private networks are not followed.
"""

import secrets
import socket
import time
from collections.abc import Iterator
from enum import StrEnum
from ipaddress import ip_address
from typing import Final, Self
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import msgspec

from matching.consent.decide import Signals
from matching.partner_facts import Direction, Partner, TokenPlace
from matching.partner_id_rules import IdStatus, check_partner_id
from matching.sync_url import callback_url, read_callback, sync_url
from service.tag.request import LOOPBACK
from service.tag.sync_offer import NONCE_BITS
from service.tag.tokens import CALLBACK_LIVES_S, Callback, Keys, TokenError, make_callback
from service.tag.tokens import open_callback as open_token
from service.tag.visitor_cookie import mint_visitor

SECONDS_MAX: Final = 10.0
URL_SHOWN_MAX: Final = 2_000
AGENT: Final = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/150.0.0.0 Safari/537.36"
)
HEADERS: Final = {
    "User-Agent": AGENT,
    "Accept": "image/avif,image/webp,*/*;q=0.8",
    "Sec-Fetch-Mode": "no-cors",
    "Sec-Fetch-Dest": "image",
    "Sec-Fetch-Site": "cross-site",
}


class TrialOutcome(StrEnum):
    """How a trial ended."""

    RETURNED = "returned"
    KEPT_OURS = "kept_ours"
    """It took our id, as it is meant to; nothing comes back."""
    NO_REDIRECT = "no_redirect"
    """It answered, and sent the browser nowhere."""
    REFUSED = "refused"
    """It answered with an error."""
    UNREACHABLE = "unreachable"
    TOO_MANY_HOPS = "too_many_hops"
    PRIVATE_ADDRESS = "private_address"
    ID_REFUSED = "id_refused"
    TOKEN_LOST = "token_lost"  # noqa: S105 - an outcome's name
    ELSEWHERE = "elsewhere"
    """It knows another address of ours than this service's."""

    @property
    def is_good(self) -> bool:
        """Tell whether a browser's sync would have done its work."""
        return self in {TrialOutcome.RETURNED, TrialOutcome.KEPT_OURS}


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """One address that was called, and its status; 0 where none answered or none was asked."""

    url: str
    status: int


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one played sync."""

    partner: str
    outcome: TrialOutcome
    detail: str
    hops: list[Hop]
    id: str = ""
    id_status: str = ""
    seconds: float = 0.0


class _End(Exception):
    """The trial is over; what was found."""

    def __init__(self, outcome: TrialOutcome, detail: str, id_: str = "", status: str = "") -> None:
        super().__init__(detail)
        self.outcome = outcome
        self.detail = detail
        self.id = id_
        self.id_status = status


class _Browser:
    """Calls one address after the other and keeps cookies; where to go next is not its affair."""

    def __init__(self) -> None:
        # Why no client: it refuses redirects that it cannot follow before anybody sees them.
        self._transport = httpx.HTTPTransport()
        self._cookies = httpx.Cookies()
        self._timeout = httpx.Timeout(SECONDS_MAX).as_dict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def get(self, url: str) -> httpx.Response:
        """Ask for an address; nobody reads the body, it could be endless."""
        extensions = {"timeout": self._timeout}
        request = httpx.Request("GET", url, headers=HEADERS, extensions=extensions)
        self._cookies.set_cookie_header(request)
        answer = self._transport.handle_request(request)
        answer.request = request
        self._cookies.extract_cookies(answer)
        answer.close()
        return answer


def try_partner(partner: Partner, *, base: str, keys: Keys) -> Trial:
    """Fire the partner's URL and follow it to our callback."""
    started = time.monotonic()
    hops: list[Hop] = []
    try:
        with _Browser() as browser:
            _follow(partner, base, keys, browser, hops)
    except _End as end:
        return Trial(
            partner=partner.key,
            outcome=end.outcome,
            detail=end.detail,
            hops=hops,
            id=end.id,
            id_status=end.id_status,
            seconds=round(time.monotonic() - started, 3),
        )
    raise AssertionError("a trial ends with a verdict")


def _follow(partner: Partner, base: str, keys: Keys, browser: _Browser, hops: list[Hop]) -> None:
    url, callback = _fired(partner, base, keys)
    home = urlsplit(url).hostname
    for _ in range(partner.sync.hops_max + 1):
        if _is_callback(partner, url):
            hops.append(Hop(url=url[:URL_SHOWN_MAX], status=0))
            _refuse_elsewhere(url, base)
            _judge(partner, keys, url, callback)
        _refuse_private(url, home)
        answer = _get(browser, url, hops)
        if not answer.has_redirect_location:
            _judge_last(partner, answer.status_code)
        url = urljoin(url, answer.headers["location"])
    raise _End(
        TrialOutcome.TOO_MANY_HOPS,
        f"more than {partner.sync.hops_max} redirects; the last leads to {_host(url)}",
    )


def _fired(partner: Partner, base: str, keys: Keys) -> tuple[str, Callback]:
    now_s = int(time.time())
    callback = Callback(
        visitor=mint_visitor(),
        nonce=secrets.randbits(NONCE_BITS),
        expires_s=now_s + CALLBACK_LIVES_S,
    )
    token = make_callback(keys, partner.key, callback)
    url = sync_url(
        partner,
        callback=callback_url(partner, base=base, token=token),
        our_id=secrets.token_hex(16),
        token=token,
        signals=Signals(),
        passed=dict.fromkeys(partner.sync.passes, "trial"),
    )
    return url, callback


def _get(browser: _Browser, url: str, hops: list[Hop]) -> httpx.Response:
    shown = url[:URL_SHOWN_MAX]
    try:
        answer = browser.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        hops.append(Hop(url=shown, status=0))
        why = str(problem) or type(problem).__name__
        raise _End(TrialOutcome.UNREACHABLE, f"{_host(url)} does not answer: {why}") from problem
    hops.append(Hop(url=shown, status=answer.status_code))
    return answer


def _judge_last(partner: Partner, status: int) -> None:
    if status >= httpx.codes.BAD_REQUEST:
        raise _End(TrialOutcome.REFUSED, f"it answered {status}: ask {partner.name} why")
    if partner.sync.direction is not Direction.BACK:
        raise _End(TrialOutcome.KEPT_OURS, f"it answered {status} and keeps our id")
    raise _End(
        TrialOutcome.NO_REDIRECT,
        f"it answered {status} and sent the browser nowhere: it may know no browser without its "
        "cookie, or not allow our callback's host",
    )


def _judge(partner: Partner, keys: Keys, url: str, callback: Callback) -> None:
    fields = parse_qs(urlsplit(url).query, keep_blank_values=True)
    came = read_callback(partner, {name: values[0] for name, values in fields.items()})
    if came.error:
        why = f"it came back with the error {came.error!r}"
        raise _End(TrialOutcome.ID_REFUSED, why, status="partner_error")
    status = check_partner_id(partner, came.id)
    lost = _token_fault(partner, keys, came.token, callback)
    if lost:
        raise _End(TrialOutcome.TOKEN_LOST, lost, came.id, status)
    if status is not IdStatus.OK:
        why = f"its id {came.id[:100]!r} was refused: {status}"
        raise _End(TrialOutcome.ID_REFUSED, why, came.id, status)
    raise _End(TrialOutcome.RETURNED, "an id came back with our token", came.id, status)


def _token_fault(partner: Partner, keys: Keys, token: str, callback: Callback) -> str:
    if partner.sync.token_place is TokenPlace.COOKIE:
        return ""
    try:
        found = open_token(keys, partner.key, token, now_s=int(time.time()))
    except TokenError as problem:
        return f"our token did not come back whole: {problem}"
    return "" if found == callback else "another token than ours came back"


def _is_callback(partner: Partner, url: str) -> bool:
    parts = urlsplit(url)
    named = parse_qs(parts.query).get("bidder", [""])[0]
    return parts.path.endswith("/setuid") and named == partner.key


def _refuse_elsewhere(url: str, base: str) -> None:
    came, ours = (_origin(each) for each in (url, base))
    if came != ours:
        why = f"it came back to {_host(url)}, this service is {_host(base)}: tell it your callback"
        raise _End(TrialOutcome.ELSEWHERE, why)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, "" if parts.hostname in LOOPBACK else parts.hostname, parts.port


def _refuse_private(url: str, home: str | None) -> None:
    """Stop where a redirect leads into a network that only this machine can see."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _End(TrialOutcome.PRIVATE_ADDRESS, f"it redirects to no web address: {url[:100]!r}")
    if parts.hostname == home:
        return
    for address in _addresses(parts.hostname):
        if not ip_address(address).is_global:
            why = f"it redirects to {_host(url)}, an address that is not public"
            raise _End(TrialOutcome.PRIVATE_ADDRESS, why)


def _addresses(host: str) -> Iterator[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return  # the call itself will say that nobody answers
    yield from (str(each[4][0]).partition("%")[0] for each in found)


def _host(url: str) -> str:
    return urlsplit(url).netloc
