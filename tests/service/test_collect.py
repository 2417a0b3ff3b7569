"""What becomes of messages at the tag endpoint: kept as records, or dropped for a named reason."""

import base64
import gzip
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from matching.ids import VisitorId
from service.tag import visitor_cookie
from service.tag.collect import Collector, Outcome
from service.tag.record import MAGIC, Record, read_records
from service.tag.request import TagRequest
from service.tag.routes import handle
from service.tag.steps import DropReason
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Click, Keys, make_click, make_identify

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


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the site's secrets where a site file says they are."""
    monkeypatch.setenv("TEST_SERVER_KEY", SERVER_KEY)
    monkeypatch.setenv("TEST_IDENTIFY_SECRET", SECRET)


def collector(*suppressed: bytes) -> Collector:
    hashes = tuple(KEYS.keyed_hash("tombstone", b"visitor", each).hex() for each in suppressed)
    state = TagState(published_s=NOW_S, sites=(SITE, CAREFUL), suppressed=hashes)
    return Collector(state=lambda: state, keys=KEYS)


def request(path: str, body: Any = b"", *, query: str = "", **headers: str) -> TagRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return TagRequest(
        method="POST" if raw else "GET",
        path=path,
        query=query,
        headers={"host": "t.example", "user-agent": AGENT, **named},
        body=raw,
        address="203.0.113.77",
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


def test_address_is_cut() -> None:
    """Only the sender's network is kept."""
    outcome = handle(collector(), request("/t", page(), query="key=w"))
    assert records_of(outcome)[0].meta.ip == "203.0.113.0"


def test_withdrawal_is_kept_though_the_message_is_not() -> None:
    """A known visitor's refusal is recorded, so that every later step knows of it."""
    message = page(context={"consent": {"explicit": {"store": False}}})
    outcome = handle(collector(), request("/t", message, query="key=w", cookie=cookie_of(VISITOR)))
    (record,) = records_of(outcome)
    assert outcome.dropped == (DropReason.NO_CONSENT,)
    assert record.kind.name == "CONSENT"
    assert record.body == b""


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


def test_opt_out_forgets_the_browser() -> None:
    """After /optout the visitor cookie is gone, the opt-out stands, and the wish is on record."""
    outcome = handle(collector(), request("/optout", cookie=cookie_of(VISITOR)))
    lines = [value for name, value in outcome.answer.headers if name == "Set-Cookie"]
    assert any(line.startswith("jml=;") and "Max-Age=0" in line for line in lines)
    assert any(line.startswith("jml_out=") and "Max-Age=0" not in line for line in lines)
    assert records_of(outcome)[0].visitor == VISITOR


def test_unknown_paths_are_not_found() -> None:
    """What is no route of the tag is answered with 404."""
    assert handle(collector(), request("/nothing")).answer.status == 404
