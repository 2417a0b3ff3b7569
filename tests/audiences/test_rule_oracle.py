"""The engine's answers to random rules over random worlds, against a plain reading of the rows."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.json import encode
from pyroaring import BitMap

from audiences.criteria import Criteria, World
from audiences.event_selection import Selection
from audiences.event_store import EventColumns, EventStore
from audiences.explain import Explanation, explain
from audiences.rule import decode_audience, decode_rule
from matching.customer_traits_store import CustomerTrait, insert_traits
from matching.identification import METHOD_CODES, Method, Observations
from matching.people import Identity, Limits, People, link

sys.path.insert(0, str(Path(__file__).parent))
import rule_oracle as oracle
from rule_worlds import (
    CURRENCIES,
    NOW_MS,
    VISITORS,
    Draw,
    as_json,
    parts_of,
    rule_of,
    world_of,
)

pytestmark = [pytest.mark.embedded, pytest.mark.slow, pytest.mark.timeout(400)]

AUDIENCES = ["inner", "outer"]
RULES_PER_WORLD = 30
WORLDS = max(4, settings().max_examples // 25)


def fill(shop: Any, world: oracle.World) -> Criteria:
    """Hold a world's rows in the engine, and give the criteria over them."""
    for table in ("events", "customer_traits"):
        shop.client.command(f"truncate table {table}")
    rows = world.events
    column = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    if rows:
        shop.events.insert(
            EventColumns(
                **{name: column[name] for name in COPIED},
                message_hash=list(range(len(rows))),
                flags=[2 if row["is_bot"] else 1 for row in rows],
                properties=[as_json(row["properties"]) for row in rows],
            )
        )
    insert_traits(shop.client, [trait_row(row) for row in world.traits])
    shop.version += 1
    return Criteria(
        events=OnceAsked(shop.client, shop.days),
        traits=shop.traits,
        days=shop.days,
        world=engine_world(shop, world),
        synced=lambda partner: BitMap(
            row["visitor"]
            for row in world.synced
            if row["partner"] == partner and row["expires_ms"] > NOW_MS
        ),
        built=lambda key: shop.built[key],
    )


COPIED = ["chunk", "row", "received_at_ms", "at_ms", "event", "site", "visitor", "customer"]


def engine_world(shop: Any, world: oracle.World) -> World:
    links = link(observations(world.links), limits=Limits(), visitors=len(VISITORS))
    denied = BitMap(row["visitor"] for row in world.consents if row["denied"])
    return World(
        people={
            each: People(identity=each, version=1, customer_of=links.customer_of)
            for each in Identity
        },
        customers=BitMap(world.customers),
        visitors=BitMap(world.visitors),
        excluded=shop.events.visitors_of_bots() | denied,
        audiences={
            key: decode_audience({"name": key, "rule": rule}, key=key)
            for key, rule in world.audiences.items()
        },
        currencies=CURRENCIES,
        data_version=shop.version,
    )


def observations(rows: list[dict[str, Any]]) -> Observations:
    count = len(rows)
    return Observations(
        visitor=np.array([row["visitor"] for row in rows], dtype=np.uint32),
        customer=np.array([row["customer"] for row in rows], dtype=np.uint32),
        at_ms=np.array([row["at_ms"] for row in rows], dtype=np.int64),
        method=np.array([METHOD_CODES[Method(row["method"])] for row in rows], dtype=np.uint8),
        claimed=np.array([row["claimed"] for row in rows], dtype=np.bool_),
        chunk=np.ones(count, dtype=np.uint64),
        row=np.arange(count, dtype=np.uint32),
        proof=np.zeros(count, dtype=np.uint64),
    )


def trait_row(row: dict[str, Any]) -> CustomerTrait:
    """Write a value as an import does; None takes the trait away."""
    value = row["value"]
    kind, text, number = "text", str(value), 0.0
    if value is None:
        kind, text = "", ""
    elif isinstance(value, bool):
        kind, text, number = "boolean", str(value).lower(), float(value)
    elif isinstance(value, int | float):
        kind, text, number = "number", "", float(value)
    elif isinstance(value, list):
        kind, text, number = "set", json.dumps(value, ensure_ascii=False), float(len(value))
    elif row["trait"] == "since":
        kind = "date"
    return CustomerTrait(
        customer=row["customer"],
        trait=row["trait"],
        kind=kind,
        text=text,
        number=number,
        source="crm",
        at_ms=row["at_ms"],
    )


