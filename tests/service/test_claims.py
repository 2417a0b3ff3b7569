"""What nobody proved stands apart everywhere; a page is told of its customer in a session alone."""

import gzip
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from service.tag.tokens import make_identify

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
OPEN = 'key = "{0}"\nwrite_key = "{0}"\nidentify = "open"\nconsent_default = "allow"\n'
NOTED = {
    "name": "Noted",
    "rule": {"type": "trait", "trait": "age", "op": "exists"},
    "min_size": 0,
    "public_to": ["demo", "open", "forum"],
}
PAGE = {"type": "page", "properties": {}}
SIGNED_OUT = {"type": "track", "event": "Signed Out"}
ORDER = {"type": "track", "event": "Order Completed", "properties": {"total": 1}}


class Browser:
    """A browser with its cookies, and the id by which Xandr knows it."""

    def __init__(self, served: Any, uid: str) -> None:
        self.served = served
        self.uid = uid
        self._http = httpx.Client(base_url=served.url, headers={"User-Agent": AGENT}, timeout=60)
        answer = self.says(PAGE)
        self.reference = answer.headers["Jumelle-Visitor"]
        offers = self._http.post("/cookie_sync?account=demo", json={"bidders": ["xandr"]}).json()
        (offer,) = offers["bidder_status"]
        found = re.search(r"[?&]t=([\w-]+)", unquote(offer["usersync"]["url"]))
        assert found
        got = self._http.get(f"/setuid?bidder=xandr&t={found[1]}&uid={uid}")
        assert got.status_code == httpx.codes.OK

    def close(self) -> None:
        """Close its connection."""
        self._http.close()

    def says(self, message: dict[str, Any], *, site: str = "demo") -> httpx.Response:
        """Send a message as the tag does."""
        body = {"messageId": os.urandom(8).hex(), **message}
        answer = self._http.post(f"/t?key={site}", json=body)
        assert answer.status_code == httpx.codes.NO_CONTENT, answer.text
        return answer

    def claims(self, crm_id: str, *, site: str = "demo") -> None:
        """Say who sits here, without proof."""
        self.says({"type": "identify", "userId": crm_id}, site=site)

    def signs_in(self, crm_id: str) -> None:
        """Say who sits here, with the shop's proof."""
        secret = self.served.identify_secret
        token = make_identify(secret, site="demo", crm_id=crm_id, now_s=int(time.time()))
        self.says({"type": "identify", "userId": crm_id, "context": {"token": token}})

    def is_told(self, site: str = "demo") -> list[str]:
        """Load what was said, and ask which audiences a page of this site may know of."""
        self.served.loads()
        found: list[str] = self._http.get(f"/v1/me/audiences?key={site}").json()["audiences"]
        return found

    def links(self) -> set[tuple[str, str, str]]:
        """Give the links of this browser's card: to whom, by which method, with which status."""
        card = self.served.call("GET", f"/api/identity/{self.reference}")
        own = [each for each in card["visitors"] if self.uid in json.dumps(each["ids"])]
        return {(each["crm_id"], each["method"], each["status"]) for each in own[0]["links"]}


