"""Every partner that ships plays its own traps over real HTTP, from the page to the stored row."""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import uvicorn

from audiences.calendar_days import CalendarDays
from matching.consent.vendor_list import Vendor, VendorList
from matching.ids import VisitorId
from matching.partner_facts import Direction, SkipWhen, TokenPlace, Transport
from matching.partners import IdStatus, Partner, check_partner_id, load_partners
from matching.people import Limits
from matching.sync_url import write_our_id
from service.demo.stand_in_dsp import Outcome, StandIn, create_stand_in, stand_in_partner
from service.engine.loader import Loader
from service.engine.partner_trial import Trial, TrialOutcome, try_partner
from service.engine.spool_reader import SpoolReader
from service.engine.stores import Stores
from service.engine.tombstones import Tombstones
from service.metrics import Balance
from service.tag.process import TagProcess
from service.tag.spool import SpoolSettings
from service.tag.sync_offer import our_id
from service.tag.tag_state import Site, TagState, write_tag_state
from service.tag.visitor_cookie import mint_visitor, write_cookie

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]

SHIPPED = json.loads(
    (Path(__file__).parents[1] / "cases" / "partner_urls.json").read_text(encoding="utf-8")
)["partners"]
AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
IMAGE = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image", "Sec-Fetch-Site": "cross-site"}
FATES = [
    Outcome.RETURNED,
    Outcome.OPTED_OUT,
    Outcome.LITERAL_MACRO,
    Outcome.EMPTY,
    Outcome.FAILED,
    Outcome.NEVER_RETURNED,
]
NO_GDPR = SkipWhen(gdpr=True, gpp_sid=(2,))


def tc_string() -> str:
    """Write a new string that agrees to everything for the vendors 1 to 1000 of list 42."""
    moment = int(time.time() * 10) - 864_000
    letters = f"{ord('E') - 65:06b}{ord('N') - 65:06b}"
    bits = f"{2:06b}{moment:036b}{moment:036b}{1:012b}{1:012b}{1:06b}{letters}{42:012b}{4:06b}"
    bits += f"10{0:012b}{(1 << 24) - 1:024b}{0:024b}0{letters}{1000:016b}0{'1' * 1000}"
    bits += f"{0:016b}0{0:012b}"
    disclosed = f"{1:03b}{1000:016b}0{'1' * 1000}"
    return f"{sextets(bits)}.{sextets(disclosed)}"


def sextets(bits: str) -> str:
    """Write bits as TCF does: six to a letter, filled up with zeros."""
    bits += "0" * (-len(bits) % 6)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return "".join(alphabet[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))


TC = tc_string()
CONSENT = {
    "gdpr": 1,
    "gdpr_consent": TC,
    "us_privacy": "1YNN",
    "gpp": f"DBABMA~{TC}",
    "gpp_sid": "2",
}
HEARD = {
    "gdpr": "1",
    "consent": TC,
    "us_privacy": "1YNN",
    "gpp": CONSENT["gpp"],
    "gpp_sid": "2",
}


class Played(NamedTuple):
    """One browser's way to one partner and back."""

    visitor: VisitorId
    status: str
    answered: int
    """The status of the last answer; 0 where nothing was offered."""
    heard: dict[str, str]
    our_id: str
    passed: dict[str, str]
    its_id: str
    callback: str


class Row(NamedTuple):
    """A stored row, its visitor by name."""

    action: str
    reason: str
    id: str
    nonce: int


