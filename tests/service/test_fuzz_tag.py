"""Whatever strangers send to the tag's port: no exception, no 5xx, no unreadable record."""

import gzip
import json
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.ids import VisitorId
from matching.partners import load_partners
from service.engine.chunk_rows import rows_of
from service.engine.seen_messages import SeenMessages
from service.engine.tombstones import Tombstones
from service.tag import messages, visitor_cookie
from service.tag.batch_cut import cut_batch
from service.tag.collect import Collector
from service.tag.message_bodies import (
    GivenBatch,
    Unreadable,
    read_batch,
    read_single,
    read_tag_body,
)
from service.tag.record import MAGIC, Record, read_records
from service.tag.request import BodyTooLarge, Caller, TagRequest, inflated
from service.tag.routes import handle
from service.tag.strict_json import json_fault
from service.tag.tag_state import Site, TagState
from service.tag.tokens import (
    Callback,
    Click,
    Keys,
    TokenError,
    make_callback,
    make_click,
    make_identify,
    open_callback,
    read_click,
    read_identify,
)

NOW_S = 1_790_000_000
SECRET = "a secret of at least thirty-two bytes"
KEYS = Keys({1: bytes(range(32))})
VISITOR = VisitorId(bytes(range(16)))
EXAMPLE = Path(__file__).parents[2] / "service" / "example_config"
SITE = Site(
    key="shop",
    write_key="w",
    origins=("https://shop.example",),
    identify_secret_env="FUZZ_IDENTIFY_SECRET",
    server_key_env="FUZZ_SERVER_KEY",
    consent_default="allow",
)
STATE = TagState(
    published_s=NOW_S,
    sites=(SITE, Site(key="slow", write_key="s", rate_max=2)),
    partners=tuple(load_partners(EXAMPLE)),
    suppressed=("00" * 16,),
)
COOKIE = visitor_cookie.write_cookie(KEYS, VISITOR, now_s=NOW_S)
REFERENCE = visitor_cookie.write_reference(KEYS, VISITOR)
OPT_OUT = visitor_cookie.write_opt_out(KEYS, now_s=NOW_S)
IDENTIFY = make_identify(SECRET, site="shop", crm_id="123456", now_s=NOW_S)
CLICK = make_click(
    KEYS, Click(crm_id="123456", site="shop", target="https://x", expires_s=NOW_S - 1, nonce=1)
)
CALLBACK = make_callback(KEYS, "pixel", Callback(visitor=VISITOR, nonce=7, expires_s=NOW_S + 60))
TOKENS = (COOKIE, REFERENCE, OPT_OUT, IDENTIFY, CLICK, CALLBACK)
BASIC = "Basic " + b64encode(b"w:").decode()
SERVER = "Basic " + b64encode(b"the server key:").decode()

numbers = st.one_of(st.integers(), st.floats(), st.integers(-(10**40), 10**40))
texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        (
            *("page", "track", "alias", "Order Completed", "p@example.com", "+33612345678"),
            *("2026-09-21T10:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31", "1YNN", "\ud800"),
            *("https://x/?email=p%40example.com", "p@example.com " * 30, "x" * 600, *TOKENS),
        )
    ),
)
trees = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)
consents = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("tcf", "gpp", "us_privacy"), texts),
        **dict.fromkeys(("gdpr", "gpc"), st.one_of(st.none(), st.booleans(), numbers)),
        "gpp_sid": st.lists(numbers, max_size=3),
        "explicit": st.dictionaries(texts, st.booleans(), max_size=3),
    },
)
contexts = st.fixed_dictionaries(
    {},
    optional={
        "token": texts,
        "consent": st.one_of(consents, trees),
        "userAgent": texts,
        "library": st.one_of(trees, st.fixed_dictionaries({"name": texts})),
        "page": trees,
    },
)
names = ("messageId", "userId", "anonymousId", "event", "timestamp", "sentAt", "previousId")
likely = st.fixed_dictionaries(
    {"type": st.sampled_from(sorted(messages.TYPES))},
    optional={
        **dict.fromkeys(names, texts),
        **dict.fromkeys(("properties", "traits"), st.dictionaries(texts, trees, max_size=4)),
        "context": contexts,
    },
)
objects = st.one_of(likely, likely, trees)


def _written(tree: Any) -> bytes:
    return json.dumps(tree).encode()


bodies = st.one_of(
    st.binary(max_size=200),
    objects.map(_written),
    st.lists(objects, max_size=4).map(_written),
    st.builds(
        lambda batch, sent: _written({"batch": batch, "sentAt": sent, "writeKey": "w"}),
        st.lists(objects, max_size=4),
        texts,
    ),
    st.tuples(objects.map(_written), st.integers(0, 200), st.binary(max_size=3)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] :]
    ),
    st.sampled_from((b"[" * 9000, b'{"a":' * 9000, b'{"batch":[' + b"[" * 9000)),
)


