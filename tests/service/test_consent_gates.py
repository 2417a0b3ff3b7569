"""What each signal answers at each gate: cookie, event, sync, stored id, audience, export, page."""

import gzip
import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlencode

import httpx
import msgspec
import pytest

from matching.consent.vendor_list import Vendor, VendorList
from matching.ids import VisitorId
from matching.partners import load_partners
from service.tag import visitor_cookie
from service.tag.collect import Collector, Outcome
from service.tag.request import Caller, TagRequest
from service.tag.routes import handle
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Callback, Keys, make_callback

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

NOW_S = int(time.time())
KEYS = Keys({1: bytes(range(32))})
VISITOR = VisitorId(bytes(range(16)))
EXAMPLE = Path(__file__).parents[2] / "service" / "example_config"
XANDR: Final = 32
LIST: Final = 42
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

Answers = tuple[bool, bool, bool, int, bool, bool, bool]
"""Cookie set, event kept, partner offered, status of /setuid, in an audience, sent, told."""


def text_of(bits: str) -> str:
    """Pack zeros and ones as an encoder does, filled up to whole characters."""
    padded = bits + "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(padded[at : at + 6], 2)] for at in range(0, len(padded), 6))


def tcf(*purposes: int, vendor: int = XANDR, vendor_list: int = LIST, limit: str = "") -> str:
    """Write a TC string of today in which one vendor is disclosed and agreed to."""
    day = f"{NOW_S * 10 - NOW_S * 10 % 864_000:036b}"
    agreed = "".join(str(int(purpose in purposes)) for purpose in range(1, 25))
    one = f"{vendor:016b}0{1:0{vendor}b}"
    limits = f"{int(bool(limit)):012b}{limit}"
    core = (
        f"{2:06b}{day}{day}{0:042b}{vendor_list:012b}{5:06b}10{0:012b}{agreed}{0:024b}0{0:012b}"
        f"{one}{0:017b}{limits}"
    )
    return f"{text_of(core)}.{text_of('001' + one)}"


def usnat(sale: int, gpc: str = "") -> str:
    """Write a GPP string with the national section, all notices given."""
    core = f"{2:06b}{0b01010101:08b}{0:04b}{sale:02b}{2:02b}{2:02b}{0:046b}"
    return f"DBABLA~{text_of(core)}{gpc}"


ALL = (1, 3, 4, 9, 10)
FORBIDDEN = f"{4:06b}{0:02b}{1:012b}0{XANDR:016b}"
YES = (True, True, True, 200, True, True, True)
KEPT_ONLY = (True, True, False, 451, True, False, True)
NOTHING = (False, False, False, 451, False, False, False)
NOT_EVEN_READ = (False, False, False, 400, False, False, False)

TABLE: dict[str, tuple[dict[str, Any], Answers]] = {
    "nothing said": ({}, YES),
    "opt-in": ({"explicit": {"store": True, "audiences": True, "sync": True}}, YES),
    "refusal": ({"explicit": {"store": False}}, (False, False, False, 200, False, False, False)),
    "no audiences": (
        {"explicit": {"audiences": False}},
        (True, True, True, 200, False, False, False),
    ),
    "no sync": ({"explicit": {"sync": False}}, (True, True, False, 200, True, False, True)),
    "no pages": ({"explicit": {"personalise": False}}, (True, True, True, 200, True, True, False)),
    "GPC": ({"gpc": True}, KEPT_ONLY),
    "US privacy: sale refused": ({"us_privacy": "1YYN"}, KEPT_ONLY),
    "US privacy: sale allowed": ({"us_privacy": "1YNN"}, YES),
    "US privacy: unreadable": ({"us_privacy": "1Y"}, NOT_EVEN_READ),
    "GPP: sale refused": ({"gpp": usnat(1), "gpp_sid": [7]}, KEPT_ONLY),
    "GPP: sale refused, does not apply": ({"gpp": usnat(1), "gpp_sid": [-1]}, YES),
    "GPP: sale allowed": ({"gpp": usnat(2), "gpp_sid": [7]}, YES),
    "GPP: GPC inside": ({"gpp": usnat(2, ".YA"), "gpp_sid": [7]}, KEPT_ONLY),
    "GPP: unreadable": ({"gpp": "DBABLA~x", "gpp_sid": [7]}, NOT_EVEN_READ),
    "GPP: a section nobody knows": ({"gpp": "DBABDA~BAAA", "gpp_sid": [5]}, NOTHING),
    "TCF: everything": ({"tcf": tcf(*ALL), "gdpr": True}, YES),
    "TCF: nothing": ({"tcf": tcf(), "gdpr": True}, NOTHING),
    "TCF: storing alone": (
        {"tcf": tcf(1), "gdpr": True},
        (True, True, True, 200, False, False, False),
    ),
    "TCF: another vendor": (
        {"tcf": tcf(*ALL, vendor=1), "gdpr": True},
        (True, True, False, 451, True, False, True),
    ),
    "TCF: the publisher forbids it": (
        {"tcf": tcf(*ALL, limit=FORBIDDEN), "gdpr": True},
        (True, True, True, 200, True, False, True),
    ),
    "TCF: an unknown vendor list": (
        {"tcf": tcf(*ALL, vendor_list=41), "gdpr": True},
        (True, True, False, 451, True, False, True),
    ),
    "TCF: cut": ({"tcf": tcf(*ALL)[:30], "gdpr": True}, NOT_EVEN_READ),
    "TCF: its vendors cut off": ({"tcf": tcf(*ALL).split(".")[0], "gdpr": True}, NOT_EVEN_READ),
    "TCF: nothing, and no GDPR": ({"tcf": tcf(), "gdpr": False}, YES),
    "TCF inside GPP": ({"gpp": f"DBABMA~{tcf(*ALL)}", "gpp_sid": [2]}, YES),
    "TCF inside GPP: nothing": ({"gpp": f"DBABMA~{tcf()}", "gpp_sid": [2]}, NOTHING),
    "two that disagree": ({"tcf": tcf(*ALL), "gdpr": True, "us_privacy": "1YYN"}, KEPT_ONLY),
}
VENDORS = VendorList(version=LIST, format=3, vendors={XANDR: Vendor(purposes=(1, 3, 4))})