class World:
    """A tag process, a stand-in for each fate, and later the tables."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tag, dsp = (_listener() for _ in range(2))
        self.tag_base, self.dsp_base = (
            f"http://127.0.0.1:{each.getsockname()[1]}" for each in (tag, dsp)
        )
        self.partners = _shipped(folder)
        self.stand_ins = {fate: self._stand_in(fate) for fate in FATES}
        self.state = self._state()
        write_tag_state(folder / "tag-state", self.state)
        settings = SpoolSettings(reserve_bytes=0)
        self.tag = TagProcess(folder, worker=0, settings=settings, balance=Balance())
        self._servers = [_Server(tag, self.tag.endpoint), _Server(dsp, self._dsp)]
        self._browser = httpx.Client(headers={"User-Agent": AGENT, **IMAGE})
        self.played: dict[tuple[str, str], Played] = {}
        self.trials: dict[tuple[str, str], Trial] = {}
        self.rows: dict[VisitorId, list[Row]] = {}

    def __enter__(self) -> Self:
        for server in self._servers:
            server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._browser.close()
        for server in self._servers:
            server.stop()

    def play(self, key: str, fate: Outcome, consent: dict[str, Any]) -> Played:
        """Let a new browser meet one partner once, or start as the partner would."""
        partner = self.partners[key]
        visitor = mint_visitor()
        cookie = write_cookie(self.tag.keys, visitor, now_s=int(time.time()))
        country = "FR" if "FR" in partner.countries else "US"
        browser = self._browser
        browser.cookies.clear()
        browser.cookies.set("jml", cookie, domain="127.0.0.1")
        browser.headers["X-Country"] = country
        if partner.sync.direction is Direction.IN:
            status, url = self._start(browser, partner, consent)
        else:
            status, url = self._ask(browser, key, consent)
        return self._fire(browser, partner, fate, visitor, status, url)

    def try_out(self, key: str, fate: Outcome) -> Trial:
        """Play a trial of one partner, as the operator would."""
        partner = stand_in_partner(self.partners[key], f"{self.dsp_base}/{fate}")
        return try_partner(partner, base=self.tag_base, keys=self.tag.keys)

    def _ask(self, browser: httpx.Client, key: str, consent: dict[str, Any]) -> tuple[str, str]:
        asked = {"bidders": [key], "debug": True, **consent}
        answer = browser.post(f"{self.tag_base}/cookie_sync?account=w", json=asked)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        (status,) = [each["error"] for each in found["debug"] if each["bidder"] == key]
        offers = found["bidder_status"]
        types = {"iframe": Transport.IFRAME, "redirect": Transport.IMAGE}
        for offer in offers:
            sync = self.partners[key].sync
            assert types[offer["usersync"]["type"]] is sync.transports[0]
            assert offer["usersync"]["hideReferrer"] is sync.hide_referrer
        return status, offers[0]["usersync"]["url"] if offers else ""

    def _start(
        self, browser: httpx.Client, partner: Partner, consent: dict[str, Any]
    ) -> tuple[str, str]:
        asked = {"google_gid": "CAES", "redir": "https://evil.example", **consent}
        sent = asked | dict.fromkeys(partner.sync.passes, "push-1&x=2")
        answer = browser.get(f"{self.tag_base}/sync/in/{partner.key}", params=sent)
        return "offered", answer.headers.get("location", "")

    def _fire(
        self,
        browser: httpx.Client,
        partner: Partner,
        fate: Outcome,
        visitor: VisitorId,
        status: str,
        url: str,
    ) -> Played:
        answered, callback = 0, ""
        if url:
            answer = browser.get(url.replace("/returned/", f"/{fate}/", 1), follow_redirects=True)
            answered = answer.status_code
            assert len(answer.history) <= partner.sync.hops_max
            callback = str(answer.url) if str(answer.url).startswith(self.tag_base) else ""
        heard = self.stand_ins[fate].heard.get(partner.key) if url else None
        its_own = [each for each in browser.cookies.jar if each.path == f"/{partner.key}"]
        return Played(
            visitor=visitor,
            status=status,
            answered=answered,
            heard=dict(heard.consent) if heard else {},
            our_id=heard.our_id if heard else "",
            passed=dict(heard.passed) if heard else {},
            its_id=str(its_own[0].value) if its_own else "",
            callback=callback,
        )

    def load(self, database: Any) -> None:
        """Load what was spooled and read the rows of everybody."""
        stores = Stores(database, days=CalendarDays("UTC"), limits=Limits())
        balance = Balance()
        reader = SpoolReader(self.folder / "spool", next_number=1, found=balance.found)
        Loader(
            stores=stores,
            reader=reader,
            state=lambda: self.state,
            tombstones=Tombstones(self.folder / "tombstones.log", self.tag.keys),
            balance=balance,
            seed=bytes(32),
            clock_ms=lambda: int(time.time() * 1000),
        ).load_all()
        assert balance.audit(reader.records_waiting) == 0
        everybody = [each.visitor for each in self.played.values()]
        ordinals = stores.customers.find_visitors(everybody).tolist()
        names = dict(zip(ordinals, everybody, strict=True))
        for row in stores.partner_ids.of_visitors([each for each in ordinals if each]):
            found = Row(row.action, row.reason, row.id, row.nonce)
            self.rows.setdefault(names[row.visitor], []).append(found)

    def _state(self) -> TagState:
        vendors = {number: Vendor(purposes=(1, 3, 4)) for number in range(1, 1001)}
        site = Site(key="shop", write_key="w", consent_default="allow", country_header="X-Country")
        return TagState(
            published_s=int(time.time()),
            sites=(site,),
            partners=tuple(
                stand_in_partner(each, f"{self.dsp_base}/returned")
                for each in self.partners.values()
            ),
            vendor_lists={42: VendorList(version=42, vendors=vendors, format=3)},
            callback_base=self.tag_base,
        )

    def _stand_in(self, fate: Outcome) -> StandIn:
        return create_stand_in(
            callback_base=self.tag_base,
            never_return={},
            opted_out={},
            seed="test",
            fates={key: {fate: 1.0} for key in self.partners},
            partners=self.partners.values(),
            bounces=["xandr", "pixel"],
        )

    async def _dsp(self, scope: Any, receive: Any, send: Any) -> None:
        fate = scope["path"].split("/")[1]
        await self.stand_ins[Outcome(fate)]({**scope, "root_path": f"/{fate}"}, receive, send)


class _Server:
    """A real HTTP server in a thread."""

    def __init__(self, listener: socket.socket, app: Any) -> None:
        config = uvicorn.Config(app, log_config=None, interface="asgi3", ws="none", lifespan="off")
        self._server = uvicorn.Server(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._listener]))


def _listener() -> socket.socket:
    # Why said: without the protocol asyncio lets answers wait until their head is acknowledged.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


def _shipped(folder: Path) -> dict[str, Partner]:
    (folder / "partners").mkdir()
    for key, case in SHIPPED.items():
        text = f"enabled = true\n{case['added']}"
        (folder / "partners" / f"{key}.toml").write_text(text, encoding="utf-8")
    return {partner.key: partner for partner in load_partners(folder)}


GDPR = "gdpr"
TRIED = ("google", "pixel", "the_trade_desk")
PLAYS = [*((str(fate), {}) for fate in FATES), (GDPR, CONSENT)]


@pytest.fixture(scope="module")
def world(shared_database: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Play every partner with every fate, then load what came of it."""
    shared_database.make_tables()
    world = World(tmp_path_factory.mktemp("partners"))
    with world:
        for key in world.partners:
            for name, consent in PLAYS:
                fate = Outcome.RETURNED if name == GDPR else Outcome(name)
                world.played[key, name] = world.play(key, fate, consent)
            for fate in FATES if key in TRIED else [Outcome.RETURNED]:
                world.trials[key, fate] = world.try_out(key, fate)
    world.tag.spool.close()
    world.load(shared_database)
    return world


