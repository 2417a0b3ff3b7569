"""What is decided at a glance equals, byte for byte, what the steps give."""

import json
import time
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.ids import VisitorId
from service.tag.collect import Collector, Outcome
from service.tag.frames import frame_of, is_frame
from service.tag.glance import keep_at_a_glance
from service.tag.request import Caller, TagRequest
from service.tag.routes import handle
from service.tag.sender import sender_like, tag_sender
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Keys
from service.tag.visitor_cookie import write_cookie, write_opt_out, write_reference

KEYS = Keys({1: b"k" * 32})
NOW_S = int(time.time())
COOKIE = write_cookie(KEYS, VisitorId(bytes(range(16))), now_s=NOW_S)
OLD_COOKIE = write_cookie(KEYS, VisitorId(bytes(range(16))), now_s=NOW_S - 2 * 86_400)
COMMON = Site(key="shop", write_key="w", consent_default="allow")
STEPWISE = msgspec.structs.replace(COMMON, rate_max=1e12)
"""The same site; whoever counts messages must take the steps."""


def request_of(body: bytes, cookie: str = COOKIE, **headers: str) -> TagRequest:
    """Write a request of a browser."""
    named = {"host": "t.example", "user-agent": "Mozilla/5.0", "cookie": f"a=1; jml={cookie}"}
    return TagRequest(
        method="POST",
        path="/t",
        query="key=w",
        caller=Caller(headers=named | headers, address="203.0.113.7"),
        body=body,
        received_us=NOW_S * 1_000_000,
    )


def outcome_of(site: Site, body: bytes, cookie: str) -> Outcome:
    """Decide a request for this site, twice from one caller; the second time all is known."""
    state = TagState(published_s=NOW_S, sites=(site,))
    collector = Collector(state=lambda: state, keys=KEYS)
    request = request_of(body, cookie)
    handle(collector, request)
    return handle(collector, request)


