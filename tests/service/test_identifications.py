"""Who a browser is said to be, from the request to the log: each way of proof, each forgery."""

import base64
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest

from audiences.calendar_days import CalendarDays
from matching.ids import VisitorId
from matching.people import Limits
from service.engine.erasure import erase
from service.engine.loader import Loader
from service.engine.spool_reader import SpoolReader
from service.engine.stores import Stores
from service.engine.subjects import Subjects
from service.engine.tombstones import Tombstones
from service.metrics import Balance
from service.tag import visitor_cookie
from service.tag.collect import Collector, Outcome
from service.tag.collect_import import collect_import
from service.tag.request import Caller, TagRequest
from service.tag.routes import handle
from service.tag.spool import Spool, SpoolSettings, writer_name
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Click, Keys, make_click, make_identify

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]

NOW_S = int(time.time())
KEYS = Keys({1: bytes(range(32))})
SECRET = "a secret of at least thirty-two bytes"
SERVER_KEY = "the server key"
PAUL = "123456"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SHOP = Site(
    key="shop",
    write_key="w",
    server_key_env="TEST_SERVER_KEY",
    identify_secret_env="TEST_IDENTIFY_SECRET",
    consent_default="allow",
)
NEWS = msgspec.structs.replace(SHOP, key="news", write_key="n", server_key_env="")
OPEN = Site(key="open", write_key="o", consent_default="allow", identify="open")
LAPTOP, PHONE, THIRD, FOURTH = (VisitorId(bytes([number]) * 16) for number in range(1, 5))
ORDER = {"type": "track", "event": "Order Completed", "properties": {"total": 5}}
PAGE = {"type": "page", "properties": {"url": "https://shop.example/"}}

Found = tuple[str, str, int, str]
"""Of an observation: the customer's CRM id, the method, whether it was only claimed, the site."""


