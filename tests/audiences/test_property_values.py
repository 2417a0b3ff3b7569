"""What values of properties pass: lists, empty texts, what is no number, in each of the queries."""

from typing import Any

import pytest

from audiences.conditions import Condition, Op
from audiences.event_selection import Selection, rows_query
from matching.ids import VISITOR_FIRST

pytestmark = pytest.mark.embedded

V3, V4 = VISITOR_FIRST + 2, VISITOR_FIRST + 3
Row = dict[str, Any]

VALUES: dict[str, tuple[Row, Row, bool]] = {
    "an empty text is at most another": ({"url": ""}, {"op": "at_most", "value": "b"}, True),
    "a missing one is not": ({}, {"op": "at_most", "value": "b"}, False),
    "an empty category is at most another": (
        {"products": [{"category": ""}]},
        {"field": "products.category", "op": "at_most", "value": "b"},
        True,
    ),
    "a list has the member": ({"url": ["a", "b"]}, {"op": "is", "value": "b"}, True),
    "a list holds no parts of members": ({"url": ["ab"]}, {"op": "contains", "value": "a"}, False),
    "a line's list has the member": (
        {"products": [{"category": ["bike", "sport"]}]},
        {"field": "products.category", "op": "is", "value": "sport"},
        True,
    ),
    "a list without the member": (
        {"tags": ["a"]},
        {"field": "tags", "op": "is_not", "value": "a"},
        False,
    ),
    "a number of a list": ({"tags": [1, 7]}, {"field": "tags", "op": "at_least", "value": 5}, True),
    "null is no member": ({"tags": [None]}, {"field": "tags", "op": "is", "value": "null"}, False),
    "an empty list is there": ({"tags": []}, {"field": "tags", "op": "exists"}, True),
    "a text in brackets is a text": (
        {"url": "[sale] x"},
        {"op": "contains", "value": "sale"},
        True,
    ),
    "infinity is no number": (
        {"total": "inf"},
        {"field": "total", "op": "at_least", "value": 5},
        False,
    ),
    "nor in any other field": (
        {"tax": "inf"},
        {"field": "tax", "op": "at_least", "value": 5},
        False,
    ),
}


def test_values_pass_as_they_are_written(shop: Any) -> None:
    """Lists pass by a member, empty texts are texts, and infinity is no number, in every query."""
    found = {}
    for case, (properties, test, _) in VALUES.items():
        shop.fill([{"event": "Page", "customer": 1, "properties": properties}])
        rule = {"type": "did", "event": "Page", "where": [{"field": "url", **test}]}
        found[case] = shop.people_of(rule) == {1}
    assert found == {case: expected for case, (*_, expected) in VALUES.items()}


def test_an_amount_without_end_adds_nothing(shop: Any) -> None:
    """A sum leaves out what is no number, and adds the rest."""
    shop.fill(
        [
            {"event": "Order Completed", "customer": 1, "properties": properties}
            for properties in (
                {"total": "inf", "products": [{"price": "inf"}, {"price": 2, "quantity": "inf"}]},
                {"total": 5, "products": [{"price": 3}]},
            )
        ]
    )
    for field, total in (("total", 5), ("products.price", 5), ("products.quantity", 0)):
        bounds = {"field": field, "at_least": total, "at_most": total}
        rule = {"type": "did", "event": "Order Completed", "sum": bounds}
        assert shop.people_of(rule) == {1, *([2, 3, V3, V4] if total == 0 else [])}, field


@pytest.mark.parametrize(
    ("fields", "query"),
    [
        pytest.param(["products.name", "products.sku"], "event_rows_promoted", id="two on lines"),
        pytest.param(["products.name"] * 3, "event_rows_where", id="three on lines"),
        pytest.param(["url", "products.name"], "event_rows_promoted", id="one of each"),
        pytest.param(["url", "url"], "event_rows_where", id="two on others"),
    ],
)
def test_the_promoted_query_has_room_for_few_conditions(fields: list[str], query: str) -> None:
    """With more conditions than its slots the general query answers."""
    where = [Condition(field=field, op=Op.IS, value="x") for field in fields]
    assert rows_query(Selection(event="x", last_day=1, where=where)) == query


def test_the_general_query_answers_as_the_promoted_one(shop: Any) -> None:
    """A third condition moves the question to the other query, never the answer."""
    shop.fill(
        [
            {"event": "Page", "customer": n, "properties": {"products": [{"category": category}]}}
            for n, category in enumerate(["x", ["x", "y"], None], start=1)
        ]
    )
    asked = {"field": "products.category", "op": "is", "value": "x"}
    always = {"field": "products.colour", "op": "is_not", "value": "x"}
    for where in ([asked], [asked, always]):
        assert shop.people_of({"type": "did", "event": "Page", "where": where}) == {1, 2}


@pytest.mark.parametrize("field", ["total", "revenue"])
def test_a_refund_without_that_amount_names_it_in_the_other_field(shop: Any, field: str) -> None:
    """What is no number is no amount: a refund then counts by its other field, in every query."""
    other = {"total": "revenue", "revenue": "total"}[field]
    shop.fill(
        [
            {"event": "Order Completed", "customer": 1, "properties": {field: 7}},
            {"event": "Order Refunded", "customer": 1, "properties": {field: "inf", other: 5}},
        ]
    )
    asked = {"type": "did", "event": "Order Completed"}
    for where in ([], [("url", "is_not", "x")], [("coupon", "is_not", "x")]):
        tests = [dict(zip(("field", "op", "value"), each, strict=True)) for each in where]
        bounds = {"field": field, "at_least": 2, "at_most": 2}
        assert shop.people_of({**asked, "sum": bounds, "where": tests}) == {1}, where
