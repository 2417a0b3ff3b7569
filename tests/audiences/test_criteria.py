"""Criteria on the real database, compared with a naive reading of the raw rows."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.calendar_days import CalendarDays
from audiences.canonical import canonical
from audiences.conditions import Condition, Op
from audiences.criteria import (
    AudienceCycleError,
    Criteria,
    CriterionCache,
    UnknownAudienceError,
    World,
)
from audiences.event_selection import Selection, rows_query
from audiences.event_store import EventColumns, EventStore
from audiences.rule import Audience, Criterion, Did, DidInOrder, Sum, decode_rule
from audiences.trait_store import ComputedTrait, TraitStore
from matching.customer_traits_store import CustomerTrait, insert_traits
from matching.ids import VISITOR_FIRST
from matching.people import Identity, People

PARIS = ZoneInfo("Europe/Paris")
NOON = datetime(2026, 3, 30, 12, tzinfo=PARIS)
"""The day after the clocks went forward: days are not all 24 hours long."""
NOW_MS = int(NOON.timestamp() * 1000)
MINUTE_MS = 60_000
V1, V2, V3, V4 = (VISITOR_FIRST + i for i in range(4))
LINKED_TO = {V1: 1, V2: 1, V3: 0, V4: 0}
CURRENCIES = {"shop": "EUR", "blog": ""}
LAST, BROWSER = Identity.LAST_AUTHENTICATED, Identity.BROWSER


class Shop:
    """A database with events, and criteria over three customers and four visitors."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.days = CalendarDays("Europe/Paris")
        self.events = EventStore(client, self.days)
        self.traits = TraitStore(client)
        self.audiences: dict[str, Audience] = {}
        self.rows: list[dict[str, Any]] = []
        self.version = 0

    def fill(self, rows: list[dict[str, Any]]) -> None:
        """Hold these events and no others."""
        self.client.command("truncate table events")
        self.rows, self.version = rows, self.version + 1
        self.add(rows)

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Store events."""
        columns: dict[str, list[Any]] = {
            "chunk": [7] * len(rows),
            "row": list(range(len(rows))),
            "received_at_ms": [NOW_MS] * len(rows),
            "at_ms": [row["at_ms"] for row in rows],
            "event": [row["event"] for row in rows],
            "site": [row.get("site", "shop") for row in rows],
            "visitor": [row.get("visitor", 0) for row in rows],
            "customer": [row.get("customer", 0) for row in rows],
            "message_hash": list(range(1, len(rows) + 1)),
            "flags": [row.get("flags", 0) for row in rows],
            "properties": [json.dumps(row.get("properties", {})) for row in rows],
        }
        self.events.insert(EventColumns(**columns))

    def criteria(self, **changes: Any) -> Criteria:
        """Give criteria over the present world."""
        customer_of = np.array([LINKED_TO[each] for each in sorted(LINKED_TO)], dtype=np.uint32)
        people = {
            each: People(identity=each, version=1, customer_of=customer_of) for each in Identity
        }
        world = World(
            people=people,
            customers=BitMap([1, 2, 3]),
            visitors=BitMap(LINKED_TO),
            excluded=changes.get("excluded", BitMap()),
            audiences=self.audiences,
            currencies=CURRENCIES,
            data_version=self.version,
        )
        return Criteria(
            events=self.events,
            traits=self.traits,
            days=self.days,
            world=world,
            synced=lambda partner: BitMap([V1, V3] if partner == "xandr" else []),
            built=lambda _: BitMap(changes.get("built", [])),
            cache=changes.get("cache"),
        )

    def people_of(self, rule: dict[str, Any], identity: Identity = LAST) -> set[int]:
        """Evaluate a rule given as plain values."""
        return set(self.criteria().members(decode_rule(rule), identity, NOW_MS))


@pytest.fixture
def shop(database: Any) -> Iterator[Shop]:
    """Give an empty shop."""
    yield Shop(database.client())


# ------------------------------------------------------------------------------------ the oracle


def person_of(row: dict[str, Any], identity: Identity) -> int:
    visitor, customer = row.get("visitor", 0), row.get("customer", 0)
    if identity is BROWSER:
        return int(visitor)
    return int(customer or LINKED_TO.get(visitor) or visitor)


def base_of(identity: Identity) -> set[int]:
    return set(LINKED_TO) if identity is BROWSER else {1, 2, 3, V3, V4}


def day_of(at_ms: int) -> date:
    return datetime.fromtimestamp(at_ms / 1000, PARIS).date()


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def number_of(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value)
    return float(text) if re.fullmatch(r"-?\d+(\.\d+)?", text) else None


def passes(value: Any, condition: Condition) -> bool:
    op, wanted = condition.op, condition.value
    if op is Op.IS_NOT:
        return value is None or not passes(value, Condition(field="x", op=Op.IS, value=wanted))
    if value is None:
        return False
    wanteds = wanted if isinstance(wanted, tuple) else (wanted,)
    number, text = number_of(value), text_of(value)
    numbers = [each for each in wanteds if isinstance(each, int | float)]
    compared, low, high = text, wanteds[0], wanteds[-1]
    if op in {Op.AT_LEAST, Op.AT_MOST, Op.BETWEEN} and numbers:
        if number is None:
            return False
        compared = number
    return {
        Op.IS: lambda: text in map(text_of, wanteds) or (number is not None and number in numbers),
        Op.IN: lambda: text in map(text_of, wanteds) or (number is not None and number in numbers),
        Op.EXISTS: lambda: True,
        Op.AT_LEAST: lambda: compared >= low,
        Op.AT_MOST: lambda: compared <= high,
        Op.BETWEEN: lambda: low <= compared <= high,
        Op.CONTAINS: lambda: wanted in (map(text_of, value) if isinstance(value, list) else text),
    }[op]()


def at_path(values: Any, path: str) -> Any:
    for step in path.split("."):
        values = values.get(step) if isinstance(values, dict) else None
    return values


def fitting_lines(row: dict[str, Any], where: tuple[Condition, ...]) -> list[dict[str, Any]]:
    lines = row["properties"].get("products") or []
    tests = [each for each in where if each.field.startswith("products.")]
    return [line for line in lines if all(passes(at_path(line, t.field[9:]), t) for t in tests)]


def meets(row: dict[str, Any], where: tuple[Condition, ...]) -> bool:
    others = [each for each in where if not each.field.startswith("products.")]
    if not all(passes(at_path(row["properties"], each.field), each) for each in others):
        return False
    return len(others) == len(where) or bool(fitting_lines(row, where))


def amount_of(row: dict[str, Any], rule: Did, field: str) -> float:
    properties, where = row["properties"], rule.where
    if field.startswith("products."):
        found = 0.0
        for line in fitting_lines(row, where):
            pieces = number_of(line.get("quantity")) or 0
            pieces = pieces if pieces > 0 and field == "products.price" else 1
            found += (number_of(line.get(field[9:])) or 0) * pieces
    else:
        found = number_of(at_path(properties, field)) or 0
    if row["event"] == rule.event:
        return found
    other = {"total": "revenue", "revenue": "total"}.get(field)
    return -abs(found or (other and number_of(properties.get(other))) or 0)


def naive_did(rows: list[dict[str, Any]], rule: Did, identity: Identity) -> set[int]:
    today = day_of(NOW_MS)
    first = rule.since or date(1970, 1, 1)
    if rule.within_days is not None:
        first = today - timedelta(days=rule.within_days)
    last = min(today, rule.until or today)
    totals: dict[int, float] = defaultdict(float)
    for row in rows:
        events = {rule.event}
        if rule.sum and rule.event == "Order Completed":
            events.add("Order Refunded")
        own = CURRENCIES.get(row.get("site", "shop"), "")
        paid = row["properties"].get("currency") or own
        if (
            row["event"] not in events
            or row.get("flags", 0) & 2
            or not first <= day_of(row["at_ms"]) <= last
            or (rule.site and row.get("site", "shop") != rule.site)
            or not meets(row, rule.where)
            or (rule.sum and own and paid.upper() != own)
        ):
            continue
        amount = amount_of(row, rule, rule.sum.field) if rule.sum else 1
        totals[person_of(row, identity)] += amount
    low, high = (rule.sum.at_least, rule.sum.at_most) if rule.sum else rule.counts()
    return {
        person
        for person in base_of(identity)
        if (low is None or round(totals[person], 6) >= low)
        and (high is None or round(totals[person], 6) <= high)
    }


def naive_sequence(rows: list[dict[str, Any]], rule: DidInOrder, identity: Identity) -> set[int]:
    """Try every choice of rows, one per step."""
    mine: dict[int, list[tuple[int, int, dict[str, Any]]]] = defaultdict(list)
    for number, row in enumerate(rows):
        if not row.get("flags", 0) & 2 and day_of(row["at_ms"]) <= day_of(NOW_MS):
            mine[person_of(row, identity)].append((row["at_ms"], number, row))

    def within(first: dict[str, Any], last: dict[str, Any]) -> bool:
        if rule.within_minutes is not None:
            return bool(last["at_ms"] - first["at_ms"] <= rule.within_minutes * MINUTE_MS)
        if rule.within_days is not None:
            return (day_of(last["at_ms"]) - day_of(first["at_ms"])).days <= rule.within_days
        return True

    def chain(own: list[dict[str, Any]], begin: int, step: int, first: Any) -> bool:
        for place in range(begin, len(own)):
            row, wanted = own[place], rule.steps[step]
            if row["event"] != wanted.event or not meets(row, wanted.where):
                continue
            start = first or row
            if step + 1 == len(rule.steps):
                if within(start, row):
                    return True
            elif chain(own, place + 1, step + 1, start):
                return True
        return False

    return {
        person
        for person in base_of(identity)
        if chain([row for *_, row in sorted(mine[person], key=lambda x: x[:2])], 0, 0, None)
    }


# -------------------------------------------------------------------------------- random examples

texts = st.sampled_from(["cycling", 'it\'s \\ "é"', "5", "x", ""])
scalars = st.one_of(texts, st.integers(-1, 6), st.sampled_from([0.5, 2.5]), st.booleans())
lines = st.fixed_dictionaries(
    {},
    optional={
        "category": st.one_of(texts, st.none()),
        "name": texts,
        "price": st.one_of(st.sampled_from([0, 1, 2.5, 10]), st.just("2.5")),
        "quantity": st.integers(0, 3),
        "colour": scalars,
    },
)
properties = st.fixed_dictionaries(
    {},
    optional={
        "total": st.sampled_from([0, 5, 0.1, 0.2, "7"]),
        "revenue": st.sampled_from([4, 20]),
        "currency": st.sampled_from(["EUR", "eur", "USD", ""]),
        "url": texts,
        "tags": st.lists(texts, max_size=2),
        "cart": st.fixed_dictionaries({}, optional={"size": scalars}),
        "products": st.lists(lines, max_size=2),
    },
)
EVENTS = ["Order Completed", "Order Refunded", "Page"]
moments = st.sampled_from(
    [NOW_MS - days * 86_400_000 + minutes * MINUTE_MS for days in (0, 1, 2, 3, 30) for minutes in (-725, 0, 5)]
    + [NOW_MS + 86_400_000]
)  # fmt: skip
events = st.fixed_dictionaries(
    {
        "at_ms": moments,
        "event": st.sampled_from(EVENTS),
        "visitor": st.sampled_from([0, V1, V2, V3, V4]),
        "customer": st.sampled_from([0, 0, 0, 1, 2]),
        "site": st.sampled_from(["shop", "blog"]),
        "flags": st.sampled_from([0, 0, 0, 0, 1, 2, 3]),
        "properties": properties,
    }
)
FIELDS = [
    "total", "revenue", "url", "tags", "cart.size", "products.category", "products.name",
    "products.price", "products.quantity", "products.colour",
]  # fmt: skip


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """Any operator with a value that it takes."""
    op = draw(st.sampled_from(list(Op)))
    value: Any = draw(scalars)
    if op is Op.EXISTS:
        value = None
    elif op is Op.IN:
        value = tuple(draw(st.lists(scalars, min_size=1, max_size=2)))
    elif op is Op.CONTAINS:
        value = draw(texts.filter(bool))
    elif op is Op.BETWEEN:
        pairs = st.one_of(st.tuples(texts, texts), st.tuples(*[st.integers(-1, 9)] * 2))
        value = tuple(sorted(draw(pairs)))
    elif op in {Op.AT_LEAST, Op.AT_MOST}:
        value = draw(st.one_of(texts, st.integers(-1, 6), st.just(2.5)))
    return Condition(field=draw(st.sampled_from(FIELDS)), op=op, value=value)


wheres = st.lists(conditions(), max_size=2).map(tuple)


@st.composite
def counts_and_sums(draw: st.DrawFn) -> Did:
    """Counts and sums over any window."""
    window: dict[str, Any] = draw(
        st.sampled_from(
            [
                {},
                {"within_days": 0},
                {"within_days": 2},
                {"since": date(2026, 3, 28), "until": date(2026, 3, 29)},
                {"until": date(2026, 3, 29)},
            ]
        )
    )
    bounds: dict[str, Any] = draw(
        st.sampled_from(
            [{}, {"at_least": 2}, {"at_most": 1}, {"exactly": 0}, {"exactly": 1}]
            + [{"at_least": 1, "at_most": 2}, {"at_least": 0}]
        )
    )
    if draw(st.booleans()):
        field = draw(
            st.sampled_from(
                ["total", "revenue", "products.price", "products.quantity", "cart.size"]
            )
        )
        limits = st.sampled_from(
            [{"at_least": 0.3}, {"at_most": 0}, {"at_least": 5, "at_most": 20}, {"at_least": -3}]
        )
        bounds = {"sum": Sum(field=field, **draw(limits))}
    return Did(
        event=draw(st.sampled_from(EVENTS)),
        site=draw(st.sampled_from([None, None, "shop"])),
        where=draw(wheres),
        **window,
        **bounds,
    )


@st.composite
def sequences(draw: st.DrawFn) -> DidInOrder:
    """Two or three steps, with any limit of time."""
    plain = st.fixed_dictionaries({"event": st.sampled_from(EVENTS)})
    steps = draw(st.lists(plain, min_size=2, max_size=3))
    limit = draw(
        st.sampled_from([{}, {"within_minutes": 5}, {"within_days": 0}, {"within_days": 1}])
    )
    rule: DidInOrder = msgspec.convert({"type": "sequence", "steps": steps, **limit}, DidInOrder)
    first = msgspec.structs.replace(rule.steps[0], where=draw(wheres))
    return msgspec.structs.replace(rule, steps=(first, *rule.steps[1:]))


few_examples = settings(
    max_examples=6,
    phases=[Phase.generate],  # each example asks the database: no shrinking
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@few_examples
@given(
    st.lists(events, min_size=4, max_size=25), st.lists(counts_and_sums(), min_size=12, max_size=12)
)
def test_counts_and_sums_equal_a_naive_reading(
    shop: Shop, rows: list[dict[str, Any]], rules: list[Did]
) -> None:
    """Counts and sums select whom a loop over the raw rows selects, under both identities."""
    shop.fill(rows)
    criteria = shop.criteria()
    for rule in rules:
        for identity in Identity:
            found = set(criteria.bitmap(rule, identity, NOW_MS))
            assert found == naive_did(rows, rule, identity), (rows_query_of(rule), rule)


def rows_query_of(rule: Did) -> str:
    field = rule.sum.field if rule.sum else ""
    return rows_query(Selection(event=rule.event, last_day=0, where=rule.where, field=field))


@few_examples
@given(st.lists(events, min_size=8, max_size=25), st.lists(sequences(), min_size=8, max_size=8))
def test_sequences_equal_a_naive_search(
    shop: Shop, rows: list[dict[str, Any]], rules: list[DidInOrder]
) -> None:
    """Sequences select whom a search through every choice of rows selects."""
    shop.fill(rows)
    criteria = shop.criteria()
    for rule in rules:
        for identity in Identity:
            found = set(criteria.bitmap(rule, identity, NOW_MS))
            assert found == naive_sequence(rows, rule, identity), rule
