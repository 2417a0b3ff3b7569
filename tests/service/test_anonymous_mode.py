"""Anonymous mode: what is counted before an answer names nobody, on its way and where it rests."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audiences.calendar_days import CalendarDays
from matching.ids import VisitorId
from matching.partners import load_partners
from matching.people import Limits
from service.engine.loader import Loader
from service.engine.spool_reader import SpoolReader
from service.engine.stores import Stores
from service.engine.tombstones import Tombstones
from service.metrics import Balance
from service.tag import visitor_cookie
from service.tag.collect import Collector, Outcome
from service.tag.linker import make_link
from service.tag.record import MAGIC, Record, read_records
from service.tag.request import Caller, TagRequest
from service.tag.routes import handle
from service.tag.spool import Spool, SpoolSettings, writer_name
from service.tag.steps import NO_VISITOR
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Click, Keys, make_click, make_identify

NOW_S = int(time.time())
KEYS = Keys({1: bytes(range(32))})
VISITOR = VisitorId(bytes(range(16)))
REFERENCE = visitor_cookie.write_reference(KEYS, VISITOR)
COOKIE = "jml=" + visitor_cookie.write_cookie(KEYS, VISITOR, now_s=NOW_S)
OLD_COOKIE = "jml=" + visitor_cookie.write_cookie(KEYS, VISITOR, now_s=NOW_S - 2 * 86_400)
SECRET = "the identify secret of the shop, 32 bytes"
SHOP = "https://shop.example"
SITE = Site(
    key="shop",
    write_key="w",
    origins=(SHOP,),
    identify="open",
    identify_secret_env="TEST_IDENTIFY_SECRET",
    anonymous=True,
)
OFF = msgspec.structs.replace(SITE, key="off", write_key="o", anonymous=False)
EXAMPLE = Path(__file__).parents[2] / "service" / "example_config"
STATE = TagState(
    published_s=NOW_S,
    sites=(SITE, OFF),
    partners=tuple(load_partners(EXAMPLE)),
    callback_base="https://t.example",
)
UNNAMED = {"context": {"anonymous": True}}
PAGE: dict[str, Any] = {"type": "page", "messageId": "m1", "properties": {"path": "/"}} | UNNAMED


def ask(path: str, body: Any, query: str = "key=w", **headers: str) -> Outcome:
    named = {"host": "t.example", "origin": SHOP, "user-agent": "Firefox/145.0"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = TagRequest(
        method="POST",
        path=path,
        query=query,
        caller=Caller(headers=named, address="203.0.113.77"),
        body=json.dumps(body).encode(),
        received_us=NOW_S * 1_000_000,
    )
    return handle(Collector(state=lambda: STATE, keys=KEYS), request)


def records(outcome: Outcome) -> list[Record]:
    return list(read_records(MAGIC + b"".join(outcome.records)))


def sets_nothing(outcome: Outcome) -> bool:
    return (
        not {"Set-Cookie", "Jumelle-Visitor", "Jumelle-Link"} & dict(outcome.answer.headers).keys()
    )


def test_off_unless_the_site_wants_it() -> None:
    """Without the setting a message that asks for anonymity leaves no trace at all."""
    outcome = ask("/t", [PAGE], "key=o")
    assert (outcome.records, outcome.dropped) == ((), ("no_consent",))
    assert sets_nothing(outcome)


@pytest.mark.parametrize("kind", ["page", "screen", "track"])
@pytest.mark.parametrize("cookie", ["", COOKIE, OLD_COOKIE], ids=["none", "fresh", "old"])
def test_a_message_is_kept_as_nobody_s(kind: str, cookie: str) -> None:
    """It is kept under no visitor and answered without a cookie, whatever the browser carries."""
    outcome = ask("/t", [PAGE | {"type": kind, "event": "Product Viewed"}], cookie=cookie)
    [record] = records(outcome)
    assert (record.visitor, record.meta.type) == (NO_VISITOR, kind)
    assert (outcome.answer.status, sets_nothing(outcome)) == (204, True)


def test_nothing_of_it_names_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids, traits, proofs, contacts, addresses and consent are left out, wherever they stand."""
    monkeypatch.setenv(SITE.identify_secret_env, SECRET)
    token = make_identify(SECRET, site="shop", crm_id="123456", now_s=NOW_S)
    message = PAGE | {
        "userId": "123456",
        "anonymousId": REFERENCE,
        "traits": {"name": "Paul"},
        "integrations": {"All": "123456"},
        "properties": {"mail": "paul@shop.example", "url": "/?email=paul%40shop.example", "n": 1},
        "context": {
            "anonymous": True,
            "token": token,
            "traits": {"crm": "123456"},
            "device": {"advertisingId": "8f0d8b9e-7c1d-4c3f-9a57-0d6c1f0a4b11"},
            "ip": "203.0.113.77",
            "page": {"path": "/", "url": f"https://shop.example/c/{token}"},
        },
    }
    whole = b"".join(ask("/t", [message], cookie=COOKIE).records)
    for name in (b"123456", b"Paul", b"paul", b"8f0d", b"203.0", token.encode(), VISITOR):
        assert name not in whole
    [record] = records(ask("/t", [message]))
    assert (record.meta.proved, record.meta.ip, record.meta.signals) == ("", "", "")
    assert json.loads(record.body)["properties"]["n"] == 1


