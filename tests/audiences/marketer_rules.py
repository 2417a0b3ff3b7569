"""Rules that a marketer might write about purchases, each with its query by hand."""

from collections.abc import Callable
from datetime import date
from typing import Any

import polars as pl
from polars import col
from purchases_by_hand import (
    Hand,
    after_deli_pastry,
    ago,
    counted,
    meet,
    of_people,
    summed,
    three_in_a_day,
    two_large_on_one_day,
    two_of_three,
)

Rule = dict[str, Any]
ORDER = {"type": "did", "event": "Order Completed"}


def did(*, where: list[tuple[Any, ...]] | None = None, **fields: Any) -> Rule:
    """Write a criterion on orders; a condition is (field, operator, value)."""
    tests = [dict(zip(("field", "op", "value"), each, strict=False)) for each in where or []]
    return {**ORDER, **fields, "where": tests}


def both(*of: Rule) -> Rule:
    """Write that all rules hold."""
    return {"type": "all", "of": list(of)}


def trait(name: str, op: str, value: Any = None) -> Rule:
    """Write a test of a trait."""
    return {"type": "trait", "trait": name, "op": op, "value": value}


def never(rule: Rule) -> Rule:
    """Write that a rule does not hold."""
    return {"type": "not", "rule": rule}


RULES: dict[str, tuple[Rule, Callable[[Hand], pl.Series]]] = {
    "bought": (did(), lambda h: h.orders["household"].unique()),
    "twice in 90 days": (
        did(at_least=2, within_days=90),
        lambda h: counted(h.orders_since(90), 2),
    ),
    "a hundred times": (did(at_least=100), lambda h: counted(h.orders, 100)),
    "exactly once in 30 days": (
        did(exactly=1, within_days=30),
        lambda h: counted(h.orders_since(30), 1, 1),
    ),
    "not in 14 days": (
        did(exactly=0, within_days=14),
        lambda h: h.without(counted(h.orders_since(14), 1)),
    ),
    "at most 3 times in 60 days": (
        did(at_most=3, within_days=60),
        lambda h: h.without(counted(h.orders_since(60), 4)),
    ),
    "5 to 10 times in 30 days": (
        did(at_least=5, at_most=10, within_days=30),
        lambda h: counted(h.orders_since(30), 5, 10),
    ),
    "yesterday": (did(within_days=1), lambda h: counted(h.orders_since(1), 1)),
    "in one month": (
        did(since="2025-12-01", until="2025-12-31", at_least=8),
        lambda h: counted(
            h.orders.filter(col("day").is_between(date(2025, 12, 1), date(2025, 12, 31))), 8
        ),
    ),
    "new since autumn": (
        both(did(exactly=0, until="2025-08-31"), did(since="2025-09-01")),
        lambda h: meet(
            h.without(counted(h.orders.filter(col("day") <= date(2025, 8, 31)), 1)),
            counted(h.orders.filter(col("day") >= date(2025, 9, 1)), 1),
        ),
    ),
    "groceries this week": (
        did(where=[("products.category", "is", "GROCERY")], within_days=7),
        lambda h: counted(
            h.orders_with(col("category") == "GROCERY").filter(col("day") >= ago(7)), 1
        ),
    ),
    "fish or meat thrice": (
        did(where=[("products.category", "in", ["SEAFOOD", "MEAT"])], at_least=3, within_days=90),
        lambda h: counted(
            h.orders_with(col("category").is_in(["SEAFOOD", "MEAT"])).filter(col("day") >= ago(90)),
            3,
        ),
    ),
    "five of one fruit": (
        did(where=[("products.category", "is", "PRODUCE"), ("products.quantity", "at_least", 5)]),
        lambda h: counted(
            h.orders_with((col("category") == "PRODUCE") & (col("quantity") >= 5)), 1
        ),
    ),
    "dear own brand": (
        did(where=[("products.brand", "is", "Private"), ("products.price", "at_least", 10)]),
        lambda h: counted(h.orders_with((col("brand") == "Private") & (col("price") >= 10)), 1),
    ),
    "more than groceries": (
        did(where=[("products.category", "is_not", "GROCERY")], at_least=120),
        lambda h: counted(h.orders_with(col("category") != "GROCERY"), 120),
    ),
    "wine": (
        did(where=[("products.name", "contains", "WINE")], within_days=180),
        lambda h: counted(
            h.orders_with(col("name").str.contains("WINE", literal=True)).filter(
                col("day") >= ago(180)
            ),
            1,
        ),
    ),
    "three large orders": (
        did(where=[("total", "at_least", 100)], at_least=3),
        lambda h: counted(h.orders.filter(col("total") >= 100), 3),
    ),
    "middling orders": (
        did(where=[("total", "between", [20, 30])], at_least=5, within_days=90),
        lambda h: counted(h.orders_since(90).filter(col("total").is_between(20, 30)), 5),
    ),
    "never a small order": (
        did(where=[("total", "at_most", 5)], exactly=0),
        lambda h: h.without(counted(h.orders.filter(col("total") <= 5), 1)),
    ),
    "bananas, by number": (
        did(where=[("products.product_id", "is", 1082185)], at_least=20),
        lambda h: counted(h.orders_with(col("product_id") == 1082185), 20),
    ),
    "petrol stations, many gallons": (
        did(
            where=[
                ("products.quantity", "at_least", 10_000),
                ("products.product_id", "in", ["6534178", "6533889"]),
            ],
        ),
        lambda h: counted(
            h.orders_with(
                (col("quantity") >= 10_000) & col("product_id").is_in([6534178, 6533889])
            ),
            1,
        ),
    ),
    "big spenders": (
        did(sum={"field": "total", "at_least": 1000}, within_days=90),
        lambda h: summed(h.orders_since(90), "total").filter(col("sum") >= 1000)["household"],
    ),
    "small spenders": (
        did(sum={"field": "total", "at_most": 100}, within_days=180),
        lambda h: h.without(
            summed(h.orders_since(180), "total").filter(col("sum") > 100)["household"]
        ),
    ),
    "spent between": (
        did(sum={"field": "total", "at_least": 500, "at_most": 1000}, since="2025-06-01"),
        lambda h: summed(h.orders.filter(col("day") >= date(2025, 6, 1)), "total").filter(
            col("sum").is_between(500, 1000)
        )["household"],
    ),
    "meat for 200": (
        did(
            where=[("products.category", "is", "MEAT")],
            sum={"field": "products.price", "at_least": 200},
            within_days=180,
        ),
        lambda h: summed(
            h.lines.filter((col("category") == "MEAT") & (col("day") >= ago(180))), "sales_value"
        ).filter(col("sum") >= 200)["household"],
    ),
    "500 pieces of own brand": (
        did(
            where=[("products.brand", "is", "Private")],
            sum={"field": "products.quantity", "at_least": 500},
        ),
        lambda h: summed(h.lines.filter(col("brand") == "Private"), "quantity").filter(
            col("sum") >= 500
        )["household"],
    ),
    "deli, then pastry within a week": (
        {
            "type": "sequence",
            "steps": [
                {
                    "event": "Order Completed",
                    "where": [{"field": "products.category", "op": "is", "value": each}],
                }
                for each in ("DELI", "PASTRY")
            ],
            "within_days": 7,
        },
        after_deli_pastry,
    ),
    "three times within a day": (
        {
            "type": "sequence",
            "steps": [{"event": "Order Completed"}] * 3,
            "within_minutes": 1440,
        },
        three_in_a_day,
    ),
    "two large ones on one day": (
        {
            "type": "sequence",
            "steps": [
                {
                    "event": "Order Completed",
                    "where": [{"field": "total", "op": "at_least", "value": 50}],
                }
            ]
            * 2,
            "within_days": 0,
        },
        two_large_on_one_day,
    ),
    "young, with children, who buy no own brand": (
        both(
            trait("age", "in", ["19-24", "25-34"]),
            trait("kids_count", "is_not", "0"),
            never(did(where=[("products.brand", "is", "Private")], at_least=100)),
        ),
        lambda h: meet(
            of_people(h, col("age").is_in(["19-24", "25-34"])),
            h.without(of_people(h, col("kids_count") == "0")),
            h.without(counted(h.orders_with(col("brand") == "Private"), 100)),
        ),
    ),
    "two of three": (
        {
            "type": "at_least",
            "k": 2,
            "of": [
                did(where=[("products.brand", "is", "Private")], at_least=50),
                did(where=[("products.category", "is", "FLORAL")]),
                did(at_least=100),
            ],
        },
        two_of_three,
    ),
    "three or more at home": (
        trait("household_size", "between", [3, 4]),
        lambda h: of_people(h, col("household_size").is_in(["3", "4"])),
    ),
    "silent wine drinkers": (
        both(
            {"type": "in_audience", "audience": "wine"},
            {"type": "any", "of": [never(trait("age", "exists")), trait("age", "contains", "65")]},
        ),
        lambda h: meet(
            RULES["wine"][1](h),
            pl.concat(
                [h.without(h.people["household"]), of_people(h, col("age").str.contains("65"))]
            ),
        ),
    ),
}
