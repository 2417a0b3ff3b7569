"""How partners answer: offers, answers, refusals, by day and family of browsers."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pytest

from matching.ids import VISITOR_FIRST
from matching.partner_answers_store import PartnerHealth
from matching.partner_ids_store import PartnerIdColumns, PartnerIdsStore

pytestmark = pytest.mark.clickhouse

V = VISITOR_FIRST
DAY_MS = 86_400_000
START_MS = 20_000 * DAY_MS

# (visitor number, day, action, id, nonce)
Row = tuple[int, int, str, str, int]


@pytest.fixture
def store(database: Any) -> PartnerIdsStore:
    """Give a store on an empty table, opened."""
    store = PartnerIdsStore(database.client())
    store.open()
    return store


def put(
    store: PartnerIdsStore,
    rows: list[Row],
    *,
    space: str = "xandr",
    chunk: int = 1,
    browsers: Sequence[str] = (),
) -> None:
    """Store rows of one partner whose id space is its own."""
    store.insert(
        PartnerIdColumns(
            chunk=[chunk] * len(rows),
            row=list(range(len(rows))),
            received_at_ms=[START_MS + day * DAY_MS for _, day, *_ in rows],
            partner=[space] * len(rows),
            id_space=[space] * len(rows),
            action=[action for _, _, action, _, _ in rows],
            reason=["sentinel" if action == "refused" else "" for _, _, action, _, _ in rows],
            nonce=[nonce for *_, nonce in rows],
            visitor=[V + visitor for visitor, *_ in rows],
            id=[text for *_, text, _ in rows],
            id_ordinal=store.id_ordinals(space, [text for *_, text, _ in rows]),
            source=["sync"] * len(rows),
            browser=browsers,
        )
    )


def test_health(store: PartnerIdsStore) -> None:
    """A partner's health counts offers, distinct answered ones and refusals in the time asked."""
    put(
        store,
        [
            *((visitor, 10, "offered", "", 100 + visitor) for visitor in range(4)),
            (0, 11, "stored", "X7", 100),
            (0, 12, "stored", "X8", 100),
            (1, 11, "stored", "X9", 101),
            (2, 11, "refused", "", 102),
            (3, 1, "stored", "X1", 99),
        ],
    )
    put(store, [(0, 10, "offered", "", 200)], space="adform", chunk=2)
    found = store.answers.health(since_ms=START_MS + 5 * DAY_MS)
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
    (found,) = store.answers.health(since_ms=START_MS, settled_ms=START_MS + 13 * DAY_MS)
    assert (found.unanswered, found.last_returned_ms) == (4, START_MS + 11 * DAY_MS)
    (found,) = store.answers.health(since_ms=START_MS)
    assert found.unanswered == 5


def test_answers_count_for_the_day_and_browser_of_their_offer(store: PartnerIdsStore) -> None:
    """By partner, calendar day and family: what was offered then, and how much of it came back."""
    rows = [
        (0, 10, "offered", "", 100),
        (1, 10, "offered", "", 101),
        (2, 10, "offered", "", 102),
        (3, 11, "offered", "", 103),
        (0, 11, "stored", "X7", 100),
        (2, 11, "refused", "", 102),
    ]
    put(store, rows, browsers=["chrome", "safari", "chrome", "chrome", "", ""])
    first, second = (dt.date(1970, 1, 1) + dt.timedelta(days=20_000 + day) for day in (10, 11))

    def days(time_zone: str) -> list[tuple[dt.date, str, int, int]]:
        found = store.answers.days(since_ms=START_MS, time_zone=time_zone)
        return [(each.day, each.browser, each.offered, each.returned) for each in found]

    assert days("UTC") == [
        (first, "chrome", 2, 1),
        (first, "safari", 1, 0),
        (second, "chrome", 1, 0),
    ]
    assert days("America/New_York")[0][0] == first - dt.timedelta(days=1)
