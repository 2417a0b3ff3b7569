"""The stand-in DSPs over real HTTP: the chain of a sync from the page to our callback."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

import httpx
import pytest
import uvicorn

from matching.consent.decide import Signals
from matching.partners import (
    IdStatus,
    Partner,
    callback_url,
    check_partner_id,
    load_partners,
    sync_url,
)
from service.demo.stand_in_dsp import (
    PLAYED,
    Outcome,
    StandIn,
    create_stand_in,
    stand_in_partner,
    stand_in_url,
)

EXAMPLE_CONFIG = Path(__file__).parents[2] / "service" / "example_config"
PARTNERS = {partner.key: partner for partner in load_partners(EXAMPLE_CONFIG)}
TOKEN = "tok-EN_1"
NO_BODY = [(b"content-length", b"0")]


class Server:
    """A real HTTP server on a free port: our callback at /setuid, the stand-in elsewhere."""

    def __init__(self, **rates: Mapping[str, float]) -> None:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # who asks before the server runs waits; nobody is refused
        self.base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.returned: list[dict[str, str]] = []
        self.stand_in = create_stand_in(
            callback_base=self.base,
            never_return=rates.get("never_return", {}),
            opted_out=rates.get("opted_out", {}),
            seed="test",
        )
        config = uvicorn.Config(self._app, log_config=None, interface="asgi3", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, args=(listener,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)

    def fire(self, browser: httpx.Client, key: str) -> httpx.Response:
        """Fire one partner's sync as the page would."""
        return browser.get(self.url(key), follow_redirects=True)

    def url(self, key: str) -> str:
        """Render the URL of one example partner, pointed at the stand-in."""
        partner = stand_in_partner(PARTNERS[key], self.base)
        callback = callback_url(partner, base=self.base, token=TOKEN)
        signals = Signals(tcf="CP", gdpr=True)
        return sync_url(partner, callback=callback, our_id="ff", token=TOKEN, signals=signals)

    def _serve(self, listener: socket.socket) -> None:
        asyncio.run(self._server.serve(sockets=[listener]))

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/setuid":
            self.returned.append(dict(parse_qsl(scope["query_string"].decode())))
            await send({"type": "http.response.start", "status": 200, "headers": NO_BODY})
            await send({"type": "http.response.body", "body": b""})
        else:
            await self.stand_in(scope, receive, send)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Serve a stand-in where every browser returns."""
    with Server() as running:
        yield running


@pytest.mark.parametrize("key", PLAYED)
def test_a_sync_comes_back_with_id_and_token(server: Server, key: str) -> None:
    """The browser lands on our callback with our token and an id that the partner's rules take."""
    server.returned.clear()
    with httpx.Client() as browser:
        assert server.fire(browser, key).status_code == 200
    (query,) = server.returned
    assert query["t"] == TOKEN
    assert check_partner_id(PARTNERS[key], query["uid"]) is IdStatus.OK


@pytest.mark.parametrize("key", PLAYED)
def test_a_browser_keeps_its_id(server: Server, key: str) -> None:
    """The stand-in's cookie names the browser: same id again, another one for another browser."""
    server.returned.clear()
    with httpx.Client() as browser:
        server.fire(browser, key)
        server.fire(browser, key)
        browser.cookies.clear()
        server.fire(browser, key)
    first, second, third = (query["uid"] for query in server.returned)
    assert first == second != third


def test_the_partners_know_a_browser_by_different_ids(server: Server) -> None:
    """One browser, three partners: three cookies and three ids."""
    server.returned.clear()
    with httpx.Client() as browser:
        for key in PLAYED:
            server.fire(browser, key)
        assert {cookie.name for cookie in browser.cookies.jar} == {"uuid2", "TDID", "pxid"}
    assert len({query["uid"] for query in server.returned}) == len(PLAYED)


def test_some_browsers_never_return_and_some_opted_out() -> None:
    """Over many browsers the outcomes come close to their rates and count themselves."""
    rates = {"never_return": {"xandr": 0.3}, "opted_out": {"xandr": 0.2}}
    with Server(**rates) as server, httpx.Client() as browser:
        for _ in range(200):
            browser.cookies.clear()
            server.fire(browser, "xandr")
        counts = server.stand_in.counts
        sentinels = sum(query["uid"] == "0" for query in server.returned)
        assert 40 < counts["xandr", Outcome.NEVER_RETURNED] < 80
        assert 25 < counts["xandr", Outcome.OPTED_OUT] < 55
        assert sentinels == counts["xandr", Outcome.OPTED_OUT]
        assert len(server.returned) == 200 - counts["xandr", Outcome.NEVER_RETURNED]


def request(path: str, query: str = "", **more: Any) -> dict[str, Any]:
    """Make the scope of one request."""
    headers = [(name.encode(), value.encode()) for name, value in more.pop("headers", {}).items()]
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": headers,
        "scheme": "http",
        **more,
    }


def stand_in(**rates: Mapping[str, float]) -> StandIn:
    """Make a stand-in for questions that need no server."""
    return create_stand_in(
        callback_base="https://id.shop.example",
        never_return=rates.get("never_return", {}),
        opted_out=rates.get("opted_out", {}),
        seed="test",
    )