@pytest.fixture(autouse=True, scope="module")
def secrets() -> Any:
    """Put the site's secrets where its file says they are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FUZZ_IDENTIFY_SECRET", SECRET)
        patch.setenv("FUZZ_SERVER_KEY", "the server key")
        yield


@pytest.fixture(scope="module")
def tombstones(tmp_path_factory: pytest.TempPathFactory) -> Tombstones:
    """Give tombstones of nobody."""
    return Tombstones(tmp_path_factory.mktemp("fuzz") / "tombstones.log", KEYS)


@given(bodies)
def test_the_parser_gives_messages_or_reasons(body: bytes) -> None:
    """Every body is messages, each with its bytes or a reason, or it is unreadable."""
    for read in (
        read_tag_body,
        read_batch,
        lambda raw: GivenBatch(given=read_single(raw, "page")),
    ):
        with suppress(Unreadable):
            for each in read(body).given:
                assert (each.message is None) == bool(each.problem)
                assert each.message is None or json_fault(each.raw) == ""


@given(trees)
def test_what_json_is_depends_on_no_spelling(tree: Any) -> None:
    """Spaces and escapes change nothing about whether bytes are taken as JSON."""
    compact = json.dumps(tree, ensure_ascii=False, separators=(",", ":"))
    spaced = json.dumps(tree, indent=1)
    with suppress(UnicodeEncodeError):
        assert bool(json_fault(compact.encode())) == bool(json_fault(spaced.encode()))


@given(st.lists(objects, max_size=4), texts)
def test_a_cut_batch_is_the_batch(batch: list[Any], key: str) -> None:
    """Cutting gives every message's own bytes, in order, and what stands beside them."""
    raws = [_written(each) for each in batch]
    others = {"writeKey": key, "integrations": {"batch": [1]}}
    head = _written(others)[:-1]
    assert cut_batch(b"[" + b" , ".join(raws) + b" ]").messages == raws
    found = cut_batch(head + b', "batch" : [' + b",".join(raws) + b"]\n}")
    assert (found.messages, found.others) == (raws, others)


@given(
    st.one_of(
        texts.filter(str.isprintable),  # no lone surrogates: neither JSON nor headers bring them
        st.text(alphabet="ABCabc123-_.=!", max_size=120),
    )
)
def test_the_readers_know_only_their_own(text: str) -> None:
    """Cookie, reference, opt-out and token readers give nothing for text that is none of ours."""
    _check_readers(text)


def _check_readers(text: str) -> None:
    assert text == COOKIE or visitor_cookie.read_cookie(KEYS, text) is None
    assert text == REFERENCE or visitor_cookie.read_reference(KEYS, text) is None
    assert text == OPT_OUT or not visitor_cookie.is_opted_out(KEYS, text)
    assert text == CALLBACK or not _opens(open_callback, KEYS, "pixel", text)
    assert not _opens(read_click, KEYS, text)
    assert text == IDENTIFY or not _opens(read_identify, SECRET, text, site="shop")


@given(st.data())
def test_one_changed_character_makes_a_token_foreign(data: st.DataObject) -> None:
    """A token of ours with any character changed is none of ours."""
    good = data.draw(st.sampled_from(TOKENS))
    # Why not the last: two bits of it mean nothing in a JWT, whose library reads past them.
    place = data.draw(st.integers(0, len(good) - 2))
    sign = data.draw(st.sampled_from("ABCDwxyz0189-_.=")) if data.draw(st.booleans()) else "é"
    if good[place] != sign:
        bad = good[:place] + sign + good[place + 1 :]
        _check_readers(bad)


def _opens(read: Any, *words: Any, **more: Any) -> bool:
    try:
        read(*words, now_s=NOW_S, **more)
    except TokenError:
        return False
    return True


