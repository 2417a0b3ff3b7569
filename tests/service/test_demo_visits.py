"""The demo's browsers and its till, played against a small stand-in of the tag and of a partner."""

import threading
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import jwt
import msgspec
import pytest

from service.demo.browsers import AGENTS, Browser, Consent, Link
from service.demo.connections import DemoError
from service.demo.households import Order
from service.demo.till import Shop, send_orders
from service.demo.visits import Played, play_browsers

SECRET = "s" * 40
NOW_MS = 1_795_258_800_000


class StandInTag:
    """The tag's routes, and under `/partner` a DSP that sends its visitors home."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.sync_bodies: list[dict[str, Any]] = []
        self.full = 0
        self.broken = False
        self.lock = threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        """Stop and wait."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Answer one request as tag, sync endpoint or partner."""
        path = urlsplit(target).path
        self.requests.append((path, headers))
        if self.broken:
            return 500, {}, b"out of order"
        match method, path:
            case "POST", "/t":
                self.messages += msgspec.json.decode(body) if body[:1] == b"[" else []
                self.messages += [msgspec.json.decode(body)] if body[:1] == b"{" else []
                return 204, {} if "cookie" in headers else {"Set-Cookie": "jml=v1; Path=/"}, b""
            case "POST", "/v1/batch":
                if self.full:
                    self.full -= 1
                    return 503, {"Retry-After": "5"}, b""
                self.messages += msgspec.json.decode(body)["batch"]
                return 200, {}, b'{"success":true}'
            case "POST", "/cookie_sync":
                self.sync_bodies.append(msgspec.json.decode(body))
                offer = {"bidder": "p", "usersync": {"url": f"{self.url}/partner?a=1"}}
                return 200, {}, msgspec.json.encode({"bidder_status": [offer, offer]})
            case "GET", "/partner":
                where = {"Location": "/setuid?uid=7", "Set-Cookie": "pid=7; Path=/partner"}
                return 302, where, b""
            case "GET", "/setuid":
                return 200, {}, b"GIF"
            case "GET", _ if path.startswith("/c/"):
                return 302, {"Location": f"{self.url}/demo/shop"}, b""
        return 404, {}, b""

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with stand_in.lock:
                    status, sent, content = stand_in.answer(self.command, self.path, headers, body)
                self.send_response(status)
                for name, value in sent.items():
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def tag() -> Iterator[StandInTag]:
    """Run a stand-in of the tag."""
    stand_in = StandInTag()
    yield stand_in
    stand_in.close()


def shop(tag: StandInTag) -> Shop:
    """Give the demo site at the stand-in."""
    return Shop(
        url=tag.url,
        site="demo",
        write_key="demo",
        server_key="server-secret",
        identify_secret=SECRET,
        click_link=lambda crm_id: f"{tag.url}/c/link-of-{crm_id}",
    )


def order(number: int) -> Order:
    """Make an order."""
    return Order(
        crm_id="17",
        order_id=str(number),
        at_ms=NOW_MS,
        at="2026-11-21T11:00:00.000Z",
        lines=1,
        total=2.5,
        products='[{"product_id":"1","price":2.5,"quantity":1}]',
    )


def browser(number: int = 1, **changes: Any) -> Browser:
    """Make a browser that only visits and syncs."""
    plain = Browser(
        crm_id="17",
        number=number,
        agent=AGENTS[0],
        consent=Consent.GIVEN,
        link=Link.NONE,
        leaves=False,
        visited_at_ms=NOW_MS,
        viewed=[{"product_id": "1", "name": "SOUP"}],
    )
    return msgspec.structs.replace(plain, **changes)


def play(tag: StandInTag, *browsers: Browser) -> Played:
    """Play browsers at the stand-in."""
    return play_browsers(shop(tag), browsers, lambda _: None)


def test_a_visit_is_a_page_and_views_from_a_real_agent(tag: StandInTag) -> None:
    """The messages carry their ids and times, the request the browser's agent string."""
    play(tag, browser(leaves=True))
    page, view = tag.messages
    assert (page["type"], page["messageId"]) == ("page", "visit-17-1-0")
    assert page["timestamp"] == "2026-11-21T11:00:00.000Z"
    assert (view["event"], view["properties"]["name"]) == ("Product Viewed", "SOUP")
    assert tag.requests[0][1]["user-agent"] == AGENTS[0]