def sync_body(said: dict[str, Any]) -> dict[str, Any]:
    """Say the same in the words of /cookie_sync."""
    named = {"tcf": "gdpr_consent"}
    body = {named.get(key, key): value for key, value in said.items() if key != "gpc"}
    if "gdpr" in body:
        body["gdpr"] = int(body["gdpr"])
    if "gpp_sid" in body:
        body["gpp_sid"] = ",".join(map(str, body["gpp_sid"]))
    return body


def headers_of(said: dict[str, Any]) -> dict[str, str]:
    """Give the header that a browser sends for it."""
    return {"sec-gpc": "1"} if said.get("gpc") else {}


class Door:
    """A tag process on an open site, with Xandr and its vendor list."""

    def __init__(self) -> None:
        partners = tuple(each for each in load_partners(EXAMPLE) if each.key == "xandr")
        site = Site(key="shop", write_key="w", consent_default="allow")
        state = TagState(
            published_s=NOW_S,
            sites=(site,),
            partners=partners,
            vendor_lists={LIST: VENDORS},
            callback_base="https://t.example",
        )
        self.collector = Collector(state=lambda: state, keys=KEYS)

    def ask(self, method: str, path: str, query: str, body: Any, **headers: str) -> Outcome:
        """Send one request."""
        given = {"host": "t.example", "user-agent": AGENT} | headers
        request = TagRequest(
            method=method,
            path=path,
            query=query,
            caller=Caller(headers=given),
            body=b"" if body is None else json.dumps(body).encode(),
            received_us=NOW_S * 1_000_000,
        )
        return handle(self.collector, request)


@pytest.mark.parametrize("name", TABLE)
def test_the_gates_at_the_door(name: str) -> None:
    """A new browser's cookie and event, the offer of a sync, and the id that a partner brings."""
    said, expected = TABLE[name]
    door, headers = Door(), headers_of(said)
    message = {"type": "page", "messageId": "m", "context": {"consent": said}}
    visit = door.ask("POST", "/t", "key=w", message, **headers)
    cookie = any(header == "Set-Cookie" for header, _ in visit.answer.headers)

    known = "jml=" + visitor_cookie.write_cookie(KEYS, VISITOR, now_s=NOW_S)
    body = sync_body(said)
    sync = door.ask("POST", "/cookie_sync", "account=w", body, cookie=known, **headers)
    offered = bool(json.loads(sync.answer.body).get("bidder_status"))
    assert offered == bool(sync.records)

    callback = Callback(visitor=VISITOR, nonce=7, expires_s=NOW_S + 60)
    query = urlencode(
        {key: value for key, value in body.items() if key != "explicit"}
        | {"bidder": "xandr", "t": make_callback(KEYS, "xandr", callback), "uid": "1234567890123"}
    )
    brought = door.ask("GET", "/setuid", query, None, **headers)
    kept = bool(visit.records)
    assert (cookie, kept, offered, brought.answer.status) == expected[:4]


