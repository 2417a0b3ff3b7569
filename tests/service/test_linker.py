"""The linker: a visitor is carried to another domain of the site, and nobody else is."""

import json
from typing import Any

import pytest

from matching.ids import VisitorId
from service.metrics import REGISTRY
from service.tag import visitor_cookie
from service.tag.collect import Collector, Outcome
from service.tag.linker import LINK_LIVES_S, LinkStatus, make_link, read_link
from service.tag.record import MAGIC, Kind, Record, read_records
from service.tag.request import Caller, TagRequest
from service.tag.routes import handle
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Callback, Click, Keys, make_callback, make_click

NOW_S = 1_790_000_000
KEYS = Keys({1: bytes(range(32))})
VISITOR = VisitorId(bytes(range(16)))
OTHER = VisitorId(bytes(range(1, 17)))
SHOP, BOOKS = "https://shop.example", "https://books.example"
SITE = Site(key="shop", write_key="w", origins=(SHOP, BOOKS), consent_default="allow")
ANOTHER = Site(key="news", write_key="n", origins=(BOOKS,), consent_default="allow")
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
PAGE = {"type": "page", "messageId": "0123456789abcdef"}
REFUSING = PAGE | {"context": {"consent": {"explicit": {"store": False}}}}


def ask(query: str, body: Any = (PAGE,), *, now_s: int = NOW_S, **headers: str) -> Outcome:
    hashed = KEYS.keyed_hash("tombstone", b"visitor", OTHER).hex()
    state = TagState(published_s=now_s, sites=(SITE, ANOTHER), suppressed=(hashed,))
    named = {"origin": BOOKS, "user-agent": AGENT, "host": "books.example"} | headers
    request = TagRequest(
        method="POST",
        path="/t",
        query=query,
        caller=Caller(headers={name: value for name, value in named.items() if value}),
        body=json.dumps(body).encode(),
        received_us=now_s * 1_000_000,
    )
    return handle(Collector(state=lambda: state, keys=KEYS), request)


def cookie(visitor: VisitorId = VISITOR) -> str:
    return "jml=" + visitor_cookie.write_cookie(KEYS, visitor, now_s=NOW_S)


def link(visitor: VisitorId = VISITOR, *, site: str = "shop", agent: str = AGENT) -> str:
    return make_link(KEYS, visitor, site=site, agent=agent, now_s=NOW_S)


def records(outcome: Outcome) -> list[Record]:
    return list(read_records(MAGIC + b"".join(outcome.records)))


def set_visitor(outcome: Outcome) -> VisitorId | None:
    line = dict(outcome.answer.headers).get("Set-Cookie", "")
    found = visitor_cookie.read_cookie(KEYS, line.partition("=")[2].partition(";")[0])
    return found.visitor if found else None


def counted() -> dict[str, float]:
    return {
        each.labels["status"]: each.value
        for family in REGISTRY.collect()
        for each in family.samples
        if each.name == "jumelle_links_total"
    }


def test_a_visitor_is_the_same_on_the_other_domain() -> None:
    """A page asks for a token, and the page that it leads to gets the same visitor's cookie."""
    asked = ask("key=w&link=new", [], cookie=cookie(), origin=SHOP)
    token = dict(asked.answer.headers)["Jumelle-Link"]
    assert (asked.answer.status, asked.records) == (204, ())
    assert len(token) <= 64
    came = ask(f"key=w&link={token}", [PAGE, PAGE | {"messageId": "second"}], now_s=NOW_S + 100)
    assert [each.visitor for each in records(came)] == [VISITOR, VISITOR]
    assert set_visitor(came) == VISITOR
    reference = dict(came.answer.headers)["Jumelle-Visitor"]
    assert visitor_cookie.read_reference(KEYS, reference) == VISITOR


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no cookie"),
        pytest.param({"cookie": "jml=forged"}, id="forged cookie"),
        pytest.param({"cookie": cookie(), "origin": ""}, id="no origin"),
        pytest.param({"cookie": cookie(), "origin": "https://evil.example"}, id="foreign origin"),
        pytest.param({"cookie": cookie(OTHER)}, id="suppressed visitor"),
        pytest.param(
            {"cookie": f"{cookie()}; jml_out={visitor_cookie.write_opt_out(KEYS, now_s=NOW_S)}"},
            id="opted out",
        ),
    ],
)
def test_no_token_without_a_known_visitor_of_this_site(headers: dict[str, str]) -> None:
    """A token is only made for a browser whose valid cookie comes with a page of the site."""
    assert "Jumelle-Link" not in dict(ask("key=w&link=new", [], **headers).answer.headers)


def test_pages_may_read_the_token() -> None:
    """The header of the token is exposed to the site's pages."""
    headers = dict(ask("key=w&link=new", [], cookie=cookie()).answer.headers)
    assert "Jumelle-Link" in headers["Access-Control-Expose-Headers"]


CASES: dict[LinkStatus, tuple[str, dict[str, Any]]] = {
    LinkStatus.TAKEN: (link(), {}),
    LinkStatus.FORGED: (link()[:-2] + "AA", {}),
    LinkStatus.EXPIRED: (link(), {"now_s": NOW_S + LINK_LIVES_S + 1}),
    LinkStatus.ANOTHER_SITE: (link(site="news"), {}),
    LinkStatus.ORIGIN_NOT_ALLOWED: (link(), {"origin": ""}),
    LinkStatus.HAS_COOKIE: (link(), {"cookie": cookie(VisitorId(bytes(15) + b"9"))}),
    LinkStatus.NOT_KEPT: (link(), {"body": [REFUSING]}),
}


