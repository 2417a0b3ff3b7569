"""How partners answer: offers, answers, refusals, by day and family of browsers."""

import datetime as dt
from typing import Any

import pytest
from partner_id_rows import DAY_MS, START_MS, V, put

from matching.partner_answers_store import PartnerHealth
from matching.partner_ids_store import PartnerIdColumns, PartnerIdsStore
from matching.sql import sql

pytestmark = pytest.mark.clickhouse


@pytest.fixture
def store(database: Any) -> PartnerIdsStore:
    """Give a store on an empty table, opened."""
    store = PartnerIdsStore(database.client())
    store.open()
    return store


def test_health(store: PartnerIdsStore) -> None:
    """A partner's health counts offers, answers and refusals in the time asked."""
    put(
        store,
        [
            *((visitor, 10, "offered", "", 100 + visitor) for visitor in range(4)),
            (0, 11, "stored", "X7", 100),
            (1, 12, "stored", "X9", 101),
            (2, 11, "refused", "", 102),
            (3, 1, "stored", "X1", 99),
        ],
    )
    put(store, [(0, 10, "offered", "", 200)], space="adform", chunk=2)
    found = store.answers.read(since_ms=START_MS + 5 * DAY_MS).health
    assert [(each.refused, each.match_rate) for each in found] == [(0, 0.0), (1, 0.5)]
    assert found == [
        PartnerHealth(
            partner="adform",
            offered=1,
            returned=0,
            refusals={},
            unanswered=1,
            last_returned_ms=0,
        ),
        PartnerHealth(
            partner="xandr",
            offered=4,
            returned=2,
            refusals={"sentinel": 1},
            unanswered=0,
            last_returned_ms=START_MS + 12 * DAY_MS,
        ),
    ]


def test_unanswered_offers_are_those_since_the_last_answer(store: PartnerIdsStore) -> None:
    """An answer starts the count anew, and offers of the last moments do not count yet."""
    put(
        store,
        [
            *((visitor, 10, "offered", "", 100 + visitor) for visitor in range(3)),
            (0, 11, "stored", "X7", 100),
            *((visitor, 12, "offered", "", 200 + visitor) for visitor in range(4)),
            (1, 12, "stored", "X8", 0),
            (0, 14, "offered", "", 300),
        ],
    )
    (found,) = store.answers.read(since_ms=START_MS, settled_ms=START_MS + 13 * DAY_MS).health
    assert (found.unanswered, found.last_returned_ms) == (4, START_MS + 11 * DAY_MS)
    (found,) = store.answers.read(since_ms=START_MS).health
    assert found.unanswered == 5


def test_answers_count_for_the_day_they_came_and_their_browser(store: PartnerIdsStore) -> None:
    """By partner, calendar day and family: what was offered then, and what came back then."""
    rows = [
        (0, 10, "offered", "", 100),
        (1, 10, "offered", "", 101),
        (2, 10, "offered", "", 102),
        (3, 11, "offered", "", 103),
        (0, 11, "stored", "X7", 100),
        (2, 11, "refused", "", 102),
    ]
    put(store, rows, browsers=["chrome", "safari", "chrome", "chrome", "chrome", "chrome"])
    first, second = (dt.date(1970, 1, 1) + dt.timedelta(days=20_000 + day) for day in (10, 11))

    def days(time_zone: str) -> list[tuple[dt.date, str, int, int]]:
        found = store.answers.read(since_ms=START_MS, time_zone=time_zone).days
        return [(each.day, each.browser, each.offered, each.returned) for each in found]

    assert days("UTC") == [
        (first, "chrome", 2, 0),
        (first, "safari", 1, 0),
        (second, "chrome", 1, 1),
    ]
    assert days("America/New_York")[0][0] == first - dt.timedelta(days=1)


def test_the_last_answers_five_minutes_count_for_nothing(store: PartnerIdsStore) -> None:
    """Offers in the five minutes of the last answer, or not settled yet, are not missed answers."""
    minute = 1 / 1440
    rows = [(0, 10, "stored", "X7", 100)]
    rows += [(number, 10, "offered", "", 101 + number) for number in range(3)]
    put(store, rows)
    at_ms = [START_MS + 10 * DAY_MS + int(each * minute * DAY_MS) for each in (1, 4, 5, 9, 10)]
    store.insert(
        PartnerIdColumns(
            chunk=[2] * 5,
            row=list(range(5)),
            received_at_ms=at_ms,
            partner=["xandr"] * 5,
            id_space=["xandr"] * 5,
            action=["offered"] * 5,
            reason=[""] * 5,
            nonce=[200, 201, 202, 203, 204],
            visitor=[V] * 5,
            id=[""] * 5,
            id_ordinal=[0] * 5,
            source=["sync"] * 5,
        )
    )
    (all_of_them,) = store.answers.read(since_ms=START_MS).health
    settled_ms = START_MS + 10 * DAY_MS + 11 * 60_000
    (settled,) = store.answers.read(since_ms=START_MS, settled_ms=settled_ms).health
    assert (all_of_them.unanswered, settled.unanswered) == (3, 2)


@pytest.mark.parametrize("query", ["partner_answers", "unanswered_offers"])
def test_partners_are_counted_by_the_projection(database: Any, query: str) -> None:
    """The database answers from the counts that it keeps, not from all rows ever stored."""
    client = database.client()
    put(PartnerIdsStore(client), [(0, 10, "stored", "X7", 100)])
    parameters = {"since_ms": START_MS, "settled_ms": START_MS, "time_zone": "UTC"}
    told = client.query("explain projections = 1 " + sql(query), parameters=parameters).result_rows
    assert any("ReadFromMergeTree (answers)" in str(row[0]) for row in told), told
