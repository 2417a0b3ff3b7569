"""A small shop for tests of criteria, previews and builds: three customers, four visitors."""

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from pyroaring import BitMap

from audiences.audience_store import AudienceStore
from audiences.bitmap_store import BitmapStore
from audiences.calendar_days import CalendarDays
from audiences.criteria import Criteria, CriterionCache, World
from audiences.event_store import EventColumns, EventStore
from audiences.rule import Audience, decode_rule
from audiences.trait_store import TraitStore
from matching.ids import VISITOR_FIRST
from matching.people import Identity, People


class Shop:
    """Stores on the test database, and criteria over the people below.

    Visitors 1 and 2 are linked to customer 1, visitors 3 and 4 to nobody. Now is noon of the day
    after the clocks went forward, so that not all days are 24 hours long.
    """

    ZONE = ZoneInfo("Europe/Paris")
    NOW_MS = int(datetime(2026, 3, 30, 12, tzinfo=ZONE).timestamp() * 1000)
    DAY_MS = 86_400_000
    V1, V2, V3, V4 = (VISITOR_FIRST + i for i in range(4))
    LINKED_TO = {V1: 1, V2: 1, V3: 0, V4: 0}  # noqa: RUF012 - never changed
    CURRENCIES = {"shop": "EUR", "blog": ""}  # noqa: RUF012 - never changed

    def __init__(self, client: Client) -> None:
        self.client = client
        self.days = CalendarDays(self.ZONE.key)
        self.events = EventStore(client, self.days)
        self.traits = TraitStore(client)
        self.saved = AudienceStore(client)
        self.bitmaps = BitmapStore(client)
        self.audiences: dict[str, Audience] = {}
        self.built: dict[str, BitMap] = {}
        self.excluded = BitMap()
        self.more_customers = BitMap()
        self.cache = CriterionCache()
        self.version = 0
        self.asked_partners: list[str] = []

    def fill(self, rows: list[dict[str, Any]]) -> None:
        """Hold these events and no others."""
        self.client.command("truncate table events")
        self.client.command("truncate table events_by_visitor")
        self.version += 1
        self.events.insert(self.columns(rows))

    def columns(self, rows: list[dict[str, Any]], *, chunk: int = 7) -> EventColumns:
        """Write rows of a few fields as columns."""
        return EventColumns(
            chunk=[chunk] * len(rows),
            row=list(range(len(rows))),
            received_at_ms=[row.get("received_at_ms", self.NOW_MS) for row in rows],
            at_ms=[row.get("at_ms", self.NOW_MS) for row in rows],
            event=[row["event"] for row in rows],
            site=[row.get("site", "shop") for row in rows],
            visitor=[row.get("visitor", 0) for row in rows],
            customer=[row.get("customer", 0) for row in rows],
            message_hash=[chunk * 1_000 + number for number in range(len(rows))],
            flags=[row.get("flags", 0) for row in rows],
            properties=[json.dumps(row.get("properties", {})) for row in rows],
        )

    def world(self) -> World:
        """Give the present world."""
        customer_of = np.array(list(self.LINKED_TO.values()), dtype=np.uint32)
        return World(
            people={
                each: People(identity=each, version=1, customer_of=customer_of) for each in Identity
            },
            customers=BitMap([1, 2, 3]) | self.more_customers,
            visitors=BitMap(self.LINKED_TO),
            excluded=self.excluded,
            audiences=dict(self.audiences),
            currencies=self.CURRENCIES,
            data_version=self.version,
        )

    def criteria(self) -> Criteria:
        """Give criteria over the present world; partner `xandr` knows visitors 1 and 3."""
        return Criteria(
            events=self.events,
            traits=self.traits,
            days=self.days,
            world=self.world(),
            synced=self._synced,
            built=lambda key: self.built[key],
            cache=self.cache,
        )

    def people_of(
        self, rule: dict[str, Any], identity: Identity = Identity.LAST_AUTHENTICATED
    ) -> set[int]:
        """Evaluate a rule given as plain values."""
        return set(self.criteria().members(decode_rule(rule), identity, self.NOW_MS))

    def _synced(self, partner: str) -> BitMap:
        self.asked_partners.append(partner)
        return BitMap([self.V1, self.V3] if partner == "xandr" else [])


@pytest.fixture
def shop(database: Any) -> Shop:
    """Give an empty shop."""
    return Shop(database.client())