@pytest.mark.parametrize("kind", ["identify", "group", "alias"])
def test_what_names_somebody_is_not_counted(kind: str) -> None:
    """Messages that are about somebody have no anonymous form."""
    outcome = ask("/t", [PAGE | {"type": kind}])
    assert (outcome.records, outcome.dropped) == ((), ("no_consent",))


@pytest.mark.parametrize(
    "consent",
    [
        pytest.param({"explicit": {"store": False}}, id="explicit"),
        pytest.param({"tcf": "unreadable", "gdpr": True}, id="unreadable"),
    ],
)
def test_a_refusal_is_no_open_question(consent: dict[str, Any]) -> None:
    """Who said no is not counted, and no withdrawal is noted for anybody."""
    message = PAGE | {"context": {"anonymous": True, "consent": consent}}
    outcome = ask("/t", [message], cookie=COOKIE)
    assert (outcome.records, outcome.dropped) == ((), ("no_consent",))


def test_who_opted_out_is_not_counted() -> None:
    """The opt-out cookie is heard, should it come."""
    out = "jml_out=" + visitor_cookie.write_opt_out(KEYS, now_s=NOW_S)
    assert ask("/t", [PAGE], cookie=out).dropped == ("opted_out",)


def test_it_does_not_rub_off_on_messages_beside_it() -> None:
    """In one list with a permitted message each goes its own way."""
    allowed = {"type": "page", "messageId": "m2"}
    allowed["context"] = {"consent": {"explicit": {"store": True}}}  # type: ignore[assignment]
    outcome = ask("/t", [PAGE, allowed, PAGE | {"messageId": "m3"}])
    first, second, third = records(outcome)
    assert (first.visitor, third.visitor) == (NO_VISITOR, NO_VISITOR)
    assert second.visitor != NO_VISITOR
    assert "Set-Cookie" in dict(outcome.answer.headers)


def test_tokens_of_the_address_are_of_no_use_to_it() -> None:
    """Neither a linker's token nor a newsletter's makes it somebody's."""
    link = make_link(KEYS, VISITOR, site="shop", agent="Firefox/145.0", now_s=NOW_S)
    sent = Click(crm_id="123456", site="shop", target=SHOP, expires_s=NOW_S + 60, nonce=7)
    outcome = ask("/t", [PAGE], f"key=w&link={link}&click={make_click(KEYS, sent)}")
    assert [each.visitor for each in records(outcome)] == [NO_VISITOR]
    assert sets_nothing(outcome)


@pytest.mark.parametrize(
    ("path", "query", "body", "header"),
    [
        pytest.param("/v1/page", "key=w", PAGE, {}, id="said by the message"),
        pytest.param("/v1/batch", "key=w", {"batch": [PAGE]}, {}, id="in a batch"),
        pytest.param("/t", "key=w", [{"type": "page"}], {"sp_anonymous": "*"}, id="by header"),
    ],
)
def test_every_way_in_is_closed_alike(path: str, query: str, body: Any, header: Any) -> None:
    """Segment's routes and Snowplow's header mean the same."""
    named = f'"type":"page","userId":"123456","anonymousId":"{REFERENCE}"'
    told = json.loads(json.dumps(body).replace('"type": "page"', named))
    outcome = ask(path, told, query, cookie=COOKIE, **header)
    [record] = records(outcome)
    assert record.visitor == NO_VISITOR
    assert b"123456" not in b"".join(outcome.records)
    assert sets_nothing(outcome)


def test_no_partner_is_met() -> None:
    """A browser that asks for anonymity is offered to nobody, though its cookie came along."""
    body = {"explicit": {"store": True, "sync": True}}
    asked = ask("/cookie_sync", body, "account=w", cookie=COOKIE, sp_anonymous="*")
    assert json.loads(asked.answer.body)["bidder_status"] == []
    assert asked.records == ()
    assert ask("/cookie_sync", body, "account=w").records == ()


@pytest.mark.clickhouse
def test_the_database_holds_it_as_nobody_s(database: Any, tmp_path: Path) -> None:
    """Its events have neither visitor nor customer; no person, id, link or consent comes of it."""
    named = PAGE | {"userId": "123456", "anonymousId": REFERENCE}
    bought = PAGE | {"type": "track", "event": "Order Completed", "messageId": "m2"}
    outcome = ask("/t", [named, bought, PAGE | {"messageId": "m2"}], cookie=COOKIE)
    _load(database, tmp_path, outcome.records)
    client = database.client()
    events = client.query("select event, visitor, customer from events order by row").result_rows
    assert events == [("page", 0, 0), ("Order Completed", 0, 0)]
    for table in (
        *("visitors", "customers", "identifications", "consents", "partner_ids"),
        "events_by_visitor",
    ):
        assert client.query(f"select count() from {table}").result_rows == [(0,)], table  # noqa: S608


def _load(database: Any, folder: Path, records: tuple[bytes, ...]) -> None:
    settings = SpoolSettings(reserve_bytes=0)
    spool = Spool(folder / "spool", writer=writer_name(0), settings=settings, clock=time.monotonic)
    spool.append(records)
    spool.close()
    balance = Balance()
    balance.received(kept=len(records), dropped=Counter())
    stores = Stores(database, days=CalendarDays("UTC"), limits=Limits())
    Loader(
        stores=stores,
        reader=SpoolReader(folder / "spool", next_number=stores.operation.next_chunk()),
        state=lambda: STATE,
        tombstones=Tombstones(folder / "tombstones.log", KEYS),
        balance=balance,
        seed=KEYS.derive("message"),
        clock_ms=lambda: time.time_ns() // 1_000_000,
    ).load_all()
