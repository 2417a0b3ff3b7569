"""The identity card over HTTP: whose browsers, why others are not, what was said, held and sent."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import msgspec
import pytest
from click.testing import CliRunner

from service.cli_identity import identity

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
YES = {"store": True, "audiences": True, "sync": True, "personalise": True}
DAY_MS = 86_400_000
CRM_FILE = "crm_id,email,opt_in,loyalty_card,age\n123456,paul@example.com,yes,L77,26\n"
STRANGERS = 10
HASH = re.compile(r"[0-9a-f]{64}")


class Browser:
    """A browser with its cookies."""

    def __init__(self, served: Any) -> None:
        self.served = served
        self.cookies: dict[str, str] = {}
        self.reference = ""
        self.says({"type": "page", "context": {"consent": {"explicit": YES}}})

    def asks(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request with the cookies that were set before."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookie, "User-Agent": AGENT}
        answer = httpx.request(method, self.served.url + path, headers=headers, **more)
        self.cookies |= dict(answer.cookies)
        return answer

    def says(self, message: dict[str, Any]) -> None:
        """Send a message of the tag."""
        answer = self.asks("POST", "/t?key=demo", json=message)
        assert answer.status_code == httpx.codes.NO_CONTENT, answer.text
        self.reference = answer.headers.get("Jumelle-Visitor") or self.reference

    def syncs(self, uid: str) -> None:
        """Let Xandr know it by an id."""
        asked = {"bidders": ["xandr"]}
        (offer,) = self.asks("POST", "/cookie_sync?account=demo", json=asked).json()[
            "bidder_status"
        ]
        token = re.search(r"[?&]t=([\w-]+)", unquote(offer["usersync"]["url"]))
        assert token
        self.asks("GET", f"/setuid?bidder=xandr&t={token[1]}&uid={uid}")

    def buys(self, *crm_ids: str) -> None:
        """Let the shop's server report an order of this browser for each customer."""
        orders = [
            {
                "type": "track",
                "event": "Order Completed",
                "messageId": f"{self.reference}-{each}",
                "anonymousId": self.reference,
                "userId": each,
            }
            for each in crm_ids
        ]
        url, auth = f"{self.served.url}/v1/batch", (self.served.server_key, "")
        assert httpx.post(url, json={"batch": orders}, auth=auth).status_code == httpx.codes.OK


