"""The one story that holds the whole product, told over HTTP on the embedded engine.

Paul is customer 123456: he visits, is synced, buys, clicks the newsletter on a second browser, is
found as a champion who likes cycling, reaches two seats, and is forgotten everywhere when he asks.
"""

import gzip
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from running_service import SECRET, RunningService, free_port, serving

from matching.partners import known_facts
from service.demo.stand_in_dsp import create_stand_in, stand_in_url
from service.tag.tokens import make_identify

PAUL = "123456"
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
RULE = {
    "type": "all",
    "of": [
        {"type": "trait", "trait": "rfm_segment", "op": "is", "value": "champion"},
        {
            "type": "did",
            "event": "Order Completed",
            "where": [{"field": "products.category", "op": "is", "value": "cycling"}],
        },
    ],
}
SEATS = ("xandr_958", "ttd_demo")
CRM_FILE = "crm_id,email,age\n123456,paul@example.com,26\n777,someone@example.com,41\n"


class Browser:
    """One browser: keeps cookies per host, follows images' redirects, knows the shop's page."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx.Client(headers={"User-Agent": AGENT}, follow_redirects=True)

    def close(self) -> None:
        """Close the browser; its cookies go with it."""
        self._http.close()

    def sends(self, **message: Any) -> httpx.Response:
        """Post one message as the tag does."""
        body = json.dumps({"messageId": os.urandom(8).hex(), **message})
        answer = self._http.post(f"{self._url}/t?key=demo", content=body)
        assert answer.status_code == 204, answer.text
        return answer

    def visits(self) -> None:
        """Open the shop: the tag loads and reports the page."""
        assert self._http.get(f"{self._url}/tag.js?key=demo").status_code == 200
        self.sends(type="page", properties={"url": f"{self._url}/bikes"})

    def lets_partners_sync(self) -> dict[str, str]:
        """Fire the syncs that are offered, as images; give the id that each partner keeps."""
        offered = self._http.post(f"{self._url}/cookie_sync?account=demo", json={}).json()
        for each in offered["bidder_status"]:
            answer = self._http.get(each["usersync"]["url"])
            assert answer.status_code == 200, answer.text
        kept = {cookie.name: str(cookie.value) for cookie in self._http.cookies.jar}
        return {"xandr": kept["uuid2"], "the_trade_desk": kept["TDID"]}

    def clicks(self, link: str) -> None:
        """Open a newsletter link and see the page behind it."""
        self._http.get(link)
        self.visits()

    def asks_for_its_audiences(self) -> list[str]:
        """Ask as the news site's page does, to choose what to show."""
        answer = self._http.get(f"{self._url}/v1/me/audiences?key=demo").json()
        found: list[str] = answer["audiences"]
        return found


