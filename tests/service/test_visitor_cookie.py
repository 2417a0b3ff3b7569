"""The visitor cookie: set as the site says, kept 13 months, renewed daily, signed by any key."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from matching.ids import VisitorId
from service.tag import visitor_cookie
from service.tag.collect import Collector
from service.tag.record import MAGIC, read_records
from service.tag.request import Caller, TagRequest, through_proxies
from service.tag.routes import handle
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Keys, KeysUnreadable
from service.tag.visitor_cookie import LIVES_S, CookieSettings, read_cookie, write_cookie

NOW_S = 1_790_000_000
DAY_S = 86_400
OLD, NEW = bytes(32), bytes(range(32))
KEYS = Keys({1: OLD, 2: NEW})
VISITOR = VisitorId(bytes(range(16)))


def visit(cookie: str = "", *, now_s: int = NOW_S, scheme: str = "http") -> TagRequest:
    return TagRequest(
        method="POST",
        path="/t",
        query="key=w",
        caller=Caller(headers={"host": "t.example", "cookie": cookie}, scheme=scheme),
        body=json.dumps({"type": "page"}).encode(),
        received_us=now_s * 1_000_000,
    )


def answer_to(request: TagRequest, settings: CookieSettings | None = None) -> tuple[VisitorId, str]:
    """Give the visitor of the record, and the cookie's line; empty when none is set."""
    site = Site(
        key="shop",
        write_key="w",
        consent_default="allow",
        cookie=settings or CookieSettings(),
    )
    state = TagState(published_s=NOW_S, sites=(site,))
    outcome = handle(Collector(state=lambda: state, keys=KEYS), request)
    (record,) = read_records(MAGIC + b"".join(outcome.records))
    return VisitorId(record.visitor), dict(outcome.answer.headers).get("Set-Cookie", "")