def test_many_browsers_at_once_are_all_counted(tag: StandInTag) -> None:
    """Counts of browsers that are played together do not overwrite each other."""
    played = play(tag, *(browser(number) for number in range(200)))
    assert played.messages == len(tag.messages) == 400
    assert played.syncs == played.returns == Counter({"p": 400})


def test_a_browser_brings_its_cookies_to_where_they_are_from(tag: StandInTag) -> None:
    """The visitor's cookie is on the sync request, the partner's on its second visit."""
    play(tag, browser())
    cookies = [(path, headers.get("cookie", "")) for path, headers in tag.requests]
    assert cookies[1] == ("/cookie_sync", "jml=v1")
    assert cookies[-2] == ("/partner", "jml=v1; pid=7")
    assert cookies[-1][0] == "/setuid"


def test_who_leaves_early_is_not_synced(tag: StandInTag) -> None:
    """A browser that is gone asks for no sync."""
    played = play(tag, browser(leaves=True))
    assert (played.left, played.syncs) == (1, Counter())
    assert [path for path, _ in tag.requests] == ["/t"]


@pytest.mark.parametrize(
    ("consent", "in_message", "in_sync"),
    [
        pytest.param(Consent.GIVEN, None, {}, id="given"),
        pytest.param(
            Consent.REFUSED,
            {"explicit": {"store": True, "audiences": True, "sync": False, "personalise": False}},
            {"explicit": {"store": True, "audiences": True, "sync": False, "personalise": False}},
            id="refused",
        ),
        pytest.param(
            Consent.SALE_OPTED_OUT,
            {"us_privacy": "1YYN"},
            {"us_privacy": "1YYN"},
            id="opted out of sale",
        ),
    ],
)
def test_a_refusal_is_said_with_every_message_and_sync(
    tag: StandInTag, consent: Consent, in_message: Any, in_sync: dict[str, Any]
) -> None:
    """The server decides; the browser only says what its owner chose."""
    play(tag, browser(consent=consent))
    assert [message["context"].get("consent") for message in tag.messages] == [in_message] * 2
    assert [{"limit": 8, **in_sync}] == tag.sync_bodies


def test_a_login_carries_a_short_token_of_the_site(tag: StandInTag) -> None:
    """The identify message names the customer and proves it for at most 15 minutes."""
    play(tag, browser(link=Link.LOGIN))
    identify = tag.messages[-1]
    assert (identify["type"], identify["userId"]) == ("identify", "17")
    claims = jwt.decode(identify["context"]["token"], SECRET, algorithms=["HS256"], audience="demo")
    assert claims["sub"] == "17"
    assert claims["exp"] - claims["iat"] <= 900


def test_a_purchase_in_the_browser_proves_its_customer(tag: StandInTag) -> None:
    """The order goes with the write key and a token."""
    play(tag, browser(link=Link.PURCHASE, order=order(5)))
    bought = tag.messages[-1]
    assert (bought["event"], bought["properties"]["total"]) == ("Order Completed", 2.5)
    assert bought["context"]["token"]


def test_a_newsletter_click_is_followed_by_a_page(tag: StandInTag) -> None:
    """The click link is opened with the browser's cookie, then the page reports itself."""
    play(tag, browser(link=Link.CLICK, leaves=True))
    assert [path for path, _ in tag.requests] == ["/t", "/c/link-of-17", "/t"]
    assert tag.requests[1][1]["cookie"] == "jml=v1"
    assert tag.messages[-1]["type"] == "page"


def test_orders_go_with_the_server_key(tag: StandInTag) -> None:
    """The key stands in Basic auth; every order arrives once."""
    assert send_orders(shop(tag), [order(number) for number in range(2_500)], lambda _: None) == 0
    authorization = tag.requests[0][1]["authorization"].removeprefix("Basic ")
    assert b64decode(authorization) == b"server-secret:"
    sent = Counter(message["messageId"] for message in tag.messages)
    assert sent == Counter(f"order-{number}" for number in range(2_500))


def test_a_full_spool_is_asked_again(tag: StandInTag) -> None:
    """A 503 loses nothing."""
    tag.full = 1
    send_orders(shop(tag), [order(1)], lambda _: None)
    assert len(tag.messages) == 1


def test_an_error_ends_the_demo_with_the_servers_words(tag: StandInTag) -> None:
    """What was asked and what was answered stand in the message."""
    tag.broken = True
    with pytest.raises(DemoError, match=r"/t\?key=demo: answered 500 out of order"):
        play(tag, browser())
