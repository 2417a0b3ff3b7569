"""Tagging plans: what is read, and how what came stands to them; and the catalogue behind them."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiences.catalogue import DISTINCT_MAX, PATHS_MAX, EventSeen, PropertySeen, describe
from audiences.catalogue_store import CatalogueStore
from audiences.tagging_plan import CheckStatus, compare, read_plan

PLAN = """
[events."Order Completed".properties]
total = {type = "number"}
coupon = {type = "text", fill = 0.2}
note = {fill = 0}
"products.category" = {type = "text", fill = 0.9}

[events.Page]
others = "allow"

[events.Refunded]

[events.Searched]
optional = true
"""


def order(**properties: Any) -> dict[str, Any]:
    return {"total": 5, "products": [{"category": "x"}], "coupon": "c", **properties}


def seen(event: str, rows: list[dict[str, Any]]) -> EventSeen:
    return describe(event, len(rows), [json.dumps(row) for row in rows])


CASES = [
    pytest.param([order()], {}, id="as planned"),
    pytest.param(
        [order(total="5"), order()], {"total": CheckStatus.WRONG_TYPE}, id="a number as text"
    ),
    pytest.param(
        [order(products=[{}, {"category": "x"}])],
        {"products.category": CheckStatus.LOW_FILL},
        id="half of the lines",
    ),
    pytest.param(
        [order(coupon=None), order(coupon="")],
        {"coupon": CheckStatus.MISSING_PROPERTY},
        id="null and empty are none",
    ),
    pytest.param(
        [order(cart={"size": 1})],
        {"cart": CheckStatus.UNEXPECTED_PROPERTY, "cart.size": CheckStatus.UNEXPECTED_PROPERTY},
        id="not planned",
    ),
]


@pytest.mark.parametrize(("rows", "expected"), CASES)
def test_properties_stand_to_the_plan(
    rows: list[dict[str, Any]], expected: dict[str, CheckStatus]
) -> None:
    """Missing, unexpected, of another type or too rare: each property has its status."""
    checks = compare(read_plan(PLAN), [seen("Order Completed", rows)])
    mine = [each for each in checks if each.event == "Order Completed" and each.property]
    assert {each.property: each.status for each in mine if each.status != "ok"} == expected
    assert {each.property for each in mine} >= {"total", "coupon", "note", "products.category"}
    assert all(bool(each.text) == (each.status != "ok") for each in mine)


def test_events_stand_to_the_plan() -> None:
    """Every planned event and every other one that came has a status."""
    checks = compare(read_plan(PLAN), [seen("Page", [{"any": 1}]), seen("Typo", [{}])])
    assert {(each.event, each.status.value) for each in checks if not each.property} == {
        ("Order Completed", "missing_event"),
        ("Page", "ok"),
        ("Refunded", "missing_event"),
        ("Searched", "ok"),
        ("Typo", "unexpected_event"),
    }
    assert [each.event for each in checks if each.property] == []


def test_every_status_is_reached() -> None:
    """No status exists that no table above asks for."""
    reached = {status for case in CASES for status in case.values[1].values()}  # type: ignore[union-attr]
    assert set(CheckStatus) - reached == {"ok", "missing_event", "unexpected_event"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param('[events.Page.properties.a]\ntype = "date"', "$.events", id="type"),
        pytest.param("[events.Page.properties.a]\nfill = 2", "$.events", id="fill"),
        pytest.param("[events.Page]\nrequired = true", "required", id="field"),
        pytest.param("", "events", id="empty"),
    ],
)
def test_a_faulty_plan_is_refused_with_its_place(text: str, place: str) -> None:
    """An error names what is wrong and where."""
    with pytest.raises(msgspec.ValidationError) as caught:
        read_plan(text)
    assert place in str(caught.value)


values = st.one_of(st.none(), st.booleans(), st.integers(0, 5), st.sampled_from(["", "a", "b"]))
objects = st.dictionaries(
    st.sampled_from("xyz"), st.one_of(values, st.dictionaries(st.just("w"), values))
)
rows = st.fixed_dictionaries(
    {}, optional={"a": values, "b": objects, "products": st.lists(objects, max_size=3)}
)


def places(row: dict[str, Any], path: str) -> list[Any]:
    """Give what stands at a path, once per event or line."""
    steps = path.split(".")
    starts = [row]
    if steps[0] == "products" and len(steps) > 1:
        starts, steps = row.get("products", []), steps[1:]
    found = []
    for start in starts:
        value: Any = start
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        found.append(value)
    return found


@given(st.lists(rows, min_size=1, max_size=8))
def test_the_description_equals_a_plain_count(some: list[dict[str, Any]]) -> None:
    """Fill, types and distinct values of each path are those of a loop over all places."""
    found = {each.path: each for each in seen("x", some).properties}
    for path in ("a", "b", "b.x", "b.x.w", "products", "products.y", "products.y.w"):
        at = [value for row in some for value in places(row, path)]
        filled = [value for value in at if value is not None and value != ""]
        if not filled:
            assert path not in found
            continue
        assert found[path].fill == len(filled) / len(at)
        texts = [value for value in filled if not isinstance(value, list | dict)]
        assert found[path].distinct == len({json.dumps(value) for value in texts})
        assert sum(each.count for each in found[path].top) == len(texts)
        assert sum(found[path].types.values()) == pytest.approx(1)


def test_made_up_names_and_values_are_bounded() -> None:
    """A page that invents names and values fills neither memory nor the answer."""
    invented = seen("x", [{f"k{i}": i, "id": i} for i in range(DISTINCT_MAX + 50)])
    found: dict[str, PropertySeen] = {each.path: each for each in invented.properties}
    assert len(found) == PATHS_MAX
    assert found["id"].distinct == DISTINCT_MAX
    assert len(found["id"].top) == 10
    deep: dict[str, Any] = {}
    for _ in range(50):
        deep = {"a": deep}
    assert len(seen("x", [deep]).properties) == 6
    assert describe("x", 1, ["no json"]).properties == ()


@pytest.mark.clickhouse
def test_the_store_counts_by_site_and_looks_at_a_sample(shop: Any) -> None:
    """Counts are exact; of many events a share is looked at, of few all; days bound both."""
    shop.fill(
        [
            *({"event": "Page", "properties": {"n": n % 4}} for n in range(400)),
            {"event": "Page", "site": "blog"},
            {"event": "Page", "at_ms": shop.NOW_MS - 9 * shop.DAY_MS},
            {"event": "Bought", "properties": {"total": 5}},
        ]
    )
    store, today = CatalogueStore(shop.client), shop.days.day(shop.NOW_MS)
    counts = [(each.event, each.site, each.count) for each in store.per_site()]
    assert counts == [("Page", "shop", 401), ("Bought", "shop", 1), ("Page", "blog", 1)]
    whole = store.seen("shop", first_day=today - 6, last_day=today)
    assert [(each.event, each.count, each.is_exact) for each in whole] == [
        ("Page", 400, True),
        ("Bought", 1, True),
    ]
    page = store.seen("shop", first_day=today - 6, last_day=today, sample_max=100)[0]
    assert (page.count, page.is_exact) == (400, False)
    assert 50 <= page.looked_at <= 200
    assert page.properties[0].fill == 1
