"""Partners over the running service: their health, a trial of each, and what `/getuids` answers."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
import uvicorn
from click.testing import CliRunner, Result

from matching.partners import known_facts, known_keys
from service.cli_partners import partner
from service.demo.stand_in_dsp import Outcome, create_stand_in

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1"
)
BROWSERS = 24
FATES = {
    "the_trade_desk": {Outcome.LITERAL_MACRO: 1.0},
    "pixel": {Outcome.NEVER_RETURNED: 1.0},
}


class World(NamedTuple):
    """The running service, and the cookies of the browsers that synced there."""

    served: Any
    browsers: list[dict[str, str]]


class _StandIn:
    """The DSPs on a port of their own; which callback they know is said once it is known."""

    def __init__(self) -> None:
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        self.base = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.callback_base = ""
        self._app: Any = None
        config = uvicorn.Config(self, log_config=None, interface="asgi3", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self, callback_base: str) -> None:
        self._app = create_stand_in(
            callback_base=callback_base, never_return={}, opted_out={}, seed="api", fates=FATES
        )
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self.listener]))


Serve = Callable[[Path, Callable[[Path], None]], AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def world(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Serve with the example's partners on a stand-in, and let two dozen browsers sync."""
    stand_in = _StandIn()

    def configure(folder: Path) -> None:
        for key in ("xandr", "the_trade_desk", "pixel"):
            path = folder / "partners" / f"{key}.toml"
            behind = known_facts(key)["sync"]["url_template"].partition("://")[2].partition("/")[2]
            url = f"{stand_in.base}/{key}/{behind}"
            path.write_text(f"{path.read_text()}\n[sync]\nurl_template = '{url}'\n")

    with serve(tmp_path_factory.mktemp("partner_api"), configure) as served:
        stand_in.start(served.url)
        browsers = [_sync(served.url, number) for number in range(BROWSERS)]
        served.loads()
        yield World(served, browsers)
        stand_in.stop()


def _sync(url: str, number: int) -> dict[str, str]:
    agent = FIREFOX if number % 2 else IPHONE
    with httpx.Client(headers={"User-Agent": agent}, verify=False) as browser:  # noqa: S501
        assert browser.post(f"{url}/t?key=demo", content=b'{"type":"page"}').status_code == 204
        offers = browser.post(f"{url}/cookie_sync?account=demo", json={}).json()["bidder_status"]
        assert len(offers) == 3
        for offer in offers:
            browser.get(offer["usersync"]["url"], follow_redirects=True)
        return {each.name: str(each.value) for each in browser.cookies.jar if each.path == "/"}


def test_each_partner_s_health_is_shown(world: World) -> None:
    """Counts, reasons, families of browsers and the verdict, for each partner that is on."""
    found = {each["key"]: each for each in world.served.call("GET", "/api/partners")["partners"]}
    xandr, desk, pixel = found["xandr"], found["the_trade_desk"], found["pixel"]
    assert (xandr["offered"], xandr["returned"], xandr["match_rate"]) == (BROWSERS, BROWSERS, 1.0)
    assert (xandr["standing"], xandr["advice"], xandr["ask"]) == ("ok", "", {})
    assert (desk["standing"], desk["literal_macros"]) == ("literal_macros", BROWSERS)
    assert desk["refusals"] == {"literal_macro": BROWSERS}
    assert desk["callback"].endswith("bidder=the_trade_desk&uid=%%TDID%%&t=%%PARTNER_UID%%")
    assert (pixel["standing"], pixel["returned"], pixel["last_returned"]) == ("ok", 0, None)
    (day,) = xandr["days"]
    assert (day["offered"], day["returned"]) == (BROWSERS, BROWSERS)
    assert sum(each["offered"] for each in xandr["browsers"]) == BROWSERS


def lost(waterfall: dict[str, Any]) -> dict[str, int]:
    """Give the gates that lost people."""
    return {each["status"]: each["lost"] for each in waterfall["steps"] if each["lost"] != 0}


def test_each_partner_says_whom_it_reaches(world: World) -> None:
    """All people, gate by gate; an audience by its seats, too, and below the minimum nobody."""
    found = {each["key"]: each for each in world.served.call("GET", "/api/partners")["partners"]}
    xandr, desk = found["xandr"]["waterfall"], found["the_trade_desk"]["waterfall"]
    assert (xandr["people"], xandr["addressable"], lost(xandr)) == (BROWSERS, BROWSERS, {})
    assert (desk["addressable"], lost(desk)) == (0, {"refused_id": BROWSERS})
    definition = {"name": "All", "rule": {"type": "everyone"}, "min_size": 0}
    world.served.call("PUT", "/api/audiences/all", json=definition)
    world.served.loads()
    asked = world.served.call("GET", "/api/partners?audience=all")["partners"]
    of_all = {each["key"]: each for each in asked}["xandr"]
    assert of_all["waterfall"] == xandr
    seat = of_all["seats"]["xandr_958"]
    assert (seat["addressable"], lost(seat)) == (0, {"below_minimum": BROWSERS})
    with pytest.raises(AssertionError, match=r"404.*nobody"):
        world.served.call("GET", "/api/partners?audience=nobody")


