"""The fast path answers byte for byte as the routes do, over real sockets, and holds its limits."""

import gzip
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httptools
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from matching.ids import VisitorId
from service.metrics import Balance, BalanceOf
from service.tag.connections import (
    BODY_S_MAX,
    HEAD_BYTES_MAX,
    HEAD_S_MAX,
    KEEP_ALIVE_S,
    PAUSE_S_MAX,
    Connections,
)
from service.tag.known_heads import (
    FAST_BODY_BYTES_MAX,
    Head,
    KnownHead,
    cut_known,
    known_head,
)
from service.tag.process import TagProcess
from service.tag.protocol import protocol_of, unfit_because
from service.tag.record import Record, read_records
from service.tag.request import Caller
from service.tag.spool import SpoolSettings
from service.tag.tag_state import Site, TagState, write_tag_state
from service.tag.visitor_cookie import write_cookie
from service.tag_server import tag_app

VISITOR = VisitorId(bytes(range(16)))
ORIGIN = "https://shop.example"
PAGE = b'{"type":"page","messageId":"m1","properties":{"url":"https://shop.example/bikes"}}'
CHUNKED = b"4\r\nnull\r\n0\r\n\r\n"
SITE = Site(key="shop", write_key="w", origins=(ORIGIN,), consent_default="allow")