@pytest.mark.parametrize(
    ("settings", "scheme", "expected"),
    [
        pytest.param({}, "http", "jml; Path=/; HttpOnly; SameSite=Lax", id="plain"),
        pytest.param({}, "https", "jml; Path=/; HttpOnly; SameSite=Lax; Secure", id="https"),
        pytest.param(
            {"name": "id", "domain": "shop.example", "path": "/shop", "same_site": "Strict"},
            "https",
            "id; Path=/shop; Domain=shop.example; HttpOnly; SameSite=Strict; Secure",
            id="all settings",
        ),
        pytest.param(
            {"same_site": "None"},
            "http",
            "jml; Path=/; HttpOnly; SameSite=None; Secure",
            id="None is Secure",
        ),
        pytest.param(
            {"name": "__Host-jml"},
            "http",
            "__Host-jml; Path=/; HttpOnly; SameSite=Lax; Secure",
            id="prefix is Secure",
        ),
    ],
)
def test_the_cookie_is_set_as_the_site_says(
    settings: dict[str, Any], scheme: str, expected: str
) -> None:
    """Name, domain, path and SameSite are the site's; Secure follows the connection."""
    _, line = answer_to(visit(scheme=scheme), CookieSettings(**settings))
    parts = line.split("; ")
    assert parts[2] == "Max-Age=34128000"
    shown = [parts[0].partition("=")[0], *parts[1:2], *parts[3:]]
    assert "; ".join(shown) == expected


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "a b"},
        {"name": ""},
        {"name": "a;b"},
        {"domain": "shop.example; Secure"},
        {"domain": "https://shop.example"},
        {"path": "shop"},
        {"path": "/;"},
        {"path": "/\r\nX: y"},
        {"name": "__Host-jml", "domain": "shop.example"},
        {"name": "__Host-jml", "path": "/shop"},
        {"same_site": "none"},
    ],
    ids=str,
)
def test_settings_that_no_browser_takes_are_refused(settings: dict[str, str]) -> None:
    """A cookie that a browser would drop, or that ends its line early, is a fault of the file."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, CookieSettings)


def test_the_names_of_our_other_cookies_are_taken() -> None:
    """The visitor cookie cannot be named as the opt-out or the sync cookie."""
    with pytest.raises(msgspec.ValidationError, match="taken"):
        msgspec.convert({"key": "k", "write_key": "w", "cookie": {"name": "jml_out"}}, Site)


@pytest.mark.parametrize(
    ("age_s", "renewed"),
    [(0, False), (DAY_S, False), (DAY_S + 1, True), (LIVES_S, True)],
    ids=["new", "a day", "older", "13 months"],
)
def test_a_cookie_is_renewed_at_most_daily(age_s: int, *, renewed: bool) -> None:
    """A returning browser keeps its visitor, and its 13 months begin anew once a day."""
    cookie = "jml=" + write_cookie(KEYS, VISITOR, now_s=NOW_S - age_s)
    visitor, line = answer_to(visit(cookie))
    assert visitor == VISITOR
    assert bool(line) == renewed
    if renewed:
        found = read_cookie(KEYS, line.split(";")[0].removeprefix("jml="))
        assert found == visitor_cookie.VisitorCookie(visitor=VISITOR, issued_s=NOW_S)


def test_a_cookie_lives_thirteen_months_and_no_longer() -> None:
    """No browser is asked to keep it longer, and one that did is not believed."""
    value = write_cookie(KEYS, VISITOR, now_s=NOW_S)
    assert LIVES_S <= 396 * DAY_S
    assert read_cookie(KEYS, value, now_s=NOW_S + LIVES_S) is not None
    assert read_cookie(KEYS, value, now_s=NOW_S + LIVES_S + 1) is None


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("", id="empty"),
        pytest.param("GA1.2.1234", id="foreign"),
        pytest.param(write_cookie(Keys({1: bytes([7]) * 32}), VISITOR, now_s=NOW_S), id="forged"),
        pytest.param(write_cookie(Keys({9: NEW}), VISITOR, now_s=NOW_S), id="unknown key"),
        pytest.param(visitor_cookie.write_reference(KEYS, VISITOR), id="reference"),
        pytest.param(visitor_cookie.write_opt_out(KEYS, now_s=NOW_S), id="opt-out"),
        pytest.param(write_cookie(KEYS, VisitorId(bytes(16)), now_s=NOW_S), id="erased visitor"),
    ],
)
def test_what_we_did_not_sign_is_replaced(value: str) -> None:
    """A forged or foreign cookie names nobody, and the browser gets one of ours."""
    visitor, line = answer_to(visit(f"jml={value}"))
    found = read_cookie(KEYS, line.split(";")[0].removeprefix("jml="))
    assert visitor not in {VISITOR, bytes(16)}
    assert found is not None
    assert found.visitor == visitor


def test_an_old_key_still_verifies_and_the_new_one_signs(tmp_path: Path) -> None:
    """After a key is added to `keys.toml`, old cookies hold and the next renewal is by the new."""
    file = tmp_path / "keys.toml"
    file.write_text(f'[[key]]\nid = 1\nsecret = "{OLD.hex()}"\n')
    before = write_cookie(Keys.load_or_create(file), VISITOR, now_s=NOW_S)
    file.write_text(f'{file.read_text()}[[key]]\nid = 2\nsecret = "{NEW.hex()}"\n')
    both = Keys.load_or_create(file)
    after = write_cookie(both, VISITOR, now_s=NOW_S)
    assert read_cookie(both, before) == read_cookie(both, after)
    assert read_cookie(Keys({2: NEW}), after) is not None
    assert read_cookie(Keys({2: NEW}), before) is None
    assert visitor_cookie.visitor_of_sdk(both, "shop", "a") == visitor_cookie.visitor_of_sdk(
        Keys({1: OLD}), "shop", "a"
    )


PROXIES = TagState(
    published_s=NOW_S, sites=(), trusted_proxies=("10.0.0.0/8", "2001:db8::/32")
).proxy_networks


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        pytest.param("10.1.2.3", {"for": "203.0.113.7"}, "203.0.113.7 http", id="address"),
        pytest.param("10.1.2.3", {"proto": "https"}, "10.1.2.3 https", id="scheme"),
        pytest.param("2001:db8::9", {"proto": "HTTPS"}, "2001:db8::9 https", id="IPv6 proxy"),
        pytest.param("::ffff:10.1.2.3", {"for": "203.0.113.7"}, "203.0.113.7 http", id="mapped"),
        pytest.param(
            "198.51.100.1",
            {"for": "203.0.113.7", "proto": "https"},
            "198.51.100.1 http",
            id="stranger",
        ),
        pytest.param("", {"proto": "https"}, " http", id="no address"),
        pytest.param(
            "10.1.2.3", {"for": "1.1.1.1, 203.0.113.7, 10.9.9.9"}, "203.0.113.7 http", id="chain"
        ),
        pytest.param(
            "10.1.2.3", {"for": "1.1.1.1, paul@example.com"}, "10.1.2.3 http", id="no address there"
        ),
        pytest.param("10.1.2.3", {"for": "10.4.4.4"}, "10.4.4.4 http", id="proxies alone"),
        pytest.param("10.1.2.3", {"proto": "https, http"}, "10.1.2.3 http", id="nearest scheme"),
        pytest.param("10.1.2.3", {"proto": "gopher"}, "10.1.2.3 http", id="odd scheme"),
    ],
)
def test_only_trusted_proxies_are_believed(
    peer: str, headers: dict[str, str], expected: str
) -> None:
    """Address and scheme come from the nearest hop that is no proxy of ours."""
    named = {f"x-forwarded-{name}": value for name, value in headers.items()}
    request = msgspec.structs.replace(visit(), caller=Caller(headers=named, address=peer))
    seen = through_proxies(request, PROXIES)
    assert f"{seen.caller.address} {seen.caller.scheme}" == expected
    assert through_proxies(request, ()) is request


def test_a_cookie_behind_a_trusted_proxy_is_secure() -> None:
    """The browser's https counts, though the proxy itself speaks http with us."""
    headers = {"x-forwarded-proto": "https", "host": "t.example"}
    caller = Caller(headers=headers, address="10.1.2.3")
    request = msgspec.structs.replace(visit(), caller=caller)
    _, line = answer_to(through_proxies(request, PROXIES))
    assert line.endswith("; Secure")


