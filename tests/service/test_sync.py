"""The sync's routes: offers are spooled, callbacks believed by token alone, no open redirect."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest

from matching.ids import VisitorId
from matching.partners import load_partners
from service.tag import visitor_cookie
from service.tag.collect import Collector, Outcome
from service.tag.record import MAGIC, Kind, Record, read_records
from service.tag.request import TagRequest
from service.tag.routes import handle
from service.tag.steps import DropReason
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Callback, Keys, make_callback

NOW_S = 1_790_000_000
KEYS = Keys({1: bytes(range(32))})
VISITOR = VisitorId(bytes(range(16)))
SITE = Site(key="shop", write_key="w", origins=("https://shop.example",), consent_default="allow")
EXAMPLE = Path(__file__).parents[2] / "service" / "example_config"
STATE = TagState(
    published_s=NOW_S,
    sites=(SITE,),
    partners=tuple(load_partners(EXAMPLE)),
    callback_base="https://t.example",
)
COLLECTOR = Collector(state=lambda: STATE, keys=KEYS)
COOKIE = "jml=" + visitor_cookie.write_cookie(KEYS, VISITOR, now_s=NOW_S)
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


def ask(method: str, path: str, query: str = "", body: Any = None, **headers: str) -> Outcome:
    return ask_of(COLLECTOR, method, path, query, body, **headers)


def ask_of(
    collector: Collector,
    method: str,
    path: str,
    query: str = "",
    body: Any = None,
    **headers: str,
) -> Outcome:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return handle(
        collector,
        TagRequest(
            method=method,
            path=path,
            query=query,
            headers={"host": "t.example", "user-agent": AGENT, **named},
            body=b"" if body is None else json.dumps(body).encode(),
            received_us=NOW_S * 1_000_000,
        ),
    )


def records(outcome: Outcome) -> list[Record]:
    return list(read_records(MAGIC + b"".join(outcome.records)))


def token(partner: str, *, expires_s: int = NOW_S + 60) -> str:
    return make_callback(KEYS, partner, Callback(visitor=VISITOR, nonce=7, expires_s=expires_s))


def offered(outcome: Outcome) -> dict[str, str]:
    answer = json.loads(outcome.answer.body)
    return {each["bidder"]: each["usersync"]["url"] for each in answer["bidder_status"]}


def test_every_offer_is_spooled_with_its_consent() -> None:
    """A known visitor is offered to each partner, and each offer is a record."""
    outcome = ask("POST", "/cookie_sync", "account=w", {"us_privacy": "1YNN"}, cookie=COOKIE)
    found = records(outcome)
    assert set(offered(outcome)) == {"xandr", "the_trade_desk", "pixel"}
    assert {each.meta.partner for each in found} == set(offered(outcome))
    assert all(each.kind is Kind.OFFER and each.visitor == VISITOR for each in found)
    assert len({each.meta.nonce for each in found}) == len(found)


def test_a_stranger_is_offered_to_nobody() -> None:
    """Without our cookie nothing is offered."""
    outcome = ask("POST", "/cookie_sync", "account=w", {})
    assert json.loads(outcome.answer.body) == {"status": "no_cookie", "bidder_status": []}


def test_fresh_partners_are_not_offered_again() -> None:
    """The sync cookie of the first offers keeps the next page from repeating them."""
    first = ask("POST", "/cookie_sync", "account=w", {}, cookie=COOKIE)
    line = dict(first.answer.headers)["Set-Cookie"].partition(";")[0]
    second = ask("POST", "/cookie_sync", "account=w", {}, cookie=f"{COOKIE}; {line}")
    assert offered(second) == {}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param({"us_privacy": "1YYN"}, {}, id="US opt-out"),
        pytest.param({"gdpr": 1}, {}, id="GDPR without a string"),
        pytest.param({"gdpr": 1, "gdpr_consent": "garbage"}, {}, id="unreadable string"),
        pytest.param({}, {"sec_gpc": "1"}, id="GPC"),
        pytest.param({"explicit": {"sync": False}}, {}, id="explicit no"),
    ],
)
def test_denied_consent_offers_nobody(body: dict[str, Any], headers: dict[str, str]) -> None:
    """Where consent denies, no URL is given and nothing is spooled."""
    outcome = ask("POST", "/cookie_sync", "account=w", body, cookie=COOKIE, **headers)
    assert offered(outcome) == {}
    assert outcome.records == ()


def test_debug_names_every_partner_considered() -> None:
    """With debug on, the answer says of each partner what became of it."""
    body = {"debug": True, "bidders": ["xandr", "nobody"]}
    outcome = ask("POST", "/cookie_sync", "account=w", body, cookie=COOKIE)
    statuses = {each["bidder"]: each["error"] for each in json.loads(outcome.answer.body)["debug"]}
    assert statuses["xandr"] == "offered"
    assert statuses["pixel"] == "not_requested"
    assert statuses["nobody"] == "not_configured"


def test_our_id_differs_by_partner() -> None:
    """No two partners see the same id of one visitor."""
    urls = offered(ask("POST", "/cookie_sync", "account=w", {}, cookie=COOKIE))
    assert VISITOR.hex() not in "".join(urls.values())


def test_a_callback_stores_the_id_without_any_cookie() -> None:
    """The token says whose id it is; the browser's cookies play no part."""
    outcome = ask("GET", "/setuid", f"t={token('xandr')}&uid={'1' * 19}")
    (record,) = records(outcome)
    assert outcome.answer.status == 200
    assert (record.kind, record.visitor) == (Kind.PARTNER_ID, VISITOR)
    assert (record.meta.partner, record.meta.uid, record.meta.nonce) == ("xandr", "1" * 19, 7)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param(f"uid={'1' * 19}", id="no token"),
        pytest.param(f"bidder=xandr&uid={'1' * 19}", id="bidder alone"),
        pytest.param(f"t=AAAA&uid={'1' * 19}", id="not a token"),
        pytest.param(f"t={token('pixel')}&bidder=xandr&uid={'1' * 19}", id="another partner's"),
        pytest.param(f"t={token('xandr', expires_s=NOW_S - 1)}&uid=1", id="expired"),
        pytest.param(f"t={token('xandr')}&uid=1&f=x", id="unknown f"),
    ],
)
def test_a_callback_without_proof_stores_nothing(query: str) -> None:
    """Whatever is missing or foreign in a callback, it is refused and nothing is kept."""
    outcome = ask("GET", "/setuid", query)
    assert outcome.answer.status == 400
    assert outcome.records == ()