class Browser:
    """A browser with its cookies, known to Xandr, of which an event was kept."""

    def __init__(self, url: str, place: int) -> None:
        self._url = url
        self.event = f"Seen {place}"
        self.uid = str(1_111_111_111_111 + place)
        self._http = httpx.Client(headers={"User-Agent": AGENT})
        self.tells({"type": "track", "event": self.event, "messageId": f"first {place}"})
        answer = self._http.post(f"{url}/cookie_sync?account=demo", json={"bidders": ["xandr"]})
        (offer,) = answer.json()["bidder_status"]
        found = re.search(r"[?&]t=([\w-]+)", unquote(offer["usersync"]["url"]))
        assert found
        got = self._http.get(f"{url}/setuid?bidder=xandr&t={found[1]}&uid={self.uid}")
        assert got.status_code == httpx.codes.OK

    def close(self) -> None:
        """Close its connection."""
        self._http.close()

    def tells(self, message: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        """Send a message."""
        answer = self._http.post(f"{self._url}/t?key=demo", json=message, headers=headers or {})
        assert answer.status_code == httpx.codes.NO_CONTENT

    def is_told(self) -> bool:
        """Ask which audiences a page may know of."""
        answer = self._http.get(f"{self._url}/v1/me/audiences?key=demo").json()
        return bool(answer["audiences"])

    def says(self, place: int, said: dict[str, Any]) -> None:
        """Send a page with consent signals."""
        page = {"type": "page", "messageId": f"then {place}", "context": {"consent": said}}
        self.tells(page, headers_of(said))


def configure(config: Path) -> None:
    """Let seats take few people, and give the vendor list of the strings."""
    seat = config / "seats" / "xandr_958.toml"
    seat.write_text(seat.read_text().replace("min_size = 100", "min_size = 1"))
    (config / "vendor_lists").mkdir()
    vendors = {XANDR: {"id": XANDR, "purposes": [1, 3, 4]}}
    published = {"gvlSpecificationVersion": 3, "vendorListVersion": LIST, "vendors": vendors}
    (config / "vendor_lists" / "42.json").write_bytes(msgspec.json.encode(published))


@pytest.fixture
def browsers(served: Any) -> Iterator[list[Browser]]:
    """Give a browser for each signal of the table."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(closing(Browser(served.url, place))) for place in range(len(TABLE))
        ]


@pytest.fixture(scope="module")
def served(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Serve the example configuration, with these seats and lists."""
    folder: Path = tmp_path_factory.mktemp("gates")
    with serve(folder, configure) as running:
        yield running


def sent(served: Any) -> dict[str, str]:
    """Export the seat; give its last action on each id: "add", "remove" or nothing."""
    run = served.runs("/api/exports", json={"seats": ["xandr_958"]})
    found = served.call("GET", f"/api/exports/{run}")
    (report,) = found["seats"]
    actions = {}
    for path in report["files"]:
        for line in gzip.decompress(Path(path).read_bytes()).decode().splitlines():
            uid, _, rest = line.partition(",")
            actions[uid.partition("^")[0]] = "remove" if ":-1" in rest else "add"
    return actions


def test_the_gates_behind_the_door(served: Any, browsers: list[Browser]) -> None:
    """Every browser is in, sent and told; then each signal takes away what it denies, no more."""
    names = list(TABLE)
    rules = [{"type": "did", "event": browser.event} for browser in browsers]
    definition = {"name": "Seen", "rule": {"type": "any", "of": rules}, "public_to": ["demo"]}
    served.call("PUT", "/api/audiences/seen", json=definition)
    served.call("PUT", "/api/audiences/seen/seats/xandr_958", json={"segment": "1"})
    served.loads()
    assert sent(served) == {browser.uid: "add" for browser in browsers}
    assert all(browser.is_told() for browser in browsers)

    for place, (browser, name) in enumerate(zip(browsers, names, strict=True)):
        browser.says(place, TABLE[name][0])
    served.loads()
    changes = sent(served)
    found, expected = {}, {}
    for browser, name in zip(browsers, names, strict=True):
        rule = {"type": "did", "event": browser.event}
        preview = served.call("POST", "/api/preview", json={"rule": rule})
        reached = bool(preview["reach"]["xandr"])
        assert (changes.get(browser.uid) == "remove") == (not reached), name
        found[name] = (bool(preview["size"]), reached, browser.is_told())
        expected[name] = TABLE[name][1][4:]
    assert found == expected
    card = served.call("GET", f"/api/identity/{browsers[names.index('GPC')].uid}")
    (visitor,) = card["visitors"]
    (answer,) = visitor["consent"]
    assert json.loads(answer["signals"]) == {"gpc": True}
    allowed = {use for use, each in answer["uses"].items() if each["allowed"]}
    assert allowed == {"store", "audiences", "lookalikes", "personalise"}
