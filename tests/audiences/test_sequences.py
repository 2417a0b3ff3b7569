"""Sequences and totals of rows, on paper and on the database, against a naive search."""

from collections import defaultdict
from itertools import combinations
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from audiences.person_totals import count_rows, follow_steps, sum_rows
from audiences.rule import DidInOrder
from matching.ids import VISITOR_FIRST
from matching.people import Identity

pytestmark = pytest.mark.embedded

MINUTE_MS = 60_000
Row = dict[str, Any]
V1, V3 = VISITOR_FIRST, VISITOR_FIRST + 2


def naive(events: list[tuple[int, str]], steps: list[str], within: int | None) -> bool:
    """Try every choice of rows, in their order."""
    return any(
        [event for _, event in chosen] == steps
        and (within is None or chosen[-1][0] - chosen[0][0] <= within)
        for chosen in combinations(events, len(steps))
    )


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 6), st.sampled_from("abc")), max_size=14),
    st.lists(st.sampled_from("abc"), min_size=2, max_size=3),
    st.one_of(st.none(), st.integers(0, 4)),
)
def test_steps_follow_as_in_a_naive_search(
    rows: list[tuple[int, int, str]], steps: list[str], within: int | None
) -> None:
    """People are found whose rows, in order, hold the steps close enough to one another."""
    rows = sorted(rows, key=lambda row: row[:2])
    persons = np.array([row[0] for row in rows], dtype=np.uint32)
    moments = np.array([row[1] for row in rows], dtype=np.int64)
    fulfilled = [np.array([row[2] == step for row in rows], dtype=np.bool_) for step in steps]
    found = follow_steps(persons, moments, fulfilled, within=within)
    mine = {person: [row[1:] for row in rows if row[0] == person] for person in (1, 2, 3)}
    assert found.tolist() == [each for each in mine if naive(mine[each], steps, within)]


@pytest.mark.parametrize("sorted_rows_max", [0, 1_000_000], ids=["by place", "by sorting"])
def test_rows_are_totalled_alike_by_place_and_by_sorting(
    sorted_rows_max: int,
) -> None:
    """Few rows and many rows give the same counts and sums, nobody's rows left out."""
    persons = np.array([V3, 0, 2, V3, 5, V1], dtype=np.uint32)
    found, counts = count_rows(persons, sorted_rows_max=sorted_rows_max)
    assert dict(zip(found.tolist(), counts.tolist(), strict=True)) == {2: 1, 5: 1, V1: 1, V3: 2}
    found, sums = sum_rows(
        persons, np.array([0.1, 9, 1, 0.2, -4, 0]), sorted_rows_max=sorted_rows_max
    )
    assert dict(zip(found.tolist(), sums.tolist(), strict=True)) == {2: 1, 5: -4, V1: 0, V3: 0.3}


rows = st.fixed_dictionaries(
    {
        "at_ms": st.integers(0, 12).map(lambda minutes: minutes * 400 * MINUTE_MS),
        "event": st.sampled_from(["Viewed", "Added", "Bought"]),
        "visitor": st.sampled_from([0, V1, V3]),
        "customer": st.sampled_from([0, 0, 2]),
        "flags": st.sampled_from([0, 0, 0, 2]),
    }
)
limits = st.sampled_from(
    [{}, {"within_minutes": 400}, {"within_days": 0}, {"within_days": 1}, {"within_minutes": 1}]
)


@settings(
    max_examples=5,
    phases=[Phase.generate],  # each example asks the database: no shrinking
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(rows, min_size=8, max_size=20),
    st.lists(st.sampled_from(["Viewed", "Added", "Bought"]), min_size=2, max_size=3),
)
def test_sequences_equal_a_naive_search(shop: Any, some: list[Row], steps: list[str]) -> None:
    """Sequences select whom a search through every choice of rows selects."""
    first = shop.NOW_MS - 4 * shop.DAY_MS
    shop.fill([row | {"at_ms": first + row["at_ms"]} for row in some])
    criteria = shop.criteria()
    for limit in ({}, {"within_minutes": 400}, {"within_days": 0}, {"within_days": 1}):
        plain = {"type": "sequence", "steps": [{"event": step} for step in steps], **limit}
        for identity in Identity:
            found = set(criteria.bitmap(msgspec.convert(plain, DidInOrder), identity, shop.NOW_MS))
            assert found == naive_people(shop, some, steps, limit, identity), plain


def naive_people(
    shop: Any, some: list[Row], steps: list[str], limit: dict[str, int], identity: Identity
) -> set[int]:
    by_day = "within_days" in limit
    within = limit.get("within_days", limit.get("within_minutes"))
    first = shop.NOW_MS - 4 * shop.DAY_MS
    mine: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for row in sorted(some, key=lambda row: row["at_ms"]):
        person = row["customer"] or shop.LINKED_TO.get(row["visitor"]) or row["visitor"]
        if identity is Identity.BROWSER:
            person = row["visitor"]
        moment = shop.days.day(first + row["at_ms"]) if by_day else row["at_ms"] // MINUTE_MS
        if person and not row["flags"]:
            mine[person].append((moment, row["event"]))
    return {person for person in mine if naive(mine[person], steps, within)}


def test_conditions_hold_for_their_own_step(shop: Any) -> None:
    """A step's conditions are asked of that step's event alone."""
    shop.fill(
        [
            {"event": "Viewed", "customer": 1, "properties": {"url": "/bike"}},
            {"event": "Viewed", "customer": 2, "properties": {"url": "/book"}},
            {"event": "Bought", "customer": 1},
            {"event": "Bought", "customer": 2},
        ]
    )
    where = [{"field": "url", "op": "contains", "value": "bike"}]
    steps = [{"event": "Viewed", "where": where}, {"event": "Bought"}]
    assert shop.people_of({"type": "sequence", "steps": steps}) == {1}


def test_ties_are_broken_by_the_order_of_receipt(shop: Any) -> None:
    """Of events of one moment the one received first comes first."""
    now = shop.NOW_MS
    shop.fill(
        [
            {"event": "Bought", "customer": 1, "received_at_ms": now + 2},
            {"event": "Viewed", "customer": 1, "received_at_ms": now + 1},
            {"event": "Bought", "customer": 2, "received_at_ms": now + 1},
            {"event": "Viewed", "customer": 2, "received_at_ms": now + 2},
        ]
    )
    steps = [{"event": "Viewed"}, {"event": "Bought"}]
    assert shop.people_of({"type": "sequence", "steps": steps}) == {1}