class Served:
    """A tag process on a socket of its own."""

    def __init__(self, part: TagProcess, app: Litestar, shared: Connections | None) -> None:
        self.part = part
        self.shared = shared
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            http="httptools" if shared is None else protocol_of(shared),
            log_config=None,
            server_header=False,
            ws="none",
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.server.run, args=([self._socket],))
        self._thread.start()
        while not self.server.started:
            time.sleep(0.01)

    @property
    def cookie(self) -> str:
        """A valid cookie of one visitor."""
        return "jml=" + write_cookie(self.part.keys, VISITOR, now_s=int(time.time()))

    def talk(self, *pieces: bytes, pause_s: float = 0.0) -> bytes:
        """Send pieces over one connection, then give all that comes until silence or the end."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
            for piece in pieces:
                client.sendall(piece)
                time.sleep(pause_s)
            return hear(client)

    def on_loop(self, sweep_s: float) -> None:
        """Sweep as if so many seconds had passed."""
        assert self.shared is not None
        now_s = self.shared.now_s
        self.shared.sweep(now_s + sweep_s)
        self.shared.now_s = now_s

    def stop(self) -> None:
        """End the server as SIGTERM does."""
        self.server.should_exit = True
        self._thread.join()

    def records(self) -> list[Record]:
        """Give what the spool holds, in order."""
        self.stop()
        paths = sorted(self.part.spool.folder.glob("*.chunk"))
        return [record for path in paths for record in read_records(path.read_bytes())]


def hear(client: socket.socket, first_s: float = 3.0) -> bytes:
    """Give what comes until the server closes or is silent; the first byte may take its time."""
    heard = b""
    while True:
        client.settimeout(0.1 if heard else first_s)
        try:
            piece = client.recv(1 << 20)
        except TimeoutError:
            return heard
        except ConnectionResetError:
            return heard + b"<reset>"
        if not piece:
            return heard + b"<closed>"
        heard += piece


@contextmanager
def served(
    data: Path, *, fast: bool, settings: SpoolSettings | None = None, connections_max: int = 1000
) -> Iterator[Served]:
    """Serve the tag by the fast path or by its routes."""
    data.mkdir()
    (data / "keys.toml").write_text(f'[[key]]\nid = 1\nsecret = "{"5a" * 32}"\n')
    state = TagState(published_s=int(time.time()), sites=(SITE,))
    write_tag_state(data / "tag-state", state)
    balance = Balance(BalanceOf.DOOR)
    part = TagProcess(data, worker=0, settings=settings or SpoolSettings(), balance=balance)
    shared = Connections(part.endpoint, connections_max=connections_max) if fast else None
    process = Served(part, tag_app(part, balance), shared)
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """Give the tag served by the fast path and by the routes, with the same keys and state."""
    folder = tmp_path_factory.mktemp("both")
    with served(folder / "fast", fast=True) as fast, served(folder / "plain", fast=False) as plain:
        yield fast, plain


def post(
    target: str = "/t?key=w", body: bytes = PAGE, *, version: str = "1.1", **headers: str
) -> bytes:
    """Write a POST; names of headers with _ for -."""
    named = {"Host": "t.example", "Content-Length": str(len(body))}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items() if value != "none")
    return f"POST {target} HTTP/{version}\r\n{lines}\r\n".encode() + body


def get(target: str, method: str = "GET", **headers: str) -> bytes:
    """Write a request without body."""
    named = {"Host": "t.example"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode()


def masked(answer: bytes) -> bytes:
    """Leave out what differs from answer to answer: the date and freshly minted visitors."""
    answer = re.sub(rb"date: [^\r]*\r\n", b"", answer)
    return re.sub(rb"(jml=|jr\.)[\w-]{20,}", rb"\1...", answer)


TABLE = [
    pytest.param([post()], 1, id="a new browser"),
    pytest.param([post(Cookie="COOKIE")], 1, id="a known browser"),
    pytest.param([post(Cookie="COOKIE")] * 3, 3, id="the same head thrice"),
    pytest.param(
        [post(Cookie="COOKIE"), post(body=PAGE + b" ", Cookie="COOKIE")], 2, id="another length"
    ),
    pytest.param(
        [post(Cookie=each) for each in ("COOKIE", "x=1", "COOKIE; a=1", "jml=no", "COOKIE")],
        5,
        id="other browsers with the same head",
    ),
    pytest.param(
        [post(Cookie=each) for each in ("COOKIE", "a=1; COOKIE", "COOKIE")], 3, id="other cookies"
    ),
    pytest.param(
        [post(Cookie=each) for each in ("x=1", "COOKIE", "COOKIE; jml_out=no", "COOKIE\x80")],
        4,
        id="a known browser after a new one",
    ),
    pytest.param([post(body=b"[" + PAGE + b"]", Origin=ORIGIN)], 1, id="a list of one"),
    pytest.param([post(body=b"[" + PAGE + b"," + PAGE + b"]")], 2, id="a list of two"),
    pytest.param([post(Origin=ORIGIN, Cookie="COOKIE")], 1, id="an allowed page"),
    pytest.param([post(Origin="https://evil.example")], 0, id="a foreign page"),
    pytest.param([post("/t?key=no")], 0, id="no such key"),
    pytest.param([post("/t")], 0, id="no key"),
    pytest.param([post(body=b"{")], 0, id="no JSON"),
    pytest.param([post(body=b'{"type":"page","type":"page"}')], 0, id="a key twice"),
    pytest.param([post(body=b"")], 0, id="no body"),
    pytest.param([post(body=b'{"type":"nothing"}', Origin=ORIGIN)], 0, id="no type of ours"),
    pytest.param([post("/v1/track?key=w", b'{"event":"Hi","userId":"1"}')], 1, id="v1 track"),
    pytest.param([post("/v1/i?key=w", b'{"userId":"1","traits":{}}')], 1, id="v1 i"),
    pytest.param([post("/v1/page?key=w", b'{"anonymousId":"a"}')] * 2, 2, id="v1 page twice"),
    pytest.param([post("/v1/batch?key=w", b'{"batch":[' + PAGE + b"]}")], 1, id="v1 batch"),
    pytest.param([post("/v1/nothing?key=w")], 0, id="v1 unknown"),
    pytest.param([post("/v1/track?key=w", b"{}")], 0, id="v1 malformed"),
    pytest.param([post(body=gzip.compress(PAGE, mtime=0), Content_Encoding="gzip")], 1, id="gzip"),
    pytest.param([post(body=b"no gzip", Content_Encoding="gzip")], 0, id="bad gzip"),
    pytest.param([post(body=b" " * 33_000 + PAGE)], 0, id="a long blank before"),
    pytest.param([post(body=b" " * 70_000 + PAGE)], 0, id="beyond the fast path's body"),
    pytest.param([post(body=b" " * 600_000)], 0, id="beyond any body"),
    pytest.param([get("/p.gif?key=w&name=Home", Cookie="COOKIE")], 1, id="pixel"),
    pytest.param(
        [get(f"/p.gif?key=w&name={name}", Cookie="COOKIE") for name in "abc"], 3, id="pixels"
    ),
    pytest.param([get("/p.gif?key=no")], 0, id="pixel of no site"),
    pytest.param([get("/p.gif")], 0, id="pixel without a query"),
    pytest.param([get("/p.gif?key=w#name=x")], 1, id="pixel with a fragment"),
    pytest.param([get("/p%2Egif?key=w")], 1, id="pixel with an escaped path"),
    pytest.param([get("/p.gif?key=w", "HEAD")], 0, id="HEAD of the pixel"),
    pytest.param([get("/t?key=w")], 0, id="GET of the beacon"),
    pytest.param([get("/t?key=w", "OPTIONS", Origin=ORIGIN)], 0, id="preflight"),
    pytest.param([get("/t?key=w", "HEAD")], 0, id="HEAD of the beacon"),
    pytest.param([get("/tag.js?key=no")], 0, id="another route"),
    pytest.param([get("/livez")], 0, id="a route of Litestar"),
    pytest.param([post("/cookie_sync?account=w", b"{}", Cookie="COOKIE")], 0, id="cookie_sync"),
    pytest.param(
        [post("/cookie_sync?account=w", b"{}", Origin=ORIGIN), post(Origin=ORIGIN)] * 2,
        2,
        id="cookie_sync and beacons in turn",
    ),
    pytest.param([post("/cookie_sync", b'{"account":"no"}')], 0, id="cookie_sync of no site"),
    pytest.param([post("/cookie_sync", b"{")], 0, id="cookie_sync without JSON"),
    pytest.param([get("/cookie_sync")], 0, id="GET of cookie_sync"),
    pytest.param([get("/cookie_sync", "OPTIONS", Origin=ORIGIN)], 0, id="cookie_sync's preflight"),
    pytest.param([get("/setuid?bidder=xandr&uid=X7")] * 2, 0, id="setuid without a token"),
    pytest.param([get("/setuid?bidder=no&t=no&f=i"), get("/p.gif?key=w")], 1, id="setuid refused"),
    pytest.param([get("/setuid", "HEAD")], 0, id="HEAD of setuid"),
    pytest.param([post(Connection="close")], 1, id="close"),
    pytest.param([post(Connection="close") + post()], 1, id="close, with more behind"),
    pytest.param([post(Connection="keep-alive, x")] * 2, 2, id="keep-alive among others"),
    pytest.param([post(version="1.0"), post()], 1, id="HTTP/1.0"),
    pytest.param([post(version="1.0", Connection="keep-alive"), post()], 1, id="HTTP/1.0 kept"),
    pytest.param([post(Expect="100-continue")], 1, id="Expect"),
    pytest.param([post(Upgrade="websocket", Connection="Upgrade")], 0, id="Upgrade"),
    pytest.param(
        [post(body=b"", Content_Length="none", Transfer_Encoding="chunked") + CHUNKED],
        0,
        id="chunked",
    ),
    pytest.param([post(Transfer_Encoding="chunked")], 0, id="chunked with a length"),
    pytest.param([post(Content_Length="none")], 0, id="no length"),
    pytest.param([post(Content_Length="12x")], 0, id="a length that is no number"),
    pytest.param([post(content_length="3")], 0, id="two lengths"),
    pytest.param([b"GARBAGE\r\n\r\n"], 0, id="no HTTP"),
    pytest.param([post(), b"GARBAGE\r\n\r\n"], 1, id="no HTTP after a message"),
    pytest.param([post() + post() + get("/p.gif?key=w") + post()], 4, id="pipelined"),
    pytest.param([post() + get("/livez") + post() + get("/livez") + post()], 3, id="pipelined mix"),
    pytest.param([post(Cookie="COOKIE"), post(Cookie="COOKIE") + get("/livez")], 2, id="known mix"),
    pytest.param([post()[:40], post()[40:]], 1, id="a head in two"),
    pytest.param([post()[:-20], post()[-20:]], 1, id="a body in two"),
    pytest.param([post(), post()[:-20], post()[-20:] + post()], 3, id="a known body in two"),
    pytest.param([b"\r\n" + post()], 1, id="an empty line before"),
    pytest.param([post("http://t.example/t?key=w")], 1, id="an absolute target"),
]


@pytest.mark.parametrize(("pieces", "kept"), TABLE)
def test_both_ways_answer_alike(
    both: tuple[Served, Served], pieces: list[bytes], kept: int
) -> None:
    """Fast path and routes send the same bytes and keep as many records."""
    heard = []
    for process in both:
        before = kept_by(process)
        sent = [piece.replace(b"COOKIE", process.cookie.encode()) for piece in pieces]
        answer = masked(process.talk(*sent, pause_s=0.05 if len(pieces) > 1 else 0))
        heard.append((answer, kept_by(process) - before))
    assert heard[0] == heard[1]
    assert heard[0][1] == kept


def kept_by(process: Served) -> int:
    """Count the records that were kept so far."""
    sheet = process.part.balance.sheet()
    return sheet.received - sum(sheet.dropped.values())


def test_both_ways_keep_the_same_records(tmp_path: Path) -> None:
    """Over the whole table, visitor, meta and body of every record are equal."""
    kept = []
    for fast in (True, False):
        with served(tmp_path / str(fast), fast=fast) as process:
            for parameters in TABLE:
                pieces: Any = parameters.values[0]
                sent = [piece.replace(b"COOKIE", process.cookie.encode()) for piece in pieces]
                named = (process.cookie.encode(), b"anonymousId")  # else each mints a visitor
                if all(any(each in piece for each in named) for piece in sent):
                    process.talk(*sent)
            kept.append([(each.visitor, each.meta, each.body) for each in process.records()])
    assert kept[0] == kept[1]
    assert len(kept[0]) >= 12


token = st.text("abcXYZ09-_.~%=&", min_size=0, max_size=12)


@given(
    headers=st.lists(st.tuples(st.sampled_from(("cookie", "Accept", "X-a")), token), max_size=4),
    length_name=st.sampled_from(("Content-Length", "content-length", "CONTENT-LENGTH")),
    place=st.integers(0, 4),
    first=st.binary(max_size=40),
    second=st.binary(max_size=130),
    rest=st.sampled_from((b"", b"POST", b"\r\n", b"GET / HTTP/1.1\r\n\r\n")),
    cut=st.one_of(st.none(), st.integers(0, 200)),
    spoil=st.one_of(st.none(), st.tuples(st.integers(0, 150), st.sampled_from(b"\r\n :0X"))),
    cookie=st.one_of(st.none(), st.text("ab=; \t\x00é", max_size=12)),
)
def test_a_known_head_is_read_as_the_parser_reads_it(
    headers: list[tuple[str, str]],
    length_name: str,
    place: int,
    first: bytes,
    second: bytes,
    rest: bytes,
    cut: int | None,
    spoil: tuple[int, int] | None,
    cookie: str | None,
) -> None:
    """What is cut off by comparing is exactly what the HTTP parser would have found."""

    def write(body: bytes, changes: dict[str, str]) -> bytes:
        lines = [f"{name}: {changes.get(name.lower(), value)}" for name, value in headers]
        lines.insert(min(place, len(lines)), f"{length_name}: {len(body)}")
        return ("POST /t?key=w HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode() + body

    original = parse(write(first, {}))
    assert original is not None
    head = Head("POST", "/t", "key=w", Caller(headers=lowered(original)))
    known = known_head(head, write(first, {}))
    assert known is not None
    changes = {} if cookie is None else {"cookie": cookie}
    data = bytearray(write(second, changes) + rest)
    if spoil is not None and spoil[0] < len(data):
        data[spoil[0]] = spoil[1]
    data = data if cut is None else data[:cut]
    for _ in range(2):  # the second time it is the head of last time
        found = cut_known(known, bytes(data))
        if found is None:
            return
        parsed = parse(bytes(data[: len(data) - len(found[2])]))
        assert parsed is not None
        assert parsed.body == found[1]
        assert parsed.target == original.target
        assert lowered(parsed) == dict(found[0].caller.headers)
        if known.bytes == len(data):
            assert bytes(data) == known.whole + found[1]


def lowered(parsed: "Parsed") -> dict[str, str]:
    """Give the headers by lower-case name, whatever the length."""
    named = {name.lower(): value for name, value in parsed.headers.items()}
    return {**named, "length": ""}


@given(query=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30))
def test_a_pixel_of_a_known_head_is_read_as_the_parser_reads_it(query: str) -> None:
    """The query of the request line is the one that the parser finds, or it is left to it."""
    head = Head("GET", "/p.gif", "", Caller(headers={}))
    known = known_head(head, get("/p.gif?a=1", Cookie="x=1"))
    assert known is not None
    found = cut_known(known, get(f"/p.gif?{query}", Cookie="x=1") + b"rest")
    if found is None:
        return
    parsed = parse(get(f"/p.gif?{query}", Cookie="x=1"))
    assert parsed is not None
    target = httptools.parse_url(parsed.target)
    assert (target.path, target.query or b"") == (b"/p.gif", found[0].query.encode())
    assert found[1:] == (b"", b"rest")


class Parsed:
    """One request as the parser reads it."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[str, str] = {}
        self.body = b""
        self.complete = 0

    def on_url(self, url: bytes) -> None:
        """Gather the target."""
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Gather a header."""
        key = "length" if name.lower() == b"content-length" else name.decode()
        self.headers[key] = value.decode()

    def on_body(self, body: bytes) -> None:
        """Gather the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """Count the message."""
        self.complete += 1


