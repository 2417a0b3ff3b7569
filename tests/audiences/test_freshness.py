"""Patched criteria equal criteria that are evaluated in full, whatever a tick touched."""

from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from pyroaring import BitMap

from audiences.computed_traits import Rfm, compute_rfm
from audiences.criteria import Criteria, World
from audiences.event_selection import Selection
from audiences.event_store import EventStore
from audiences.freshness import refreshed
from audiences.rfm import RfmSettings, SegmentRange
from audiences.rule import Audience, decode_audience, decode_rule
from audiences.touched_events_store import TouchedEventsStore
from audiences.world import Touched
from matching.customer_traits_store import CustomerTrait, insert_traits
from matching.ids import VISITOR_FIRST
from matching.people import Identity, People

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

SETTINGS = RfmSettings(
    segments=(SegmentRange(segment="all", recency=(1, 5), frequency_monetary=(1, 5)),)
)
STEPS = 4
LINE = [{"field": "products.category", "op": "is", "value": "cycling"}]
RULES: list[dict[str, Any]] = [
    {"type": "everyone"},
    {"type": "identified"},
    {"type": "seen_on", "site": "blog"},
    {"type": "synced", "partner": "xandr"},
    {"type": "trait", "trait": "age", "op": "at_least", "value": 30},
    {"type": "trait", "trait": "age", "op": "is_not", "value": 30},
    {"type": "trait", "trait": "rfm_frequency", "op": "at_least", "value": 3},
    {"type": "trait", "trait": "rfm_monetary", "op": "is", "value": 5},
    {"type": "did", "event": "Page"},
    {"type": "did", "event": "Page", "within_days": 3},
    {"type": "did", "event": "Page", "exactly": 0, "within_days": 5},
    {"type": "did", "event": "Page", "at_least": 2, "within_days": 9},
    {"type": "did", "event": "Page", "at_most": 1},
    {"type": "did", "event": "Page", "site": "blog"},
    {"type": "did", "event": "Page", "site": "blog", "exactly": 2},
    {"type": "did", "event": "Page", "at_least": 2, "at_most": 5},
    {"type": "did", "event": "Page", "at_least": 3, "within_days": 9},
    {"type": "did", "event": "Page", "at_most": 9},
    {"type": "did", "event": "Page", "since": "2026-03-20", "until": "2026-03-28"},
    {"type": "did", "event": "Order Completed", "where": LINE},
    {"type": "did", "event": "Order Completed", "where": LINE, "exactly": 0},
    {"type": "did", "event": "Order Completed", "sum": {"field": "total", "at_least": 60}},
    {"type": "did", "event": "Order Completed", "sum": {"field": "points", "at_most": 9}},
    {
        "type": "did",
        "event": "Order Completed",
        "where": [{"field": "coupon", "op": "exists"}],
        "within_days": 20,
    },
    {"type": "sequence", "steps": [{"event": "Page"}, {"event": "Order Completed"}]},
    {
        "type": "sequence",
        "steps": [{"event": "Page"}, {"event": "Order Completed", "where": LINE}],
        "within_days": 4,
    },
    {"type": "in_audience", "audience": "inner"},
]
INNER = {
    "type": "all",
    "of": [
        {"type": "at_least", "k": 2, "of": RULES[4:10]},
        {"type": "not", "rule": {"type": "any", "of": RULES[18:22]}},
    ],
}


class Remembering(EventStore):
    """An event store that asks the same question of both identities once."""

    def __init__(self, shop: Any) -> None:
        super().__init__(shop.client, shop.days)
        self._known: dict[bytes, Any] = {}

    def rows(self, selection: Selection, currencies: Any, *, moments: bool = False) -> Any:
        """Give the events that meet the selection."""
        key = msgspec.json.encode((selection, currencies, moments))
        if key not in self._known:
            self._known[key] = super().rows(selection, currencies, moments=moments)
        return self._known[key]