class Desk:
    """A tag endpoint, its spool, and the loader with its tables."""

    def __init__(self, database: Any, folder: Path) -> None:
        self.database = database
        self.root = folder / "spool"
        self.stores = Stores(database, days=CalendarDays("UTC"), limits=Limits())
        self.tombstones = Tombstones(folder / "tombstones.log", KEYS)
        self.reader = SpoolReader(self.root, next_number=1)
        self.now_s = NOW_S
        self._messages = 0
        state = TagState(published_s=NOW_S, sites=(SHOP, NEWS, OPEN))
        self.collector = Collector(state=lambda: state, keys=KEYS)
        self.loader = Loader(
            stores=self.stores,
            reader=self.reader,
            state=lambda: state,
            tombstones=self.tombstones,
            balance=Balance(),
            seed=KEYS.derive("message"),
            clock_ms=lambda: self.now_s * 1000,
        )

    def hears(self, who: VisitorId, *messages: dict[str, Any], key: str = "w") -> None:
        """Take a browser's messages by the tag's own route, and load them."""
        outcomes = [self.takes(who, each, key=key) for each in messages]
        self.loads([record for each in outcomes for record in each.records])

    def takes(self, who: VisitorId, message: dict[str, Any], *, key: str = "w") -> Outcome:
        """Take one message of a browser, and load nothing yet."""
        cookie = f"jml={visitor_cookie.write_cookie(KEYS, who, now_s=self.now_s)}"
        body = {"messageId": self._name(), **message}
        return self.asks("/t", f"key={key}", body, cookie=cookie)

    def serves(self, *messages: dict[str, Any]) -> None:
        """Take messages of the shop's own server."""
        basic = "Basic " + base64.b64encode(f"{SERVER_KEY}:".encode()).decode()
        batch = [{"messageId": self._name(), **each} for each in messages]
        outcome = self.asks("/v1/batch", "", {"batch": batch}, authorization=basic)
        assert outcome.answer.status == 200
        self.loads(outcome.records)

    def imports(self, *lines: dict[str, Any]) -> list[str]:
        """Import messages from a file; give why some were refused."""
        report = collect_import(
            self.collector,
            SHOP,
            [json.dumps({"messageId": self._name(), **line}).encode() for line in lines],
            refused=self.tombstones.refuses_import,
            received_us=self.now_s * 1_000_000,
        )
        self.loads(report.records)
        return [reason for _, reason in report.refused]

    def clicks(self, who: VisitorId, link: str) -> None:
        """Follow a newsletter's link to the page behind it."""
        cookie = f"jml={visitor_cookie.write_cookie(KEYS, who, now_s=self.now_s)}"
        outcome = self.asks(f"/c/{link}", "", None, cookie=cookie)
        assert outcome.answer.status == 302
        self.loads(outcome.records)
        self.hears(who, PAGE)

    def loads(self, records: Sequence[bytes]) -> None:
        """Load these records and link people."""
        settings = SpoolSettings(reserve_bytes=0)
        spool = Spool(self.root, writer=writer_name(0), settings=settings, clock=time.monotonic)
        spool.append(records)
        spool.close()
        self.loader.load_all()
        self.stores.people.refresh(visitors=self.stores.customers.visitor_count)

    def erases(self, name: str) -> None:
        """Erase a person."""
        subjects = Subjects(self.stores, KEYS, [])
        subject = subjects.find(name)
        assert subject is not None
        erase(
            subject,
            subjects=subjects,
            stores=self.stores,
            reader=self.reader,
            tombstones=self.tombstones,
            actor="test",
        )
        self.loader.open()

    def log(self) -> list[Found]:
        """Give what was observed, confirming pages aside, in order."""
        return [
            (crm_id, method, claimed, site)
            for crm_id, method, claimed, site in self.rows(
                "select c.value, i.method, i.claimed, i.site from identifications i left join "
                "(select * from customers where kind = 'crm_id') c on c.customer = i.customer "
                "where i.method != 'page' order by i.chunk, i.row"
            )
        ]

    def link_of(self, who: VisitorId) -> tuple[str, str]:
        """Give whom a browser is linked to, and the status of its link."""
        ordinal = int(self.stores.customers.find_visitors([who])[0])
        links = self.stores.people.links
        index = ordinal - (1 << 29)
        customer = int(links.customer_of[index]) if index < links.customer_of.size else 0
        crm_id = self.stores.customers.crm_ids([customer]).get(customer) if customer else None
        return str(crm_id or ""), links.status_of(ordinal)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        found: list[tuple[Any, ...]] = self.database.client().query(query).result_rows
        return found

    def asks(self, path: str, query: str, body: Any, **headers: str) -> Outcome:
        """Send one request."""
        request = TagRequest(
            method="GET" if body is None else "POST",
            path=path,
            query=query,
            caller=Caller(headers={"host": "t.example", "user-agent": AGENT, **headers}),
            body=b"" if body is None else json.dumps(body).encode(),
            received_us=self.now_s * 1_000_000,
        )
        return handle(self.collector, request)

    def _name(self) -> str:
        self._messages += 1
        return f"message number {self._messages}"