def parse(data: bytes) -> Parsed | None:
    """Read exactly one request, or nothing."""
    parsed = Parsed()
    try:
        httptools.HttpRequestParser(parsed).feed_data(data)
    except httptools.HttpParserError:
        return None
    return parsed if parsed.complete == 1 else None


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "routes"])
def test_a_full_spool_is_503_with_retry_after(tmp_path: Path, *, fast: bool) -> None:
    """The sender hears that nothing was kept and when to try again, and its page may read it."""
    settings = SpoolSettings(spool_bytes_max=1)
    with served(tmp_path / "data", fast=fast, settings=settings) as process:
        process.talk(post(Cookie=process.cookie))
        time.sleep(1.1)
        answer = process.talk(post(Cookie=process.cookie, Origin=ORIGIN), get("/livez"))
        sheet = process.part.balance.sheet()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 5\r\n" in answer
    assert b"access-control-allow-origin: https://shop.example\r\n" in answer
    assert b"HTTP/1.1 200 OK" in answer
    assert sheet.dropped == {"spool_full": 1}
    assert sheet.received == 2


def test_answers_that_wait_for_the_disk_leave_in_order(tmp_path: Path) -> None:
    """With ack = "fsync" pipelined answers come in the order of their requests."""
    settings = SpoolSettings(ack="fsync")
    with served(tmp_path / "data", fast=True, settings=settings) as process:
        answer = process.talk(post() + post("/t?key=no") + get("/livez") + post(body=b"{") + post())
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", answer)
    assert statuses == [b"204", b"401", b"200", b"400", b"204"]


