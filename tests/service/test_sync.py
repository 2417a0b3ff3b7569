"""The sync's routes: offers are spooled, callbacks believed by token alone, no open redirect."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.ids import VisitorId
from matching.partner_facts import ConsentParams, Direction, SkipWhen, TokenPlace, Transport
from matching.partners import Partner, load_partners
from service.tag import visitor_cookie
from service.tag.collect import Collector, Outcome
from service.tag.record import MAGIC, Kind, Record, read_records
from service.tag.request import Caller, TagRequest
from service.tag.routes import handle
from service.tag.steps import DropReason
from service.tag.sync_memory import KINDS_MAX
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


def ask(method: str, path: str, query: str = "", body: Any = None, **headers: Any) -> Outcome:
    return ask_of(COLLECTOR, method, path, query, body, **headers)


def ask_of(
    collector: Collector,
    method: str,
    path: str,
    query: str = "",
    body: Any = None,
    now_s: int = NOW_S,
    **headers: str,
) -> Outcome:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return handle(
        collector,
        TagRequest(
            method=method,
            path=path,
            query=query,
            caller=Caller(headers={"host": "t.example", "user-agent": AGENT, **named}),
            body=b"" if body is None else json.dumps(body).encode(),
            received_us=now_s * 1_000_000,
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
    assert "Set-Cookie" not in dict(second.answer.headers)  # the browser's own says the same


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param({"us_privacy": "1YYN"}, {}, id="US opt-out"),
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


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"gdpr": 1}, id="GDPR without a string"),
        pytest.param({"gdpr": 2}, id="no such flag"),
        pytest.param({"gpp_sid": "2,6"}, id="a section that applies and is missing"),
        pytest.param({"gpp": "garbage"}, id="unreadable GPP"),
        pytest.param({"bidders": "xandr"}, id="bidders that are no list"),
        pytest.param({"filterSettings": {"image": {"filter": "maybe"}}}, id="unknown filter"),
        pytest.param({"filterSettings": {"image": {"bidders": "xandr"}}}, id="unknown bidders"),
        pytest.param([], id="no object"),
    ],
)
def test_what_is_no_request_is_refused_whole(body: Any) -> None:
    """As at Prebid Server: 400 with the reason, nobody is offered and nothing is spooled."""
    outcome = ask("POST", "/cookie_sync", "account=w", body, cookie=COOKIE)
    assert outcome.answer.status == 400
    assert (outcome.records, outcome.dropped) == ((), (DropReason.MALFORMED,))


ALL = {"xandr", "the_trade_desk", "pixel"}
NULLS = dict.fromkeys(
    (
        *("bidders", "gdpr", "gdpr_consent", "us_privacy", "gpp", "gpp_sid", "limit"),
        *("coopSync", "filterSettings", "debug", "explicit", "account"),
    )
)
REQUESTS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "no bidders": ({}, ALL),
    "an empty list of bidders": ({"bidders": []}, ALL),
    "nulls": (NULLS, ALL),
    "one bidder": ({"bidders": ["pixel"]}, {"pixel"}),
    "one bidder, and others under coop": ({"bidders": ["pixel"], "coopSync": True}, ALL),
    "coop within the limit": (
        {"bidders": ["pixel"], "coopSync": True, "limit": 1},
        {"pixel"},
    ),
    "a limit": ({"bidders": ["pixel", "nobody"], "limit": 1}, {"pixel"}),
    "no limit": ({"limit": 0}, ALL),
    "no images": ({"filterSettings": {"image": {"filter": "exclude"}}}, set()),
    "images of one": ({"filterSettings": {"image": {"bidders": ["xandr"]}}}, {"xandr"}),
    "GDPR does not apply": ({"gdpr": 0}, ALL),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_is_read_as_prebid_s(case: str) -> None:
    """Bidders, coop, limit and filters mean what they mean at Prebid Server."""
    body, expected = REQUESTS[case]
    outcome = ask("POST", "/cookie_sync", "account=w", body, cookie=COOKIE)
    assert set(offered(outcome)) == expected
    assert len(outcome.records) == len(expected)


def test_pages_of_many_kinds_are_told_apart() -> None:
    """However many kinds of pages one process has answered, the next is judged by what it says."""
    collector = with_partners(*STATE.partners)
    for number in range(3 * KINDS_MAX):
        body = {"gpp_sid": str(number + 100), "bidders": [f"nobody_{number}", "pixel"]}
        ask_of(collector, "POST", "/cookie_sync", "account=w", body, cookie=COOKIE)
    for body, expected in REQUESTS.values():
        outcome = ask_of(collector, "POST", "/cookie_sync", "account=w", body, cookie=COOKIE)
        assert set(offered(outcome)) == expected


def test_a_bot_syncs_with_nobody() -> None:
    """A crawler is offered nothing, and starts nothing for a partner."""
    agent = {"user_agent": "Googlebot/2.1", "cookie": COOKIE}
    outcome = ask("POST", "/cookie_sync", "account=w", {"debug": True}, **agent)
    assert {each["error"] for each in json.loads(outcome.answer.body)["debug"]} == {"bot"}
    assert ask("GET", "/sync/in/xandr", **agent).records == ()


def test_a_page_that_wants_no_trace_gets_none() -> None:
    """Snowplow's header for anonymous tracking keeps partners away, too."""
    outcome = ask("POST", "/cookie_sync", "account=w", {}, cookie=COOKIE, sp_anonymous="*")
    assert json.loads(outcome.answer.body) == {"status": "no_cookie", "bidder_status": []}


