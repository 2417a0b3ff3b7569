"""What becomes of messages at the tag endpoint: kept as records, or dropped for a named reason."""

import base64
import gzip
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import jwt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.consent.decide import decode_signals
from matching.ids import VisitorId
from service.tag import visitor_cookie
from service.tag.collect import Collector, Outcome
from service.tag.record import MAGIC, Record, read_records
from service.tag.request import Caller, TagRequest
from service.tag.routes import handle
from service.tag.steps import DropReason
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Click, Keys, TokenError, make_click, make_identify
from service.tag.visitor_cookie import CookieSettings

NOW_S = 1_790_000_000
SECRET = "a secret of at least thirty-two bytes"
SERVER_KEY = "the server key"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
KEYS = Keys({1: bytes(range(32))})
VISITOR = VisitorId(bytes(range(16)))
SITE = Site(
    key="shop",
    write_key="w",
    origins=("https://shop.example",),
    server_key_env="TEST_SERVER_KEY",
    identify_secret_env="TEST_IDENTIFY_SECRET",
    consent_default="allow",
)
CAREFUL = Site(key="careful", write_key="c", consent_default="deny")
SLOW = Site(key="slow", write_key="s", consent_default="allow", rate_max=1)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the site's secrets where a site file says they are."""
    monkeypatch.setenv("TEST_SERVER_KEY", SERVER_KEY)
    monkeypatch.setenv("TEST_IDENTIFY_SECRET", SECRET)


def collector(*suppressed: bytes) -> Collector:
    hashes = tuple(KEYS.keyed_hash("tombstone", b"visitor", each).hex() for each in suppressed)
    state = TagState(published_s=NOW_S, sites=(SITE, CAREFUL, SLOW), suppressed=hashes)
    return Collector(state=lambda: state, keys=KEYS)


def request(path: str, body: Any = b"", *, query: str = "", **headers: str) -> TagRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return TagRequest(
        method="POST" if raw else "GET",
        path=path,
        query=query,
        caller=Caller(
            headers={"host": "t.example", "user-agent": AGENT, **named}, address="203.0.113.77"
        ),
        body=raw,
        received_us=NOW_S * 1_000_000,
    )


def cookie_of(visitor: VisitorId) -> str:
    return "jml=" + visitor_cookie.write_cookie(KEYS, visitor, now_s=NOW_S)


def records_of(outcome: Outcome) -> list[Record]:
    return list(read_records(MAGIC + b"".join(outcome.records)))


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


def page(**more: Any) -> dict[str, Any]:
    return {
        "type": "page",
        "messageId": "m1",
        "properties": {"url": "https://shop.example/"},
    } | more


def test_first_visit_mints_a_visitor_and_keeps_the_message() -> None:
    """A browser without cookie gets one, and its message is kept under that visitor."""
    outcome = handle(collector(), request("/t", page(), query="key=w"))
    headers = dict(outcome.answer.headers)
    value = headers["Set-Cookie"].partition("=")[2].partition(";")[0]
    found = visitor_cookie.read_cookie(KEYS, value)
    assert outcome.answer.status == 204
    assert found is not None
    assert records_of(outcome)[0].visitor == found.visitor
    assert visitor_cookie.read_reference(KEYS, headers["Jumelle-Visitor"]) == found.visitor
    assert "HttpOnly" in headers["Set-Cookie"]


def test_known_visitor_keeps_its_cookie() -> None:
    """A signed cookie names the visitor and is not set again on the same day."""
    outcome = handle(collector(), request("/t", page(), query="key=w", cookie=cookie_of(VISITOR)))
    assert records_of(outcome)[0].visitor == VISITOR
    assert "Set-Cookie" not in dict(outcome.answer.headers)


def test_forged_cookie_is_replaced() -> None:
    """A cookie with another signature names nobody; the browser becomes a new visitor."""
    forged = cookie_of(VISITOR)[:-3] + "AAA"
    outcome = handle(collector(), request("/t", page(), query="key=w", cookie=forged))
    assert records_of(outcome)[0].visitor != VISITOR


def test_messages_of_one_request_share_the_new_visitor() -> None:
    """All messages of a first request belong to one visitor."""
    outcome = handle(collector(), request("/t", [page(), page(messageId="m2")], query="key=w"))
    first, second = records_of(outcome)
    assert first.visitor == second.visitor