texts = st.one_of(
    st.text("abcxyz019 _-.:/@+%&?=é0", max_size=24),
    st.sampled_from(
        (
            "paul@example.com",
            "+33612345678",
            "0033612345678",
            "00",
            "0000012",
            "https://shop.example/c/" + "a" * 50,
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijklmnopqrst",
            "Order Completed",
            "jr.AbcDef-_0",
            "\ud800",
            'a"b\\c',
            "a" * 600,
        )
    ),
)
times = st.sampled_from(
    (
        "2026-11-22T09:30:00.000Z",
        "2026-11-22T09:30:00Z",
        "2026-11-22T09:30:00.000+00:00",
        "2026-13-22T09:30:00.000Z",
        "20261122T093000.000000Z",
        "yesterday",
        "",
    )
)
consents = st.sampled_from(
    (
        {"explicit": {"store": True}},
        {"explicit": {"store": False}},
        {"explicit": {"store": True, "paul@example.com": True}},
        {"gpc": True},
        {"gdpr": True},
        {"gdpr": 1, "tcf": "no such string"},
        {"tcf": 5},
    )
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "library": st.fixed_dictionaries({"name": texts}),
        "consent": consents,
        "token": texts,
        "anonymous": st.booleans(),
        "page": st.fixed_dictionaries({"url": texts, "title": texts}),
    },
)
properties: st.SearchStrategy[object] = st.one_of(
    st.dictionaries(texts, st.one_of(texts, st.integers(), st.none()), max_size=3),
    st.just([]),
    st.just("text"),
)
messages = st.fixed_dictionaries(
    {"type": st.sampled_from(("page", "track", "screen", "identify", "nothing", "alias"))},
    optional={
        "messageId": texts,
        "anonymousId": texts,
        "userId": st.one_of(texts, st.integers()),
        "event": texts,
        "timestamp": times,
        "sentAt": times,
        "properties": properties,
        "traits": properties,
        "context": contexts,
        "name": texts,
        "unknown": texts,
    },
)
likely = st.fixed_dictionaries(
    {
        "type": st.sampled_from(("page", "track")),
        "messageId": st.text("abc019-", min_size=1, max_size=12),
    },
    optional={
        "event": st.just("Order Completed"),
        "timestamp": st.just("2026-11-22T09:30:00.000Z"),
        "properties": st.dictionaries(st.sampled_from("ab"), texts, max_size=2),
        "context": st.fixed_dictionaries({}, optional={"consent": consents}),
    },
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Write messages as JSON, singly or in a list, tightly or loosely, now and then spoilt."""
    found = draw(st.lists(st.one_of(likely, messages), min_size=1, max_size=2))
    separators = draw(st.sampled_from(((",", ":"), (",", ":"), (", ", ": "))))
    value = found[0] if draw(st.booleans()) else found
    ascii_only = draw(st.booleans())
    text = json.dumps(value, separators=separators, ensure_ascii=ascii_only)
    raw = text.encode(errors="surrogatepass")
    spoil = draw(st.sampled_from(("", "", "", "twice", "cut", "blank")))
    if spoil == "twice":
        raw = raw.replace(b'"type"', b'"type":"page","type"', 1)
    elif spoil == "cut":
        raw = raw[: draw(st.integers(0, len(raw)))]
    elif spoil == "blank":
        raw = b" " + raw + b"\n"
    return raw


@given(body=bodies(), cookie=st.sampled_from((COOKIE, OLD_COOKIE, "foreign")))
def test_a_glance_decides_as_the_steps_do(body: bytes, cookie: str) -> None:
    """Records, drops and answers are equal, whether or not the message was a common one."""
    glanced, stepped = outcome_of(COMMON, body, cookie), outcome_of(STEPWISE, body, cookie)
    assert glanced.dropped == stepped.dropped
    assert glanced.answer.status == stepped.answer.status
    assert glanced.answer.body == stepped.answer.body
    assert [name for name, _ in glanced.answer.headers] == [
        name for name, _ in stepped.answer.headers
    ]
    if cookie != "foreign":  # else each mints a visitor of its own
        assert glanced.records == stepped.records


ID, TIME, SENT = "0a" * 16, "2026-11-22T09:30:00.000Z", "2026-11-22T09:30:01.120Z"
REFERENCE = write_reference(KEYS, VisitorId(bytes(range(16))))


def tag_message(*, type_: str, own: str, reference: str) -> str:
    """Write a message as our tag does, with marks for what differs each time."""
    named = f',"anonymousId":"{reference}"' if reference else ""
    return (
        f'{{"type":"{type_}","messageId":"{ID}","timestamp":"{TIME}",{own}'
        f'"properties":{{"url":"https://shop.example/bikes/road?sort=price&page=2"}},'
        f'"context":{{"library":{{"name":"jumelle-js"}}}}{named},"sentAt":"{SENT}"}}'
    )


awkward = st.one_of(
    st.text('0a9zZ-_"\\@é :T', max_size=40),
    st.text("0123456789abcdef", min_size=32, max_size=32),
    st.sampled_from(
        (
            "0033612345678" + "a" * 19,
            "paul@example.com" + "a" * 16,
            'a","name":"paul@example.com"',
            "a" * 31 + "é",
            "a" * 31 + '"',
            "a" * 31 + "\\",
            "2026-11-22T23:59:59.999Z",
            "2026-13-22T09:30:00.000Z",
            "2026-11-22@09:30:00.000Z",
            '2026-11-22"09:30:00.000Z',
            "2026-11-22T09:30:00.00é",
            "20261122T093000.0000000Z",
            "2026-W47-7T09:30:00.000Z",
            "2026-11-22T09:30:00+0000Z",
            "jr." + "a" * 36,
            "jr." + "a" * 35 + '"',
            "00336123456789" + "a" * 25,
        )
    ),
)


@given(
    type_=st.sampled_from(("page", "track", "identify", "screen", "group", "alias", "pages")),
    own=st.sampled_from(("", '"event":"Viewed",', '"name":"Home",', '"userId":"7",')),
    reference=st.sampled_from(("", REFERENCE)),
    changes=st.dictionaries(st.sampled_from((ID, TIME, SENT, REFERENCE)), awkward, max_size=2),
    spoil=st.one_of(st.none(), st.tuples(st.integers(0, 330), st.sampled_from('"}{,x 0'))),
    size=st.integers(1, 3),
)
def test_what_was_judged_of_a_frame_holds_for_its_messages(
    *,
    type_: str,
    own: str,
    reference: str,
    changes: dict[str, str],
    spoil: tuple[int, str] | None,
    size: int,
) -> None:
    """A message that differs from a known one in id, times, reference or anything is no other."""
    first = tag_message(type_=type_, own=own, reference=reference)
    second = first
    for old, new in changes.items():
        second = second.replace(old, new)
    if spoil is not None:
        second = second[: spoil[0]] + spoil[1] + second[spoil[0] + 1 :]
    bodies_ = [f"[{first}]", f"[{','.join([first] * (size - 1) + [second])}]"]
    outcomes = []
    for site in (COMMON, STEPWISE):
        state = TagState(published_s=NOW_S, sites=(site,))
        collector = Collector(state=lambda: state, keys=KEYS)  # noqa: B023
        requests = [request_of(each.encode()) for each in bodies_]
        outcomes.append([handle(collector, each) for each in requests])
    for glanced, stepped in zip(*outcomes, strict=True):
        assert glanced.records == stepped.records
        assert glanced.dropped == stepped.dropped
        assert glanced.answer.status == stepped.answer.status
        assert glanced.answer.body == stepped.answer.body


def test_a_message_of_our_tag_has_a_frame() -> None:
    """Messages that differ in id, times and reference alone share it; others do not."""
    first = tag_message(type_="page", own="", reference=REFERENCE)
    other = write_reference(KEYS, VisitorId(bytes(16)))
    second = first.replace(ID, "1f" * 16).replace(REFERENCE, other)
    second = second.replace("09:30:0", "10:31:0")
    frame = frame_of(first.encode())
    assert frame is not None
    assert is_frame(frame, first.encode())
    assert frame_of(second.encode()) == frame
    assert frame_of(first.replace("road", "city").encode()) not in {None, frame}
    assert frame_of(first.replace("page", "screen", 1).encode()) not in {None, frame}


@pytest.mark.parametrize(
    "between",
    [
        pytest.param("\n", id="no comma"),
        pytest.param(",\n", id="a line each"),
        pytest.param(", ", id="a blank"),
        pytest.param(",,", id="two commas"),
        pytest.param("", id="nothing"),
    ],
)
def test_a_list_is_cut_where_json_cuts_it(between: str) -> None:
    """Lists that are written in another way, or are none, are answered as the steps answer them."""
    one = tag_message(type_="page", own="", reference="")
    body = f"[{one}{between}{one},{one}]".encode()
    glanced, stepped = outcome_of(COMMON, body, COOKIE), outcome_of(STEPWISE, body, COOKIE)
    assert glanced.records == stepped.records
    assert glanced.dropped == stepped.dropped
    assert glanced.answer == stepped.answer


pixels = st.dictionaries(
    st.sampled_from(("event", "name", "messageId", "anonymousId", "url", "e", "type")),
    st.one_of(texts.filter(lambda text: text.isprintable()), st.just("")),
)


@given(fields=pixels)
def test_a_pixel_is_decided_at_a_glance_as_the_steps_decide(fields: dict[str, str]) -> None:
    """Its record, its drops and its answer are equal."""
    query = urlencode({"key": "w", **fields})
    outcomes = []
    for site in (COMMON, STEPWISE):
        state = TagState(published_s=NOW_S, sites=(site,))
        collector = Collector(state=lambda: state, keys=KEYS)  # noqa: B023
        request = msgspec.structs.replace(request_of(b""), method="GET", path="/p.gif", query=query)
        outcomes.append(handle(collector, request))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(
    "cookie",
    [
        pytest.param(COOKIE, id="the same"),
        pytest.param(OLD_COOKIE, id="to be renewed"),
        pytest.param("", id="none"),
        pytest.param("foreign", id="foreign"),
        pytest.param(f"{COOKIE}; jml_out={write_opt_out(KEYS, now_s=NOW_S)}", id="opted out"),
    ],
)
@pytest.mark.parametrize("site", [COMMON, STEPWISE], ids=["common", "limited"])
def test_a_sender_like_another_is_what_its_own_head_tells(cookie: str, site: Site) -> None:
    """Another browser's facts with this one's cookie are this browser's facts."""
    state = TagState(published_s=NOW_S, sites=(site,))
    collector = Collector(state=lambda: state, keys=KEYS)
    for alike in (request_of(b""), request_of(b"", OLD_COOKIE), request_of(b"", "foreign")):
        known = tag_sender(collector, alike)
        request = request_of(b"", cookie)
        assert known is not None
        found = sender_like(collector, known, request.header("cookie"), now_s=NOW_S)
        assert found == tag_sender(collector, request)


@pytest.mark.parametrize(
    ("body", "headers", "common"),
    [
        pytest.param({"type": "page", "messageId": "a1"}, {}, True, id="page"),
        pytest.param(
            {"type": "track", "messageId": "a1", "event": "Order Completed"}, {}, True, id="track"
        ),
        pytest.param({"type": "track", "messageId": "a1"}, {}, False, id="no event"),
        pytest.param({"type": "page", "messageId": "a1", "userId": "1"}, {}, False, id="claim"),
        pytest.param({"type": "page", "messageId": "0033612345678"}, {}, False, id="phone"),
        pytest.param(
            {"type": "page", "messageId": "a", "properties": {"url": "p@example.com"}},
            {},
            False,
            id="address",
        ),
        pytest.param(
            {"type": "page", "messageId": "a", "context": {"token": "x"}}, {}, False, id="token"
        ),
    ],
)
def test_only_what_proves_nothing_is_decided_at_a_glance(
    body: dict[str, object], headers: dict[str, str], *, common: bool
) -> None:
    """Messages that need the steps are left to them."""
    state = TagState(published_s=NOW_S, sites=(COMMON,))
    collector = Collector(state=lambda: state, keys=KEYS)
    request = request_of(json.dumps(body, separators=(",", ":")).encode(), **headers)
    sender = tag_sender(collector, request)
    assert sender is not None
    assert sender.is_common
    kept = keep_at_a_glance(collector, sender, request.body, b"", [])
    assert kept == common


@pytest.mark.parametrize(
    ("headers", "site"),
    [
        pytest.param({"content-encoding": "gzip"}, COMMON, id="compressed"),
        pytest.param({"cookie": ""}, COMMON, id="no cookie"),
        pytest.param({"origin": "https://evil.example"}, COMMON, id="a foreign page"),
        pytest.param({"sp-anonymous": "*"}, COMMON, id="anonymous"),
        pytest.param({}, STEPWISE, id="a limited site"),
    ],
)
def test_a_sender_of_whom_anything_must_be_asked_is_not_common(
    headers: dict[str, str], site: Site
) -> None:
    """Whatever the head may stop is decided by the steps."""
    state = TagState(published_s=NOW_S, sites=(site,))
    collector = Collector(state=lambda: state, keys=KEYS)
    sender = tag_sender(collector, request_of(b"", **headers))
    assert sender is not None
    assert not sender.is_common


def test_a_new_state_is_heard_at_once() -> None:
    """What was found out about a caller under the last published state does not outlive it."""
    denying = msgspec.structs.replace(COMMON, consent_default="deny")
    states = [TagState(published_s=NOW_S, sites=(COMMON,))]
    collector = Collector(state=lambda: states[-1], keys=KEYS)
    request = request_of(b'{"type":"page","messageId":"a"}')
    assert len(handle(collector, request).records) == 1
    states.append(TagState(published_s=NOW_S, sites=(denying,)))
    assert handle(collector, request).records == ()


def test_anonymous_messages_leave_no_trace() -> None:
    """Neither a record nor a cookie comes of a message that asks for anonymity."""
    for request in (
        request_of(b'{"type":"page","messageId":"a"}', "none", **{"sp-anonymous": "*"}),
        request_of(b'{"type":"page","messageId":"a","context":{"anonymous":true}}', "none"),
        request_of(b'{"type":"page","messageId":"a","context":{"anonymous":true}}', OLD_COOKIE),
    ):
        state = TagState(published_s=NOW_S, sites=(COMMON,))
        outcome = handle(Collector(state=lambda: state, keys=KEYS), request)  # noqa: B023
        assert (outcome.records, outcome.dropped) == ((), ("no_consent",))
        assert "Set-Cookie" not in dict(outcome.answer.headers)
        assert outcome.answer.status == 204