def test_without_sight_of_people_counts_are_rounded(world: World) -> None:
    """A key that may not read people sees tens, and nothing below twenty."""
    body = {"name": "reader", "scopes": ["audiences:read"]}
    key = world.served.call("POST", "/api/keys", json=body)["key"]
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.get(f"{world.served.url}/api/partners", headers=headers).json()
    (xandr,) = [each for each in answer["partners"] if each["key"] == "xandr"]
    assert xandr["waterfall"]["addressable"] == BROWSERS // 10 * 10
    assert {each["lost"] for each in xandr["waterfall"]["steps"]} == {None}


def test_every_partner_that_ships_is_listed_with_what_to_ask(world: World) -> None:
    """The registry stands beside the partners that are switched on."""
    known = {each["key"]: each for each in world.served.call("GET", "/api/partners")["known"]}
    assert sorted(known) == known_keys()
    assert known["yahoo"]["token_place"] is None
    assert set(known["yahoo"]["ask"]) == {"callback", "pixel", "token_place"}


TRIALS = {
    "xandr": (True, "returned"),
    "the_trade_desk": (False, "id_refused"),
    "pixel": (False, "no_redirect"),
}


@pytest.mark.parametrize("key", TRIALS)
def test_a_trial_plays_a_sync_and_stores_nothing(world: World, key: str) -> None:
    """The API says what came back, and the counts stay as they were."""
    before = world.served.call("GET", "/api/partners")["partners"]
    trial = world.served.call("POST", f"/api/partners/{key}/test")
    assert (trial["good"], trial["outcome"]) == TRIALS[key]
    world.served.loads()
    assert world.served.call("GET", "/api/partners")["partners"] == before


def test_a_trial_of_nobody_is_not_found(world: World) -> None:
    """Only a partner that is switched on can be tried."""
    with pytest.raises(AssertionError, match=r"404.*switched on are"):
        world.served.call("POST", "/api/partners/nobody/test")


def test_a_browser_learns_its_own_ids(world: World) -> None:
    """With its cookie it gets the id of each partner that could be reached by it."""
    for cookies in world.browsers[:2]:
        found = _uids(world, cookies=cookies).json()
        assert set(found["buyeruids"]) == {"xandr"}
        assert found["buyeruids"]["xandr"].isdigit()
    first, second = (_uids(world, cookies=each).json() for each in world.browsers[:2])
    assert first != second


ASKERS: dict[str, tuple[dict[str, Any], int, dict[str, Any]]] = {
    "no cookie": ({}, 200, {}),
    "a forged cookie": ({"cookies": {"jml": "AAAA"}}, 200, {}),
    "no account": ({"params": {}}, 401, {}),
    "another account": ({"params": {"account": "x"}}, 401, {}),
    "another origin": ({"headers": {"Origin": "https://evil.example"}}, 403, {}),
}


@pytest.mark.parametrize("case", ASKERS)
def test_nobody_else_learns_them(world: World, case: str) -> None:
    """Without the cookie, the account or an allowed origin the answer is empty."""
    asked, status, body = ASKERS[case]
    cookies = {} if status == 200 else world.browsers[0]
    answer = _uids(world, **{"cookies": cookies, **asked})
    assert (answer.status_code, answer.json()) == (status, body)
    assert answer.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in answer.headers


def test_an_opted_out_browser_learns_nothing(world: World) -> None:
    """The opt-out cookie closes this route, too."""
    opted = httpx.get(f"{world.served.url}/optout", cookies=world.browsers[2])
    cookies = world.browsers[2] | {"jml_out": opted.cookies["jml_out"]}
    assert _uids(world, cookies=cookies).json() == {}


def _uids(world: World, **more: Any) -> httpx.Response:
    asked = {"params": {"account": "demo"}, **more}
    cookies = asked.pop("cookies", {})
    with httpx.Client(base_url=world.served.url, cookies=cookies) as browser:
        return browser.get("/getuids", **asked)


def run(world: World, *words: str) -> Result:
    """Call a command as an operator."""
    admin = world.served.api.headers["authorization"].removeprefix("Bearer ")
    env = {"JUMELLE_URL": world.served.url, "JUMELLE_API_KEY": admin}
    return CliRunner(env=env).invoke(partner, list(words))


def test_the_command_line_shows_and_tries_partners(world: World) -> None:
    """Tables for people, JSON for scripts, exit code 1 when a trial is no good and 3 for nobody."""
    listed = run(world, "list")
    assert "literal_macros" in listed.stdout
    assert "the_trade_desk: it sends its macro" in listed.stderr
    known = msgspec.json.decode(run(world, "list", "--known", "--json").stdout)["known"]
    assert [each["key"] for each in known] == known_keys()
    assert "bidswitch" in run(world, "list", "--known").stdout
    shown = run(world, "show", "xandr").stdout
    assert "100.0 %" in shown
    assert f"xandr reaches {BROWSERS} of {BROWSERS} people" in shown
    assert "refused_id" in run(world, "show", "the_trade_desk").stdout
    of_audience = run(world, "show", "xandr", "--audience", "all").stdout
    assert "its seat xandr_958 would be sent 0" in of_audience
    assert "below_minimum" in of_audience
    good, bad = run(world, "test", "xandr"), run(world, "test", "the_trade_desk")
    assert (good.exit_code, bad.exit_code) == (0, 1)
    assert "our token" in good.stdout
    assert "literal_macro" in bad.stdout
    assert run(world, "test", "nobody").exit_code == 3
