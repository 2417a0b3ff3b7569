"""What the demo plays: households, orders, browsers and batches made of the purchases."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
import pytest

from service.demo.browsers import Consent, Link, browsers_of
from service.demo.households import Purchases, purchases_of, read_purchases, write_customers
from service.demo.till import BATCH_BYTES_MAX, BATCH_MESSAGES_MAX, batches_of

TODAY = date(2026, 11, 21)
PARIS = ZoneInfo("Europe/Paris")
NOON_MS = 1_795_258_800_000
MESSAGE_BYTES_MAX = 32 * 1024


def small_tables() -> dict[str, pd.DataFrame]:
    """Give three households: one bought twice, one returned all it bought, one bought much."""
    lines = [
        (7, 1, 100, 1, 3.00, "2017-12-30 10:00:00"),
        (7, 1, 200, 0, 9.99, "2017-12-30 10:00:00"),
        (7, 2, 200, 2, 5.00, "2018-01-01 04:01:20"),
        (8, 3, 100, -1, 1.00, "2017-06-01 12:00:00"),
        (9, 4, 300, 4, 2.22, "2017-07-01 12:00:00"),
    ]
    transactions = pd.DataFrame(
        lines,
        columns=[
            "household_id",
            "basket_id",
            "product_id",
            "quantity",
            "sales_value",
            "transaction_timestamp",
        ],
    )
    transactions["transaction_timestamp"] = pd.to_datetime(transactions["transaction_timestamp"])
    demographics = pd.DataFrame(
        [(9, "25-34", "35-49K", np.nan, "Married", "2", "2 Adults No Kids", "0")],
        columns=[
            "household_id",
            "age",
            "income",
            "home_ownership",
            "marital_status",
            "household_size",
            "household_comp",
            "kids_count",
        ],
    )
    products = pd.DataFrame(
        [(100, "GROCERY", "National", "SOUP"), (200, "MEAT", "Private", 'BEEF "PRIME"')],
        columns=["product_id", "department", "brand", "product_category"],
    )
    return {"transactions": transactions, "demographics": demographics, "products": products}


def small_purchases(households: int | None = None) -> Purchases:
    """Make purchases of the small tables."""
    return purchases_of(**small_tables(), today=TODAY, zone=PARIS, households=households)


@pytest.fixture(scope="module")
def real() -> Purchases:
    """Read the first 60 households of the real purchases."""
    return read_purchases(today=TODAY, zone=PARIS, households=60)


def test_the_last_purchase_is_yesterday_at_its_own_hour() -> None:
    """Dates move by whole days of the configured zone."""
    orders = small_purchases().orders
    assert [order.at for order in orders] == [
        "2026-05-20T10:00:00.000Z",
        "2026-11-18T09:00:00.000Z",
        "2026-11-20T03:01:20.000Z",
    ]


def test_lines_without_a_quantity_are_skipped_and_counted() -> None:
    """Returned and empty lines are in no order; an order of such lines alone does not exist."""
    purchases = small_purchases()
    assert (purchases.lines, purchases.lines_skipped) == (3, 2)
    assert [order.order_id for order in purchases.orders] == ["4", "1", "2"]


def test_an_order_is_a_segment_message() -> None:
    """Price is the line's total over its quantity; names are kept as they are."""
    last = small_purchases().orders[-1]
    assert msgspec.json.decode(last.message()) == {
        "type": "track",
        "event": "Order Completed",
        "messageId": "order-2",
        "timestamp": "2026-11-20T03:01:20.000Z",
        "userId": "7",
        "properties": {
            "order_id": "2",
            "total": 5.0,
            "currency": "USD",
            "products": [
                {
                    "product_id": "200",
                    "name": 'BEEF "PRIME"',
                    "category": "MEAT",
                    "brand": "Private",
                    "price": 2.5,
                    "quantity": 2,
                }
            ],
        },
    }


def test_a_product_without_a_description_keeps_its_number() -> None:
    """A line whose product is not listed is sold all the same."""
    (product,) = msgspec.json.decode(small_purchases().orders[0].products)
    assert product == {"product_id": "300", "price": 0.555, "quantity": 4}


def test_only_the_first_households_are_played_when_asked() -> None:
    """The limit counts households by their number."""
    purchases = small_purchases(households=1)
    assert [household.crm_id for household in purchases.households] == ["7"]
    assert {order.crm_id for order in purchases.orders} == {"7"}


def test_the_customer_file_says_that_addresses_are_made_up(tmp_path: Path) -> None:
    """Each row has a made-up address marked as such, and demographics only where known."""
    path = tmp_path / "customers.csv"
    write_customers(path, small_purchases().households)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("crm_id,email,age,income")
    assert lines[1] == "7,made-up-7@demo.invalid,,,,,,,"
    assert lines[3] == ("9,made-up-9@demo.invalid,25-34,35-49K,,Married,2,2 Adults No Kids,0")


def test_totals_are_those_of_the_real_purchases(real: Purchases) -> None:
    """Prices times quantities give each order's total, and all orders the sum of the lines."""
    for order in real.orders:
        products = msgspec.json.decode(order.products)
        total = sum(product["price"] * product["quantity"] for product in products)
        assert total == pytest.approx(order.total, abs=0.006)
        assert len(products) == order.lines
    assert sum(order.lines for order in real.orders) == real.lines


def test_real_messages_and_batches_stay_within_the_limits(real: Purchases) -> None:
    """No message is above 32 KB and no batch above its bytes or its messages; nothing is lost."""
    batches = list(batches_of(real.orders))
    assert all(len(",".join(batch)) <= BATCH_BYTES_MAX for batch in batches)
    assert all(len(batch) <= BATCH_MESSAGES_MAX for batch in batches)
    sent = [message for batch in batches for message in batch]
    assert max(len(message.encode()) for message in sent) <= MESSAGE_BYTES_MAX
    assert sent == [order.message() for order in real.orders]


def test_browsers_are_the_same_in_every_run(real: Purchases) -> None:
    """The plan depends on households and time alone."""
    plan = browsers_of(real.households, real.orders, now_ms=NOON_MS)
    assert plan == browsers_of(real.households, real.orders, now_ms=NOON_MS)
    numbers = pd.Series([browser.crm_id for browser in plan]).value_counts()
    assert set(numbers) == {1, 2, 3}
    assert {browser.consent for browser in plan} == set(Consent)
    assert {browser.link for browser in plan} == set(Link)


def test_an_order_is_bought_in_one_browser_at_most(real: Purchases) -> None:
    """Only the browser that links by purchase carries an order, and no other has the same."""
    plan = browsers_of(real.households, real.orders, now_ms=NOON_MS)
    bought = [browser.order.order_id for browser in plan if browser.order is not None]
    assert len(bought) == len(set(bought)) > 0
    for browser in plan:
        assert (browser.order is not None) == (browser.link is Link.PURCHASE)
        assert browser.order is None or NOON_MS - browser.order.at_ms < 35 * 86_400_000
        assert browser.order is None or browser.order.crm_id == browser.crm_id