def test_an_offer_names_the_family_of_its_browser() -> None:
    """The record says Firefox, and no more of the agent."""
    outcome = ask("POST", "/cookie_sync", "account=w", {}, cookie=COOKIE)
    assert {each.meta.agent for each in records(outcome)} == {"firefox"}


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


FORMATS: dict[str, tuple[str, str, str]] = {
    "an image partner": ("xandr", "", "image/gif"),
    "an image": ("xandr", "&f=i", "image/gif"),
    "a blank page": ("xandr", "&f=B", "text/html"),
    "a frame's partner": ("framed", "", "text/html"),
    "an image for a frame's partner": ("framed", "&f=i", "image/gif"),
}


@pytest.mark.parametrize("case", FORMATS)
def test_the_answer_suits_what_the_browser_shows(case: str) -> None:
    """`f` chooses between image and blank page; without it the partner's transport does."""
    key, f, expected = FORMATS[case]
    xandr = next(each for each in STATE.partners if each.key == "xandr")
    sync = msgspec.structs.replace(xandr.sync, transports=(Transport.IFRAME,))
    framed = msgspec.structs.replace(xandr, key="framed", sync=sync)
    collector = with_partners(xandr, framed)
    outcome = ask_of(collector, "GET", "/setuid", f"bidder={key}&t={token(key)}&uid=12345{f}")
    headers = dict(outcome.answer.headers)
    assert (outcome.answer.status, headers["Content-Type"]) == (200, expected)
    assert headers["Cache-Control"] == "no-store"
    assert bool(outcome.answer.body) is (expected == "image/gif")


def with_partners(*partners: Partner) -> Collector:
    state = msgspec.structs.replace(STATE, partners=partners)
    return Collector(state=lambda: state, keys=KEYS)


CONSENTS: dict[str, tuple[str, int, str]] = {
    "none": ("", 200, ""),
    "GDPR does not apply": ("&gdpr=0", 200, ""),
    "US privacy that allows": ("&us_privacy=1YNN", 200, ""),
    "US privacy that forbids": ("&us_privacy=1YYN", 451, "no_consent"),
    "GPP that forbids": ("&gpp=DBABLA~BVQVAAAAAWA&gpp_sid=7", 451, "no_consent"),
    "a flag that is none": ("&gdpr=yes", 400, ""),
    "a macro that nobody replaced": ("&gdpr=%24%7BGDPR%7D", 400, ""),
    "GDPR without a string": ("&gdpr=1", 400, ""),
    "a section that applies and is missing": ("&gpp_sid=2", 400, ""),
    "sections that are none": ("&gpp_sid=two", 400, ""),
    "an unreadable string": ("&gdpr=1&gdpr_consent=garbage", 400, ""),
    "an unreadable GPP": ("&gpp=garbage", 400, ""),
}


