"""Whom a seat of contacts reaches is one answer: preview, waterfall, identity card and export."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from contact_shop import SEATS, Shop, opened_shop
from pyroaring import BitMap

from audiences.exports.report import ExportStatus
from matching.consent.signals import Signals, encode_signals
from matching.consent_store import ConsentColumns
from matching.contact_profiles import SPACES
from matching.identification import IdentificationColumns
from matching.ids import VISITOR_FIRST
from matching.partner_ids_store import PartnerIdColumns
from matching.people import Identity
from service.engine.addressability import Addressability, waterfall_of
from service.engine.person_status import PersonStatus
from service.engine.seat_reach import target_of_seat

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded, pytest.mark.slow]

CUSTOMERS: Final = 40
BROWSERS: Final = 40
AUDIENCES: Final[dict[str, dict[str, Any]]] = {
    "everybody": {"rule": {"type": "everyone"}},
    "old": {"rule": {"type": "trait", "trait": "age", "op": "at_least", "value": 40}},
    "browsers": {"rule": {"type": "everyone"}, "identity": "browser"},
    "old_browsers": {
        "rule": {"type": "trait", "trait": "age", "op": "at_least", "value": 40},
        "identity": "browser",
    },
}
AGREED: Final = {"audiences": True, "sync": True}
SAID: Final = [
    Signals(),
    Signals(explicit=AGREED),
    Signals(explicit=AGREED),
    Signals(explicit=AGREED | {"ad_user_data": True, "ad_personalization": True}),
    Signals(explicit={"audiences": True, "sync": False}),
    Signals(gpc=True),
]


@pytest.fixture
def shop(database: Any, tmp_path: Path) -> Iterator[Shop]:
    """Give a shop most of whose customers have no browser; some share contacts, few a browser."""
    pick = Random(7)
    with opened_shop(database, tmp_path) as opened:
        opened.imports(crm_file(pick))
        put_browsers(opened, pick)
        suppressed = pick.sample(range(1, CUSTOMERS + 1), 4)
        opened.engine.suppressed = BitMap([*suppressed, VISITOR_FIRST + 3])
        for number, (key, definition) in enumerate(AUDIENCES.items(), 1):
            opened.audience(key, {"name": key, **definition}, *SEATS, segment=str(number))
        yield opened


def crm_file(pick: Random) -> str:
    """Write customers of whom nearly everything may be missing."""
    lines = ["crm_id,email,phone,opt_in,ad_user_data,ad_personalization,age"]
    for number in range(CUSTOMERS):
        own, pair = f"customer.{number}@gmail.com", f"pair{number // 2}@example.com"
        email = pick.choice(["", own, f"c{number}@example.com", pair, "nobody@example.com"])
        phone = pick.choice(["", f"+336000000{number:02}", f"+3361111110{number // 2 % 9}"])
        answers = [pick.choice(["yes", "yes", "yes", "no", ""]) for _ in range(3)]
        lines.append(",".join([f"c{number}", email, phone, *answers, str(20 + number)]))
    return "\n".join(lines)


def put_browsers(shop: Shop, pick: Random) -> None:
    """Give some customers browsers, with ids of phones and with what they said of consent."""
    stores, now_ms = shop.engine.stores, shop.engine.now_ms()
    keys = [(number + 1).to_bytes(16, "big") for number in range(BROWSERS)]
    visitors = stores.customers.visitor_ordinals(keys, 1).tolist()
    linked = visitors[: BROWSERS - 8]
    stores.people.insert(
        IdentificationColumns(
            chunk=[1] * len(linked),
            row=range(len(linked)),
            received_at_ms=[now_ms] * len(linked),
            at_ms=[now_ms] * len(linked),
            visitor=linked,
            customer=[pick.randrange(1, CUSTOMERS + 1) for _ in linked],
            method=["login"] * len(linked),
            claimed=[False] * len(linked),
            site=["demo"] * len(linked),
            proof=[0] * len(linked),
        )
    )
    ids = [f"BBBBBBBB-0000-4000-8000-{number // 2:012}" for number in range(BROWSERS)]
    stores.partner_ids.insert(
        PartnerIdColumns(
            chunk=[1] * BROWSERS,
            row=range(BROWSERS),
            received_at_ms=[now_ms] * BROWSERS,
            partner=[""] * BROWSERS,
            id_space=["idfa"] * BROWSERS,
            action=["stored"] * BROWSERS,
            reason=[""] * BROWSERS,
            nonce=[0] * BROWSERS,
            visitor=visitors,
            id=ids,
            id_ordinal=stores.partner_ids.id_ordinals("idfa", ids),
            source=["message"] * BROWSERS,
        )
    )
    stores.consents.insert(
        ConsentColumns(
            chunk=[1] * BROWSERS,
            row=list(range(BROWSERS)),
            received_at_ms=[now_ms] * BROWSERS,
            visitor=visitors,
            signals=[encode_signals(pick.choice(SAID)) for _ in visitors],
            site=["demo"] * BROWSERS,
        )
    )


def test_preview_waterfall_card_and_export_give_one_answer(shop: Shop) -> None:
    """At five seats, for four audiences of both identities, people and ids are the same."""
    engine = shop.engine
    reports = shop.exports(*SEATS)
    compared = Counter[str]()
    cards = {person: card_of(shop, person) for person in engine.builder.members("everybody")}
    for seat in engine.config.seats:
        if seat.key not in SEATS:
            continue
        report = reports[seat.key]
        assert report.status is ExportStatus.PUBLISHED, report.reason
        assert (report.refused_ids, len(report.segments)) == (0, len(AUDIENCES))
        for segment in report.segments:
            identity = Identity(
                AUDIENCES[segment.audience].get("identity", Identity.LAST_AUTHENTICATED)
            )
            people = engine.criteria.people(identity)
            members = engine.builder.members(segment.audience)
            shown = engine.reaches.reach(people, members).seats[seat.key]
            found = engine.reaches.of_seat(seat, people).by_status
            told = (shown.people, shown.ids)
            assert (segment.people, segment.ids) == told, (seat.key, segment.audience)
            assert segment.adds == segment.ids
            waterfall = waterfall_of(found, among=members, exact=True)
            assert (waterfall.people, waterfall.addressable) == (len(members), segment.people)
            compared[identity] += segment.ids
            if identity is Identity.LAST_AUTHENTICATED:
                target = target_of_seat(seat, engine.config)
                statuses = [cards[person].at(target).status for person in members]
                assert statuses.count(Addressability.ADDRESSABLE) == segment.people
    assert min(compared.values()) > 10, compared


def card_of(shop: Shop, person: int) -> PersonStatus:
    """Find a person as the identity card does."""
    find = shop.engine.subjects
    subject = find.of_customer(person) if person < VISITOR_FIRST else find.of_visitor(person)
    assert subject is not None
    return PersonStatus(shop.engine, subject)


def test_who_said_too_little_is_sent_nowhere(shop: Shop) -> None:
    """Each customer whom a seat is sent opted in, is not suppressed and sends no GPC.

    At Google's seats both of its answers are a yes beside.
    """
    engine = shop.engine
    customers = engine.stores.customers
    everybody = engine.criteria.people(Identity.LAST_AUTHENTICATED)
    gpc = {
        visitor
        for visitor in customers.visitors()
        if (standing := engine.stores.consents.standing(visitor))
        and standing.signals is not None
        and standing.signals.gpc
    }
    may_be_sent = customers.granted("opt_in") - engine.suppressed
    may_be_sent -= everybody.persons_of_visitors(BitMap(gpc))
    seen = set()
    for seat in engine.config.seats:
        if seat.key not in SEATS:
            continue
        ids = [engine.stores.contact_ids.carried(space) for space in seat.id_spaces]
        own = BitMap(each for some in ids for each in some.visitors.tolist())
        allowed = engine.reaches.allowed(seat) & own
        wanted = may_be_sent & own
        if seat.partner == "google":
            wanted &= customers.granted("ad_user_data") & customers.granted("ad_personalization")
        assert allowed - engine.suppressed == wanted
        by_status = engine.reaches.of_seat(seat, everybody).by_status
        if set(seat.id_spaces) <= set(SPACES):
            assert by_status[Addressability.ADDRESSABLE] <= wanted
        seen.add((seat.partner, len(wanted)))
    assert len(seen) > 2, seen