def test_the_door_believes_the_proxies_of_its_settings() -> None:
    """A trusted proxy's https makes the cookie Secure, and its visitor's network is kept."""
    site = Site(key="shop", write_key="w", consent_default="allow")
    state = TagState(published_s=NOW_S, sites=(site,), trusted_proxies=("10.0.0.0/8",))
    said = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.7", "host": "t.example"}
    for peer, address, secure in (("10.1.2.3", "203.0.113.0", True), ("8.8.8.8", "8.8.8.0", False)):
        request = msgspec.structs.replace(visit(), caller=Caller(headers=said, address=peer))
        outcome = handle(Collector(state=lambda: state, keys=KEYS), request)
        (record,) = read_records(MAGIC + b"".join(outcome.records))
        assert record.meta.ip == address
        assert ("Secure" in dict(outcome.answer.headers)["Set-Cookie"]) == secure


def test_a_foreign_cookie_of_the_same_name_hides_ours_not() -> None:
    """A second cookie of this name, set by another host or path, does not cost us the visitor."""
    ours = write_cookie(KEYS, VISITOR, now_s=NOW_S)
    visitor, line = answer_to(visit(f"jml=foreign; jml={ours}"))
    assert (visitor, line) == (VISITOR, "")


def test_a_cookie_beyond_its_life_is_replaced() -> None:
    """A browser that kept its cookie longer than 13 months becomes a new visitor."""
    old = write_cookie(KEYS, VISITOR, now_s=NOW_S - LIVES_S - 1)
    visitor, line = answer_to(visit(f"jml={old}"))
    assert visitor != VISITOR
    assert line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("", "key", id="empty"),
        pytest.param("[[key]", "keys.toml", id="no TOML"),
        pytest.param("key = []", "key", id="no key"),
        pytest.param(f'[[key]]\nid = 0\nsecret = "{"5a" * 32}"', "key[0].id", id="id of 0"),
        pytest.param(f'[[key]]\nid = 256\nsecret = "{"5a" * 32}"', "key[0].id", id="id of 256"),
        pytest.param('[[key]]\nid = 1\nsecret = "5a"', "key[0].secret", id="short"),
        pytest.param(f'[[key]]\nid = 1\nsecret = "{"5g" * 32}"', "key[0].secret", id="no hex"),
        pytest.param(f'[[key]]\nid = 1\nsecret = "{"5a" * 32}"\n' * 2, "id 1", id="twice"),
    ],
)
def test_a_key_file_that_would_lock_visitors_out_is_refused(
    text: str, told: str, tmp_path: Path
) -> None:
    """What is wrong with `keys.toml` is said with its path; no key is guessed."""
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(KeysUnreadable, match=re.escape(told)) as refused:
        Keys.load_or_create(path)
    assert str(path) in str(refused.value)


FIRST = {"messageId": "a1b2c3d4e5f60718293a4b5c6d7e8f90"}


def first(
    *,
    message: dict[str, str] = FIRST,
    agent: str = "Firefox",
    address: str = "203.0.113.7",
    now_s: int = NOW_S,
) -> VisitorId:
    """Give the visitor that a browser without cookie becomes."""
    headers = {"host": "t.example", "user-agent": agent}
    request = TagRequest(
        method="POST",
        path="/t",
        query="key=w",
        caller=Caller(headers=headers, scheme="http", address=address),
        body=json.dumps({"type": "page", **message}).encode(),
        received_us=now_s * 1_000_000,
    )
    return answer_to(request)[0]


def test_a_first_message_sent_again_makes_no_second_visitor() -> None:
    """When the answer with the cookie was lost, the same message counts for the same."""
    assert first() == first(now_s=NOW_S + 60)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"message": {"messageId": "f" * 32}}, id="message"),
        pytest.param({"agent": "Chrome"}, id="browser"),
        pytest.param({"address": "198.51.100.7"}, id="network"),
        pytest.param({"now_s": NOW_S + 3600}, id="an hour later"),
    ],
)
def test_whoever_differs_is_another_visitor(other: dict[str, Any]) -> None:
    """Nobody else becomes the visitor of a first message."""
    assert first() != first(**other)


@pytest.mark.parametrize(
    "message", [{}, {"messageId": ""}, {"messageId": "1"}, {"messageId": "a" * 15}]
)
def test_a_short_id_names_no_browser(message: dict[str, str]) -> None:
    """Ids that may be anybody's never make two browsers one."""
    assert first(message=message) != first(message=message)