def drop_cases() -> dict[DropReason, Callable[[], Outcome]]:
    """Give for each reason a request that is dropped for it."""
    opt_out = "jml_out=" + visitor_cookie.write_opt_out(KEYS, now_s=NOW_S)
    big = page(properties={"x": "y" * 600_000})
    hurried = collector()
    return {
        DropReason.UNKNOWN_KEY: lambda: handle(collector(), request("/t", page(), query="key=no")),
        DropReason.ORIGIN_NOT_ALLOWED: lambda: handle(
            collector(), request("/t", page(), query="key=w", origin="https://evil.example")
        ),
        DropReason.NO_CONSENT: lambda: handle(collector(), request("/t", page(), query="key=c")),
        DropReason.OPTED_OUT: lambda: handle(
            collector(), request("/t", page(), query="key=w", cookie=opt_out)
        ),
        DropReason.SUPPRESSED: lambda: handle(
            collector(VISITOR), request("/t", page(), query="key=w", cookie=cookie_of(VISITOR))
        ),
        DropReason.TOO_LARGE: lambda: handle(collector(), request("/t", big, query="key=w")),
        DropReason.MALFORMED: lambda: handle(
            collector(), request("/t", {"type": "track"}, query="key=w")
        ),
        DropReason.OVER_RATE: lambda: [
            handle(hurried, request("/t", page(), query="key=s")) for _ in range(3)
        ][-1],
    }


@pytest.mark.parametrize("reason", [each for each in DropReason if each != "spool_full"], ids=str)
def test_each_reason_drops_the_message(reason: DropReason) -> None:
    """A message that meets a reason is not kept, and the reason is counted."""
    outcome = drop_cases()[reason]()
    assert outcome.dropped == (reason,)
    assert outcome.records == ()


def test_proved_login_is_kept_without_its_token() -> None:
    """A valid identify token proves the customer and never reaches the disk."""
    token = make_identify(SECRET, site="shop", crm_id="123456", now_s=NOW_S)
    message = {"type": "identify", "userId": "123456", "context": {"token": token}}
    outcome = handle(collector(), request("/t", message, query="key=w"))
    record = records_of(outcome)[0]
    assert (record.meta.proved, record.meta.method) == ("123456", "login")
    assert token.encode() not in b"".join(outcome.records)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"exp": NOW_S - 1, "iat": NOW_S - 100}, id="expired"),
        pytest.param({"exp": NOW_S + 3600, "iat": NOW_S}, id="lives too long"),
        pytest.param({"aud": "other"}, id="another site"),
        pytest.param({"sub": "654321"}, id="another customer than userId"),
        pytest.param({"vis": "jr.x"}, id="another browser"),
    ],
)
def test_unproved_identify_is_only_a_claim(claims: dict[str, Any]) -> None:
    """A token that does not prove this customer on this browser leaves a claim."""
    whole = {"sub": "123456", "aud": "shop", "iat": NOW_S, "exp": NOW_S + 60} | claims
    token = jwt.encode(whole, SECRET, algorithm="HS256")
    message = {"type": "identify", "userId": "123456", "context": {"token": token}}
    record = records_of(handle(collector(), request("/t", message, query="key=w")))[0]
    assert record.meta.proved == ""


def test_token_of_another_algorithm_proves_nothing() -> None:
    """Only HS256 counts; a token that says `none` is a claim."""
    claims = {"sub": "1", "aud": "shop", "iat": NOW_S, "exp": NOW_S + 60}
    token = jwt.encode(claims, "", algorithm="none")
    message = {"type": "identify", "userId": "1", "context": {"token": token}}
    record = records_of(handle(collector(), request("/t", message, query="key=w")))[0]
    assert record.meta.proved == ""


def test_server_key_proves_its_customers() -> None:
    """The site's secret server key speaks for its customers and needs no browser."""
    order = {"type": "track", "event": "Order Completed", "userId": "123456"}
    body = {"batch": [order]}
    outcome = handle(collector(), request("/v1/batch", body, authorization=basic(SERVER_KEY)))
    record = records_of(outcome)[0]
    assert outcome.answer.status == 200
    assert (record.meta.proved, record.meta.method, record.meta.server) == (
        "123456",
        "purchase",
        True,
    )
    assert record.visitor == bytes(16)


