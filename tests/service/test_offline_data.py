"""What tills and third parties send in files: orders by loyalty card, traits by anybody's names."""

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from service.tag.tokens import make_identify

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

CUSTOMERS = """crm_id,email,loyalty_card,age
123456,paul@example.com,L-1,26
777,anna@example.com,L-2,40
778,,L-3,50
"""


@pytest.fixture(scope="module")
def served(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Serve the example configuration, where Paul and two others are known."""
    folder: Path = tmp_path_factory.mktemp("offline")
    with serve(folder, lambda _: None) as running:
        path = "/api/customers/import?format=csv"
        assert running.call("POST", path, content=CUSTOMERS.encode())["imported"] == 3
        yield running


def order(number: str, total: int, *cards: tuple[str, object], **more: Any) -> dict[str, Any]:
    """Write an order as a till does, with the cards that were shown."""
    context = {"externalIds": [{"type": kind, "id": card} for kind, card in cards]}
    return {
        "type": "track",
        "event": "Order Completed",
        "messageId": f"till {number}",
        "timestamp": "2026-10-01T12:00:00Z",
        "properties": {"total": total, "currency": "USD"},
        **({"context": context} if cards else {}),
        **more,
    }


def imports_orders(served: Any, *orders: dict[str, Any]) -> dict[int, str]:
    """Import orders; give the refused lines with their reasons."""
    lines = "\n".join(map(json.dumps, orders))
    report = served.call("POST", "/api/events/import?format=ndjson&site=demo", content=lines)
    assert report["rows"] == len(orders) == report["imported"] + len(report["rejects"])
    served.loads()
    return {each["line"]: each["reason"] for each in report["rejects"]}


def spent(served: Any, at_least: int) -> int:
    """Count the people who spent so much in the tills."""
    total = {"field": "total", "at_least": at_least}
    rule = {"type": "did", "event": "Order Completed", "sum": total, "within_days": 3_000}
    return int(served.call("POST", "/api/preview", json={"rule": rule})["size"])


def test_till_orders_are_the_customer_s_by_number_or_card(served: Any) -> None:
    """A CRM id or a loyalty card names the customer, without any browser; both may stand there."""
    refused = imports_orders(
        served,
        order("1", 100, userId="123456"),
        order("2", 20, ("loyalty_card", "L-1")),
        order("3", 3, ("Loyalty_Card", " L-1 "), ("brand", "x"), userId="123456"),
        order("4", 50, ("loyalty_card", "L-2")),
    )
    assert refused == {}
    assert [spent(served, total) for total in (50, 51, 123, 124)] == [2, 1, 1, 0]
    card = served.call("GET", "/api/identity/123456")
    assert card["visitors"] == []
    assert len(card["events"]) == 3


def test_an_order_of_nobody_known_is_refused_with_its_line(served: Any) -> None:
    """Unknown numbers, two people at once, and ids that are no aliases say what is wrong."""
    refused = imports_orders(
        served,
        order("5", 1, ("loyalty_card", "L-9")),
        order("6", 1, ("loyalty_card", "L-3")),
        order("7", 1, ("loyalty_card", "L-1"), userId="777"),
        order("8", 1, ("loyalty_card", "L-1"), ("loyalty_card", "L-2")),
        order("9", 1, ("brand_card", "L-1")),
        order("10", 1, ("loyalty_card", 9)),
    )
    assert sorted(refused) == [1, 3, 4, 5, 6]
    assert "no customer has the loyalty_card 'L-9'" in refused[1]
    assert all("names two customers" in refused[line] for line in (3, 4))
    assert "names nobody" in refused[5]
    assert "loyalty_card '9'" in refused[6]


def imports_traits(served: Any, rows: list[dict[str, str]], *, source: str = "") -> Any:
    """Import a CSV of traits."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    path = f"/api/traits/import?format=csv&site=demo&source={source}"
    return served.call("POST", path, content=text.getvalue().encode())


def test_traits_come_by_any_name_that_is_known(served: Any) -> None:
    """Rows by CRM id, address, its hash, card or a partner's id; unknown ones say their line."""
    hashed = sha256(b"anna@example.com").hexdigest()
    report = imports_traits(
        served,
        [
            {"crm_id": "123456", "income": "high"},
            {"email": "Paul@example.com ", "income": "high"},
            {"email": hashed, "income": "low"},
            {"loyalty_card": "L-3", "income": "low"},
            {"crm_id": "nobody", "income": "low"},
            {"partner": "xandr", "id": "1234567890123", "income": "low"},
        ],
        source="acme",
    )
    assert (report["rows"], report["imported"], report["unknown"]) == (6, 4, 2)
    assert report["traits"] == 3  # of one person the last word of a source counts
    assert [each["line"] for each in report["rejects"]] == [6, 7]


def test_the_company_s_own_traits_need_no_source(served: Any) -> None:
    """As the CRM's they are at once what the customer has."""
    report = imports_traits(served, [{"crm_id": "777", "size": "XL"}])
    assert (report["imported"], report["rejects"]) == (1, [])
    assert served.call("GET", "/api/customers/777")["traits"]["size"] == "XL"


@pytest.mark.parametrize("source", ["a b", "third_party:x", "-", "x" * 65])
def test_a_source_is_a_short_name(served: Any, source: str) -> None:
    """Anything else is a mistake of the caller."""
    path = "/api/traits/import"
    answer = served.api.post(path, params={"source": source}, content=b"crm_id,x\n777,1\n")
    assert answer.status_code == httpx.codes.BAD_REQUEST
    assert "acme_panel" in answer.json()["detail"]


def test_after_an_erasure_neither_card_nor_address_brings_anybody_back(served: Any) -> None:
    """Orders and traits by a name that fell with the person are refused as erased."""
    served.call("POST", "/api/privacy/erase", json={"id": "778"})
    refused = imports_orders(served, order("11", 1, ("loyalty_card", "L-3")))
    assert "asked to be forgotten" in refused[1]
    report = imports_traits(served, [{"loyalty_card": "L-3", "income": "low"}], source="acme")
    assert "asked to be forgotten" in report["rejects"][0]["reason"]


AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


def synced_browser(served: Any, uid: str) -> httpx.Client:
    """Open a browser whom Xandr knows by this id."""
    browser = httpx.Client(base_url=served.url, headers={"User-Agent": AGENT}, timeout=60)
    browser.post("/t?key=demo", json={"type": "page", "messageId": f"first of {uid}"})
    offers = browser.post("/cookie_sync?account=demo", json={"bidders": ["xandr"]}).json()
    (offer,) = offers["bidder_status"]
    found = re.search(r"[?&]t=([\w-]+)", unquote(offer["usersync"]["url"]))
    assert found
    got = browser.get(f"/setuid?bidder=xandr&t={found[1]}&uid={uid}")
    assert got.status_code == httpx.codes.OK
    return browser


def people_with(served: Any, value: str, *, op: str = "is", identity: str = "") -> int:
    """Count the people whose hobby passes."""
    served.loads()
    rule = {"type": "trait", "trait": "hobby", "op": op, "value": value}
    body = {"rule": rule, "identity": identity or "last_authenticated"}
    return int(served.call("POST", "/api/preview", json=body)["size"])


def test_what_is_said_of_a_browser_goes_with_it_to_its_customer(served: Any) -> None:
    """By a partner's id of an unlinked browser it counts for that one, and once linked for him."""
    uid = "4444444444444"
    with closing(synced_browser(served, uid)) as browser:
        served.loads()
        report = imports_traits(served, [{"partner": "xandr", "id": uid, "hobby": "cycling"}])
        assert report["rejects"] == []
        assert people_with(served, "cycling") == 1
        card = served.call("GET", f"/api/identity/xandr:{uid}")
        (told,) = card["third_party_traits"]
        assert (told["value"], told["source"]) == ("cycling", "third_party:xandr")
        token = make_identify(
            served.identify_secret, site="demo", crm_id="777", now_s=int(time.time())
        )
        message = {"type": "identify", "userId": "777", "context": {"token": token}}
        browser.post("/t?key=demo", json={"messageId": f"login of {uid}", **message})
        assert people_with(served, "cycling") == 1
        assert people_with(served, "cycling", identity="browser") == 1
        card = served.call("GET", "/api/identity/777")
        assert told in card["third_party_traits"]
        # The CRM's word goes before it, for whom it has one.
        imports_traits(served, [{"crm_id": "777", "hobby": "chess"}])
        assert [people_with(served, each) for each in ("cycling", "chess")] == [0, 1]
        others = people_with(served, "cycling", op="is_not")
        imports_traits(served, [{"crm_id": "777", "hobby": ""}])
        assert people_with(served, "cycling") == 1
        assert people_with(served, "cycling", op="is_not") == others - 1


def test_what_others_say_is_listed_and_erased_with_the_person(served: Any) -> None:
    """The list of traits says who says it; of the erased nothing stays."""
    imports_traits(served, [{"crm_id": "777", "taste": "jazz"}], source="panel")
    assert served.call("GET", "/api/customers/777")["traits"].get("taste") is None
    listed = served.call("GET", "/api/traits")["third_party"]
    assert {"trait": "taste", "kind": "text", "holders": 1, "values": 1} | {
        "sources": ["third_party:panel"]
    } in listed
    served.call("POST", "/api/privacy/erase", json={"id": "777"})
    listed = served.call("GET", "/api/traits")["third_party"]
    assert "taste" not in {each["trait"] for each in listed}
    assert people_with(served, "cycling") == 0