@pytest.fixture(scope="module")
def served(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Serve Paul with his own browser, the kiosk in the shop, and one that only claims him."""
    folder: Path = tmp_path_factory.mktemp("identity_card")
    with serve(folder, lambda _: None) as running:
        running.call("POST", "/api/customers/import?site=demo&format=csv", content=CRM_FILE)
        own, kiosk, claiming = Browser(running), Browser(running), Browser(running)
        own.syncs("6418264736482736451")
        own.buys("123456")
        kiosk.buys("123456", *(f"stranger{number}" for number in range(STRANGERS)))
        claiming.says({"type": "identify", "userId": "123456"})
        definition = {"name": "Everybody", "rule": {"type": "identified"}, "min_size": 0}
        running.call("PUT", "/api/audiences/customers", json=definition)
        running.call("PUT", "/api/audiences/customers/seats/xandr_958", json={"segment": "7"})
        running.loads()
        yield running


@pytest.fixture
def card(served: Any) -> dict[str, Any]:
    """Give Paul's card."""
    found: dict[str, Any] = served.call("GET", "/api/identity/123456")
    return found


def test_only_linked_browsers_are_a_person_s_own(card: dict[str, Any]) -> None:
    """Each link says how, by which proof and where; the consent of the browser is explained."""
    (browser,) = card["visitors"]
    (link,) = browser["links"]
    assert {name: link[name] for name in ("crm_id", "method", "proof", "strength", "status")} == {
        "crm_id": "123456",
        "method": "purchase",
        "proof": "an order with a token or by the server key",
        "strength": 4,
        "status": "linked",
    }
    (said,) = browser["consent"]
    assert said["kinds"] == ["explicit"]
    assert all(said["uses"][use]["allowed"] for use in ("audiences", "sync", "export"))
    assert browser["partners"][-1]["status"] == "addressable"


def test_browsers_that_are_not_linked_say_why(card: dict[str, Any]) -> None:
    """A shared device names its customers, count and limit; a claim is a claim."""
    found = {each["status"]: each for each in card["not_linked"]}
    assert sorted(found) == ["claimed_only", "shared_device"]
    shared = found["shared_device"]["shared"]
    assert (shared["count"], shared["limit"]) == (STRANGERS + 1, 10)
    assert "123456" in shared["customers"]
    assert "stranger0" in shared["customers"]
    assert found["claimed_only"]["reason"] == "claimed without proof"
    assert [each["proof"] for each in found["claimed_only"]["links"]] == ["none"]


def test_names_are_shown_without_hashes_of_contacts(card: dict[str, Any]) -> None:
    """Aliases by kind and the opt-in, and nowhere the hash of an address."""
    assert card["aliases"] == {"loyalty_card": ["L77"]}
    assert card["opt_in"]["value"] is True
    assert not HASH.search(repr(card))
    assert "paul@example.com" not in repr(card)


def test_each_partner_and_seat_says_how_far_the_person_comes(card: dict[str, Any]) -> None:
    """The status with its reason, when it was offered and came back, as what and until when."""
    partners = {each["partner"]: each for each in card["partners"]}
    seats = {each["seat"]: each for each in card["seats"]}
    for found, days in ((partners["xandr"], 30), (seats["xandr_958"], 90)):
        assert (found["status"], found["reason"]) == ("addressable", "can be sent")
        detail = found["detail"]
        assert detail["id"] == "6418264736482736451"
        assert detail["last_offered"] <= detail["last_returned"]
        assert detail["expires_at"] - detail["last_returned"] == days * DAY_MS
    assert partners["pixel"]["status"] == seats["pixel_csv"]["status"] == "never_offered"


def test_audiences_on_seats_follow_what_exports_did(served: Any, card: dict[str, Any]) -> None:
    """Before the first export it is to come; an audience below the minimum sends nobody."""
    (member,) = card["memberships"]
    assert (member["audience"], member["name"]) == ("customers", "Everybody")
    assert member["since"] is not None

    def on_seat() -> dict[str, Any]:
        shown = served.call("GET", "/api/identity/123456")
        (seat,) = [each for each in shown["seats"] if each["seat"] == "xandr_958"]
        (found,) = seat["audiences"]
        return {name: found[name] for name in ("audience", "segment", "status", "last_sent")}

    expected = {"audience": "customers", "segment": "7", "last_sent": None}
    assert on_seat() == {**expected, "status": "next_export"}
    served.runs("/api/exports", json={"seats": ["xandr_958"]})
    assert on_seat() == {**expected, "status": "below_minimum"}


def test_a_browser_of_nobody_has_a_card(served: Any, card: dict[str, Any]) -> None:
    """A shared device is nobody's person; its card tells of whose it might have been."""
    (kiosk,) = [each for each in card["not_linked"] if each["status"] == "shared_device"]
    found = served.call("GET", f"/api/identity/{kiosk['visitor']}")
    assert (found["person"], found["crm_id"], found["opt_in"]) == ("visitor", None, None)
    (browser,) = found["visitors"]
    assert browser["shared"]["count"] == STRANGERS + 1
    assert found["not_linked"] == []


def test_the_command_line_tells_it_in_words(served: Any) -> None:
    """Times are dates, reasons are words; a script gets the card as it is."""
    admin = served.api.headers["authorization"].removeprefix("Bearer ")
    runner = CliRunner(env={"JUMELLE_URL": served.url, "JUMELLE_API_KEY": admin})
    shown = runner.invoke(identity, ["show", "123456"]).stdout
    for text in (
        "customer 123456",
        "L77",
        "yes, since 20",
        "6418264736482736451",
        "can be sent",
        "no sync was ever offered",
        "claimed without proof",
        "11 customers",
        "an order with a token or by the server key",
    ):
        assert text in shown
    told = msgspec.json.decode(runner.invoke(identity, ["show", "123456", "--json"]).stdout)
    assert told == served.call("GET", "/api/identity/123456")