@pytest.fixture(scope="module")
def served(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Serve with low limits, a seat that takes one person, and two sites that ask for no proof."""
    folder: Path = tmp_path_factory.mktemp("claims")
    with serve(folder, configure) as running:
        running.call("PUT", "/api/audiences/noted", json=NOTED)
        running.call("PUT", "/api/audiences/noted/seats/xandr_958", json={"segment": "1"})
        yield running


def configure(config: Path) -> None:
    """Change the example."""
    seat, service = config / "seats" / "xandr_958.toml", config / "service.toml"
    seat.write_text(seat.read_text().replace("min_size = 100", "min_size = 1"))
    text = service.read_text().replace("visitors_per_customer = 100", "visitors_per_customer = 2")
    service.write_text(text.replace("customers_per_visitor = 10", "customers_per_visitor = 2"))
    for site in ("open", "forum"):
        (config / "sites" / f"{site}.toml").write_text(OPEN.format(site))


class Crowd:
    """Makes browsers, each with an id of its own, and knows customers."""

    def __init__(self, served: Any, stack: ExitStack) -> None:
        self.served = served
        self._stack = stack

    def browser(self) -> Browser:
        """Open one more."""
        uid = str(10**12 + int.from_bytes(os.urandom(5), "big"))
        return self._stack.enter_context(closing(Browser(self.served, uid)))

    def customers(self, *crm_ids: str) -> None:
        """Import customers of an age."""
        text = "crm_id,age\n" + "".join(f"{crm_id},30\n" for crm_id in crm_ids)
        self.served.call("POST", "/api/customers/import?format=csv", content=text.encode())

    def serves(self, browser: Browser, crm_id: str, **message: Any) -> None:
        """Let the shop's server tell something of a browser and its customer."""
        body = {"messageId": os.urandom(8).hex(), "anonymousId": browser.reference} | message
        auth = (self.served.server_key, "")
        batch = {"batch": [{**body, "userId": crm_id}]}
        answer = httpx.post(f"{self.served.url}/v1/batch", json=batch, auth=auth)
        assert answer.status_code == httpx.codes.OK

    def sent(self) -> set[str]:
        """Export to the seat and give the ids that it adds."""
        run = self.served.runs("/api/exports", json={"seats": ["xandr_958"]})
        (report,) = self.served.call("GET", f"/api/exports/{run}")["seats"]
        lines = [
            line
            for path in report["files"]
            for line in gzip.decompress(Path(path).read_bytes()).decode().splitlines()
        ]
        return {re.split(r"[,^]", line)[0] for line in lines if ":-1" not in line}


@pytest.fixture
def crowd(served: Any) -> Iterator[Crowd]:
    """Give what opens browsers."""
    with ExitStack() as stack:
        yield Crowd(served, stack)


def test_a_claim_is_nowhere_taken_for_a_proof(crowd: Crowd, served: Any) -> None:
    """It is in no audience, reach, file, limit or answer to a page; the card calls it a claim."""
    crowd.customers("1", "2", "3", "4")
    proven, older, *claiming = (crowd.browser() for _ in range(5))
    older.signs_in("1")
    proven.signs_in("1")
    for crm_id in ("2", "3", "4"):
        proven.claims(crm_id)  # more customers than a browser may have, none of them proven
    for browser in claiming:
        browser.claims("1")
        browser.says({**ORDER, "userId": "1"})
    assert proven.is_told() == ["noted"]
    assert [browser.is_told() for browser in claiming] == [[]] * 3

    rule = {"type": "all", "of": [NOTED["rule"], {"type": "did", "event": "Order Completed"}]}
    assert served.call("POST", "/api/preview", json={"rule": rule})["size"] == 0
    preview = served.call("POST", "/api/preview", json={"rule": NOTED["rule"]})
    assert (preview["size"], preview["reach"]["xandr"]) == (4, 1)
    assert preview["seats"]["xandr_958"] == {"people": 1, "ids": 2}
    assert crowd.sent() == {proven.uid, older.uid}

    assert ("1", "login", "linked") in proven.links()
    assert ("2", "form", "claimed_only") in proven.links()
    assert [browser.links() for browser in claiming] == [{("1", "form", "claimed_only")}] * 3
    card = served.call("GET", f"/api/identity/{claiming[0].reference}")
    assert (card["person"], card["crm_id"]) == ("visitor", None)
    assert "age" not in card["traits"]
    assert len(served.call("GET", "/api/identity/1")["visitors"]) == 2


def test_an_open_site_hears_the_word_of_its_own_forms(crowd: Crowd) -> None:
    """There a claim links and speaks for the customer; other sites are told nothing by it."""
    crowd.customers("5")
    browser = crowd.browser()
    browser.claims("5", site="open")
    assert browser.is_told("open") == ["noted"]
    assert [browser.is_told(site) for site in ("demo", "forum")] == [[], []]
    assert browser.links() == {("5", "form", "linked")}
    assert browser.uid in crowd.sent()
    browser.says(SIGNED_OUT, site="open")
    assert browser.is_told("open") == []


def test_after_a_logout_a_login_alone_opens_again(crowd: Crowd) -> None:
    """The link stays; orders and other calls of a server come late, so they tell of no session."""
    crowd.customers("6")
    browser = crowd.browser()
    crowd.serves(browser, "6", type="identify")
    assert browser.is_told() == ["noted"]
    browser.says(SIGNED_OUT)
    assert browser.is_told() == []
    browser.says(PAGE)
    crowd.serves(browser, "6", type="track", event="Order Shipped")
    crowd.serves(browser, "6", **ORDER)
    browser.claims("6")
    assert browser.is_told() == []
    assert ("6", "server", "linked") in browser.links()
    assert browser.uid in crowd.sent()
    crowd.serves(browser, "6", type="identify")
    assert browser.is_told() == ["noted"]
    browser.says(SIGNED_OUT)
    assert browser.is_told() == []
    browser.signs_in("6")
    assert browser.is_told() == ["noted"]


def test_an_import_links_and_tells_no_page(crowd: Crowd, served: Any) -> None:
    """A file proves who somebody was, and not that he sits there now."""
    crowd.customers("7")
    browser = crowd.browser()
    line = {"type": "identify", "userId": "7", "anonymousId": browser.reference}
    path = "/api/events/import?format=ndjson&site=demo"
    assert served.call("POST", path, content=json.dumps(line))["imported"] == 1
    assert browser.is_told() == []
    assert browser.links() == {("7", "import", "linked")}
    assert browser.uid in crowd.sent()