def test_anonymous_id_of_an_sdk_is_a_visitor_of_its_own() -> None:
    """An SDK's anonymousId gives the same visitor each time, and never a cookie's."""
    body = {"batch": [{"type": "page", "anonymousId": "a1"}, {"type": "page", "anonymousId": "a1"}]}
    first, second = records_of(
        handle(collector(), request("/v1/batch", body, authorization=basic("w")))
    )
    assert first.visitor == second.visitor == visitor_cookie.visitor_of_sdk(KEYS, "shop", "a1")


def test_visitor_reference_names_the_browser_to_a_backend() -> None:
    """The reference that the tag gives names its browser when a server sends it as anonymousId."""
    reference = visitor_cookie.write_reference(KEYS, VISITOR)
    body = {"batch": [{"type": "page", "anonymousId": reference}]}
    outcome = handle(collector(), request("/v1/batch", body, authorization=basic(SERVER_KEY)))
    assert records_of(outcome)[0].visitor == VISITOR


def test_reference_is_no_cookie() -> None:
    """What a page may know of the visitor cannot be used as its cookie."""
    reference = visitor_cookie.write_reference(KEYS, VISITOR)
    assert visitor_cookie.read_cookie(KEYS, reference) is None
    assert visitor_cookie.read_cookie(KEYS, reference.removeprefix("jr.")) is None


def test_bad_messages_of_a_batch_are_refused_one_by_one() -> None:
    """The good messages of a batch are kept, the bad ones named with their reasons."""
    body = {"batch": [page(), {"type": "track"}, {"type": "nonsense"}]}
    outcome = handle(collector(), request("/v1/b", body, authorization=basic("w")))
    answer = json.loads(outcome.answer.body)
    assert len(outcome.records) == 1
    assert [each["index"] for each in answer["refused"]] == [1, 2]


def test_a_batch_of_bad_messages_alone_is_refused() -> None:
    """Where nothing of a request can be kept, its status says so."""
    outcome = handle(
        collector(), request("/v1/batch", {"batch": [{"type": "x"}]}, authorization=basic("w"))
    )
    assert outcome.answer.status == 400
    assert json.loads(outcome.answer.body)["success"] is False


BIG = {"x": "y" * 33_000}


@pytest.mark.parametrize(
    ("bad", "reason", "dropped"),
    [
        pytest.param(json.dumps(page(properties=BIG)), "at most 32768", "too_large", id="size"),
        pytest.param(
            f'{{"type":"page","properties":{{"a":{"[" * 31}1{"]" * 31}}}}}',
            "deeper than 32",
            "malformed",
            id="depth",
        ),
        pytest.param('{"type":"page","type":"page"}', "twice", "malformed", id="key twice"),
        pytest.param(
            '{"type":"page","properties":{"a":1,"\\u0061":2}}',
            "twice",
            "malformed",
            id="hidden twice",
        ),
        pytest.param('{"type":"page","properties":{"a":NaN}}', "JSON", "malformed", id="NaN"),
        pytest.param(
            '{"type":"page","properties":{"a":1e999}}', "range", "malformed", id="infinite"
        ),
        pytest.param('{"type":"page","name":"\\ud800 x"}', "JSON", "malformed", id="surrogate"),
        pytest.param(b'{"type":"page","a":NaN,"name":"\xff"}', "JSON", "malformed", id="both"),
        pytest.param("[" * 500 + "]" * 500, "deeper than 32", "malformed", id="very deep"),
        pytest.param(b'{"type":"page","name":"\xff"}', "utf-8", "malformed", id="not UTF-8"),
        pytest.param(
            '{"type":"page","userId":"%s"}' % ("u" * 600), "512", "malformed", id="long id"
        ),
        pytest.param('{"type":"page","timestamp":"soon"}', "ISO 8601", "malformed", id="time"),
        pytest.param('{"type":"page","traits":[]}', "object", "malformed", id="traits"),
        pytest.param("7", "object", "malformed", id="no object"),
    ],
)
def test_bad_messages_are_refused_one_by_one(bad: str | bytes, reason: str, dropped: str) -> None:
    """A message beyond a limit is refused with place and reason; its neighbours are kept."""
    raw = bad if isinstance(bad, bytes) else bad.encode()
    good = json.dumps(page()).encode()
    body = b' { "batch" : [ %s ,%s, %s] , "writeKey":"w" } ' % (good, raw, good)
    outcome = handle(collector(), request("/v1/batch", body))
    answer = json.loads(outcome.answer.body)
    assert outcome.answer.status == 200
    assert len(outcome.records) == 2
    assert outcome.dropped == (DropReason(dropped),)
    assert answer["refused"][0]["index"] == 1
    assert reason in answer["refused"][0]["reason"]


