"""Counts and sums on the real database, compared with a naive reading of the rows."""

import json
import re
from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.conditions import Condition, Op
from audiences.event_selection import Selection, rows_query
from audiences.rule import Did, Sum
from matching.ids import VISITOR_FIRST
from matching.people import Identity

pytestmark = pytest.mark.embedded

PARIS = ZoneInfo("Europe/Paris")
NOW_MS = int(datetime(2026, 3, 30, 12, tzinfo=PARIS).timestamp() * 1000)
MINUTE_MS = 60_000
V1, V2, V3, V4 = (VISITOR_FIRST + i for i in range(4))
LINKED_TO = {V1: 1, V2: 1, V3: 0, V4: 0}
CURRENCIES = {"shop": "EUR", "blog": ""}
BROWSER = Identity.BROWSER
Row = dict[str, Any]


def person_of(row: Row, identity: Identity) -> int:
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
    wanteds: Any = wanted if isinstance(wanted, tuple) else (wanted,)
    number, text = number_of(value), text_of(value)
    numbers = [each for each in wanteds if isinstance(each, int | float)]
    if op in {Op.IS, Op.IN}:
        return text in map(text_of, wanteds) or (number is not None and number in numbers)
    if op is Op.EXISTS:
        return True
    if op is Op.CONTAINS:
        return wanteds[0] in (list(map(text_of, value)) if isinstance(value, list) else text)
    compared: Any = number if numbers else text
    low = op is Op.AT_MOST or (compared is not None and wanteds[0] <= compared)
    return low and (op is Op.AT_LEAST or (compared is not None and compared <= wanteds[-1]))


def at_path(values: Any, path: str) -> Any:
    for step in path.split("."):
        values = values.get(step) if isinstance(values, dict) else None
    return values


def fitting_lines(row: Row, where: tuple[Condition, ...]) -> list[Row]:
    lines = row["properties"].get("products") or []
    tests = [each for each in where if each.field.startswith("products.")]
    return [line for line in lines if all(passes(at_path(line, t.field[9:]), t) for t in tests)]


def meets(row: Row, where: tuple[Condition, ...]) -> bool:
    others = [each for each in where if not each.field.startswith("products.")]
    if not all(passes(at_path(row["properties"], each.field), each) for each in others):
        return False
    return len(others) == len(where) or bool(fitting_lines(row, where))


def amount_of(row: Row, rule: Did, field: str) -> float:
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


def naive_did(rows: list[Row], rule: Did, identity: Identity) -> set[int]:
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
DAY_MS = 86_400_000
moments = st.one_of(
    st.sampled_from([0, 1, 2, 3, 30]).map(lambda days: NOW_MS - days * DAY_MS),
    st.sampled_from([1, 2, 3]).map(lambda days: NOW_MS - days * DAY_MS - 725 * MINUTE_MS),
    st.just(NOW_MS + DAY_MS),
)
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
    """Give any operator with a value that it takes."""
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
    """Give a count or sum over any window."""
    window: Row = draw(
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
    bounds: Row = draw(
        st.sampled_from(
            [
                {},
                {"at_least": 2},
                {"at_most": 1},
                {"exactly": 0},
                {"exactly": 1},
                {"at_least": 1, "at_most": 2},
                {"at_least": 0},
            ]
        )
    )
    if draw(st.booleans()):
        fields = ["total", "revenue", "products.price", "products.quantity", "cart.size"]
        limits: dict[str, Any] = draw(
            st.sampled_from(
                [
                    {"at_least": 0.3},
                    {"at_most": 0},
                    {"at_least": -3},
                    {"at_least": 5, "at_most": 20},
                ]
            )
        )
        bounds = {"sum": Sum(field=draw(st.sampled_from(fields)), **limits)}
    return Did(
        event=draw(st.sampled_from(EVENTS)),
        site=draw(st.sampled_from([None, None, "shop"])),
        where=draw(wheres),
        **window,
        **bounds,
    )


few_examples = settings(
    max_examples=4,
    phases=[Phase.generate],  # each example asks the database: no shrinking
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@few_examples
@given(
    st.lists(events, min_size=4, max_size=25), st.lists(counts_and_sums(), min_size=10, max_size=10)
)
def test_counts_and_sums_equal_a_naive_reading(
    shop: Any, rows: list[Row], rules: list[Did]
) -> None:
    """Counts and sums select whom a loop over the raw rows selects, under both identities."""
    shop.fill(rows)
    criteria = shop.criteria()
    for rule in rules:
        for identity in Identity:
            found = set(criteria.bitmap(rule, identity, NOW_MS))
            assert found == naive_did(rows, rule, identity), (rows_query_of(rule), rule)


def test_lines_of_which_no_known_property_is_told_are_lines(shop: Any) -> None:
    """What a line does not tell is not the value: so too where no line of an event tells it."""
    lines = [[{"sizes": ["M"]}], [{"sizes": ["M"]}, {"category": "Bikes"}], [], [5], "none"]
    shop.more_customers = BitMap([4, 5])
    shop.fill(
        [
            {"event": "Page", "customer": 1 + i, "properties": {"products": each}}
            for i, each in enumerate(lines)
        ]
    )
    where = [Condition(field="products.category", op=Op.IS_NOT, value="Bikes")]
    rule = Did(event="Page", where=where)
    assert set(shop.criteria().bitmap(rule, Identity.LAST_AUTHENTICATED, NOW_MS)) == {1, 2, 4}


def rows_query_of(rule: Did) -> str:
    field = rule.sum.field if rule.sum else ""
    return rows_query(Selection(event=rule.event, last_day=0, where=rule.where, field=field))