class House:
    """A shop whose people and events change from step to step, and criteria that follow."""

    def __init__(self, shop: Any, seed: int, *, rows_per_owner: int = 0) -> None:
        self.shop, self.draw = shop, Random(seed)
        self.links = [0] * 6
        self.customers = BitMap(range(1, 5))
        self.excluded, self.gone = BitMap(), BitMap()
        self.version, self.chunk, self.erased = 1, 0, BitMap()
        self.partner = BitMap()
        self.store = TouchedEventsStore(shop.client, shop.days, rows_per_owner=rows_per_owner)
        self.rfm = Rfm(SETTINGS)
        inner = {"name": "inner", "rule": INNER}
        self.audiences: dict[str, Audience] = {"inner": decode_audience(inner, key="inner")}
        self.load(30)
        self.criteria = self.fresh(self.world())
        self.criteria.events = shop.events
        shop.traits.set_computed(self.rfm.of_all(self.criteria, shop.NOW_MS))
        self.shop.events.take_touched()

    def world(self) -> World:
        """Give the world as it is now."""
        customer_of = np.array(self.links, dtype=np.uint32)
        visitors = BitMap(range(VISITOR_FIRST, VISITOR_FIRST + len(self.links)))
        return World(
            people={
                each: People(identity=each, version=self.version, customer_of=customer_of)
                for each in Identity
            },
            customers=self.customers - self.erased,
            visitors=visitors - self.erased,
            excluded=self.excluded,
            audiences=self.audiences,
            currencies=self.shop.CURRENCIES,
            data_version=self.version,
        )

    def fresh(self, world: World) -> Criteria:
        """Give criteria that know nothing yet."""
        return Criteria(
            events=Remembering(self.shop),
            traits=self.shop.traits,
            days=self.shop.days,
            world=world,
            synced=lambda _: self.partner,
            built=lambda _: BitMap(),
            insertions=self.shop.events.insertions,
        )

    def visitor(self) -> int:
        """Choose a visitor."""
        return VISITOR_FIRST + self.draw.randrange(len(self.links))

    def load(self, count: int) -> None:
        """Store events, late and future ones, of bots, refunds and foreign currencies too."""
        rows = [self._event() for _ in range(count)]
        self.chunk += 1
        columns = self.shop.columns(rows, chunk=self.chunk)
        self.shop.events.insert(columns)
        self.shop.events.insert_by_visitor(columns)

    def _event(self) -> dict[str, Any]:
        draw = self.draw
        names = ["Page", "Page", "Order Completed", "Order Refunded", "Other"]
        category = draw.choice(["cycling", "x"])
        properties = {
            "total": draw.choice([10, 25.5, 40]),
            "currency": draw.choice(["EUR", "EUR", "USD"]),
            "points": draw.randrange(9),
            "products": [{"category": category, "price": 3, "quantity": 2}],
            **({"coupon": "c"} if draw.random() < 0.3 else {}),
        }
        customer = draw.choice(sorted(self.customers)) if draw.random() < 0.3 else 0
        return {
            "event": draw.choice(names),
            "site": draw.choice(["shop", "blog"]),
            "visitor": self.visitor() if draw.random() < 0.9 else 0,
            "customer": customer,
            "at_ms": self.shop.NOW_MS - draw.randrange(-1, 40) * self.shop.DAY_MS // 3,
            "flags": 2 if draw.random() < 0.05 else 0,
            "properties": properties,
        }

    def step(self) -> bool:
        """Change some things and bring the criteria up to date; tell whether traits changed."""
        traits = False
        for _ in range(self.draw.randint(1, 3)):
            change = self.draw.choice(["load", "link", "arrive", "consent", "erase", "trait"])
            traits |= change == "trait"
            getattr(self, f"_{change}")()
        self.version += 1
        found = refreshed(
            self.criteria,
            self.world(),
            self.shop.events.take_touched(),
            store=self.store,
            rfm=self.rfm,
            as_of_ms=self.shop.NOW_MS,
            traits_changed=traits,
        )
        assert found is not None
        self.criteria = found.criteria
        self.shop.traits.set_computed(found.computed)
        return traits

    def _load(self) -> None:
        self.load(self.draw.randint(1, 5))

    def _link(self) -> None:
        choices = [0, *self.customers]
        self.links[self.draw.randrange(len(self.links))] = self.draw.choice(choices)

    def _arrive(self) -> None:
        self.links.append(0)
        if self.draw.random() < 0.5:
            self.customers.add(len(self.customers) + 1)
        self.partner.add(self.visitor())

    def _consent(self) -> None:
        self.excluded ^= BitMap([self.visitor()])

    def _erase(self) -> None:
        visitor = self.visitor()
        customer = self.links[visitor - VISITOR_FIRST]
        self.links[visitor - VISITOR_FIRST] = 0
        self.erased |= BitMap([visitor, *([customer] if customer else [])])
        self.links = [0 if each == customer else each for each in self.links]
        self.shop.events.erase(customers=[customer] if customer else [], visitors=[visitor])

    def _trait(self) -> None:
        row = CustomerTrait(
            customer=self.draw.choice(sorted(self.customers)),
            trait="age",
            kind="number",
            number=self.draw.choice([20, 30, 40]),
            source="crm",
            at_ms=self.shop.NOW_MS + self.version,
        )
        insert_traits(self.shop.client, [row])