@pytest.mark.parametrize("case", CONSENTS)
def test_the_consent_that_a_partner_passes_on_is_judged(case: str) -> None:
    """400 where it cannot be read, 451 and a counted refusal where it forbids."""
    query, status, reason = CONSENTS[case]
    outcome = ask("GET", "/setuid", f"bidder=pixel&t={token('pixel')}&uid=abcd1234{query}")
    assert outcome.answer.status == status
    found = [(each.meta.uid, each.meta.reason) for each in records(outcome)]
    assert found == {200: [("abcd1234", "")], 451: [("", reason)], 400: []}[status]


def test_gpc_at_the_callback_forbids() -> None:
    """A browser that sends GPC with the callback gives no id away."""
    outcome = ask("GET", "/setuid", f"bidder=pixel&t={token('pixel')}&uid=abcd1234", sec_gpc="1")
    assert outcome.answer.status == 451


def test_the_call_is_found_without_the_partner_s_name() -> None:
    """A partner that drops `bidder` is found by its token."""
    (record,) = records(ask("GET", "/setuid", f"t={token('pixel')}&uid=abcd1234"))
    assert record.meta.partner == "pixel"


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


IMAGE = {
    "sec_fetch_mode": "no-cors",
    "sec_fetch_dest": "image",
    "sec_fetch_site": "cross-site",
}
CALLS: dict[str, tuple[dict[str, Any], int]] = {
    "an image after its offer": ({}, 200),
    "a script": ({"sec_fetch_mode": "cors", "sec_fetch_dest": "empty"}, 400),
    "a page": ({"sec_fetch_mode": "navigate", "sec_fetch_dest": "document"}, 400),
    "a page of our own": ({"sec_fetch_site": "same-origin"}, 400),
    "a browser that does not say": (dict.fromkeys(IMAGE, ""), 400),
    "no visitor cookie": ({"without": "jml="}, 400),
    "no sync cookie": ({"without": "jml_sync="}, 400),
    "no name": ({"query": "uid=abcd1234"}, 400),
    "too late": ({"after_s": 3601}, 400),
    "in time": ({"after_s": 3500}, 200),
}


@pytest.mark.parametrize("case", CALLS)
def test_cookies_prove_where_no_token_can(case: str) -> None:
    """Only an image's call, within an hour of its offer and with both cookies, is believed."""
    headers, status = CALLS[case]
    headers = {**IMAGE, **headers}
    without, after_s = headers.pop("without", "none"), headers.pop("after_s", 0)
    query = headers.pop("query", "bidder=quiet&uid=abcd1234")
    collector = with_partners(quiet())
    first = ask_of(collector, "POST", "/cookie_sync", "account=w", {}, cookie=COOKIE)
    line = dict(first.answer.headers)["Set-Cookie"].partition(";")[0]
    cookie = "; ".join(each for each in (COOKIE, line) if not each.startswith(without))
    outcome = ask_of(
        collector, "GET", "/setuid", query, now_s=NOW_S + after_s, cookie=cookie, **headers
    )
    assert outcome.answer.status == status
    if status == 200:
        (offer,), (came,) = records(first), records(outcome)
        assert (came.visitor, came.meta.nonce) == (VISITOR, offer.meta.nonce)
        assert came.meta.uid == "abcd1234"
    else:
        assert outcome.records == ()


def quiet() -> Partner:
    """Give a partner that can carry no token of ours."""
    pixel = next(each for each in STATE.partners if each.key == "pixel")
    sync = msgspec.structs.replace(pixel.sync, token_place=TokenPlace.COOKIE)
    return msgspec.structs.replace(pixel, key="quiet", sync=sync)