class Shop:
    """What the story does with the running service."""

    def __init__(self, service: RunningService) -> None:
        self.url = service.url
        self.data = service.data
        self.call = service.call
        self.loads = service.loads
        self._service = service

    def status(self, path: str) -> int:
        """Ask for something and give only the status."""
        return self._service.api.get(path).status_code

    def imports(self, text: str) -> Any:
        """Import a CRM file."""
        path = "/api/customers/import?site=demo&format=csv"
        return self.call("POST", path, content=text.encode())

    def exports(self) -> dict[str, Any]:
        """Export to all seats and give what each one got."""
        run = self._service.runs("/api/exports", json={"seats": SEATS})
        reports = self.call("GET", f"/api/exports/{run}")["seats"]
        return {each["seat"]: each for each in reports}

    def newsletter_link(self) -> str:
        """Make the link that the newsletter holds, by the command line."""
        words = ["token", "click", "--site", "demo", "--crm-id", PAUL, "--to", f"{self.url}/livez"]
        made = subprocess.run(
            [sys.executable, "-m", "service.cli", *words],
            env=self._service.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return f"{self.url}/c/{made.stdout.strip()}"

    def waiting_chunks(self) -> list[Path]:
        """Give the chunk files that wait to be loaded."""
        return sorted((self.data / "spool").glob("w*/*.chunk"))


@pytest.fixture
def stand_in() -> Iterator[str]:
    """Run the stand-in DSP, where every browser is known and every sync comes back."""
    port, shop_port = free_port(), free_port()
    app: Any = create_stand_in(
        callback_base=f"http://127.0.0.1:{shop_port}", never_return={}, opted_out={}, seed="story"
    )
    server = uvicorn.Server(
        uvicorn.Config(app, host="localhost", port=port, log_level="warning", ws="none")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    yield f"http://localhost:{port} {shop_port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def shop(tmp_path: Path, stand_in: str) -> Iterator[Shop]:
    """Serve the shop's own service: partners at the stand-in, seats that take one person."""
    base, port = stand_in.split()
    with serving(
        tmp_path, lambda config: _configure(config, base), port=int(port), cold=True
    ) as running:
        yield Shop(running)


def _configure(folder: Path, base: str) -> None:
    (folder / "partners" / "pixel.toml").unlink()
    (folder / "seats" / "pixel_csv.toml").unlink()
    for partner in ("xandr", "the_trade_desk"):
        url = stand_in_url(known_facts(partner)["sync"]["url_template"], partner, base)
        path = folder / "partners" / f"{partner}.toml"
        path.write_text(path.read_text() + f'\n[sync]\nurl_template = "{url}"\n')
    for seat in SEATS:
        path = folder / "seats" / f"{seat}.toml"
        path.write_text(path.read_text().replace("min_size = 100", "min_size = 1"))


@pytest.mark.clickhouse
@pytest.mark.slow
def test_the_story(shop: Shop) -> None:
    """From the first visit to the seat file, and from the wish to be forgotten to its removal."""
    with closing(Browser(shop.url)) as laptop, closing(Browser(shop.url)) as phone:
        tell_the_story(shop, laptop, phone)


def tell_the_story(shop: Shop, laptop: Browser, phone: Browser) -> None:
    """Tell the story step by step; each step says in its comment what the design says of it."""
    assert shop.imports(CRM_FILE)["new_customers"] == 2

    # He visits the shop: the tag gives his browser a first-party cookie and lets two partners sync.
    laptop.visits()
    on_laptop = laptop.lets_partners_sync()

    # He buys: the browser is linked to 123456.
    token = make_identify(SECRET, site="demo", crm_id=PAUL, now_s=int(time.time()))
    laptop.sends(type="identify", userId=PAUL, context={"token": token})
    laptop.sends(**_order("o1"), userId=PAUL, context={"token": token})
    laptop.sends(**_order("o2"), userId=PAUL, context={"token": token})

    # He clicks the newsletter on a second browser, and that one is linked too.
    phone.clicks(shop.newsletter_link())
    on_phone = phone.lets_partners_sync()
    old_chunks = _copies(shop)
    shop.loads()
    card = shop.call("GET", f"/api/identity/{PAUL}")
    assert card["person"] == "customer"
    assert {link["method"] for each in card["visitors"] for link in each["links"]} >= {
        "purchase",
        "click",
    }
    assert {
        (each["partner"], each["id"]) for visitor in card["visitors"] for each in visitor["ids"]
    } == {*on_laptop.items(), *on_phone.items()}
    assert {each["partner"]: each["status"] for each in card["partners"]} == {
        "xandr": "addressable",
        "the_trade_desk": "addressable",
    }

    # The marketer asks for champions who like cycling, and sees what each criterion costs.
    preview = shop.call("POST", "/api/preview", json={"rule": RULE})
    assert preview["size"] == 1
    assert [each["kept"] for each in preview["waterfall"]] == [1, 1]
    assert preview["seats"]["xandr_958"] == {"people": 1, "ids": 2}

    # ... and activates the audience: each seat's file holds exactly his ids.
    definition = {
        "name": "Champions who like cycling",
        "rule": RULE,
        "identity": "last_authenticated",
        "min_size": 1,
        "tags": [],
        "public_to": ["demo"],
    }
    shop.call("PUT", "/api/audiences/champions_cycling", json=definition)
    shop.loads()
    for seat, segment in zip(SEATS, ("7001", "cyclists"), strict=True):
        body = {"segment": segment, "expires_days": 30}
        shop.call("PUT", f"/api/audiences/champions_cycling/seats/{seat}", json=body)
    sent = shop.exports()
    assert _xandr_lines(sent) == {
        f"{on_laptop['xandr']},7001:43200",
        f"{on_phone['xandr']},7001:43200",
    }
    assert _ttd_items(sent) == {
        on_laptop["the_trade_desk"]: [{"Name": "cyclists", "TtlInMinutes": 43200}],
        on_phone["the_trade_desk"]: [{"Name": "cyclists", "TtlInMinutes": 43200}],
    }

    # When Paul reads the news, he sees the bicycle offer; not on the phone, which has no login.
    assert laptop.asks_for_its_audiences() == ["champions_cycling"]
    assert phone.asks_for_its_audiences() == []

    # He asks to be forgotten, and is gone everywhere.
    assert shop.call("POST", "/api/privacy/erase", json={"id": PAUL})["receipt"]
    assert shop.status(f"/api/identity/{PAUL}") == 404
    assert laptop.asks_for_its_audiences() == []

    # Neither a rebuild nor a re-import of old files nor a replay of old chunks brings him back.
    again = shop.imports(CRM_FILE)
    assert [each["line"] for each in again["rejects"]] == [2]
    _replay(shop, old_chunks)
    shop.loads()
    assert shop.status(f"/api/identity/{PAUL}") == 404
    assert shop.status(f"/api/identity/{on_laptop['xandr']}") == 404
    assert shop.call("POST", "/api/preview", json={"rule": RULE})["size"] == 0

    # The next seat file removes the ids.
    removed = shop.exports()
    assert _xandr_lines(removed) == {
        f"{on_laptop['xandr']},7001:-1",
        f"{on_phone['xandr']},7001:-1",
    }
    assert {key: item[0]["TtlInMinutes"] for key, item in _ttd_items(removed).items()} == {
        on_laptop["the_trade_desk"]: 0,
        on_phone["the_trade_desk"]: 0,
    }
    assert _nothing_clear(shop.data)


def _order(number: str) -> dict[str, Any]:
    line = {"product_id": "b1", "name": "Bike", "category": "cycling", "price": 900, "quantity": 1}
    properties = {"order_id": number, "total": 900, "currency": "USD", "products": [line]}
    return {"type": "track", "event": "Order Completed", "properties": properties}


def _copies(shop: Shop) -> list[bytes]:
    """Keep the bytes of the chunks that wait, as an old backup of the spool would."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not shop.waiting_chunks():
        time.sleep(0.05)
    time.sleep(1.5)
    return [path.read_bytes() for path in shop.waiting_chunks()]


def _replay(shop: Shop, chunks: list[bytes]) -> None:
    """Put old chunks into the spool as if they had come anew."""
    assert chunks
    folder = shop.data / "spool" / "restored"
    folder.mkdir()
    for number, content in enumerate(chunks):
        (folder / f"{number:08d}.chunk").write_bytes(content)


def _xandr_lines(reports: dict[str, Any]) -> set[str]:
    path = Path(reports["xandr_958"]["path"])
    return set(gzip.decompress(path.read_bytes()).decode("latin-1").splitlines())


def _ttd_items(reports: dict[str, Any]) -> dict[str, Any]:
    lines = Path(reports["ttd_demo"]["path"]).read_text().splitlines()
    return {item["TDID"]: item["Data"] for line in lines for item in json.loads(line)["Items"]}


def _nothing_clear(data: Path) -> bool:
    """Search every file of the data directory for the clear address."""
    found = [path for path in data.rglob("*") if path.is_file()]
    return not any(b"paul@example.com" in path.read_bytes() for path in found)
