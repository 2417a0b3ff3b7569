"""Events in both tables: what is stored, counted, shown and erased."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.bitmap_states import BadBitmapStateError, decode_state, encode_state
from audiences.calendar_days import DAY_FIRST, DAY_LAST, EPOCH, CalendarDays
from matching.ids import VISITOR_FIRST

V1, V2, V3 = (VISITOR_FIRST + i for i in range(3))


def all_rows(shop: Any, table: str) -> list[tuple[Any, ...]]:
    owner = ", owner" if table == "events_by_visitor" else ""
    query = f"select row, visitor, customer{owner} from {table} order by all"  # noqa: S608
    return [tuple(row) for row in shop.client.query(query).result_rows]


def test_an_event_is_stored_once_and_again_for_each_owner(shop: Any) -> None:
    """An event with visitor and customer has two owners, one with neither has none."""
    columns = shop.columns(
        [
            {"event": "Page", "visitor": V1, "customer": 2},
            {"event": "Page", "visitor": V1},
            {"event": "Page"},
        ]
    )
    shop.events.insert(columns)
    shop.events.insert_by_visitor(columns)
    assert shop.events.rows_of_chunk(7).tolist() == [0, 1, 2]
    assert shop.events.rows_of_chunk_by_visitor(7).tolist() == [(0, 2), (0, V1), (1, V1)]
    assert shop.events.rows_of_chunk(8).tolist() == []


def test_owner_rows_that_are_there_are_not_stored_again(shop: Any) -> None:
    """After a doubt only the missing pairs of row and owner are inserted."""
    columns = shop.columns([{"event": "Page", "visitor": V1, "customer": 2}])
    there = np.array([(0, V1)], dtype=[("row", "<u4"), ("owner", "<u4")])
    shop.events.insert_by_visitor(columns, except_rows=there)
    assert shop.events.rows_of_chunk_by_visitor(7).tolist() == [(0, 2)]
    for _ in range(2):
        stored = shop.events.rows_of_chunk_by_visitor(7)
        shop.events.insert_by_visitor(columns, except_rows=stored)
    shop.events.insert(shop.columns([]))
    assert shop.events.rows_of_chunk_by_visitor(7).tolist() == [(0, 2), (0, V1)]


def test_message_hashes_are_those_received_since_then_before_a_chunk(shop: Any) -> None:
    """The loader's own chunk, later ones and older messages are left out."""
    old = {"event": "Page", "received_at_ms": shop.NOW_MS - 8 * shop.DAY_MS}
    shop.events.insert(shop.columns([old, {"event": "Page"}], chunk=1))
    shop.events.insert(shop.columns([{"event": "Page"}], chunk=2))
    since = shop.NOW_MS - 7 * shop.DAY_MS
    assert sorted(shop.events.message_hashes(since).tolist()) == [1001, 2000]
    assert shop.events.message_hashes(since, before_chunk=2).tolist() == [1001]


def test_the_card_shows_a_persons_events_newest_first(shop: Any) -> None:
    """Each event shows once, and what a browser did in another customer's name does not show."""
    columns = shop.columns(
        [
            {"event": "Page", "visitor": V1, "at_ms": shop.NOW_MS - 5},
            {"event": "Bought", "visitor": V1, "customer": 1, "properties": {"total": 5}},
            {"event": "Bought", "visitor": V1, "customer": 2, "at_ms": shop.NOW_MS + 5},
        ]
    )
    shop.events.insert_by_visitor(columns)
    shown = shop.events.events_of([1, V1], 10)
    assert [(each.event, each.customer) for each in shown] == [("Bought", 1), ("Page", 0)]
    assert shown[0].properties == {"total": 5}
    assert len(shop.events.events_of([V1], 10)) == 3
    assert [each.customer for each in shop.events.events_of([V1], 1)] == [2]
    assert shop.events.seen([V1, V2]) == {V1: (shop.NOW_MS - 5, shop.NOW_MS + 5)}


def test_the_catalogue_counts_events_by_name(shop: Any) -> None:
    """Names come with counts and times, the most frequent first."""
    shop.fill([{"event": "Page"}, {"event": "Page", "at_ms": 5}, {"event": "Bought"}])
    found = [(each.event, each.count, each.first_at_ms) for each in shop.events.catalogue()]
    assert found == [("Page", 2, 5), ("Bought", 1, shop.NOW_MS)]


def test_bots_are_found_by_flag(shop: Any) -> None:
    """One flagged event makes a visitor a bot; other flags do not."""
    shop.fill(
        [{"event": "P", "visitor": V1, "flags": 3}, {"event": "P", "visitor": V2, "flags": 1}]
    )
    assert shop.events.visitors_of_bots() == BitMap([V1])