@pytest.mark.parametrize("path", ["/t", "/v1/batch", "/v1/page"])
def test_endless_nesting_is_refused(path: str) -> None:
    """However deep a body nests, it is malformed and harms nothing."""
    asked = request(path, b"[" * 30_000, query="key=w")
    assert handle(collector(), asked).dropped == (DropReason.MALFORMED,)


@pytest.mark.parametrize(("count", "status"), [(1000, 200), (1001, 400)])
def test_a_batch_holds_a_thousand_messages(count: int, status: int) -> None:
    """A thousand messages are taken at once, and not one more."""
    body = {"batch": [{"type": "page", "anonymousId": "a"}] * count}
    outcome = handle(collector(), request("/v1/batch", body, authorization=basic("w")))
    assert outcome.answer.status == status
    assert len(outcome.records) == (count if status == 200 else 0)


@pytest.mark.parametrize(("size", "status"), [(500 * 1024, 200), (500 * 1024 + 1, 413)])
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_a_batch_is_measured_after_inflation(size: int, status: int, *, zipped: bool) -> None:
    """500 KB are taken, gzip or not, and not one byte more."""
    body = json.dumps({"batch": [page()]}).encode().ljust(size)
    headers = {"content_encoding": "gzip"} if zipped else {}
    asked = request(
        "/v1/batch",
        gzip.compress(body) if zipped else body,
        authorization=basic("w"),
        **headers,
    )
    assert handle(collector(), asked).answer.status == status


@pytest.mark.parametrize("size", [32 * 1024, 32 * 1024 + 1])
def test_a_message_is_measured_alone(size: int) -> None:
    """A message of exactly 32 KB is taken."""
    empty = len(json.dumps(page(name="")).encode())
    outcome = handle(collector(), request("/t", page(name="x" * (size - empty)), query="key=w"))
    assert len(outcome.records) == (1 if size == 32 * 1024 else 0)


def test_null_stands_for_a_field_left_out() -> None:
    """SDKs that write null where they have nothing are understood."""
    nothing = dict.fromkeys(("messageId", "userId", "event", "timestamp", "properties", "traits"))
    context = {"token": None, "userAgent": None, "library": {"name": None}, "consent": None}
    message = {"type": "page", "anonymousId": "a", "context": context} | nothing
    outcome = handle(collector(), request("/v1/page", message, authorization=basic("w")))
    assert len(records_of(outcome)) == 1


def test_numbers_of_any_length_survive_redaction() -> None:
    """A number beyond 64 bits stays what it is, also where an address was taken out beside it."""
    message = page(properties={"email": "p@example.com", "n": 10**30})
    record = records_of(handle(collector(), request("/t", message, query="key=w")))[0]
    assert json.loads(record.body)["properties"]["n"] == 10**30


def test_over_the_rate_nothing_is_kept_and_the_sender_is_told_when() -> None:
    """A batch that comes too fast is refused whole, with the time after which it is welcome."""
    hurried = collector()
    body = {"batch": [{"type": "page", "anonymousId": "a"}] * 2}
    first, second = (
        handle(hurried, request("/v1/batch", body, authorization=basic("s"))) for _ in range(2)
    )
    assert (len(first.records), len(second.records)) == (2, 0)
    assert second.answer.status == 429
    assert dict(second.answer.headers)["Retry-After"] == "2"
    assert second.dropped == (DropReason.OVER_RATE,) * 2


