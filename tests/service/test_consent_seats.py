"""A withdrawal after an export: every seat that held the person removes it once, then is quiet."""

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import httpx
import pytest

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
SEATS: Final = ("xandr_958", "pixel_csv", "ttd_demo", "phones_csv")
PARTNERS: Final = {"xandr": "xandr_958", "pixel": "pixel_csv", "the_trade_desk": "ttd_demo"}
WITHDRAWALS: Final[dict[str, dict[str, Any]]] = {
    "audiences": {"explicit": {"audiences": False}},
    "sync": {"explicit": {"sync": False}},
    "store": {"explicit": {"store": False}},
    "sale": {"us_privacy": "1YYN"},
    "GPC": {"gpc": True},
    "unreadable": {"tcf": "CPabc", "gdpr": True},
    "no platform answered": {"gdpr": True},
}
STAYS: Final = "stays"
AGREES_AGAIN: Final = "agrees again"


class Browser:
    """A browser whom every seat can name: by a synced id of each partner, and by a phone's id."""

    def __init__(self, url: str, place: int) -> None:
        self._url = url
        self._http = httpx.Client(headers={"User-Agent": AGENT})
        self._sent = 0
        self.ids = {
            "xandr_958": str(1_111_111_111_111 + place),
            "pixel_csv": f"pixel{place:04}",
            "ttd_demo": f"aaaaaaaa-0000-4000-8000-{place:012}",
            "phones_csv": f"BBBBBBBB-0000-4000-8000-{place:012}",
        }
        phone = [{"type": "ios.idfa", "id": self.ids["phones_csv"]}]
        self.says({}, externalIds=phone)

    def close(self) -> None:
        """Close its connection."""
        self._http.close()

    def says(self, consent: dict[str, Any], **context: Any) -> None:
        """Send an event with these consent signals."""
        self._sent += 1
        said = {"consent": consent} if consent else {}
        message = {
            "type": "track",
            "event": "Seen",
            "messageId": f"{self.ids['pixel_csv']} {self._sent}",
            "context": context | said,
        }
        answer = self._http.post(f"{self._url}/t?key=demo", json=message)
        assert answer.status_code == httpx.codes.NO_CONTENT, answer.text

    def syncs(self) -> None:
        """Let each partner bring its id."""
        asked = self._http.post(
            f"{self._url}/cookie_sync?account=demo", json={"bidders": [*PARTNERS]}
        )
        offers = {each["bidder"]: each["usersync"]["url"] for each in asked.json()["bidder_status"]}
        assert offers.keys() == PARTNERS.keys(), asked.text
        for partner, offered in offers.items():
            found = re.search(r"[?&](?:t|ttd_puid)=([\w-]+)", unquote(offered))
            assert found, offered
            uid = self.ids[PARTNERS[partner]]
            query = f"bidder={partner}&t={found[1]}&uid={uid}"
            got = self._http.get(f"{self._url}/setuid?{query}")
            assert got.status_code == httpx.codes.OK, got.text


def configure(config: Path) -> None:
    """Let seats take few people, and add one that is sent the ids of phones."""
    folder = config / "seats"
    for path in folder.glob("*.toml"):
        path.write_text(path.read_text().replace("min_size = 100", "min_size = 1"))
    text = (folder / "pixel_csv.toml").read_text()
    text = text.replace('key = "pixel_csv"', 'key = "phones_csv"').replace('["pixel"]', '["idfa"]')
    (folder / "phones_csv.toml").write_text(text)


@pytest.fixture(scope="module")
def served(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Serve the example configuration, with these seats."""
    folder: Path = tmp_path_factory.mktemp("seats")
    with serve(folder, configure) as running:
        yield running


@pytest.fixture
def browsers(served: Any) -> Iterator[dict[str, Browser]]:
    """Give a browser for each way to withdraw, one that agrees again, and one that stays."""
    names = (*WITHDRAWALS, AGREES_AGAIN, STAYS)
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(closing(Browser(served.url, place)))
            for place, name in enumerate(names, 1)
        }
        for browser in opened.values():
            browser.syncs()
        yield opened


def lines_sent(served: Any) -> dict[str, list[str]]:
    """Export to all seats; give the lines of each seat's files."""
    run = served.runs("/api/exports", json={"seats": list(SEATS)})
    found: dict[str, list[str]] = {}
    for report in served.call("GET", f"/api/exports/{run}")["seats"]:
        lines = found.setdefault(report["seat"], [])
        for path in map(Path, report.get("files") or []):
            raw = path.read_bytes()
            text = gzip.decompress(raw) if path.suffix == ".gz" else raw
            lines += text.decode().splitlines()
    assert found.keys() == set(SEATS)
    return found


def actions(served: Any, browsers: dict[str, Browser]) -> dict[str, dict[str, str]]:
    """Export to all seats; say of each browser what each seat's file says of it, if anything."""
    sent = lines_sent(served)
    return {
        name: {
            seat: action
            for seat in SEATS
            if (action := action_on(browser.ids[seat], sent[seat], seat))
        }
        for name, browser in browsers.items()
    }


def action_on(uid: str, lines: list[str], seat: str) -> str:
    """Read what a file tells the partner to do with an id."""
    if seat == "ttd_demo":  # a line is a request, which holds many items
        lines = [json.dumps(item) for line in lines for item in json.loads(line)["Items"]]
    own = [line for line in lines if uid in line]
    if not own:
        return ""
    (line,) = own
    gone = {"xandr_958": ":-1", "ttd_demo": '"TtlInMinutes": 0'}.get(seat, "remove")
    return "remove" if gone in line else "add"


def test_every_seat_forgets_whoever_withdrew(served: Any, browsers: dict[str, Browser]) -> None:
    """All ids are added; each withdrawal removes all of the person's, once; who stays is left."""
    definition = {"name": "Seen", "rule": {"type": "did", "event": "Seen"}}
    served.call("PUT", "/api/audiences/seen", json=definition)
    for seat in SEATS:
        served.call("PUT", f"/api/audiences/seen/seats/{seat}", json={"segment": "1"})
    served.loads()
    added = dict.fromkeys(SEATS, "add")
    assert actions(served, browsers) == dict.fromkeys(browsers, added)

    for name, consent in WITHDRAWALS.items():
        browsers[name].says(consent)
    browsers[AGREES_AGAIN].says({"explicit": {"audiences": False}})
    served.loads()
    removed = dict.fromkeys(SEATS, "remove")
    assert actions(served, browsers) == {
        name: {} if name == STAYS else removed for name in browsers
    }

    browsers[AGREES_AGAIN].says({"explicit": {"audiences": True}})
    browsers[STAYS].says({"explicit": {"audiences": True, "sync": True}})
    served.loads()
    assert actions(served, browsers) == {
        name: added if name == AGREES_AGAIN else {} for name in browsers
    }
    assert actions(served, browsers) == {name: {} for name in browsers}
