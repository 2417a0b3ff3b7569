"""Random small worlds and random rules about them, for comparing the engine with the oracle.

A seed gives a world and its rules; their values are few, so that they meet.
"""

import json
from datetime import datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from rule_oracle import Plain, World

from matching.ids import VISITOR_FIRST

ZONE = ZoneInfo("Europe/Paris")
NOW = datetime(2026, 3, 30, 12, tzinfo=ZONE)
NOW_MS = int(NOW.timestamp() * 1000)
CUSTOMERS = range(1, 7)
VISITORS = range(VISITOR_FIRST, VISITOR_FIRST + 9)
CURRENCIES = {"shop": "EUR", "blog": "USD", "news": ""}
EVENTS = ["Order Completed", "Order Refunded", "Page", "Viewed"]
PARTNERS = ["xandr", "pixel"]
METHODS = ["login", "purchase", "server", "form"]
MINUTE_MS = 60_000

TEXTS = [
    "cycling",
    "Cycling",
    "5",
    "5.0",
    'it\'s \\ "é"\n',
    "inf",
    "nan",
    "0x10",
    "+5",
    "null",
    "x",
]
NUMBERS: list[Any] = [0, 1, 5, -2, 2.5, 0.1, 0.2, 40]
SCALARS: list[Any] = [*TEXTS, *NUMBERS, True, False]
TRAITS = ["age", "likes", "vip", "city", "since"]
AMOUNTS: list[Any] = [0, 5, 0.1, 0.2, 40, -2, "5", "2.5", "x", "inf", "", None]
NUMBER_FIELDS = ["total", "revenue", "products.price", "products.quantity"]
FIELDS = [
    *NUMBER_FIELDS,
    "url",
    "coupon",
    "tags",
    "cart.size",
    "cart.owner.name",
    "products.category",
    "products.name",
    "products.sku",
    "products.colour",
    "products.sizes",
    "products.made.by",
]


