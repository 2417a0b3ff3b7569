"""The purchases of the data package as polars frames, and queries on them written by hand.

Nothing of the engine or of the demo is used, but the number of days by which the demo moves dates.
"""

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
from polars import col

ZONE = ZoneInfo("America/New_York")
TODAY = date(2026, 3, 30)


class Hand:
    """The same purchases as frames: one row per order, one per line, one per household."""

    def __init__(self, tables: dict[str, Any], shifted_days: int) -> None:
        lines = pl.from_pandas(tables["transactions"]).filter(col("quantity") > 0)
        products = pl.from_pandas(tables["products"]).select(
            "product_id",
            "brand",
            category=col("department").fill_null(""),
            name=pl.coalesce("product_category", "department").fill_null(""),
        )
        moved = col("transaction_timestamp") + timedelta(days=shifted_days)
        self.lines = lines.select(
            "basket_id",
            "product_id",
            "quantity",
            "sales_value",
            household="household_id",
            wall=moved,
            day=moved.dt.date(),
            price=col("sales_value") / col("quantity"),
        ).join(products, on="product_id", how="left")
        self.orders = (
            self.lines.group_by("household", "basket_id")
            .agg(col("wall", "day").first(), total=col("sales_value").sum().round(2))
            .sort("wall", "basket_id")
            .with_row_index("place")
        )
        self.people = pl.from_pandas(tables["demographics"]).rename({"household_id": "household"})
        self.everyone = pl.from_pandas(tables["transactions"])["household_id"].unique()

    def orders_since(self, days: int) -> pl.DataFrame:
        """Give the orders of the last days."""
        return self.orders.filter(col("day") >= TODAY - timedelta(days=days))

    def orders_with(self, line: pl.Expr) -> pl.DataFrame:
        """Give the orders with such a line."""
        return self.orders.join(self.lines.filter(line), on="basket_id", how="semi")

    def without(self, found: pl.Series) -> pl.Series:
        """Give all households but these."""
        return self.everyone.filter(~self.everyone.is_in(found.to_list()))


def counted(orders: pl.DataFrame, low: int, high: int = 1_000_000) -> pl.Series:
    """Give the households with so many of these orders, and at least one."""
    found = orders.group_by("household").len().filter(col("len").is_between(low, high))
    return found["household"]


def summed(rows: pl.DataFrame, field: str) -> pl.DataFrame:
    """Add a field up for each household."""
    return rows.group_by("household").agg(col(field).sum().round(6).alias("sum"))


def ago(days: int) -> date:
    """Give the day so many days before today."""
    return TODAY - timedelta(days=days)


def after_deli_pastry(hand: Hand) -> pl.Series:
    """Find whose order of pastry came within 7 days of an earlier order with deli."""
    deli = hand.orders_with(col("category") == "DELI").select("household", "place", deli_day="day")
    pastry = hand.orders_with(col("category") == "PASTRY")
    joined = pastry.join_asof(
        deli,
        on="place",
        by="household",
        strategy="backward",
        allow_exact_matches=False,
        check_sortedness=False,  # both are by place, as all orders are
    )
    close = (col("day") - col("deli_day")).dt.total_days() <= 7
    return joined.filter(close)["household"].unique()


def three_in_a_day(hand: Hand) -> pl.Series:
    """Find who ordered three times within 24 hours of real time."""
    utc = col("wall").dt.replace_time_zone(ZONE.key, ambiguous="earliest", non_existent="null")
    later = (col("wall").dt.truncate("1h") + timedelta(hours=1)).dt.replace_time_zone(
        ZONE.key, ambiguous="earliest", non_existent="null"
    )
    orders = hand.orders.with_columns(at=utc.fill_null(later)).sort("household", "at", "place")
    span = col("at").shift(-2).over("household") - col("at")
    return orders.filter(span <= timedelta(hours=24))["household"].unique()


def two_large_on_one_day(hand: Hand) -> pl.Series:
    """Find who paid 50 or more twice on one day."""
    large = hand.orders.filter(col("total") >= 50).group_by("household", "day").len()
    return large.filter(col("len") >= 2)["household"].unique()


def two_of_three(hand: Hand) -> pl.Series:
    """Find who holds two of: private brands, flowers, a hundred orders."""
    votes = pl.concat(
        [
            counted(hand.orders_with(col("brand") == "Private"), 50).unique(),
            counted(hand.orders_with(col("category") == "FLORAL"), 1).unique(),
            counted(hand.orders, 100).unique(),
        ]
    )
    found = votes.value_counts()
    return found.filter(col("count") >= 2)["household"]


def of_people(hand: Hand, test: pl.Expr) -> pl.Series:
    """Give the households whose answers pass."""
    return hand.people.filter(test)["household"]


def meet(*parts: pl.Series) -> pl.Series:
    """Give the households that are in every part."""
    found = parts[0]
    for each in parts[1:]:
        found = found.filter(found.is_in(each.to_list()))
    return found