def test_a_head_without_end_is_refused(both: tuple[Served, Served]) -> None:
    """Headers beyond the limit are 431, however they arrive."""
    answer = both[0].talk(b"POST /t HTTP/1.1\r\n", *[b"X-A: " + b"a" * 20_000] * 4, pause_s=0.01)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert str(HEAD_BYTES_MAX).encode() in answer
    assert answer.endswith(b"<closed>")


@pytest.mark.parametrize(
    ("begun", "after_s", "status"),
    [
        pytest.param(b"POST /t HTTP/1.1\r\nX", HEAD_S_MAX + 1, b"408", id="slow head"),
        pytest.param(post()[:-5], BODY_S_MAX + 1, b"408", id="slow body"),
        pytest.param(post()[:-5], 5, b"", id="a pause"),
        pytest.param(post(), KEEP_ALIVE_S + 1, b"204", id="idle after an answer"),
        pytest.param(b"", KEEP_ALIVE_S + 1, b"", id="silent from the start"),
    ],
)
def test_slow_and_idle_clients_are_let_go(
    both: tuple[Served, Served], begun: bytes, after_s: float, status: bytes
) -> None:
    """Who takes too long to ask hears 408; who asks nothing is closed; a short pause is nothing."""
    process = both[0]
    with socket.create_connection(("127.0.0.1", process.port), timeout=5) as client:
        client.sendall(begun)
        time.sleep(0.1)
        process.server.servers[0].get_loop().call_soon_threadsafe(process.on_loop, after_s)
        heard = hear(client, 3.0 if after_s > PAUSE_S_MAX else 0.3)
    assert re.findall(rb"HTTP/1\.1 (\d+)", heard) == ([status] if status else [])
    assert heard.endswith(b"<closed>") == (after_s > 5)


