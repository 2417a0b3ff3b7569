"""Tokens: persons by what they did, against counting in Python."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from pyroaring import BitMap

from audiences.token_store import DAY_MS, RECENCIES, RECENCY_DAYS, TokenStore, bins_of
from matching.customer_traits_store import CustomerTrait, insert_traits
from matching.ids import VISITOR_FIRST
from matching.people import Identity, People

pytestmark = pytest.mark.clickhouse

UNTIL_MS = 1_760_000_000_000
SINCE_MS = UNTIL_MS - 200 * DAY_MS
LINKED = 40
"""The first so many visitors are linked, two to a customer."""


class Database(Protocol):
    """What these tests need of the database fixture."""

    def client(self) -> Client: ...


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One message as far as tokens see it."""

    at_ms: int = UNTIL_MS - 1
    event: str = "Product Viewed"
    site: str = "demo"
    visitor: int = 0
    customer: int = 0
    flags: int = 0
    products: tuple[tuple[str, str], ...] = ()


def make_people(identity: Identity) -> People:
    customer_of = np.zeros(200, dtype=np.uint32)
    customer_of[:LINKED] = np.arange(LINKED) // 2 + 1
    return People(identity=identity, version=1, customer_of=customer_of)


def insert(client: Client, events: Iterable[Event]) -> None:
    rows = list(events)
    columns: dict[str, list[Any]] = {
        "chunk": [1] * len(rows),
        "row": list(range(len(rows))),
        "received_at": [UNTIL_MS] * len(rows),
        "at": [each.at_ms for each in rows],
        "day": [dt.datetime.fromtimestamp(each.at_ms / 1000, dt.UTC).date() for each in rows],
        "event": [each.event for each in rows],
        "site": [each.site for each in rows],
        "visitor": [each.visitor for each in rows],
        "customer": [each.customer for each in rows],
        "message_hash": list(range(len(rows))),
        "flags": [each.flags for each in rows],
        "properties": [_properties(each) for each in rows],
    }
    client.insert(
        "events", list(columns.values()), column_names=list(columns), column_oriented=True
    )


def _properties(event: Event) -> str:
    lines = [{"name": name, "category": category} for name, category in event.products]
    return msgspec.json.encode({"products": lines} if lines else {}).decode()


def draw_events(count: int) -> list[Event]:
    rng = np.random.default_rng(8)
    visitors = [0, *range(VISITOR_FIRST, VISITOR_FIRST + 150)]
    products = [(f"vélo {i}", "cycling" if i < 4 else "=odd: 'name'") for i in range(8)]
    return [
        Event(
            # Some just outside the span on either side.
            at_ms=int(rng.integers(SINCE_MS - 5 * DAY_MS, UNTIL_MS + 5 * DAY_MS)),
            event=str(rng.choice(["Product Viewed", "Order Completed", "Page: Viewed"])),
            site=str(rng.choice(["demo", "shop"])),
            visitor=int(rng.choice(visitors)),
            customer=int(rng.choice([0, 0, 0, 5, 30])),
            flags=int(rng.choice([0, 1, 2, 3, 4])),
            products=tuple(products[i] for i in rng.integers(0, 8, rng.integers(0, 3))),
        )
        for _ in range(count)
    ]


def count_by_hand(events: list[Event], identity: Identity, minimum: int) -> dict[str, set[int]]:
    """Walk through the events one by one, as the definition of a token reads."""
    tokens: defaultdict[str, set[int]] = defaultdict(set)
    last: defaultdict[tuple[str, int], int] = defaultdict(int)
    for event in events:
        person = _person(event, identity)
        if not SINCE_MS <= event.at_ms < UNTIL_MS or event.flags & 2 or not person:
            continue
        last[event.event, person] = max(last[event.event, person], event.at_ms)
        tokens[f"site:{event.site}"].add(person)
        for name, category in event.products:
            tokens[f"product:{name}"].add(person)
            tokens[f"category:{category}"].add(person)
    for (event_name, person), at_ms in last.items():
        age = sum(at_ms < UNTIL_MS - days * DAY_MS for days in RECENCY_DAYS)
        tokens[f"event:{event_name}={RECENCIES[age]}"].add(person)
    return {token: persons for token, persons in tokens.items() if len(persons) >= minimum}