def test_a_cookie_is_no_proof_for_a_partner_with_tokens() -> None:
    """Cookies open the callback of those partners alone whose file says so."""
    first = ask("POST", "/cookie_sync", "account=w", {}, cookie=COOKIE)
    line = dict(first.answer.headers)["Set-Cookie"].partition(";")[0]
    query = "bidder=pixel&uid=abcd1234"
    outcome = ask("GET", "/setuid", query, cookie=f"{COOKIE}; {line}", **IMAGE)
    assert (outcome.answer.status, outcome.records) == (400, ())


def test_a_partner_without_a_token_cannot_start_a_sync() -> None:
    """Only a page's offer is noted in the sync cookie, so nothing could prove such an answer."""
    outcome = ask_of(with_partners(quiet()), "GET", "/sync/in/quiet", cookie=COOKIE)
    assert (outcome.answer.status, outcome.records) == (200, ())


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


def incoming() -> Partner:
    """Give a partner that starts the sync and wants its own word back."""
    pixel = next(each for each in STATE.partners if each.key == "pixel")
    sync = msgspec.structs.replace(
        pixel.sync,
        direction=Direction.IN,
        url_template="https://in.example/m?push={push}&hm={our_id}",
        redirect_position=None,
        token_place=None,
        our_id_param="hm",
        consent_params=ConsentParams(),
        passes=("push",),
        skip_when=SkipWhen(gdpr=True),
    )
    return msgspec.structs.replace(pixel, key="incoming", sync=sync)


STARTS: dict[str, tuple[str, int, str]] = {
    "its word": ("push=a%26b%3Dhttps://evil.example", 302, "a%26b%3Dhttps%3A%2F%2Fevil.example"),
    "no word": ("", 400, ""),
    "a word that is too long": ("push=" + "x" * 513, 400, ""),
    "GDPR": ("push=a&gdpr=1&gdpr_consent=CP", 200, ""),
}


@pytest.mark.parametrize("case", STARTS)
def test_a_partner_that_starts_finds_its_word_again(case: str) -> None:
    """Its parameter goes back to its own address alone, with our id of this visitor."""
    query, status, said = STARTS[case]
    outcome = ask_of(with_partners(incoming()), "GET", "/sync/in/incoming", query, cookie=COOKIE)
    assert outcome.answer.status == status
    assert [each.kind for each in records(outcome)] == ([Kind.OFFER] if status == 302 else [])
    if status == 302:
        location = dict(outcome.answer.headers)["Location"]
        assert location.startswith(f"https://in.example/m?push={said}&hm=")
        assert records(outcome)[0].meta.uid == location.rpartition("=")[2]


LEADS = st.sampled_from(["https://evil.example/", "//evil.example", "javascript:x", "%0d%0aX: y"])


@given(
    route=st.sampled_from(
        ["/setuid", "/optout", "/sync/in/xandr", "/sync/in/pixel", "/sync/in/evil.example", "/c/x"]
    ),
    fields=st.dictionaries(
        st.sampled_from(["redir", "url", "r", "u", "t", "uid", "bidder", "f", "push", "optout"])
        | st.text(max_size=5),
        LEADS | st.text(max_size=12) | st.just(token("pixel")),
        max_size=6,
    ),
    host=st.sampled_from(["t.example", "evil.example", "shop.example"]),
)
def test_nothing_that_is_sent_chooses_where_a_browser_goes(
    route: str, fields: dict[str, str], host: str
) -> None:
    """Whatever a call carries, a redirect leads to the partner that the file names or nowhere."""
    outcome = ask("GET", route, urlencode(fields), cookie=COOKIE, host=host)
    for name, value in outcome.answer.headers:
        assert value.isprintable()
        if name == "Location":
            parts = urlsplit(value)
            assert parts.scheme == "https"
            assert parts.hostname in {"secure.adnxs.com", "sync.pixel.example"}
            assert "evil" not in value


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
