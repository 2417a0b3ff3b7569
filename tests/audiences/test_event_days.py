"""The sets of a day that the database makes are those that are made here from rows."""

from random import Random
from typing import Any

import pytest

from audiences.daily_bitmaps import DailyBitmaps
from audiences.event_days_store import days_of, rows_on_days

pytestmark = pytest.mark.embedded


@pytest.mark.parametrize("seed", range(3))
def test_sets_of_days_are_the_same_either_way(shop: Any, seed: int) -> None:
    """Few events and many give the same people of each day, without nobody and without bots."""
    draw = Random(seed)
    rows = [
        {
            "event": draw.choice(["Page", "Page", "Other"]),
            "visitor": draw.choice([0, shop.V1, shop.V2]),
            "customer": draw.choice([0, 0, 1, 2]),
            "at_ms": shop.NOW_MS - draw.randrange(9) * shop.DAY_MS // 2,
            "flags": 2 if draw.random() < 0.2 else 0,
        }
        for _ in range(40)
    ]
    shop.events.insert(shop.columns(rows, chunk=1))
    last = shop.days.day(shop.NOW_MS)
    few, many = (
        days_of(shop.client, "Page", last - 3, last, rows_read_max=most) for most in (1000, -1)
    )
    assert days_of(shop.client, "Nothing", last - 3, last) == {}
    assert few.keys() == many.keys()
    assert few
    for day in few:
        for part in ("unnamed", "customers", "named"):
            assert getattr(few[day], part) == getattr(many[day], part)
            assert 0 not in getattr(few[day], part)


def test_days_pay_from_the_second_span_on() -> None:
    """Few events are counted at once the first time; many, and those asked again, go by day."""
    daily = DailyBitmaps(lambda *_: {}, lambda event, *_: event == "few")
    assert [daily.is_cheaper(event, 0, 30) for event in ("many", "few", "few", "other")] == [
        True,
        False,
        True,
        True,
    ]


def test_few_and_many_rows_are_told_apart(shop: Any) -> None:
    """How many events there are on some days is known without reading them."""
    rows = [{"event": "Page", "visitor": shop.V1, "at_ms": shop.NOW_MS} for _ in range(40)]
    shop.events.insert(shop.columns(rows, chunk=1))
    last = shop.days.day(shop.NOW_MS)
    assert shop.events.are_few("Page", last - 3, last)
    assert rows_on_days(shop.client, "Page", last - 3, last) == 40
    assert rows_on_days(shop.client, "Nothing", last - 3, last) == 0