@pytest.mark.parametrize(
    ("seed", "rows_per_owner"), [(0, 0), (1, 1_000_000)], ids=["by owner", "all events"]
)
def test_patched_criteria_equal_full_evaluation(shop: Any, seed: int, rows_per_owner: int) -> None:
    """After any changes each criterion of each identity has the people that a fresh one finds."""
    house = House(shop, seed, rows_per_owner=rows_per_owner)
    rules, compared, changed = list(map(decode_rule, RULES)), 0, 0
    before: dict[Any, BitMap] = {}
    for identity in Identity:
        for rule in rules:
            before[rule, identity] = house.criteria.members(rule, identity, shop.NOW_MS)
    for _ in range(STEPS):
        house.step()
        cached = len(house.criteria.cache)
        assert cached >= len(RULES)
        fresh = house.fresh(house.world())
        for identity in Identity:
            for rule in rules:
                found = house.criteria.members(rule, identity, shop.NOW_MS)
                assert found == fresh.members(rule, identity, shop.NOW_MS), (rule, identity)
                compared += 1
                changed += found != before[rule, identity]
                before[rule, identity] = found
        scores = compute_rfm(fresh, SETTINGS, shop.NOW_MS)
        for trait, found in scores.items():
            values = [house.criteria.traits.values(trait), found]
            assert values[0][0].holders == BitMap(found.persons[found.codes == 0].tolist())
    assert compared == STEPS * 2 * len(RULES)
    assert changed > compared // 8


def test_when_too_many_are_touched_all_is_asked_anew(shop: Any) -> None:
    """Nothing is patched when reading everybody's events is no dearer."""
    house = House(shop, 1)
    house.load(20)
    house.version += 1
    found = refreshed(
        house.criteria,
        house.world(),
        shop.events.take_touched(),
        store=house.store,
        rfm=house.rfm,
        as_of_ms=shop.NOW_MS,
        owners_max=2,
    )
    assert found is None


def test_what_nobody_touched_keeps_its_very_bitmap(shop: Any) -> None:
    """A tick without news for a criterion costs it nothing."""
    house, rule = House(shop, 1), decode_rule({"type": "did", "event": "Nothing"})
    before = house.criteria.bitmap(rule, Identity.BROWSER, shop.NOW_MS)
    house.load(3)
    house.version += 1
    found = refreshed(
        house.criteria,
        house.world(),
        shop.events.take_touched(),
        store=house.store,
        rfm=house.rfm,
        as_of_ms=shop.NOW_MS,
    )
    assert found is not None
    assert found.criteria.bitmap(rule, Identity.BROWSER, shop.NOW_MS) is before


def test_a_new_day_is_evaluated_anew(shop: Any) -> None:
    """Windows move at midnight: what is cached of the day before is not patched."""
    house, later = House(shop, 2), shop.NOW_MS + shop.DAY_MS
    rule = decode_rule({"type": "did", "event": "Page", "within_days": 1})
    house.criteria.bitmap(rule, Identity.BROWSER, shop.NOW_MS)
    house.version += 1
    found = refreshed(
        house.criteria,
        house.world(),
        Touched(),
        store=house.store,
        rfm=house.rfm,
        as_of_ms=later,
    )
    assert found is not None
    members = found.criteria.bitmap(rule, Identity.BROWSER, later)
    assert members == house.fresh(house.world()).bitmap(rule, Identity.BROWSER, later)


def test_what_was_counted_while_events_arrived_is_asked_anew(shop: Any) -> None:
    """Counts of which nobody knows what they hold are not added to."""
    house = House(shop, 4)
    rule = decode_rule({"type": "did", "event": "Page", "at_least": 2})
    house.criteria.insertions = lambda: None
    house.criteria.bitmap(rule, Identity.BROWSER, shop.NOW_MS)
    house.load(9)
    house.step()
    members = house.criteria.bitmap(rule, Identity.BROWSER, shop.NOW_MS)
    assert members == house.fresh(house.world()).bitmap(rule, Identity.BROWSER, shop.NOW_MS)


def test_nothing_of_people_stays_where_it_was_read(shop: Any) -> None:
    """The tables in memory are empty after a tick."""
    house = House(shop, 3)
    rule = decode_rule(RULES[19])
    house.criteria.bitmap(rule, Identity.LAST_AUTHENTICATED, shop.NOW_MS)
    house.step()
    for table in ("touched_owners", "touched_events"):
        rows = shop.client.query(f"select count() from {table}").result_rows  # noqa: S608
        assert rows == [(0,)]