@pytest.mark.parametrize("status", list(LinkStatus), ids=str)
def test_each_status_is_counted_and_only_one_links(status: LinkStatus) -> None:
    """Whatever is wrong with a token, the messages stand alone, and the reason is counted."""
    token, more = CASES[status]
    before = counted()
    outcome = ask(f"key=w&link={token}", **more)
    assert {
        name: value - before.get(name, 0)
        for name, value in counted().items()
        if value != before.get(name, 0)
    } == {status: 1}
    visitors = {each.visitor for each in records(outcome)}
    assert (visitors == {VISITOR}) is (status is LinkStatus.TAKEN)
    assert (set_visitor(outcome) == VISITOR) is (status is LinkStatus.TAKEN)
    if status is not LinkStatus.NOT_KEPT:
        assert len(visitors) == 1


def test_a_refusal_on_the_other_domain_says_nothing_of_the_visitor() -> None:
    """Who says no there is no visitor: not even the withdrawal is noted for the one who left."""
    outcome = ask(f"key=w&link={link()}", [REFUSING])
    assert (outcome.records, outcome.dropped) == ((), ("no_consent",))


def test_a_suppressed_visitor_is_not_carried_over() -> None:
    """Who was erased a moment ago is nobody on the other domain, too."""
    outcome = ask(f"key=w&link={link(OTHER)}")
    assert (outcome.records, outcome.dropped) == ((), ("suppressed",))
    assert set_visitor(outcome) is None


def test_a_token_is_for_one_kind_of_browser() -> None:
    """A link that is sent to somebody with another browser names nobody there."""
    found = read_link(KEYS, link(), site="shop", agent="Another/1.0", now_s=NOW_S)
    assert found == (LinkStatus.FORGED, None)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(KEYS.sign("cookie", VISITOR + bytes(4)), id="cookie"),
        pytest.param(visitor_cookie.write_reference(KEYS, VISITOR), id="reference"),
        pytest.param(
            make_callback(KEYS, "xandr", Callback(visitor=VISITOR, nonce=1, expires_s=NOW_S + 60)),
            id="callback",
        ),
        pytest.param("", id="empty"),
        pytest.param("e", id="one letter"),
        pytest.param("é" * 40, id="no ascii"),
    ],
)
def test_no_other_token_is_a_link(token: str) -> None:
    """Tokens of other purposes have other keys; what is unreadable is forged."""
    found = read_link(KEYS, token, site="shop", agent=AGENT, now_s=NOW_S)
    assert found == (LinkStatus.FORGED, None)


def test_a_link_is_no_cookie() -> None:
    """The token of a link cannot be set as a cookie."""
    assert visitor_cookie.read_cookie(KEYS, link()) is None


def test_a_page_without_a_reference_may_ask_for_it() -> None:
    """A browser whose cookie is known, but whose page is not told by whom, is told when it asks."""
    told = dict(ask("key=w&who=1", cookie=cookie()).answer.headers)
    assert visitor_cookie.read_reference(KEYS, told["Jumelle-Visitor"]) == VISITOR
    assert "Set-Cookie" not in told
    for query, body in (("key=w", [PAGE]), ("key=w&who=1", [REFUSING]), ("key=w&who=1", [])):
        assert "Jumelle-Visitor" not in dict(ask(query, body, cookie=cookie()).answer.headers)


def clicked(*, site: str = "shop", days: int = 1) -> str:
    click = Click(crm_id="123456", site=site, target=SHOP, expires_s=NOW_S + days * 86_400, nonce=7)
    return make_click(KEYS, click)


@pytest.mark.parametrize("known", [True, False], ids=["known browser", "new browser"])
def test_a_newsletter_s_token_in_the_address_is_a_click(known: bool) -> None:
    """The click is kept before the page that it led to, under the same visitor."""
    outcome = ask(f"key=w&click={clicked()}", cookie=cookie() if known else "")
    click, page = records(outcome)
    assert (click.kind, page.kind) == (Kind.CLICK, Kind.MESSAGE)
    assert click.visitor == page.visitor == (VISITOR if known else set_visitor(outcome))
    assert (click.meta.proved, click.meta.method, click.meta.nonce) == ("123456", "click", 7)
    assert click.received_us <= page.received_us


@pytest.mark.parametrize(
    ("token", "body"),
    [
        pytest.param("forged", [PAGE], id="forged"),
        pytest.param(clicked(site="news"), [PAGE], id="another site"),
        pytest.param(clicked(days=-2), [PAGE], id="expired"),
        pytest.param(clicked(), [REFUSING], id="refused"),
    ],
)
def test_a_newsletter_s_token_that_is_not_good_is_ignored(token: str, body: Any) -> None:
    """A token that is not good here, or of a visitor who says no, gives no click."""
    outcome = ask(f"key=w&click={token}", body)
    assert all(each.kind is Kind.MESSAGE for each in records(outcome))