def rows_of(world: World, key: str, name: str) -> list[Row]:
    """Give what is stored of one browser besides its offers."""
    rows = world.rows.get(world.played[key, name].visitor, [])
    return [row for row in rows if row.action != "offered"]


BACK = [
    key
    for key in SHIPPED
    if key not in {"amazon", "amazon_eu", "beeswax", "google_hosted", "google_pixel_match"}
    and key not in {"liveramp", "magnite", "neustar", "xandr_mapuid"}
]
OTHERS = [key for key in SHIPPED if key not in BACK]


@pytest.mark.parametrize("key", BACK)
def test_an_id_comes_back_and_is_stored_for_its_visitor(world: World, key: str) -> None:
    """Through bounce, macro, encoding and callback the id of the partner's cookie is stored."""
    partner, played = world.partners[key], world.played[key, Outcome.RETURNED]
    assert partner.sync.direction is Direction.BACK
    assert (played.status, played.answered) == ("offered", 200)
    assert check_partner_id(partner, played.its_id) is IdStatus.OK
    (row,) = rows_of(world, key, Outcome.RETURNED)
    by_cookie = partner.sync.token_place is TokenPlace.COOKIE
    assert row.id == played.its_id
    assert row.action == "stored" or (by_cookie and row.reason == "unconfirmed")
    (offer,) = [each for each in world.rows[played.visitor] if each.action == "offered"]
    assert offer.nonce == row.nonce
    assert ("t" in parse_qs(urlsplit(played.callback).query)) is not by_cookie


