"""From record to row: browsers of offers, our own ids, ids without a token, ids in messages."""

import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from consent_strings import tc_string

from audiences.calendar_days import CalendarDays
from matching.consent.signals import Signals, encode_signals
from matching.partner_facts import Direction, TokenPlace
from matching.partners import Partner, known_facts
from matching.people import Limits
from service.engine.loader import Loader
from service.engine.spool_reader import SpoolReader
from service.engine.stores import Stores
from service.engine.tombstones import Tombstones
from service.metrics import Balance
from service.tag.collect import Collector
from service.tag.record import Kind, Meta, write_record
from service.tag.request import Caller, TagRequest
from service.tag.routes import handle
from service.tag.spool import Spool, SpoolSettings, writer_name
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Keys
from service.tag.visitor_cookie import write_cookie

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]

KEYS = Keys({1: bytes(32)})
NOW_US = time.time_ns() // 1000
DAY_US = 86_400_000_000
SITE = Site(key="shop", write_key="w", consent_default="allow")
PIXEL = known_facts("pixel") | {"name": "P", "enabled": True}
VISITOR = bytes(range(16))
IDFA = "7A3CBEA0-BDF5-11E4-8DFC-AA07A5B093DB"


def partner(key: str, **sync: Any) -> Partner:
    """Make a partner whose sync differs in what is said."""
    facts = PIXEL | {"key": key, "id_space": key, "sync": PIXEL["sync"] | sync}
    return msgspec.convert(facts, Partner)


PARTNERS = (
    partner("plain"),
    partner("ours", direction=Direction.OUT),
    partner("quiet", token_place=TokenPlace.COOKIE),
)


class Workshop:
    """A spool, a database and a loader that may be started anew."""

    def __init__(self, database: Any, folder: Path) -> None:
        self.root = folder / "spool"
        self.stores = Stores(database, days=CalendarDays("UTC"), limits=Limits())
        self.tombstones = Tombstones(folder / "tombstones.log", KEYS)
        self.state = TagState(published_s=0, sites=(SITE,), partners=PARTNERS)
        self.balance = Balance()

    def loads(self, *records: bytes) -> None:
        """Spool these records as one chunk and load it with a loader of its own."""
        settings = SpoolSettings(reserve_bytes=0)
        spool = Spool(self.root, writer=writer_name(0), settings=settings, clock=time.monotonic)
        spool.append(records)
        spool.close()
        self.balance = Balance()
        number = self.stores.operation.next_chunk()
        reader = SpoolReader(self.root, next_number=number, found=self.balance.found)
        Loader(
            stores=self.stores,
            reader=reader,
            state=lambda: self.state,
            tombstones=self.tombstones,
            balance=self.balance,
            seed=KEYS.derive("message"),
            clock_ms=lambda: NOW_US // 1000,
        ).load_all()
        assert self.balance.audit(reader.records_waiting) == 0

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Give (space, action, reason, id, source) of the visitor, oldest first."""
        ordinal = int(self.stores.customers.find_visitors([VISITOR])[0])
        found = self.stores.partner_ids.of_visitors([ordinal])
        return [(each.id_space, each.action, each.reason, each.id, each.source) for each in found][
            ::-1
        ]


@pytest.fixture
def workshop(database: Any, tmp_path: Path) -> Workshop:
    """Give an empty workshop."""
    return Workshop(database, tmp_path)


def offer(key: str, nonce: int, *, days: float = 0, uid: str = "") -> bytes:
    """Write an offer's record."""
    meta = Meta(site="shop", partner=key, nonce=nonce, agent="safari", uid=uid)
    return write_record(Kind.OFFER, NOW_US + int(days * DAY_US), VISITOR, meta, b"")


def answer(key: str, nonce: int, uid: str, *, days: float = 0) -> bytes:
    """Write a callback's record."""
    meta = Meta(site="", partner=key, nonce=nonce, uid=uid)
    return write_record(Kind.PARTNER_ID, NOW_US + int(days * DAY_US) + 1, VISITOR, meta, b"")