class Draw(Random):
    """A random generator that keeps to a few values and fields, so that rules meet rows."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.texts = ["", *self.sample(TEXTS, 3)]
        self.numbers = self.sample(NUMBERS, 3)
        self.scalars: list[Any] = [*self.texts, *self.numbers, self.choice([True, False])]
        self.fields = self.sample(FIELDS, 5)


def world_of(seed: int) -> World:
    """Make a world of a seed."""
    rnd = Draw(seed)
    world = World(zone=ZONE, now_ms=NOW_MS, currencies=CURRENCIES)
    world.customers, world.visitors = list(CUSTOMERS), list(VISITORS)
    world.events = [_event(rnd, row) for row in range(rnd.randint(0, 90))]
    world.links = [_link(rnd, at_ms) for at_ms in range(rnd.randint(0, 10))]
    world.traits = [_trait(rnd, at_ms) for at_ms in range(1, rnd.randint(1, 40))]
    world.consents = [{"visitor": each, "denied": rnd.random() < 0.2} for each in VISITORS]
    world.synced = [
        {
            "visitor": rnd.choice(VISITORS),
            "partner": rnd.choice(PARTNERS),
            "expires_ms": NOW_MS + rnd.choice([-1, 1]) * MINUTE_MS,
        }
        for _ in range(8)
    ]
    return world


def _event(rnd: Draw, row: int) -> Plain:
    at_ms = _moment(rnd)
    return {
        "at_ms": at_ms,
        "received_at_ms": at_ms + rnd.choice([0, 0, MINUTE_MS, 40 * 86_400_000]),
        "chunk": rnd.choice([3, 7]),
        "row": row,
        "event": rnd.choice(EVENTS),
        "site": rnd.choice(list(CURRENCIES)),
        "visitor": rnd.choice([0, *VISITORS]),
        "customer": rnd.choice([0, 0, 0, 0, *CUSTOMERS]),
        "is_bot": rnd.random() < 0.03,
        "properties": _properties(rnd),
    }


def _moment(rnd: Draw) -> int:
    """Give a moment of any age, often at the edge of a day, of an hour skipped, or the same."""
    days = rnd.choice([-1, 0, 0, 0, 1, 1, 2, 2, 3, 29, 30, 31, 365, 20_000])
    clock = rnd.choice([time(0), time(12), time(12), time(12, 30), time(23, 59, 59, 999_000)])
    return int(datetime.combine(NOW.date() - timedelta(days=days), clock, ZONE).timestamp() * 1000)


def _properties(rnd: Draw) -> Plain:
    makers = {
        "total": lambda: rnd.choice(AMOUNTS),
        "revenue": lambda: rnd.choice(AMOUNTS),
        "currency": lambda: rnd.choice(["EUR", "eur", "USD", "", None]),
        "url": lambda: _value(rnd),
        "coupon": lambda: _value(rnd),
        "tags": lambda: [rnd.choice([*rnd.scalars, None]) for _ in range(rnd.randint(0, 3))],
        "cart": lambda: rnd.choice(
            [None, "x", {"size": _value(rnd)}, {"owner": {"name": _value(rnd)}}]
        ),
        "products": lambda: rnd.choice(
            [None, {"category": "x"}, [_line(rnd) for _ in range(rnd.randint(0, 3))]]
        ),
    }
    return {name: make() for name, make in makers.items() if rnd.random() < 0.6}


def _line(rnd: Draw) -> Any:
    if rnd.random() < 0.05:
        return rnd.choice(["x", 5])
    makers = {
        "category": lambda: _value(rnd),
        "name": lambda: rnd.choice([*rnd.texts, None]),
        "sku": lambda: rnd.choice([*rnd.texts, *rnd.numbers]),
        "price": lambda: rnd.choice(AMOUNTS),
        "quantity": lambda: rnd.choice([*AMOUNTS, 1, 2]),
        "colour": lambda: _value(rnd),
        "sizes": lambda: [rnd.choice(rnd.scalars) for _ in range(rnd.randint(0, 2))],
        "made": lambda: rnd.choice([None, {"by": _value(rnd)}]),
    }
    return {name: make() for name, make in makers.items() if rnd.random() < 0.5}


def _value(rnd: Draw) -> Any:
    """Give what a property may be: mostly one value, at times a list, an object or null."""
    others: list[Any] = [None, [], ["cycling", 40, None], ["x", "5"], {"a": 1}, [[1], {"b": "x"}]]
    return rnd.choice(rnd.scalars) if rnd.random() < 0.75 else rnd.choice(others)


def _link(rnd: Draw, at_ms: int) -> Plain:
    return {
        "visitor": rnd.choice(VISITORS),
        "customer": rnd.choice(CUSTOMERS),
        "at_ms": at_ms,
        "method": rnd.choice(METHODS),
        "claimed": rnd.random() < 0.15,
    }


def _trait(rnd: Draw, at_ms: int) -> Plain:
    makers = {
        "age": lambda: rnd.choice(rnd.numbers),
        "likes": lambda: rnd.sample([*rnd.texts, "40"], rnd.randint(0, 3)),
        "vip": lambda: rnd.choice([True, False]),
        "city": lambda: rnd.choice(rnd.texts),
        "since": lambda: rnd.choice(["2020-02-29", "2026-03-30"]),
    }
    name = rnd.choice(TRAITS)
    gone = rnd.random() < 0.1
    return {
        "customer": rnd.choice(CUSTOMERS),
        "trait": name,
        "value": None if gone else makers[name](),
        "at_ms": at_ms,
    }


WINDOWS: list[Plain] = [
    {},
    {},
    {"within_days": 0},
    {"within_days": 2},
    {"within_days": 30},
    {"since": "2026-03-29"},
    {"since": "2026-03-28", "until": "2026-03-29"},
    {"until": "2026-02-28"},
    {"until": "2030-01-01"},
]
BOUNDS: list[Plain] = [
    {},
    {"at_least": 0},
    {"at_least": 2},
    {"at_most": 0},
    {"at_most": 1},
    {"exactly": 0},
    {"exactly": 1},
    {"at_least": 1, "at_most": 2},
]
LIMITS: list[Plain] = [
    {"at_least": 0.3},
    {"at_most": 0},
    {"at_least": 0},
    {"at_least": -3},
    {"at_most": -1},
    {"at_least": 5, "at_most": 50},
]
SPANS: list[Plain] = [
    {},
    {"within_minutes": 1},
    {"within_minutes": 30},
    {"within_days": 0},
    {"within_days": 2},
]
OPS = ["is", "is_not", "in", "at_least", "at_most", "between", "exists", "contains"]


def rule_of(rnd: Draw, audiences: list[str], depth: int = 3) -> Plain:
    """Draw a rule of any type, a few levels deep."""
    kind = rnd.choice(["all", "any", "not", "at_least", *["criterion"] * 5])
    if kind == "criterion" or depth == 1:
        return _criterion(rnd, audiences)
    if kind == "not":
        return {"type": kind, "rule": rule_of(rnd, audiences, depth - 1)}
    of = [rule_of(rnd, audiences, depth - 1) for _ in range(rnd.randint(1, 3))]
    if kind == "at_least":
        return {"type": kind, "k": rnd.randint(1, len(of)), "of": of}
    return {"type": kind, "of": of}


def _criterion(rnd: Draw, audiences: list[str]) -> Plain:
    kind = rnd.choice(
        ["did", "did", "did", "sum", "sum", "sequence", "sequence", "trait", "trait", "plain"]
    )
    if kind == "trait":
        return {"type": "trait", **_test(rnd, "trait", [*TRAITS, "unknown"])}
    if kind == "sequence":
        return _sequence(rnd)
    if kind != "plain":
        return _did(rnd, sums=kind == "sum")
    plain: list[Plain] = [
        {"type": "everyone"},
        {"type": "identified"},
        {"type": "synced", "partner": rnd.choice(PARTNERS)},
        {"type": "seen_on", "site": rnd.choice([*CURRENCIES, "nowhere"])},
        *({"type": "in_audience", "audience": each} for each in audiences * 2),
    ]
    return rnd.choice(plain)


def _did(rnd: Draw, *, sums: bool) -> Plain:
    rule = {"type": "did", "event": rnd.choice(EVENTS), **rnd.choice(WINDOWS)}
    if sums:
        rule["event"] = rnd.choice(["Order Completed", "Order Completed", rule["event"]])
        field = rnd.choice([*NUMBER_FIELDS, "cart.size", "products.colour", "coupon"])
        rule["sum"] = {"field": field, **rnd.choice(LIMITS)}
    else:
        rule |= rnd.choice(BOUNDS)
    if rnd.random() < 0.25:
        rule["site"] = rnd.choice(list(CURRENCIES))
    return rule | {"where": _where(rnd)}


def _sequence(rnd: Draw) -> Plain:
    steps: list[Plain] = [{"event": rnd.choice(EVENTS)} for _ in range(rnd.choice([2, 2, 3]))]
    if rnd.random() < 0.3:
        rnd.choice(steps)["where"] = _where(rnd)
    return {"type": "sequence", "steps": steps, **rnd.choice(SPANS)}


def _where(rnd: Draw) -> list[Plain]:
    return [_test(rnd, "field", rnd.fields) for _ in range(rnd.choice([0, 1, 1, 2, 3]))]


def _test(rnd: Draw, name: str, names: list[str]) -> Plain:
    """Draw any operator with a value that it takes."""
    plain = {name: rnd.choice(names), "op": rnd.choice(OPS)}
    value: Any = rnd.choice(rnd.scalars)
    match plain["op"]:
        case "exists":
            return plain
        case "in":
            value = [rnd.choice(rnd.scalars) for _ in range(rnd.randint(1, 3))]
        case "contains":
            value = rnd.choice([*filter(None, rnd.texts), "cyc", "é", "40", "["])
        case "between":
            kind = rnd.choice([rnd.texts, rnd.numbers])
            value = sorted(rnd.choice(kind) for _ in range(2))
        case "at_least" | "at_most":
            value = rnd.choice([*rnd.texts, *rnd.numbers, "2020-06-01"])
    return plain | {"value": value}


def parts_of(rule: Plain) -> list[Plain]:
    """Give a rule and every rule inside it, the innermost first."""
    inner = [*rule.get("of", []), *([rule["rule"]] if "rule" in rule else [])]
    return [*(part for each in inner for part in parts_of(each)), rule]


def as_json(value: Any) -> str:
    """Write properties as the loader stores them."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