@pytest.mark.parametrize("key", BACK)
@pytest.mark.parametrize(
    ("fate", "reason"),
    [
        (Outcome.OPTED_OUT, "sentinel"),
        (Outcome.LITERAL_MACRO, "literal_macro"),
    ],
)
def test_an_answer_that_means_nobody_is_refused(
    world: World, key: str, fate: Outcome, reason: str
) -> None:
    """Sentinels and forgotten macros are rows with their reason, never ids."""
    assert world.played[key, fate].answered == 400
    assert rows_of(world, key, fate) == [
        Row("refused", reason, "", world.rows[world.played[key, fate].visitor][-1].nonce)
    ]


@pytest.mark.parametrize("key", BACK)
def test_an_empty_id_takes_the_stored_one_away(world: World, key: str) -> None:
    """A partner that brings nothing deletes."""
    assert world.played[key, Outcome.EMPTY].answered == 200
    assert [row.action for row in rows_of(world, key, Outcome.EMPTY)] == ["deleted"]


@pytest.mark.parametrize("key", BACK)
def test_an_error_is_no_id(world: World, key: str) -> None:
    """Where a partner calls back with an error, that is refused; elsewhere the id is empty."""
    named = bool(world.partners[key].sync.arrives.error)
    (row,) = rows_of(world, key, Outcome.FAILED)
    expected = ("refused", "partner_error") if named else ("deleted", "")
    assert (row.action, row.reason, row.id) == (*expected, "")


@pytest.mark.parametrize("key", BACK)
def test_no_answer_leaves_the_offer_alone(world: World, key: str) -> None:
    """A browser that the partner never sends back has an offer and nothing else."""
    assert world.played[key, Outcome.NEVER_RETURNED].answered == 204
    assert rows_of(world, key, Outcome.NEVER_RETURNED) == []
    assert len(world.rows[world.played[key, Outcome.NEVER_RETURNED].visitor]) == 1


@pytest.mark.parametrize("key", SHIPPED)
def test_consent_travels_under_the_partners_names(world: World, key: str) -> None:
    """Under GDPR the partner hears each signal it takes; one that takes none is left alone."""
    partner, played = world.partners[key], world.played[key, GDPR]
    if partner.sync.skip_when == NO_GDPR:
        is_in = partner.sync.direction is Direction.IN
        assert (played.status, played.answered) == ("offered" if is_in else "skipped_gdpr", 0)
        return
    if partner.gvl_id is None:
        assert (played.status, played.answered) == ("no_consent", 0)
        return
    names = partner.sync.consent_params
    assert played.status == "offered"
    assert played.heard == {each: text for each, text in HEARD.items() if getattr(names, each)}
    assert played.answered in {200, 204}


@pytest.mark.parametrize("key", OTHERS)
def test_a_partner_that_keeps_our_id_hears_it_as_it_wants(world: World, key: str) -> None:
    """The id space's own id of the visitor arrives in the partner's encoding; nothing returns."""
    partner, played = world.partners[key], world.played[key, Outcome.RETURNED]
    assert partner.sync.direction is not Direction.BACK
    assert (played.status, played.answered, played.callback) == ("offered", 204, "")
    plain = our_id(world.tag.keys, partner, played.visitor)
    assert played.our_id == write_our_id(partner.sync.our_id_encoding, plain)
    assert played.passed == dict.fromkeys(partner.sync.passes, "push-1&x=2")


def test_id_spaces_of_one_visitor_differ(world: World) -> None:
    """No two id spaces see the same id of ours, and two ways into one see the same."""
    visitor = mint_visitor()
    shown = {
        partner.id_space: our_id(world.tag.keys, partner, visitor)
        for partner in world.partners.values()
    }
    assert len(set(shown.values())) == len(shown)
    both = [world.partners[key] for key in ("google_hosted", "google_pixel_match")]
    assert len({our_id(world.tag.keys, each, visitor) for each in both}) == 1