class OnceAsked(EventStore):
    """The store, asked once for rows that two identities fold."""

    def __init__(self, client: Any, days: Any) -> None:
        super().__init__(client, days)
        self._rows: dict[Any, Any] = {}

    def rows(self, selection: Selection, currencies: Mapping[str, str], **more: Any) -> Any:
        """Give the rows as the store does."""
        key = (encode(selection), *sorted(currencies.items()), *more.items())
        if key not in self._rows:
            self._rows[key] = super().rows(selection, currencies, **more)
        return self._rows[key]


class Tally:
    """How many memberships were compared, and how many of them were true."""

    rules = compared = members = explained = 0


def test_rules_select_whom_the_rows_select(shop: Any) -> None:
    """Whatever the rule and the rows, the members are those of a loop over the rows; so is why."""
    tally = Tally()

    @settings(
        max_examples=WORLDS,
        phases=[Phase.generate],  # Why: the smallest differing part is named without shrinking
        suppress_health_check=[*HealthCheck],
    )
    @given(st.integers(0, 2**32))
    def compare_world(seed: int) -> None:
        rnd, world = Draw(seed), world_of(seed)
        world.audiences["inner"] = rule_of(rnd, [])
        world.audiences["outer"] = rule_of(rnd, ["inner"])
        criteria = fill(shop, world)
        some = [rule_of(rnd, AUDIENCES) for _ in range(RULES_PER_WORLD)]
        for identity in Identity:
            assert set(criteria.base(identity)) == world.base(identity.value)
            for rule in [*some, *world.audiences.values()]:
                compare(criteria, world, rule, identity, tally)

    compare_world()
    assert tally.rules >= WORLDS * RULES_PER_WORLD * len(Identity)
    assert tally.compared >= 5 * tally.rules
    assert 0.1 * tally.compared < tally.members < 0.9 * tally.compared
    assert tally.explained >= tally.rules


def compare(
    criteria: Criteria, world: oracle.World, plain: Any, identity: Identity, tally: Tally
) -> None:
    """Compare members and, for one of them and one other, the reasons."""
    rule = decode_rule(plain)
    found = set(criteria.members(rule, identity, NOW_MS))
    expected = oracle.members(world, plain, identity.value)
    assert found == expected, difference(criteria, world, plain, identity)
    base = world.base(identity.value)
    tally.rules += 1
    tally.compared += len(base)
    tally.members += len(found)
    leaf = criteria.leaf(identity, NOW_MS)
    for person in [*sorted(expected)[:1], *sorted(base - expected)[-1:]]:
        compare_reasons(world, plain, explain(rule, person, leaf=leaf), person, identity.value)
        tally.explained += 1


def compare_reasons(
    world: oracle.World, plain: Any, found: Explanation, person: int, identity: str
) -> None:
    assert found.holds == oracle.holds(world, plain, person, identity), (found.text, person)
    parts = [*plain.get("of", []), *([plain["rule"]] if "rule" in plain else [])]
    for each, part in zip(parts, found.parts, strict=True):
        compare_reasons(world, each, part, person, identity)


def difference(criteria: Criteria, world: oracle.World, plain: Any, identity: Identity) -> str:
    """Name the innermost part that differs, with the rows of one person whom it differs for."""
    for part in parts_of(plain):
        found = set(criteria.members(decode_rule(part), identity, NOW_MS))
        expected = oracle.members(world, part, identity.value)
        for person in sorted(found ^ expected):
            side = "should not hold" if person in found else "should hold"
            rows = world.events_of(person, identity.value)
            named = {part.get("event"), *(step["event"] for step in part.get("steps", []))}
            shown = [row for row in rows if row["event"] in named or "Refunded" in row["event"]]
            return f"{json.dumps(part)} {side} for {person} ({identity}): " + "\n".join(
                map(json.dumps, shown)
            )
    return f"only the whole differs: {json.dumps(plain)}"