def _person(event: Event, identity: Identity) -> int:
    if identity is Identity.BROWSER:
        return event.visitor
    place = event.visitor - VISITOR_FIRST
    linked = place // 2 + 1 if 0 <= place < LINKED else event.visitor
    return event.customer or linked


@pytest.mark.parametrize("identity", Identity)
@pytest.mark.parametrize("minimum", [1, 20])
def test_tokens_are_counted_as_by_hand(
    database: Database, identity: Identity, minimum: int
) -> None:
    """Recency, sites, products and categories fold onto persons; bots and other times stay out."""
    events = draw_events(2000)
    client = database.client()
    insert(client, events)
    tokens = TokenStore(client).tokens(
        make_people(identity), since_ms=SINCE_MS, until_ms=UNTIL_MS, minimum=minimum
    )
    expected = count_by_hand(events, identity, minimum)
    assert {token: set(persons) for token, persons in tokens.items()} == expected


def test_pieces_are_joined(database: Database) -> None:
    """Rows cut in the middle by the end of a piece are put together again."""
    events = draw_events(300)
    client = database.client()
    insert(client, events)
    whole = TokenStore(client).tokens(
        make_people(Identity.BROWSER), since_ms=SINCE_MS, until_ms=UNTIL_MS, minimum=1
    )
    cut = TokenStore(client, piece_bytes=101).tokens(
        make_people(Identity.BROWSER), since_ms=SINCE_MS, until_ms=UNTIL_MS, minimum=1
    )
    assert cut == whole


def test_extra_tokens_join(database: Database) -> None:
    """Traits from the caller stand among the tokens if enough persons have them."""
    client = database.client()
    insert(client, [Event(visitor=VISITOR_FIRST + 100 + i) for i in range(3)])
    tokens = TokenStore(client).tokens(
        make_people(Identity.LAST_AUTHENTICATED),
        since_ms=SINCE_MS,
        until_ms=UNTIL_MS,
        minimum=3,
        extra={"rfm_segment=champion": BitMap([1, 2, 3]), "rare=yes": BitMap([1])},
    )
    seen = BitMap(range(VISITOR_FIRST + 100, VISITOR_FIRST + 103))
    assert tokens == {
        "event:Product Viewed=7d": seen,
        "rfm_segment=champion": BitMap([1, 2, 3]),
        "site:demo": seen,
    }


def test_no_events_no_tokens(database: Database) -> None:
    """An empty table gives nothing, and asks for no rows."""
    store = TokenStore(database.client())
    people = make_people(Identity.BROWSER)
    assert store.tokens(people, since_ms=SINCE_MS, until_ms=UNTIL_MS) == {}


def test_the_client_is_free_again(database: Database) -> None:
    """After the stream the same client answers the next question."""
    client = database.client()
    insert(client, draw_events(50))
    store = TokenStore(client)
    for _ in range(2):
        store.tokens(make_people(Identity.BROWSER), since_ms=SINCE_MS, until_ms=UNTIL_MS, minimum=1)
    assert client.query("select count() from events").result_rows == [(50,)]


def _numbers(name: str, values: Iterable[float]) -> list[CustomerTrait]:
    return [
        CustomerTrait(
            customer=i, trait=name, kind="number", text="", number=value, source="crm", at_ms=1
        )
        for i, value in enumerate(values, start=1)
    ]


def test_numbers_are_cut_in_fifths(database: Database) -> None:
    """Bounds are fifths of the customers in two digits; what is no number or gone has no part."""
    client = database.client()
    words = CustomerTrait(
        customer=1, trait="city", kind="text", text="Nantes", number=0.0, source="crm", at_ms=1
    )
    insert_traits(
        client,
        [
            *_numbers("spent", range(1, 1001)),
            *_numbers("children", [0, 0, 0, 0, 0, 0, 0, 1, 2, 3]),
            words,
        ],
    )
    store = TokenStore(client)
    assert store.edges("spent") == (200, 400, 600, 800)
    assert store.edges("children") == (0, 2)
    assert store.edges("city") == store.edges("unheard of") == ()


def test_bins_are_named_by_their_bounds() -> None:
    """Each bin says where it begins and ends; together they are all numbers."""
    assert bins_of((18, 2.5e6)) == [
        ("below 18", None, 18),
        ("18 to below 2.5e+06", 18, 2.5e6),
        ("2.5e+06 and more", 2.5e6, None),
    ]
    assert bins_of(()) == [("any", None, None)]