@pytest.mark.parametrize(
    ("uid", "reason"),
    [("0", "sentinel"), ("%24UID", "literal_macro"), ("not-a-number", "bad_pattern")],
)
def test_an_id_that_is_none_is_refused_and_counted(uid: str, reason: str) -> None:
    """Sentinels, unreplaced macros and wrong shapes are kept as refusals, never as ids."""
    outcome = ask("GET", "/setuid", f"t={token('xandr')}&uid={uid}")
    (record,) = records(outcome)
    assert outcome.answer.status == 400
    assert (record.meta.uid, record.meta.reason) == ("", reason)


def test_an_empty_id_deletes() -> None:
    """A partner that brings no id takes the stored one away."""
    (record,) = records(ask("GET", "/setuid", f"t={token('xandr')}&uid="))
    assert (record.meta.uid, record.meta.reason) == ("", "")


def test_opted_out_browsers_sync_with_nobody() -> None:
    """The opt-out cookie stops offers and callbacks."""
    cookie = "jml_out=" + visitor_cookie.write_opt_out(KEYS, now_s=NOW_S)
    assert ask("POST", "/cookie_sync", "account=w", {}, cookie=cookie).answer.status == 401
    assert ask("GET", "/setuid", f"t={token('xandr')}&uid=1", cookie=cookie).answer.status == 401


def test_a_partner_that_starts_gets_our_own_sync() -> None:
    """/sync/in never stores: it sends the browser to the partner with a token of ours."""
    outcome = ask("GET", "/sync/in/xandr", cookie=COOKIE)
    location = dict(outcome.answer.headers)["Location"]
    assert outcome.answer.status == 302
    assert urlsplit(location).hostname in {"ib.adnxs.com", "secure.adnxs.com"}
    assert "t=" in unquote(location)
    assert [each.kind for each in records(outcome)] == [Kind.OFFER]


def test_sync_in_goes_nowhere_but_to_the_partner() -> None:
    """No parameter can choose where the browser is sent."""
    outcome = ask("GET", "/sync/in/xandr", "redir=https://evil.example", cookie=COOKIE)
    assert "evil" not in dict(outcome.answer.headers)["Location"]


def test_the_offered_url_comes_back_to_us() -> None:
    """The callback inside an offered URL is our own, with the token in its place."""
    url = offered(ask("POST", "/cookie_sync", "account=w", {}, cookie=COOKIE))["pixel"]
    callback = next(
        values[0] for values in parse_qs(urlsplit(url).query).values() if "setuid" in values[0]
    )
    assert urlsplit(callback).netloc == "t.example"
    assert urlsplit(callback).path == "/setuid"


@pytest.mark.parametrize(
    ("host", "trusted"),
    [
        ("127.0.0.1:8000", True),
        ("localhost:8000", True),
        ("[::1]:8000", True),
        ("shop.example", True),
        ("shop.example:443", True),
        ("evil.example", False),
        ("shop.example.evil.example", False),
        ("shop.example@evil.example", False),
        ("evil.example/shop.example", False),
        ("[", False),
        ("", False),
    ],
)
def test_no_stranger_s_host_receives_tokens(host: str, *, trusted: bool) -> None:
    """Without a public URL only this machine and the site's hosts may be called back."""
    state = msgspec.structs.replace(STATE, callback_base="")
    collector = Collector(state=lambda: state, keys=KEYS)
    body = {"debug": True}
    outcome = ask_of(collector, "POST", "/cookie_sync", "account=w", body, cookie=COOKIE, host=host)
    assert bool(offered(outcome)) is trusted
    assert bool(outcome.records) is trusted
    errors = {each["error"] for each in json.loads(outcome.answer.body)["debug"]}
    assert (errors == {"no_public_url"}) is not trusted
    started = ask_of(collector, "GET", "/sync/in/xandr", cookie=COOKIE, host=host)
    assert (started.answer.status == 302) is trusted
    assert bool(started.records) is trusted


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("POST", "/cookie_sync", "account=w"),
        ("GET", "/sync/in/xandr", ""),
        ("GET", "/setuid", f"t={token('xandr')}&uid=123"),
    ],
)
def test_a_suppressed_browser_exchanges_no_ids(method: str, path: str, query: str) -> None:
    """Of whom nothing may be kept, nothing is offered to partners nor taken from them."""
    hashed = KEYS.keyed_hash("tombstone", b"visitor", VISITOR).hex()
    state = msgspec.structs.replace(STATE, suppressed=(hashed,))
    collector = Collector(state=lambda: state, keys=KEYS)
    body: Any = {} if method == "POST" else None
    outcome = ask_of(collector, method, path, query, body, cookie=COOKIE)
    assert outcome.answer.status == 200
    assert outcome.records == ()
    assert outcome.dropped == (DropReason.SUPPRESSED,)
    assert method == "GET" or offered(outcome) == {}