def test_an_offer_keeps_the_family_of_its_browser(workshop: Workshop) -> None:
    """Answers count for the family of browsers that the offer was made to."""
    workshop.loads(offer("plain", 1), answer("plain", 1, "X7abc"), offer("plain", 2))
    (day,) = workshop.stores.partner_ids.answers.read(since_ms=0).days
    assert (day.browser, day.offered, day.returned) == ("safari", 2, 1)


def test_a_partner_that_keeps_our_id_knows_it_by_the_offer(workshop: Workshop) -> None:
    """Our own id stands in the table, so that its seats can name the visitor."""
    workshop.loads(offer("ours", 1, uid="our-own-id"))
    assert workshop.rows() == [
        ("ours", "offered", "", "", "sync"),
        ("ours", "stored", "", "our-own-id", "sync"),
    ]
    live = workshop.stores.partner_ids.live("ours", as_of_ms=NOW_US // 1000, lives_days=1)
    assert live.ids == ["our-own-id"]


def said(signals: str, *, site: str = "shop") -> bytes:
    """Write what the visitor says of consent, just now."""
    meta = Meta(site=site, signals=signals)
    return write_record(Kind.CONSENT, NOW_US + 1, VISITOR, meta, b"")


NO_PURPOSE = encode_signals(Signals(gdpr=True, tcf=tc_string(at_ms=NOW_US // 1000)))
REFUSES = '{"explicit":{"sync":false}}'
BETWEEN: dict[str, tuple[str, list[str]]] = {
    "nothing": ("", ["offered", "stored"]),
    "a permission": ('{"explicit":{"sync":true}}', ["offered", "stored"]),
    "a refusal of syncs": (REFUSES, ["offered"]),
    "a refusal of everything": ('{"explicit":{"store":false}}', ["offered"]),
    "an opt-out": ('{"opted_out":true}', ["offered"]),
    "Global Privacy Control": ('{"gpc":true}', ["offered"]),
    "a string that permits nothing": (NO_PURPOSE, ["offered"]),
    "what cannot be read": ('{"tcf":"x"}', ["offered"]),
}


@pytest.mark.parametrize(("signals", "kept"), BETWEEN.values(), ids=BETWEEN)
def test_what_is_said_between_offer_and_answer_counts(
    workshop: Workshop, signals: str, kept: list[str]
) -> None:
    """An id that comes back after its visitor refused is not kept, and nothing of it."""
    between = [said(signals)] if signals else []
    workshop.loads(offer("plain", 1), *between, answer("plain", 1, "X7abc"))
    assert [action for _, action, *_ in workshop.rows()] == kept
    live = workshop.stores.partner_ids.live("plain", as_of_ms=NOW_US // 1000, lives_days=1)
    assert live.ids == (["X7abc"] if "stored" in kept else [])


def test_a_refusal_in_an_earlier_chunk_counts(workshop: Workshop) -> None:
    """What was said between offer and answer may have been loaded before."""
    for each in (offer("plain", 1), said(REFUSES), answer("plain", 1, "X7abc")):
        workshop.loads(each)
    assert [action for _, action, *_ in workshop.rows()] == ["offered"]


def test_what_is_said_after_the_answer_does_not_take_the_id_away(workshop: Workshop) -> None:
    """An id that came while it was allowed stays; what may be done with it is asked again later."""
    workshop.loads(offer("plain", 1), answer("plain", 1, "X7abc"), said(REFUSES))
    assert [action for _, action, *_ in workshop.rows()] == ["offered", "stored"]


def test_an_answer_that_waited_counts_as_of_its_offer(workshop: Workshop) -> None:
    """An id that comes before its offer is judged when the offer comes."""
    workshop.loads(offer("plain", 2), answer("plain", 1, "X7abc"), said(REFUSES))
    workshop.loads(offer("plain", 1))
    assert [action for _, action, *_ in workshop.rows()] == ["offered", "offered"]


SECONDS: dict[str, tuple[bytes, bytes, list[str]]] = {
    "the same id again": (
        offer("quiet", 2, days=1),
        answer("quiet", 2, "X7abc", days=1),
        ["unconfirmed", ""],
    ),
    "another id": (
        offer("quiet", 2, days=1),
        answer("quiet", 2, "X9abc", days=1),
        ["unconfirmed", "unconfirmed"],
    ),
    "the same offer again": (
        offer("plain", 2),
        answer("quiet", 1, "X7abc", days=0.01),
        ["unconfirmed"],  # the second answer is nobody's
    ),
    "too late": (
        offer("quiet", 2, days=31),
        answer("quiet", 2, "X7abc", days=31),
        ["unconfirmed", "unconfirmed"],
    ),
}


@pytest.mark.parametrize("restart", [False, True], ids=["one chunk", "another start"])
@pytest.mark.parametrize("case", SECONDS)
def test_without_a_token_two_offers_must_bring_the_same_id(
    workshop: Workshop, case: str, *, restart: bool
) -> None:
    """The first is kept unconfirmed; only a second offer with the same id stores it."""
    first = (offer("quiet", 1), answer("quiet", 1, "X7abc"))
    *second, reasons = SECONDS[case]
    if restart:
        workshop.loads(*first)
        workshop.loads(*second)
    else:
        workshop.loads(*first, *second)
    came = [row for row in workshop.rows() if row[0] == "quiet" and row[1] != "offered"]
    assert sorted(row[2] for row in came) == sorted(reasons)
    as_of_ms = NOW_US // 1000 + 32 * 86_400_000
    live = workshop.stores.partner_ids.live("quiet", as_of_ms=as_of_ms, lives_days=60)
    assert live.ids == (["X7abc"] if "" in reasons else [])


def message(number: int, *, days: float = 0, who: bytes = VISITOR, **body: Any) -> list[bytes]:
    """Send one message through the tag and give its records."""
    state = TagState(published_s=0, sites=(SITE,))
    received_us = NOW_US + int(days * DAY_US)
    cookie = write_cookie(KEYS, who, now_s=received_us // 1_000_000)  # type: ignore[arg-type]
    request = TagRequest(
        method="POST",
        path="/t",
        query="key=w",
        caller=Caller(headers={"cookie": f"jml={cookie}"}),
        body=json.dumps({"type": "identify", "messageId": f"m{number}", **body}).encode(),
        received_us=received_us,
    )
    outcome = handle(Collector(state=lambda: state, keys=KEYS), request)
    assert outcome.answer.status == 204
    return list(outcome.records)


APP: dict[str, Any] = {"context": {"device": {"type": "ios", "advertisingId": IDFA.lower()}}}


def test_ids_in_messages_stand_beside_those_of_partners(workshop: Workshop) -> None:
    """A device's id and a hashed address are live ids of the visitor, once a week anew."""
    mail: dict[str, Any] = {"traits": {"email": "paul@example.com"}}
    workshop.loads(*message(1, type="page", **APP), *message(2, type="page", **APP))
    workshop.loads(*message(3, type="page", days=1, **APP), *message(5, **mail))
    kept = sorted(row[:2] for row in workshop.rows())
    assert kept == [("email_sha256", "stored"), ("idfa", "stored")]
    workshop.loads(*message(6, days=8, **APP))
    found = workshop.rows()
    assert [(space, source) for space, _, _, _, source in found].count(("idfa", "message")) == 2
    assert {each[3] for each in found if each[0] == "idfa"} == {IDFA}
    (hashed,) = [each[3] for each in found if each[0] == "email_sha256"]
    assert len(hashed) == 96
    assert workshop.balance.sheet().holds


def test_an_opted_out_visitor_s_ids_are_not_kept(workshop: Workshop) -> None:
    """What is said of a browser that opted out makes no row."""
    workshop.loads(*message(1, days=0, type="page"))
    out = Meta(site="shop", signals='{"opted_out":true}')
    workshop.loads(write_record(Kind.CONSENT, NOW_US, VISITOR, out, b""))
    workshop.loads(*message(2, days=1, **APP))
    assert workshop.rows() == []
