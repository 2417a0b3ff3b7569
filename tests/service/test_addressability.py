"""One decision in three views: the card of each person, the waterfall of all, and the export."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import pytest
from litestar import Litestar
from litestar.datastructures import State
from litestar.testing import TestClient
from pyroaring import BitMap

from audiences.event_store import EventColumns
from audiences.exports.reach import carriers, reach_of
from matching.consent.signals import Signals, encode_signals
from matching.consent_store import ConsentColumns
from matching.customer_store import CustomerName
from matching.identification import IdentificationColumns
from matching.ids import VISITOR_FIRST
from matching.partner_ids_store import PartnerIdColumns
from matching.people import Identity
from service.api.auth import KeyRing
from service.api.errors import NotFound, on_error
from service.api.identity import ROUTES
from service.config import Environment, load_config, prepare_config
from service.engine.addressability import ORDER, Addressability, waterfall_of
from service.engine.engine import Engine
from service.engine.event_rows import Flag
from service.engine.person_status import PersonStatus
from service.engine.seat_reach import Reachable, Target, target_of_partner, target_of_seat
from service.engine.subjects import Subject
from service.metrics import Balance
from service.tag.tokens import Keys

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded, pytest.mark.slow]

KEYS: Final = Keys({1: bytes(32)})
NOW_S: Final = 1_795_000_000
NOW_MS: Final = NOW_S * 1000
DAY_MS: Final = 86_400_000
VISITORS: Final = 130
CUSTOMERS: Final = 30
SEEDS: Final = range(2)
SPACES: Final = {
    "xandr": "xandr",
    "xandr_eu": "xandr_eu",
    "ttd": "the_trade_desk",
    "pixel": "pixel",
    "email_sha256": "",
    "google": "google",
}
SAID: Final = [
    encode_signals(each)
    for each in (
        Signals(),
        Signals(explicit={"store": True, "audiences": True, "sync": True}),
        Signals(explicit={"audiences": False}),
        Signals(explicit={"audiences": True, "sync": False}),
        Signals(gpc=True),
        Signals(opted_out=True),
        Signals(us_privacy="1YYN"),
        Signals(
            explicit={"audiences": True, "sync": True, "ad_user_data": True}
            | {"ad_personalization": True}
        ),
    )
] + ["no signals"]
SEATS: Final = {
    "contacts": ("pixel", ("email_sha256", "pixel")),
    "addresses": ("pixel", ("email_meta", "phone_meta")),
    "google_list": ("google", ("email_google", "google")),
}
"""Seats that take contacts: beside what browsers name, alone, and for Google."""


@pytest.fixture
def engine(database: Any, tmp_path: Path) -> Iterator[Engine]:
    """Give an engine with two pools of one company and seats that take hashed contacts."""
    folder = prepare_config(tmp_path)
    (folder / "partners" / "xandr_eu.toml").write_text("enabled = true\n")
    (folder / "partners" / "google.toml").write_text(
        'enabled = true\nconfirmed = ["callback"]\n[account]\nnid = "1"\n'
    )
    config = load_config(folder)
    pixel = next(each for each in config.seats if each.key == "pixel_csv")
    more = [
        msgspec.structs.replace(
            pixel, key=key, partner=partner, id_spaces=spaces, min_size=3, lives_days=20
        )
        for key, (partner, spaces) in SEATS.items()
    ]
    made = Engine(
        environment=Environment(data=tmp_path, timezone=ZoneInfo("UTC")),
        config=msgspec.structs.replace(config, seats=(*config.seats, *more)),
        clickhouse=database,
        keys=KEYS,
        balance=Balance(),
        clock=lambda: NOW_S,
    )
    made.open()
    yield made
    made.jobs.stop()


class World:
    """A random small world in the engine's tables."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.pick = Random(seed)
        stores = engine.stores
        names = [f"c{number}" for number in range(CUSTOMERS)]
        given = stores.customers.customer_ordinals(names, source="crm", at_ms=NOW_MS)
        self.customers: list[int] = given.tolist()
        browsers = [(number + 1).to_bytes(16, "big") for number in range(VISITORS)]
        self.visitors: list[int] = stores.customers.visitor_ordinals(browsers, 1).tolist()
        self._fill()
        everybody = self.customers + self.visitors
        engine.suppressed = BitMap(self.pick.sample(everybody, 6))
        engine.renew()

    def _fill(self) -> None:
        self._links()
        self._ids()
        self._consents()
        self._bots()
        self._answers()
        self._contacts()

    def _answers(self) -> None:
        likely = {"opt_in": "0111", "ad_user_data": "011", "ad_personalization": "011"}
        self._names(
            [
                (customer, kind, self.pick.choice(values), 0)
                for customer in self.customers
                for kind, values in likely.items()
                if self.pick.random() < 0.8
            ]
        )

    def _contacts(self) -> None:
        """Let the CRM say contacts: own ones, shared ones, and some that a browser named."""
        pick = self.pick
        self._names(
            [
                (
                    customer,
                    kind,
                    pick.choice(
                        [f"c{customer}"] * 5
                        + [f"pair{customer // 2}", f"own{pick.choice(self.visitors)}"]
                        + [f"crowd{pick.randrange(2)}"] * 2
                    ),
                    slot,
                )
                for customer in self.customers
                for kind, slots in (("email", 2), ("phone", 1))
                for slot in range(pick.randrange(slots + 1))
            ]
        )
        spaces = {space for _, some in SEATS.values() for space in some}
        self.engine.stores.contact_ids.complete(at_ms=NOW_MS, spaces=spaces)

    def _names(self, names: list[tuple[int, str, str, int]]) -> None:
        self.engine.stores.customers.put_names(
            [
                CustomerName(
                    customer=customer, kind=kind, value=value, slot=slot, source="crm", at_ms=NOW_MS
                )
                for customer, kind, value, slot in names
            ]
        )

    def _links(self) -> None:
        pick = self.pick
        linked = pick.sample(self.visitors, VISITORS // 2)
        count = 2 * len(linked)
        busy = self.customers[: CUSTOMERS - 5]
        self.engine.stores.people.insert(
            IdentificationColumns(
                chunk=[1] * count,
                row=range(count),
                received_at_ms=[NOW_MS] * count,
                at_ms=[NOW_MS - pick.randrange(1000) for _ in range(count)],
                visitor=linked * 2,
                customer=[pick.choice(busy) for _ in range(count)],
                method=[pick.choice(["login", "purchase", "form"]) for _ in range(count)],
                claimed=[pick.random() < 0.3 for _ in range(count)],
                site=["demo"] * count,
                proof=[0] * count,
            )
        )

    def _ids(self) -> None:
        pick, rows = self.pick, []
        for space in SPACES:
            for visitor in self.visitors:
                for _ in range(pick.choice([0, 0, 1, 2, 3])):
                    action = pick.choice(
                        ["offered", "stored", "stored", "stored", "deleted", "refused"]
                    )
                    text = ""
                    if action == "stored":
                        few = pick.random() < 0.3
                        text = (
                            f"few{pick.randrange(2)}"
                            if few and pick.random() < 0.6
                            else f"two{visitor // 2}"
                            if few
                            else f"own{visitor}"
                        )
                    at_ms = NOW_MS - pick.randrange(80) * DAY_MS - pick.randrange(3)
                    rows.append((space, visitor, action, text, at_ms))
        count = len(rows)
        ordinals = [0] * count
        for space in SPACES:
            named = [at for at, row in enumerate(rows) if row[0] == space and row[3]]
            found = self.engine.stores.partner_ids.id_ordinals(space, [rows[at][3] for at in named])
            for at, ordinal in zip(named, found.tolist(), strict=True):
                ordinals[at] = ordinal
        self.engine.stores.partner_ids.insert(
            PartnerIdColumns(
                chunk=[1] * count,
                row=range(count),
                received_at_ms=[row[4] for row in rows],
                partner=[SPACES[row[0]] for row in rows],
                id_space=[row[0] for row in rows],
                action=[row[2] for row in rows],
                reason=["sentinel" if row[2] == "refused" else "" for row in rows],
                nonce=list(range(1, count + 1)),
                visitor=[row[1] for row in rows],
                id=[row[3] for row in rows],
                id_ordinal=ordinals,
                source=["sync"] * count,
            )
        )

    def _consents(self) -> None:
        pick = self.pick
        told = [each for each in self.visitors for _ in range(pick.choice([0, 0, 1, 2]))]
        count = len(told)
        likely = SAID[:2] * 4
        self.engine.stores.consents.insert(
            ConsentColumns(
                chunk=[1] * count,
                row=list(range(count)),
                received_at_ms=[NOW_MS - pick.randrange(50) for _ in told],
                visitor=told,
                signals=[pick.choice(SAID + likely) for _ in told],
                site=["demo"] * count,
            )
        )

    def _bots(self) -> None:
        bots = self.pick.sample(self.visitors, 6)
        count = len(bots)
        self.engine.stores.events.insert(
            EventColumns(
                chunk=[1] * count,
                row=list(range(count)),
                received_at_ms=[NOW_MS] * count,
                at_ms=[NOW_MS] * count,
                event=["Page"] * count,
                site=["demo"] * count,
                visitor=bots,
                customer=[0] * count,
                message_hash=list(range(count)),
                flags=[int(Flag.BOT)] * count,
                properties=["{}"] * count,
            )
        )

    def subjects(self) -> dict[int, Subject]:
        """Give every person by its ordinal, found as the card finds it."""
        people = self.engine.criteria.people(Identity.LAST_AUTHENTICATED)
        everyone = people.base(customers=BitMap(self.customers), visitors=BitMap(self.visitors))
        find = self.engine.subjects
        found = {
            each: find.of_customer(each) if each < VISITOR_FIRST else find.of_visitor(each)
            for each in everyone
        }
        return {each: subject for each, subject in found.items() if subject is not None}

    def targets(self) -> Iterator[tuple[Target, Callable[[Any], Reachable]]]:
        """Give every partner and seat, and what tells all people there."""
        config, reaches = self.engine.config, self.engine.reaches
        for partner in config.partners:
            yield (
                target_of_partner(partner, config),
                lambda people, each=partner: reaches.of_partner(each, people),
            )
        for seat in config.seats:
            yield (
                target_of_seat(seat, config),
                lambda people, each=seat: reaches.of_seat(each, people),
            )


@pytest.mark.parametrize("seed", SEEDS)
def test_the_card_of_everybody_is_the_waterfall_of_all(engine: Engine, seed: int) -> None:
    """At every partner and seat each person's card gives the status under which it is counted."""
    world = World(engine, seed)
    people = engine.criteria.people(Identity.LAST_AUTHENTICATED)
    subjects = world.subjects()
    cards = {person: PersonStatus(engine, subject) for person, subject in subjects.items()}
    compared, seen = 0, Counter[Addressability]()
    for target, all_people in world.targets():
        told = {person: card.at(target).status for person, card in cards.items()}
        found = all_people(people).by_status
        for status in ORDER:
            expected = {person for person, each in told.items() if each is status}
            assert set(found.get(status, BitMap())) == expected, (target.key, status)
            seen[status] += len(expected)
        compared += len(told)
    assert compared == len(cards) * (len(engine.config.partners) + len(engine.config.seats))
    assert compared > 600
    never = {status for status in ORDER if not seen[status]}
    assert never == {Addressability.BELOW_MINIMUM}, seen


@pytest.mark.parametrize("identity", Identity)
@pytest.mark.parametrize("seed", SEEDS)
def test_who_is_addressable_is_who_is_sent(engine: Engine, seed: int, identity: Identity) -> None:
    """Under both identities preview and waterfall count the people and ids of an export."""
    world = World(engine, seed)
    people, base = engine.criteria.people(identity), engine.criteria.base(identity)
    for members in (base, BitMap(world.pick.sample(list(base), len(base) // 2))):
        shown = engine.reaches.reach(people, members)
        for seat in engine.config.seats:
            sent = reach_of(
                members,
                carriers(
                    people=people,
                    live=engine.reaches.carried(seat),
                    allowed=engine.reaches.allowed(seat),
                    suppressed=engine.suppressed,
                ),
            )
            found = engine.reaches.of_seat(seat, people)
            assert (shown.seats[seat.key].people, shown.seats[seat.key].ids) == (
                sent.people,
                len(sent.ids),
            )
            waterfall = waterfall_of(found.by_status, among=members, exact=True)
            assert (waterfall.people, waterfall.addressable) == (len(members), sent.people)
        for partner in engine.config.partners:
            found = engine.reaches.of_partner(partner, people)
            waterfall = waterfall_of(found.by_status, among=members, exact=True)
            assert shown.partners[partner.key] == waterfall.addressable


@pytest.mark.filterwarnings("ignore:.*deprecated inferred style")
def test_a_read_card_is_noted(engine: Engine) -> None:
    """Who asks for a card stands in the audit log, which names nobody; the chain holds."""
    engine.stores.customers.customer_ordinals(["123456"], source="crm", at_ms=NOW_MS)
    state = State({"engine": engine, "key_ring": KeyRing(engine.stores.operation, admin_key="k")})
    app = Litestar(route_handlers=[*ROUTES], state=state, exception_handlers={NotFound: on_error})
    with TestClient(app) as client:
        headers = {"Authorization": "Bearer k"}
        assert client.get("/api/identity/nobody", headers=headers).status_code == 404
        for _ in range(3):
            assert client.get("/api/identity/123456", headers=headers).status_code == 200
    rows = engine.stores.operation.audit(10)
    assert {(row.actor, row.act, row.subject) for row in rows} == {
        ("environment", "card", "person")
    }
    assert len({row.hash for row in rows}) == 3
    assert engine.stores.operation.audit(10, acts=("erase",)) == []
