"""The sets of a day that the database makes are those that are made here from rows."""

from random import Random
from typing import Any

import numpy as np
import pytest

from audiences.daily_bitmaps import DailyBitmaps
from audiences.event_days_store import EventDaysStore


@pytest.mark.embedded
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
        EventDaysStore(shop.client, rows_read_max=most).days("Page", last - 3, last)
        for most in (1000, 1)
    )
    assert EventDaysStore(shop.client).days("Nothing", last - 3, last) == {}
    assert few.keys() == many.keys()
    assert few
    for day in few:
        for part in ("unnamed", "customers", "named"):
            assert getattr(few[day], part) == getattr(many[day], part)
            assert 0 not in getattr(few[day], part)


def test_days_pay_from_the_second_span_on() -> None:
    """Few events are counted at once the first time; many, and those asked again, go by day."""
    rows = {"visitor": np.zeros(1, np.uint32), "customer": np.ones(1, np.uint32)}
    daily = DailyBitmaps(lambda *_: {}, lambda event, *_: rows if event == "few" else None)
    found = [daily.few(event, 0, 30) for event in ("many", "few", "few", "other")]
    assert found == [None, rows, None, None]


def test_few_and_many_rows_are_told_apart(shop: Any) -> None:
    """Of few events every row is given, of more than may be read none, whatever the span."""
    at_ms = [shop.NOW_MS - day * shop.DAY_MS for day in range(4) for _ in range(10)]
    rows = [{"event": "Page", "visitor": shop.V1, "at_ms": each} for each in at_ms]
    shop.events.insert(shop.columns(rows, chunk=1))
    last = shop.days.day(shop.NOW_MS)
    found = shop.events.few("Page", last - 1, last)
    assert found["visitor"].tolist() == [shop.V1] * 20
    assert shop.events.few("Nothing", last - 3, last)["visitor"].size == 0
    store = EventDaysStore(shop.client, rows_read_max=39)
    assert [store.rows("Page", last - 3, last) for _ in range(2)] == [None, None]
    assert store.rows("Page", last - 4, last + 1) is None
    assert store.rows("Other", last - 3, last) is not None