def test_connections_above_the_limit_are_told_to_come_back(tmp_path: Path) -> None:
    """One connection too many hears 503; when another is gone there is room again."""
    with served(tmp_path / "data", fast=True, connections_max=2) as process:
        held = [socket.create_connection(("127.0.0.1", process.port)) for _ in range(2)]
        time.sleep(0.1)
        refused = process.talk()
        held.pop().close()
        time.sleep(0.1)
        taken = process.talk(post())
        held.pop().close()
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 5".lower() in refused.lower()
    assert taken.startswith(b"HTTP/1.1 204 ")


def test_a_stopping_server_answers_what_has_begun(tmp_path: Path) -> None:
    """At the end open connections get their answer with `connection: close`, and no reset."""
    with served(tmp_path / "data", fast=True) as process:
        clients = [socket.create_connection(("127.0.0.1", process.port)) for _ in range(3)]
        clients[0].sendall(post())
        clients[1].sendall(post()[:-5])
        time.sleep(0.1)
        process.server.should_exit = True
        time.sleep(0.3)
        clients[0].sendall(post())
        clients[1].sendall(post()[-5:])
        heard = [hear(client, 1.5) for client in clients]
        for client in clients:
            client.close()
        records = process.records()
    assert [re.findall(rb"HTTP/1\.1 (\d+)", each) for each in heard] == [
        [b"204", b"204"],
        [b"204"],
        [],
    ]
    assert all(each.endswith(b"<closed>") for each in heard)
    assert all(b"connection: close" in each for each in heard[:2])
    assert len(records) == 3


def test_an_unfit_server_is_named() -> None:
    """Another version of uvicorn, or one without what is used, serves by the routes alone."""
    assert unfit_because("0.54.3", HttpToolsProtocol) == ""
    assert "0.55.0" in unfit_because("0.55.0", HttpToolsProtocol)
    assert "on_headers_complete" in unfit_because("0.54.0", object)


def test_a_head_is_only_known_whole() -> None:
    """Heads whose length stands twice, or with anything behind the body, are not remembered."""
    head = Head("POST", "/t", "key=w", Caller(headers={}))
    assert isinstance(known_head(head, post()), KnownHead)
    assert known_head(head, post() + b"x") is None
    assert known_head(head, post(content_length="3")) is None
    assert FAST_BODY_BYTES_MAX >= 32 * 1024
    assert json.loads(PAGE)["type"] == "page"