@pytest.mark.parametrize("key", SHIPPED)
def test_a_trial_of_a_partner_that_works_is_good(world: World, key: str) -> None:
    """Played for the operator: the hops, then a good id with our token, or our id kept."""
    trial = world.trials[key, Outcome.RETURNED]
    keeps = key in OTHERS
    assert trial.outcome is (TrialOutcome.KEPT_OURS if keeps else TrialOutcome.RETURNED)
    assert trial.id_status == ("" if keeps else "ok")
    assert [hop.status for hop in trial.hops][-1] == (204 if keeps else 0)
    assert all(hop.status == 302 for hop in trial.hops[:-1])
    assert len(trial.hops) == 1 + (not keeps) + (key in {"xandr", "pixel"})


TRIALS = {
    Outcome.RETURNED: (TrialOutcome.RETURNED, "ok"),
    Outcome.OPTED_OUT: (TrialOutcome.ID_REFUSED, "sentinel"),
    Outcome.LITERAL_MACRO: (TrialOutcome.ID_REFUSED, "literal_macro"),
    Outcome.EMPTY: (TrialOutcome.ID_REFUSED, "empty"),
    Outcome.FAILED: (TrialOutcome.ID_REFUSED, "partner_error"),
    Outcome.NEVER_RETURNED: (TrialOutcome.NO_REDIRECT, ""),
}


@pytest.mark.parametrize("key", TRIED)
@pytest.mark.parametrize("fate", TRIALS)
def test_a_trial_says_what_came_back(world: World, key: str, fate: Outcome) -> None:
    """Each way in which a partner fails has its verdict, and nothing of it is stored."""
    trial, (outcome, status) = world.trials[key, fate], TRIALS[fate]
    if fate is Outcome.FAILED and not world.partners[key].sync.arrives.error:
        status = "empty"
    assert (trial.outcome, trial.id_status) == (outcome, status)
    assert trial.outcome.is_good is (fate is Outcome.RETURNED)
    assert trial.detail


TRAPS: dict[str, Callable[[Partner], bool]] = {
    "the whole query is the redirect": lambda p: p.sync.redirect_position == "query",
    "a redirect that is not encoded": lambda p: p.sync.redirect_encoding_depth == 0,
    "parameters in the path": lambda p: "?" not in p.sync.url_template,
    "a name in the path": lambda p: bool(re.search(r"/\{\w+\}", p.sync.url_template)),
    "a registered callback": lambda p: p.sync.redirect_position == "registered",
    "an id that is appended": lambda p: (
        p.sync.redirect_position == "param" and not p.sync.user_macro
    ),
    "our token as our id": lambda p: p.sync.token_place == "our_id_param",
    "our token echoed": lambda p: p.sync.token_place == "echoed_param",
    "no place for our token": lambda p: p.sync.token_place == "cookie",
    "our id as bytes in base64": lambda p: p.sync.our_id_encoding == "hexbytes_b64",
    "another name for the flag": lambda p: p.sync.consent_params.gdpr not in {"", "gdpr"},
    "another name for the string": lambda p: (
        p.sync.consent_params.consent not in {"", "gdpr_consent"}
    ),
    "another name for US privacy": lambda p: (
        p.sync.consent_params.us_privacy not in {"", "us_privacy"}
    ),
    "another name for the sections": lambda p: p.sync.consent_params.gpp_sid not in {"", "gpp_sid"},
    "signals only together": lambda p: p.sync.consent_params.together,
    "no consent parameter": lambda p: p.sync.skip_when == NO_GDPR,
    "a pool of one region": lambda p: bool(p.countries),
    "a pool of the other regions": lambda p: bool(p.countries_not),
    "sentinels": lambda p: bool(p.ids.sentinels),
    "an error in place of an id": lambda p: bool(p.sync.arrives.error),
    "a referrer to hide": lambda p: p.sync.hide_referrer,
    "a frame": lambda p: p.sync.transports == (Transport.IFRAME,),
    "a refresh of its own": lambda p: p.refresh_days != 7,
    "a priority of its own": lambda p: p.priority == 1,
    "its own parameter to hand back": lambda p: bool(p.sync.passes),
    "it keeps our id": lambda p: p.sync.direction is Direction.OUT,
    "it starts itself": lambda p: p.sync.direction is Direction.IN,
    "unknown to the vendor list": lambda p: p.gvl_id is None,
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_shipped_partner_sets_each_trap(world: World, trap: str) -> None:
    """What the tests above pass through is every trap that partners are known to set."""
    assert any(TRAPS[trap](partner) for partner in world.partners.values())