@pytest.mark.parametrize("times", [1, 2], ids=["once", "repeated"])
def test_erasure_deletes_what_names_no_other_customer(shop: Any, times: int) -> None:
    """Rows of the erased go; a row of another customer stays and forgets the browser."""
    columns = shop.columns(
        [
            {"event": "Page", "visitor": V1},
            {"event": "Bought", "visitor": V1, "customer": 1},
            {"event": "Bought", "visitor": V1, "customer": 2, "properties": {"total": 3}},
            {"event": "Bought", "visitor": V2, "customer": 1},
            {"event": "Page", "visitor": V2},
            {"event": "Bought", "customer": 1},
        ]
    )
    shop.events.insert(columns)
    shop.events.insert_by_visitor(columns)
    for _ in range(times):
        shop.events.erase(customers=[1], visitors=[V1])
    assert all_rows(shop, "events") == [(2, 0, 2), (4, V2, 0)]
    assert all_rows(shop, "events_by_visitor") == [(2, 0, 2, 2), (4, V2, 0, V2)]
    totals = shop.client.query("select total from events where customer = 2").result_rows
    assert totals == [(3.0,)]


@given(
    st.lists(st.integers(0, 4_102_444_800_000), max_size=8),
    st.sampled_from(["Europe/Paris", "America/New_York", "Asia/Kolkata", "UTC", "Pacific/Apia"]),
)
def test_a_day_is_the_calendar_day_of_the_zone(moments: list[int], zone: str) -> None:
    """Days are those on the wall's calendar, through every change of the clocks."""
    info = ZoneInfo(zone)
    expected = [
        (datetime.fromtimestamp(at // 1000, UTC).astimezone(info).date() - EPOCH).days
        for at in moments
    ]
    assert CalendarDays(zone).days(np.array(moments, dtype=np.int64)).tolist() == expected


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_absurd_moments_have_the_first_or_last_day(zone: str) -> None:
    """No moment overflows, and none makes more than two centuries of days be worked out."""
    days = CalendarDays(zone)
    moments = [-(1 << 62), 0, 1_790_000_000_000, 253_402_387_139_999, 1 << 62]
    found = days.days(np.array(moments, dtype=np.int64)).tolist()
    assert (found[0], found[3], found[4]) == (DAY_FIRST, DAY_LAST, DAY_LAST)
    assert found[1:3] == [days.day(moments[1]), days.day(moments[2])]
    assert days.start_ms(-(10**9)) < 0 < days.start_ms(10**9)


@pytest.mark.parametrize("size", [0, 1, 32, 33, 5_000], ids=str)
def test_bitmap_states_are_those_of_the_database(shop: Any, size: int) -> None:
    """What the database writes is read, and what is written is what the database reads."""
    query = "select groupBitmapState(toUInt32(number * 7)) from numbers({size:UInt32})"
    parameters = {"size": size}
    state = shop.client.raw_query(query, parameters=parameters, fmt="RowBinary")
    members = BitMap(range(0, size * 7, 7))
    assert decode_state(state) == (members, len(state))
    kind = "AggregateFunction(groupBitmap, UInt32)"
    count = f"select bitmapCardinality(cast(unhex({{s:String}}), '{kind}'))"
    found = shop.client.query(count, parameters={"s": encode_state(members).hex()}).result_rows
    assert found == [(size,)]


@pytest.mark.parametrize(
    "state", [b"", b"\x00", b"\x00\x02abcd", b"\x05\x01a", b"\x01\x09abc"], ids=bytes.hex
)
def test_a_broken_bitmap_state_is_refused(state: bytes) -> None:
    """Truncated bytes and unknown kinds are no bitmaps."""
    with pytest.raises(BadBitmapStateError):
        decode_state(state)


def test_the_newest_event_of_a_name_is_found_behind_many_others(shop: Any) -> None:
    """However many events came after it, an owner's newest one of a name is known."""
    left = {"event": "Signed Out", "visitor": V1, "at_ms": shop.NOW_MS - 5_000}
    older = left | {"at_ms": shop.NOW_MS - 9_000}
    others = [{"event": "Page", "visitor": V1, "customer": 2}] * 300
    shop.events.insert_by_visitor(shop.columns([older, left, *others]))
    assert shop.events.newest(V1, "Signed Out") == shop.NOW_MS - 5_000
    assert shop.events.newest(V2, "Signed Out") is None
    assert shop.events.newest(2, "Signed Out") is None


def test_events_of_an_insert_that_failed_are_noted_by_owner(shop: Any) -> None:
    """Nobody knows which of them are stored, so their owners are read again; others are counted."""
    columns = shop.columns([{"event": "Page", "visitor": V1, "customer": 2}])
    shop.events.take_touched()
    shop.client.command("rename table events to elsewhere")
    try:
        with pytest.raises(DatabaseError):
            shop.events.insert(columns)
    finally:
        shop.client.command("rename table elsewhere to events")
    touched = shop.events.take_touched()
    assert (touched.arrived, touched.visitors, touched.customers) == ((), BitMap([V1]), BitMap([2]))
    before = shop.events.insertions()
    shop.events.insert(columns)
    touched = shop.events.take_touched()
    (arrived,) = touched.arrived
    assert (arrived.number, touched.visitors) == (before + 1, BitMap())
    assert shop.events.insertions() == before + 1