segments = st.sampled_from(
    (
        *("t", "tag.js", "p.gif", "v1", "batch", "b", "track", "i", "setuid", "optout", "sync"),
        *("in", "pixel", "c", CLICK, "me", "", "..", "é"),
    )
)
paths = st.one_of(
    st.sampled_from(("/t", "/v1/batch", "/v1/track", "/v1/identify", "/v1/a", "/p.gif", "/setuid")),
    st.lists(segments, max_size=4).map(lambda parts: "/" + "/".join(parts)),
    st.text(max_size=20),
)
fields = st.sampled_from(
    ("key", "account", "event", "name", "t", "uid", "f", "bidder", "gdpr", "us_privacy", "gpp")
)
values = st.one_of(texts, st.sampled_from(("w", "w", "s", "pixel", "xandr", "1", "i")))
queries = st.one_of(
    st.text(max_size=30),
    st.lists(st.tuples(fields, values), max_size=6).map(
        lambda pairs: "&".join(f"{name}={value}" for name, value in [("key", "w"), *pairs])
    ),
    st.just("key=w" + "&x=1" * 200),
).map(lambda text: text.encode(errors="replace").decode("latin-1"))
latin = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)
headers = st.fixed_dictionaries(
    {"host": st.just("t.example")},
    optional={
        "cookie": st.one_of(
            latin,
            st.lists(st.tuples(st.sampled_from(("jml", "jml_out", "jml_sync")), latin)).map(
                lambda pairs: "; ".join(f"{name}={value}" for name, value in pairs)
            ),
            st.just(f"jml={COOKIE}; jml_sync=pixel.1!xandr.99999999999!x"),
            st.just(f"jml={COOKIE}; jml_out={OPT_OUT}"),
        ),
        "authorization": st.one_of(
            latin, latin.map(lambda text: f"Basic {text}"), st.just(BASIC), st.just("Basic 4pyT")
        ),
        "origin": st.one_of(latin, st.just("https://shop.example")),
        "user-agent": st.one_of(latin, st.just("Mozilla/5.0 (p@example.com)")),
        "content-encoding": st.sampled_from(("gzip", "GZIP", "br", "")),
        "sec-gpc": st.sampled_from(("1", "0", "?")),
        "x-forwarded-for": latin,
        "if-none-match": latin,
        "access-control-request-headers": latin,
    },
)


def with_headers(caller: Caller, headers: dict[str, str]) -> Caller:
    """Give a caller with some headers changed."""
    return msgspec.structs.replace(caller, headers={**caller.headers, **headers})


any_requests = st.builds(
    TagRequest,
    method=st.sampled_from(("POST", "POST", "GET", "OPTIONS", "HEAD", "PUT")),
    path=paths,
    query=queries,
    caller=st.builds(
        Caller,
        headers=headers,
        address=st.sampled_from(("203.0.113.7", "::1", "2001:db8::1", "", "testclient")),
        scheme=st.sampled_from(("http", "https")),
    ),
    body=st.one_of(bodies, bodies.map(gzip.compress)),
    received_us=st.just(NOW_S * 1_000_000),
)
batches = st.lists(likely, min_size=1, max_size=3)
welcome_requests = st.builds(
    lambda request, path, body, key: msgspec.structs.replace(
        request,
        method="POST",
        path=path,
        query="key=w",
        caller=with_headers(
            request.caller, {"origin": "", "content-encoding": "", "authorization": key}
        ),
        body=_written({"batch": body} if path.endswith("batch") else body[0]),
    ),
    any_requests,
    st.sampled_from(("/t", "/v1/batch", "/v1/track", "/v1/identify", "/v1/a")),
    batches,
    st.sampled_from((BASIC, SERVER)),
)


sync_requests = st.builds(
    lambda request, path, body: msgspec.structs.replace(
        request,
        method="GET" if path.startswith("/sync") else "POST",
        path=path,
        query=f"account=w&{request.query}",
        caller=with_headers(request.caller, {"origin": "", "cookie": f"jml={COOKIE}"}),
        body=body,
    ),
    any_requests,
    st.sampled_from(("/cookie_sync", "/cookie_sync", "/sync/in/pixel")),
    st.one_of(
        bodies,
        consents.map(_written),
        st.sampled_from(
            (
                b'{"gpp":"\xff"}',
                '{"gpp_sid":"\u00b2,7"}'.encode(),
                _written({"explicit": dict.fromkeys(map(str, range(20_000)), True)}),
            )
        ),
    ),
)


@settings(max_examples=300)
@given(st.one_of(any_requests, welcome_requests, sync_requests))
def test_every_request_is_answered(tombstones: Tombstones, request: TagRequest) -> None:
    """Any request gets an answer below 500 that can be sent, and every record can be loaded."""
    _check(Collector(state=lambda: STATE, keys=KEYS), request, tombstones)


def _check(collector: Collector, request: TagRequest, tombstones: Tombstones) -> None:
    outcome = handle(collector, request)
    assert outcome.answer.status < 500
    for name, value in outcome.answer.headers:
        assert not set("\r\n") & set(value), name
        value.encode("latin-1")
    kept: list[Record] = list(read_records(MAGIC + b"".join(outcome.records)))
    assert len(kept) == len(outcome.records)
    rows = rows_of(
        kept, site=lambda _: SITE, seen=SeenMessages(seed=bytes(16)), tombstones=tombstones
    )
    assert rows.bad == []


@given(st.binary(max_size=300), st.integers(0, 400))
def test_inflation_ends_at_the_limit(body: bytes, limit: int) -> None:
    """Any gzip body is inflated within the limit, or refused."""
    for raw in (body, gzip.compress(body), gzip.compress(body)[:-5]):
        request = TagRequest(
            method="POST",
            path="/t",
            query="",
            caller=Caller(headers={"content-encoding": "gzip"}),
            body=raw,
            received_us=0,
        )
        with suppress(BodyTooLarge, gzip.BadGzipFile):
            assert len(inflated(request, limit)) <= limit