def test_the_public_key_cannot_use_up_the_servers_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood with the write key leaves the server key's messages their own limit."""
    site = msgspec.structs.replace(SLOW, server_key_env="TEST_SERVER_KEY")
    state = TagState(published_s=NOW_S, sites=(site,))
    flooded = Collector(state=lambda: state, keys=KEYS)
    body = {"batch": [{"type": "page", "anonymousId": "a"}] * 100}
    handle(flooded, request("/v1/batch", body, authorization=basic("s")))
    outcome = handle(flooded, request("/v1/batch", body, authorization=basic(SERVER_KEY)))
    assert len(outcome.records) == 100


def test_gzip_bodies_are_read() -> None:
    """A gzip body counts as what it inflates to."""
    body = gzip.compress(json.dumps(page()).encode())
    outcome = handle(collector(), request("/t", body, query="key=w", content_encoding="gzip"))
    assert len(outcome.records) == 1


def test_gzip_bomb_is_refused() -> None:
    """A small body that inflates beyond the limit is too large, whatever its size on the wire."""
    body = gzip.compress(b" " * 50_000_000)
    outcome = handle(collector(), request("/t", body, query="key=w", content_encoding="gzip"))
    assert outcome.dropped == (DropReason.TOO_LARGE,)


def test_clear_contacts_never_reach_the_record() -> None:
    """Addresses in fields, texts and URL queries are gone before a record is made."""
    message = page(
        properties={
            "url": "https://shop.example/?mail=paul%40example.com",
            "email": "p@example.com",
        },
        traits={"note": "call +33612345678"},
    )
    kept = b"".join(handle(collector(), request("/t", message, query="key=w")).records)
    for clear in (b"paul%40example.com", b"paul@example.com", b"p@example.com", b"33612345678"):
        assert clear not in kept


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"userId": "paul@example.com"}, id="claimed id"),
        pytest.param({"messageId": "paul@example.com"}, id="message id"),
        pytest.param({"context": {"consent": {"tcf": "paul@example.com"}}}, id="consent string"),
        pytest.param(
            {"context": {"consent": {"explicit": {"store": True, "paul@example.com": True}}}},
            id="consent key",
        ),
    ],
)
@pytest.mark.parametrize("key", ["w", SERVER_KEY], ids=["write key", "server key"])
def test_addresses_hide_nowhere_in_a_record(message: dict[str, Any], key: str) -> None:
    """An address is sealed wherever it stands, in what is kept beside the body too."""
    asked = request(
        "/v1/page",
        {"anonymousId": visitor_cookie.write_reference(KEYS, VISITOR)} | message,
        authorization=basic(key),
        user_agent="shop-robot (+https://shop.example; paul@example.com)",
        cookie=cookie_of(VISITOR),
    )
    kept = b"".join(handle(collector(), asked).records)
    assert kept
    assert b"paul" not in kept


def test_tokens_never_reach_the_record() -> None:
    """A login's or a newsletter's token is taken out wherever a page happens to send it."""
    token = make_identify(SECRET, site="shop", crm_id="123456", now_s=NOW_S)
    link = make_click(
        KEYS, Click(crm_id="123456", site="shop", target="https://x", expires_s=1, nonce=1)
    )
    url = f"https://t.example/c/{link}?login={token}"
    message = page(properties={"url": url, "referrer": url}, context={"page": {"url": url}})
    kept = b"".join(handle(collector(), request("/t", message, query="key=w")).records)
    assert token.encode() not in kept
    assert link.encode() not in kept
    assert b"https://t.example/c/token?login=token" in kept


def test_address_is_cut() -> None:
    """Only the sender's network is kept."""
    outcome = handle(collector(), request("/t", page(), query="key=w"))
    assert records_of(outcome)[0].meta.ip == "203.0.113.0"


