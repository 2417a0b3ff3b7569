"""What a browser refused stands in everything that the service shows and sends, by HTTP."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

YES = {"store": True, "audiences": True, "sync": True, "personalise": True}
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
GPC = {"Sec-GPC": "1"}


class Browser:
    """A browser with its cookies, and the id by which Xandr knows it."""

    def __init__(self, served: Any, uid: str) -> None:
        self.served = served
        self.cookies = httpx.Cookies()
        self.reference = ""
        self.visits("m0")
        answer = self.asks("POST", "/cookie_sync?account=demo", json={"bidders": ["xandr"]}).json()
        (offer,) = answer["bidder_status"]
        found = re.search(r"[?&]t=([\w-]+)", unquote(offer["usersync"]["url"]))
        assert found
        got = self.asks("GET", f"/setuid?bidder=xandr&t={found[1]}&uid={uid}")
        assert got.status_code == httpx.codes.OK

    def asks(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request with the cookies that were set before."""
        url, cookie = self.served.url + path, "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        headers = more.pop("headers", {}) | {"Cookie": cookie, "User-Agent": AGENT}
        answer = httpx.request(method, url, headers=headers, **more)
        self.cookies.extract_cookies(answer)
        return answer

    def visits(self, name: str, *, gpc: bool = False, **consent: bool) -> None:
        """Send a page event with its consent."""
        message: dict[str, Any] = {"type": "page", "messageId": name}
        if consent:
            message["context"] = {"consent": {"explicit": consent}}
        answer = self.asks("POST", "/t?key=demo", json=message, headers=GPC if gpc else {})
        self.reference = answer.headers.get("Jumelle-Visitor") or self.reference
        assert answer.status_code == httpx.codes.NO_CONTENT

    def buys(self, order: str, crm_id: str) -> None:
        """Let the shop's server report an order of this browser."""
        message = {
            "type": "track",
            "event": "Order Completed",
            "messageId": order,
            "anonymousId": self.reference,
            "userId": crm_id,
            "properties": {"total": 1},
        }
        auth = (self.served.server_key, "")
        answer = httpx.post(f"{self.served.url}/v1/batch", json={"batch": [message]}, auth=auth)
        assert answer.status_code == httpx.codes.OK


@pytest.fixture(scope="module")
def served(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Serve the example configuration."""
    folder: Path = tmp_path_factory.mktemp("withdrawals")
    with serve(folder, lambda _: None) as running:
        yield running


def status(served: Any, crm_id: str) -> str:
    """Give what the identity card says of Xandr."""
    served.loads()
    card = served.call("GET", f"/api/identity/{crm_id}")
    (found,) = [each["status"] for each in card["partners"] if each["partner"] == "xandr"]
    return str(found)


def reached(served: Any) -> int:
    """Give how many buyers a preview would send to Xandr."""
    rule = {"type": "did", "event": "Order Completed"}
    found = served.call("POST", "/api/preview", json={"rule": rule})
    return int(found["reach"]["xandr"])


def test_gpc_of_one_browser_denies_for_the_customer(served: Any) -> None:
    """With GPC in one of a customer's browsers, none of them is sent; without it all are."""
    first, second = Browser(served, "1111111111111"), Browser(served, "2222222222222")
    first.buys("g1", "gpc")
    second.buys("g2", "gpc")
    assert status(served, "gpc") == "addressable"
    assert reached(served) == 1
    first.visits("g3", gpc=True)
    assert status(served, "gpc") == "gpc"
    assert reached(served) == 0


def test_an_opt_out_outlives_what_a_server_sends(served: Any) -> None:
    """After /optout neither consent nor orders that a server reports bring the browser back."""
    browser = Browser(served, "3333333333333")
    browser.buys("o1", "out")
    assert status(served, "out") == "addressable"
    assert browser.asks("GET", "/optout").status_code == httpx.codes.OK
    assert status(served, "out") == "no_consent"
    browser.buys("o2", "out")
    assert status(served, "out") == "no_consent"
    card = served.call("GET", "/api/identity/out")
    assert [each["event"] for each in card["events"]].count("Order Completed") == 1
    assert served.balance()["dropped"]["opted_out"] == 1


def test_a_denial_outlives_a_signal_of_another_kind(served: Any) -> None:
    """A refusal of audiences stands after a message that carries US privacy alone."""
    browser = Browser(served, "4444444444444")
    browser.buys("d1", "denied")
    assert status(served, "denied") == "addressable"
    browser.visits("d2", **{**YES, "audiences": False})
    message = {
        "type": "page",
        "messageId": "d3",
        "context": {"consent": {"us_privacy": "1YNN"}},
    }
    assert browser.asks("POST", "/t?key=demo", json=message).status_code == httpx.codes.NO_CONTENT
    assert status(served, "denied") == "no_consent"