@pytest.fixture
def desk(database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Give an empty installation whose sites have their secrets."""
    monkeypatch.setenv("TEST_SERVER_KEY", SERVER_KEY)
    monkeypatch.setenv("TEST_IDENTIFY_SECRET", SECRET)
    return Desk(database, tmp_path)


def token(crm_id: str = PAUL, *, visitor: str = "", site: str = "shop") -> dict[str, Any]:
    made = make_identify(SECRET, site=site, crm_id=crm_id, now_s=NOW_S, visitor=visitor)
    return {"context": {"token": made}}


def newsletter(nonce: int, crm_id: str = PAUL, site: str = "shop") -> str:
    link = Click(
        crm_id=crm_id,
        site=site,
        target="https://shop.example/",
        expires_s=NOW_S + 3600,
        nonce=nonce,
    )
    return make_click(KEYS, link)


def reference(who: VisitorId) -> str:
    return visitor_cookie.write_reference(KEYS, who)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        pytest.param(
            {"type": "identify", "userId": PAUL, **token()},
            (PAUL, "login", 0, "shop"),
            id="identify with proof",
        ),
        pytest.param({**PAGE, **token()}, (PAUL, "login", 0, "shop"), id="any message with proof"),
        pytest.param({**ORDER, **token()}, (PAUL, "purchase", 0, "shop"), id="order with proof"),
    ],
)
def test_a_browsers_proof_links_it(desk: Desk, message: dict[str, Any], found: Found) -> None:
    """Method, site and the browser's own time are stored, and the link stands."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW_S - 60))
    desk.hears(LAPTOP, {**message, "timestamp": at})
    assert desk.log() == [found]
    assert desk.link_of(LAPTOP) == (PAUL, "linked")
    assert desk.rows("select distinct toUnixTimestamp(at) from identifications") == [(NOW_S - 60,)]
    assert desk.rows("select customer from events") == [(1,)]


def test_a_server_proves_by_its_key(desk: Desk) -> None:
    """A call that names browser and customer links; an order is a purchase."""
    named = {"anonymousId": reference(LAPTOP), "userId": PAUL}
    desk.serves({"type": "track", "event": "Order Shipped", **named}, {**ORDER, **named})
    assert desk.log() == [(PAUL, "server", 0, "shop"), (PAUL, "purchase", 0, "shop")]
    assert desk.link_of(LAPTOP) == (PAUL, "linked")


def test_an_import_that_names_both_links_as_one(desk: Desk) -> None:
    """Whatever the line tells, also an order, it weighs as a server's call: above a click."""
    desk.hears(LAPTOP, PAGE)
    named = {"anonymousId": reference(LAPTOP), "userId": PAUL}
    desk.imports({"type": "identify", **named}, {**ORDER, **named}, {**ORDER, "userId": PAUL})
    assert desk.log() == [(PAUL, "import", 0, "shop")] * 2
    assert desk.link_of(LAPTOP) == (PAUL, "linked")
    desk.clicks(LAPTOP, newsletter(1, "777"))
    assert desk.link_of(LAPTOP) == (PAUL, "linked")
    desk.hears(LAPTOP, {"type": "identify", "userId": "777", **token("777")})
    assert desk.link_of(LAPTOP) == ("777", "linked")


def test_a_click_counts_once_its_page_is_seen(desk: Desk) -> None:
    """A link that a mail scanner opens links nobody; four browsers that follow it link three."""
    link = newsletter(7)
    desk.hears(LAPTOP, PAGE)
    outcome = desk.asks(f"/c/{link}", "", None)
    desk.loads(outcome.records)
    assert desk.log() == [(PAUL, "click", 0, "shop")]
    assert desk.rows("select count() from identifications where method = 'page'") == [(0,)]
    for who in (LAPTOP, PHONE, THIRD, FOURTH):
        desk.clicks(who, link)
        desk.now_s += 1
    assert [desk.link_of(who)[0] for who in (LAPTOP, PHONE, THIRD, FOURTH)] == [PAUL] * 3 + [""]


@pytest.mark.parametrize(
    "message",
    [{"type": "identify", "userId": PAUL}, {**ORDER, "userId": PAUL}],
    ids=["identify", "order"],
)
def test_a_claim_links_nobody(desk: Desk, message: dict[str, Any]) -> None:
    """Without proof it is kept as claimed, and the order stays the browser's."""
    desk.serves({**ORDER, "userId": PAUL})
    desk.hears(LAPTOP, message)
    assert desk.log() == [(PAUL, "form", 1, "shop")]
    assert desk.link_of(LAPTOP) == ("", "claimed_only")
    assert desk.rows("select customer from events where visitor != 0") == [(0,)]


def test_an_open_site_takes_the_form_s_word(desk: Desk) -> None:
    """Where the operator asks for no proof a claim links, weaker than all else."""
    desk.hears(LAPTOP, {"type": "identify", "userId": PAUL}, key="o")
    assert desk.log() == [(PAUL, "form", 0, "open")]
    assert desk.link_of(LAPTOP) == (PAUL, "linked")
    desk.hears(LAPTOP, {"type": "identify", "userId": "777", **token("777")})
    desk.hears(LAPTOP, {"type": "identify", "userId": PAUL}, key="o")
    assert desk.link_of(LAPTOP) == ("777", "linked")


@pytest.mark.parametrize("proof", [token(), {}], ids=["with its proof", "with a claim"])
def test_a_logout_is_no_login(desk: Desk, proof: dict[str, Any]) -> None:
    """What `reset` sends ends a session and begins none; later pages still follow the link."""
    desk.hears(LAPTOP, {"type": "identify", "userId": PAUL, **token()})
    desk.hears(LAPTOP, {"type": "track", "event": "Signed Out", "userId": PAUL, **proof}, PAGE)
    assert desk.log() == [(PAUL, "login", 0, "shop")]
    assert desk.link_of(LAPTOP) == (PAUL, "linked")
    assert desk.rows("select count() from events where event = 'Signed Out'") == [(1,)]


@pytest.mark.parametrize(
    "nobody", ["0", "null", "undefined", "{{userId}}", "00000000-0000-0000-0000-000000000000"]
)
def test_an_id_that_nobody_has_proves_nothing(desk: Desk, nobody: str) -> None:
    """A shop that signs `null` makes no customer that all its guests would be."""
    desk.hears(LAPTOP, {"type": "identify", **token(nobody)})
    desk.hears(PHONE, {"type": "identify", "userId": nobody}, key="o")
    desk.serves({"type": "identify", "userId": nobody, "anonymousId": reference(THIRD)})
    desk.imports({"type": "identify", "userId": nobody, "anonymousId": reference(FOURTH)})
    assert desk.log() == []
    assert desk.rows("select count() from customers") == [(0,)]


CLAIMS = {"sub": PAUL, "aud": "shop", "iat": NOW_S, "exp": NOW_S + 600}


def signed(claims: dict[str, Any], secret: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(CLAIMS | claims, secret, algorithm=algorithm)


def by_hand(header: dict[str, Any], claims: str, signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), claims.encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


FORGED = {
    "another site's": signed({"aud": "news"}),
    "two sites'": signed({"aud": ["shop", "news"]}),
    "nobody's": signed({"aud": ""}),
    "another secret": signed({}, "another secret of thirty-two bytes!"),
    "HS512": signed({}, SECRET * 2, algorithm="HS512"),
    "none": by_hand({"alg": "none"}, json.dumps(CLAIMS)),
    "none with a signature": by_hand({"alg": "nOnE"}, json.dumps(CLAIMS), b"x" * 32),
    "RS256": by_hand({"alg": "RS256"}, json.dumps(CLAIMS), b"x" * 256),
    "lives 15 min and a second": signed({"exp": NOW_S + 901}),
    "ends before it begins": signed({"exp": NOW_S - 1, "iat": NOW_S}),
    "expired": signed({"iat": NOW_S - 100, "exp": NOW_S - 1}),
    "from the future": signed({"iat": NOW_S + 120, "exp": NOW_S + 600}),
    "not before later": signed({"nbf": NOW_S + 300}),
    "times as texts": signed({"iat": str(NOW_S), "exp": str(NOW_S + 600)}),
    "times as truths": signed({"iat": True, "exp": True}),
    "endless": signed({"exp": float("inf"), "iat": float("inf")}),
    "no number": signed({"exp": float("nan"), "iat": float("nan")}),
    "without an end": jwt.encode({k: v for k, v in CLAIMS.items() if k != "exp"}, SECRET),
    "without a customer": jwt.encode({k: v for k, v in CLAIMS.items() if k != "sub"}, SECRET),
    "a customer of 10 kB": signed({"sub": "1" * 10_000}),
    "a number as customer": signed({"sub": 123456}),
    "many customers": signed({"sub": [PAUL]}),
    "another browser's": signed({"vis": reference(PHONE)}),
    "a browser that is none": signed({"vis": "jr.AAAA"}),
    "a browser's cookie": signed({"vis": visitor_cookie.write_cookie(KEYS, LAPTOP, now_s=NOW_S)}),
    "a browser as number": signed({"vis": 7}),
    "another customer's": signed({"sub": "777"}),
    "nested without end": by_hand({"alg": "HS256"}, "[" * 9_000),
    "a long number": by_hand({"alg": "HS256"}, '{"exp":' + "9" * 5_000 + "}"),
    "not a token": "a.b.c",
    "not even text": "\u0000\U0001f600",
}


def test_a_token_that_is_not_this_shops_for_this_browser_is_a_claim(desk: Desk) -> None:
    """Whatever is wrong with a token, its message is kept as claimed, and no token is stored."""
    desk.serves({**ORDER, "userId": PAUL})
    who = {name: VisitorId(bytes([16 + place]) * 16) for place, name in enumerate(FORGED)}
    records = []
    for name, forged in FORGED.items():
        message = {"type": "identify", "userId": PAUL, "context": {"token": forged}}
        (record,) = desk.takes(who[name], message).records
        assert forged.encode() not in record, name
        records.append(record)
    desk.loads(records)
    assert desk.log() == [(PAUL, "form", 1, "shop")] * len(FORGED)
    links = {name: desk.link_of(each) for name, each in who.items()}
    assert links == dict.fromkeys(FORGED, ("", "claimed_only"))


def test_a_contact_as_customer_rests_sealed(desk: Desk) -> None:
    """A shop whose customers are addresses may sign them; none is stored in clear."""
    desk.hears(LAPTOP, {"type": "identify", **token(" Paul@Example.com ")})
    ((crm_id, *rest),) = desk.log()
    assert rest == ["login", 0, "shop"]
    assert crm_id.startswith("contact:")
    assert desk.link_of(LAPTOP) == (crm_id, "linked")


def test_a_token_without_browser_serves_any_within_its_life(desk: Desk) -> None:
    """`vis` alone binds a token to a browser; without it whoever holds it is the customer."""
    bound = token(visitor=reference(LAPTOP))
    for who in (LAPTOP, PHONE):
        desk.hears(who, {"type": "identify", "userId": PAUL, **bound})
    assert [desk.link_of(who)[1] for who in (LAPTOP, PHONE)] == ["linked", "claimed_only"]
    desk.hears(PHONE, {"type": "identify", "userId": PAUL, **token()})
    assert desk.link_of(PHONE) == (PAUL, "linked")
    desk.now_s += 901
    desk.hears(THIRD, {"type": "identify", "userId": PAUL, **token()})
    assert desk.link_of(THIRD) == ("", "claimed_only")


def test_a_newsletter_from_before_an_erasure_brings_nobody_back(desk: Desk) -> None:
    """An old link still leads to its page and tells nothing; one that was made since does."""
    old = newsletter(1)
    desk.serves({**ORDER, "userId": PAUL})
    desk.erases(PAUL)
    desk.now_s = int(time.time()) + 2
    desk.clicks(LAPTOP, old)
    assert desk.log() == []
    assert desk.rows("select count() from customers where kind = 'crm_id'") == [(0,)]
    new = Click(
        crm_id=PAUL,
        site="shop",
        target="https://shop.example/",
        expires_s=NOW_S + 3600,
        nonce=2,
        made_s=desk.now_s,
    )
    desk.clicks(LAPTOP, KEYS.seal("click", msgspec.msgpack.encode(new)))
    assert desk.log() == [(PAUL, "click", 0, "shop")]


def test_a_link_of_a_site_that_is_gone_links_nobody(desk: Desk) -> None:
    """Its reader is led to the page, and nothing is kept of whom it was sent to."""
    outcome = desk.asks(f"/c/{newsletter(1, site='gone')}", "", None)
    assert (outcome.answer.status, outcome.records) == (302, ())