GOOD = "https%3A%2F%2Fid.shop.example%2Fsetuid%3Ft%3Dx%26uid%3D%24UID"


def test_the_same_seed_gives_the_same_browsers() -> None:
    """Two runs in the same order give the same ids and fates; another seed gives others."""
    runs = []
    for seed in ("one", "one", "two"):
        app = create_stand_in(
            callback_base="https://id.shop.example",
            never_return={"xandr": 0.5},
            opted_out={},
            seed=seed,
        )
        runs.append([app.answer(request("/xandr/getuid", GOOD)) for _ in range(20)])
    assert runs[0] == runs[1] != runs[2]


def test_a_fate_belongs_to_the_browser() -> None:
    """A browser that never returned does not return the next time either."""
    app = stand_in(never_return={"xandr": 0.5})
    for _ in range(20):
        status, headers = app.answer(request("/xandr/getuid", GOOD))
        cookie = dict(headers)[b"set-cookie"].decode().partition(";")[0]
        again, _ = app.answer(request("/xandr/getuid", GOOD, headers={"cookie": cookie}))
        assert again == status


def test_an_encoded_redirect_is_understood_too() -> None:
    """Like Xandr's, the whole query may stand encoded or plain."""
    for query in (GOOD, "https://id.shop.example/setuid?t=x&uid=$UID"):
        status, headers = stand_in().answer(request("/xandr/getuid", query))
        assert status == 302
        location = dict(headers)[b"location"].decode()
        assert location.startswith("https://id.shop.example/setuid?t=x&uid=")
        assert "$UID" not in location


COOKIES = {
    "plain http": ({"host": "127.0.0.1:8000"}, "http", "lax", False),
    "https": ({"host": "dsp.example"}, "https", "none", True),
    "localhost": ({"host": "localhost:8000"}, "http", "none", True),
}


@pytest.mark.parametrize("case", COOKIES)
def test_a_cookie_is_one_that_browsers_keep(case: str) -> None:
    """SameSite=None goes with Secure, and Secure only where the browser takes it."""
    headers, scheme, same_site, secure = COOKIES[case]
    scope = request("/xandr/getuid", GOOD, headers=headers, scheme=scheme)
    _, answered = stand_in().answer(scope)
    kept = SimpleCookie(dict(answered)[b"set-cookie"].decode())["uuid2"]
    assert (kept["samesite"].lower(), bool(kept["secure"])) == (same_site, secure)
    assert (kept["path"], bool(kept["httponly"])) == ("/xandr", True)


REFUSED = {
    "unknown path": ("/nobody/getuid", GOOD, 404),
    "a stranger's address": ("/xandr/getuid", "https://evil.example/?$UID", 400),
    "userinfo": ("/xandr/getuid", "https://id.shop.example@evil.example/?$UID", 400),
    "backslash": ("/xandr/getuid", "https://evil.example\\@id.shop.example/?$UID", 400),
    "broken address": ("/xandr/getuid", "https://[id.shop.example/", 400),
    "no redirect": ("/pixel/sync", "", 400),
    "new line": ("/pixel/sync", "redir=https%3A%2F%2Fid.shop.example%2F%0D%0Ax:y", 400),
    "no id of ours": ("/the_trade_desk/track/cmf/generic", "ttd_pid=demo", 400),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_sends_browsers_nowhere_else(case: str) -> None:
    """Only our own callback is redirected to; anything else is refused."""
    path, query, status = REFUSED[case]
    answered, headers = stand_in().answer(request(path, query))
    assert (answered, headers) == (status, [])


def test_a_cookie_of_somebody_else_is_replaced() -> None:
    """A cookie that this partner cannot have given does not become an id."""
    scope = request("/xandr/getuid", GOOD, headers={"cookie": "uuid2=%3Cscript%3E"})
    _, headers = stand_in().answer(scope)
    assert b"script" not in dict(headers)[b"location"]


def test_it_starts_and_stops_with_its_server() -> None:
    """The application follows the lifespan of the server that carries it."""
    asked = iter(["lifespan.startup", "lifespan.shutdown"])
    answered: list[str] = []

    async def receive() -> dict[str, Any]:
        return {"type": next(asked)}

    async def send(message: Any) -> None:
        answered.append(message["type"])

    asyncio.run(stand_in()({"type": "lifespan"}, receive, send))
    assert answered == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_a_partner_is_pointed_at_the_stand_in() -> None:
    """Host and scheme are replaced, path, query and macros stay."""
    url = "https://match.adsrvr.org/track/cmf/generic?ttd_pid={pid}"
    expected = "http://127.0.0.1:9/the_trade_desk/track/cmf/generic?ttd_pid={pid}"
    assert stand_in_url(url, "the_trade_desk", "http://127.0.0.1:9/") == expected
    pointed: Partner = stand_in_partner(PARTNERS["pixel"], "http://127.0.0.1:9")
    assert pointed.sync.url_template.startswith("http://127.0.0.1:9/pixel/sync?redir={redirect}")
    assert pointed.ids == PARTNERS["pixel"].ids