@pytest.mark.parametrize(
    ("address", "cut"),
    [
        ("2001:db8:1:2:3::4", "2001:db8:1::"),
        ("fe80::1", "fe80::"),
        ("::1", "::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("", ""),
        ("paul@example.com:1", ""),
    ],
)
def test_addresses_of_every_form_are_cut(address: str, cut: str) -> None:
    """IPv6 keeps 48 bits however it is written; what is no address is left out."""
    assert Caller(headers={}, address=address).cut_address == cut


def test_withdrawal_is_kept_though_the_message_is_not() -> None:
    """A known visitor's refusal is recorded, so that every later step knows of it."""
    message = page(context={"consent": {"explicit": {"store": False}}})
    outcome = handle(collector(), request("/t", message, query="key=w", cookie=cookie_of(VISITOR)))
    (record,) = records_of(outcome)
    assert outcome.dropped == (DropReason.NO_CONSENT,)
    assert record.kind.name == "CONSENT"
    assert record.body == b""


@pytest.mark.parametrize(
    "browser",
    [
        pytest.param(visitor_cookie.write_reference(KEYS, VISITOR), id="reference"),
        pytest.param("an-sdk-s-own-id", id="sdk"),
    ],
)
@pytest.mark.parametrize("key", ["w", SERVER_KEY], ids=["write key", "server key"])
def test_a_withdrawal_is_passed_on_without_its_message(browser: str, key: str) -> None:
    """A refusal goes to the loader with signals alone; it is kept only of a known visitor."""
    message = page(anonymousId=browser, context={"consent": {"explicit": {"store": False}}})
    outcome = handle(collector(), request("/v1/page", message, authorization=basic(key)))
    (record,) = records_of(outcome)
    assert outcome.dropped == (DropReason.NO_CONSENT,)
    assert (record.kind.name, record.body) == ("CONSENT", b"")


def test_a_server_never_takes_gpc_back() -> None:
    """A server's signals say that they are a server's, for it cannot see the browser's header."""
    message = page(userId="1", context={"consent": {"us_privacy": "1YNN"}})
    (record,) = records_of(
        handle(collector(), request("/v1/page", message, authorization=basic(SERVER_KEY)))
    )
    assert decode_signals(record.meta.signals).by_server
    (record,) = records_of(handle(collector(), request("/t", message, query="key=w")))
    assert not decode_signals(record.meta.signals).by_server


@pytest.mark.parametrize(
    "target",
    [
        "javascript:alert(1)",
        "//evil.example/",
        "https:///nowhere",
        "https://shop.example@evil.example/",
        "https://shop.example\\@evil.example/",
        "https://shop.example/\r\nSet-Cookie: jml=x",
        "https://shop.example/a b",
        "https://shop.example/\u2028",
        "https://[shop.example/",
        "https://shop.example:99999999/",
        "data:text/html,x",
        "",
    ],
)
def test_a_click_leads_to_web_pages_alone(target: str) -> None:
    """A target that is no plain web address gets no token."""
    link = Click(crm_id="1", site="shop", target=target, expires_s=int(time.time()) + 60, nonce=1)
    with pytest.raises(TokenError, match="cannot lead to"):
        make_click(KEYS, link)


def test_a_suppressed_browser_clicks_without_trace() -> None:
    """The newsletter's link still leads to its target, and nothing is kept."""
    target = "https://shop.example/bikes?a=1#top"
    expires_s = int(time.time()) + 60
    link = Click(crm_id="1", site="shop", target=target, expires_s=expires_s, nonce=1)
    asked = msgspec.structs.replace(
        request(f"/c/{make_click(KEYS, link)}", cookie=cookie_of(VISITOR)),
        received_us=time.time_ns() // 1000,
    )
    outcome = handle(collector(VISITOR), asked)
    assert dict(outcome.answer.headers)["Location"] == target
    assert (outcome.records, outcome.dropped) == ((), (DropReason.SUPPRESSED,))


def test_click_links_and_leads_to_the_target() -> None:
    """A newsletter link gives a cookie, keeps the click and redirects to the clean target."""
    link = Click(
        crm_id="123456",
        site="shop",
        target="https://shop.example/bikes",
        expires_s=int(time.time()) + 60,
        nonce=1,
    )
    asked = request(f"/c/{make_click(KEYS, link)}")
    asked = TagRequest(
        **{name: getattr(asked, name) for name in asked.__struct_fields__}
        | {"received_us": time.time_ns() // 1000}
    )
    outcome = handle(collector(), asked)
    headers = dict(outcome.answer.headers)
    assert outcome.answer.status == 302
    assert headers["Location"] == "https://shop.example/bikes"
    assert records_of(outcome)[0].meta.proved == "123456"


def test_foreign_click_token_leads_nowhere() -> None:
    """A token that this installation did not make is no open redirect."""
    outcome = handle(collector(), request("/c/AAAA"))
    assert outcome.answer.status == 410


def test_preflight_lets_the_page_send() -> None:
    """An OPTIONS request is answered with what the page asked for."""
    asked = request("/t", query="key=w", origin="https://shop.example")
    asked = TagRequest(
        **{name: getattr(asked, name) for name in asked.__struct_fields__} | {"method": "OPTIONS"}
    )
    headers = dict(handle(collector(), asked).answer.headers)
    assert headers["Access-Control-Allow-Origin"] == "https://shop.example"


@pytest.mark.parametrize(
    ("path", "query", "origin", "allowed"),
    [
        ("/t", "key=w", "https://shop.example", True),
        ("/t", "key=w", "https://evil.example", False),
        ("/t", "key=c", "https://shop.example", False),
        ("/t", "key=no", "https://shop.example", False),
        ("/v1/batch", "", "https://shop.example", True),
        ("/v1/batch", "", "https://evil.example", False),
        ("/cookie_sync", "", "https://shop.example", True),
        ("/cookie_sync", "account=c", "https://shop.example", False),
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "POST"])
def test_other_pages_read_no_answer(
    path: str, query: str, origin: str, method: str, *, allowed: bool
) -> None:
    """Preflights and refusals may be read by the pages of the key's site, and by no others."""
    asked = request(path, b"no JSON", query=query, origin=origin)
    if method == "POST" and not query:
        asked = request(path, b"no JSON", query="key=w&account=w", origin=origin)
    outcome = handle(collector(), msgspec.structs.replace(asked, method=method))
    assert outcome.answer.status == 204 if method == "OPTIONS" else outcome.answer.status >= 400
    assert ("Access-Control-Allow-Origin" in dict(outcome.answer.headers)) is allowed


def test_opt_out_forgets_the_browser() -> None:
    """After /optout the visitor cookie is gone, the opt-out stands, and the wish is on record."""
    outcome = handle(collector(), request("/optout", cookie=cookie_of(VISITOR)))
    lines = [value for name, value in outcome.answer.headers if name == "Set-Cookie"]
    assert any(line.startswith("jml=;") and "Max-Age=0" in line for line in lines)
    assert any(line.startswith("jml_out=") and "Max-Age=0" not in line for line in lines)
    assert records_of(outcome)[0].visitor == VISITOR


def test_opt_out_holds_where_each_site_s_cookie_goes() -> None:
    """Each site's domain, path and SameSite get an opt-out cookie, so third parties send it too."""
    wide = CookieSettings(name="wide", domain="ads.example", path="/tag", same_site="None")
    sites = (SITE, CAREFUL, Site(key="wide", write_key="x", cookie=wide, consent_default="allow"))
    state = TagState(published_s=NOW_S, sites=sites)
    asked = Collector(state=lambda: state, keys=KEYS)
    outcome = handle(asked, request("/optout"))
    lines = [value for name, value in outcome.answer.headers if name == "Set-Cookie"]
    outs = [line.partition("; ") for line in lines if line.startswith("jml_out=")]
    where = f"Max-Age={visitor_cookie.LIVES_S}"
    assert [rest for _, _, rest in outs] == [
        f"Path=/; {where}; HttpOnly; SameSite=Lax",
        f"Path=/tag; {where}; Domain=ads.example; HttpOnly; SameSite=None; Secure",
    ]
    gone = "Path=/tag; Max-Age=0; Domain=ads.example; HttpOnly; SameSite=None; Secure"
    assert {f"wide=; {gone}", f"jml_sync=; {gone}"} <= set(lines)
    for cookie in (outs[1][0], f"jml_out=stale; {outs[1][0]}"):
        again = handle(asked, request("/t", page(), query="key=x", cookie=cookie))
        assert again.dropped == (DropReason.OPTED_OUT,)


def test_unknown_paths_are_not_found() -> None:
    """What is no route of the tag is answered with 404."""
    assert handle(collector(), request("/nothing")).answer.status == 404


@given(query=st.text("ab=&;%+é ", max_size=24))
def test_plain_queries_are_read_as_the_library_reads_them(query: str) -> None:
    """The short way to read a query gives what the standard library gives."""
    asked = msgspec.structs.replace(request("/p.gif"), query=query)
    expected = parse_qs(query, keep_blank_values=True)
    assert dict(asked.fields) == {name: values[0] for name, values in expected.items()}
