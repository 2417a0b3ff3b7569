"""The table of correspondence: live ids, offers, health, and ordinals of ids."""

import time
from collections import Counter
from random import Random
from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client
from partner_id_rows import DAY_MS, START_MS, Row, V, put
from pyroaring import BitMap

from matching.partner_ids_store import (
    Offer,
    PartnerIdsStore,
    WaitingId,
)

pytestmark = pytest.mark.clickhouse


@pytest.fixture
def client(database: Any) -> Client:
    """Give a client on empty tables."""
    return cast(Client, database.client())


@pytest.fixture
def store(client: Client) -> PartnerIdsStore:
    """Give a store on an empty table, opened."""
    return opened(client)


def opened(client: Client) -> PartnerIdsStore:
    """Start a store as after a restart."""
    store = PartnerIdsStore(client)
    store.open()
    return store


def live(
    store: PartnerIdsStore, *, space: str = "xandr", day: int = 50, lives: int = 30
) -> list[tuple[int, str]]:
    """List (visitor number, id) of the live ids."""
    found = store.live(space, as_of_ms=START_MS + day * DAY_MS, lives_days=lives)
    return [
        (visitor - V, text)
        for visitor, text in zip(found.visitors.tolist(), found.ids, strict=True)
    ]


def live_naively(rows: list[Row], *, day: int, lives: int) -> list[tuple[int, str]]:
    """Leave out of the newest ids what more than five visitors carry."""
    found = newest_naively(rows, day=day, lives=lives)
    carried = Counter(text for _, text in found)
    return [(visitor, text) for visitor, text in found if carried[text] <= 5]


def newest_naively(rows: list[Row], *, day: int, lives: int) -> list[tuple[int, str]]:
    """Read the rows one by one: of each visitor the newest word stands, if it is an id."""
    newest: dict[int, Row] = {}
    for each in sorted(rows, key=lambda row: row[1]):
        if each[2] in {"stored", "deleted"} and each[1] <= day:
            newest[each[0]] = each
    found = sorted(
        (text, visitor)
        for visitor, (_, at, action, text, _) in newest.items()
        if action == "stored" and at >= day - lives
    )
    return [(visitor, text) for text, visitor in found]


def test_live_ids_equal_a_naive_reading(store: PartnerIdsStore) -> None:
    """Long random histories, asked on many days, give what reading row by row gives."""
    pick = Random(11)
    rows: list[Row] = []
    for nonce in range(600):
        action = pick.choice(["stored", "stored", "deleted", "refused", "offered"])
        known = [*(f"X{number}" for number in range(12)), "a", "é", "\U0001f6b2", "Z"]
        text = pick.choice(known) if action == "stored" else ""
        rows.append((pick.randrange(90), pick.randrange(60), action, text, nonce))
    put(store, rows)
    for day in range(0, 80, 9):
        for lives in (1, 14, 40):
            expected = live_naively(rows, day=day, lives=lives)
            assert live(store, day=day, lives=lives) == expected
            as_of_ms = START_MS + day * DAY_MS
            found = store.visitors_with("xandr", as_of_ms=as_of_ms, lives_days=lives)
            assert found == BitMap([V + visitor for visitor, _ in expected])
            given = store.id_ordinals("xandr", known)
            whole = Counter(text for _, text in newest_naively(rows, day=day, lives=lives))
            ids = dict(zip(given.tolist(), known, strict=True))
            carriers = store.states.carriers("xandr", ids, as_of_ms=as_of_ms, lives_days=lives)
            counts = {ordinal: len(visitors) for ordinal, visitors in carriers.items()}
            assert counts == {
                ordinal: min(whole[text], 6) for ordinal, text in ids.items() if whole[text] > 1
            }


LIVES: dict[str, tuple[list[Row], list[tuple[int, str]]]] = {
    "stored": ([(0, 40, "stored", "X7", 1)], [(0, "X7")]),
    "expired": ([(0, 19, "stored", "X7", 1)], []),
    "on its last day": ([(0, 20, "stored", "X7", 1)], [(0, "X7")]),
    "later than asked": ([(0, 51, "stored", "X7", 1)], []),
    "deleted hides": ([(0, 40, "stored", "X7", 1), (0, 41, "deleted", "", 0)], []),
    "refused hides nothing": (
        [(0, 40, "stored", "X7", 1), (0, 41, "refused", "", 2)],
        [(0, "X7")],
    ),
    "of equal times the later row": (
        [(0, 40, "stored", "X7", 1), (0, 40, "stored", "X9", 2)],
        [(0, "X9")],
    ),
    "ordered by id": (
        [(0, 40, "stored", "b", 1), (1, 40, "stored", "B", 2), (2, 40, "stored", "b", 3)],
        [(1, "B"), (0, "b"), (2, "b")],
    ),
}


def test_live_ids(store: PartnerIdsStore) -> None:
    """Each rule of living ids, alone in an id space of its own."""
    for space, (rows, _) in LIVES.items():
        put(store, rows, space=space)
    for space, (_, expected) in LIVES.items():
        assert live(store, space=space) == expected, space


def test_ids_have_ordinals_of_their_own(client: Client, store: PartnerIdsStore) -> None:
    """Each (id space, id) has one dense ordinal over all spaces, also after a restart."""
    put(store, [(0, 1, "stored", "X7", 1), (1, 1, "stored", "X8", 2), (2, 1, "offered", "", 3)])
    put(store, [(0, 1, "stored", "X7", 4)], space="adform", chunk=2)
    again = opened(client)
    assert again.id_ordinals("xandr", ["X8", "X7", "X9", ""]).tolist() == [2, 1, 4, 0]
    assert again.id_ordinals("adform", ["X7"]).tolist() == [3]
    assert again.ids_of([1, 3, 99]) == {1: ("xandr", "X7"), 3: ("adform", "X7")}
    found = again.live("xandr", as_of_ms=START_MS + 2 * DAY_MS, lives_days=9)
    assert found.id_ordinals.tolist() == [1, 2]


def test_an_id_given_but_not_stored_keeps_its_ordinal(store: PartnerIdsStore) -> None:
    """After a failed insert the loader opens again and finds the same ordinal."""
    given = store.id_ordinals("xandr", ["X7"]).tolist()
    store.open()
    assert store.id_ordinals("xandr", ["X8", "X7"]).tolist() == [given[0] + 1, given[0]]


def test_open_offers(store: PartnerIdsStore) -> None:
    """Offers stand until an id is stored with their nonce, and are forgotten with time."""
    put(
        store,
        [
            (0, 10, "offered", "", 100),
            (1, 10, "offered", "", 101),
            (1, 11, "stored", "X7", 101),
            (2, 10, "offered", "", 102),
            (2, 11, "refused", "", 102),
            (3, 1, "offered", "", 103),
        ],
    )
    put(store, [(4, 10, "offered", "", 104)], chunk=2)
    since_ms = START_MS + 5 * DAY_MS
    at_ms = START_MS + 10 * DAY_MS
    assert store.open_offers(since_ms=since_ms, before_chunk=2) == {
        100: Offer(nonce=100, partner="xandr", visitor=V, at_ms=at_ms),
        102: Offer(nonce=102, partner="xandr", visitor=V + 2, at_ms=at_ms),
    }
    assert set(store.open_offers(since_ms=since_ms)) == {100, 102, 104}
    assert store.answered(since_ms=since_ms) == {101: START_MS + 11 * DAY_MS}


def test_waiting_ids(store: PartnerIdsStore) -> None:
    """An id that came before its offer waits until the offer is there."""
    day = int(time.time() * 1000 - START_MS) // DAY_MS
    put(store, [(0, day, "waiting", "X7", 100), (0, day, "waiting", "", 101)])
    put(store, [(1, day, "offered", "", 101)], chunk=2)
    since_ms = START_MS + (day - 1) * DAY_MS
    assert [each.nonce for each in store.waiting(since_ms=since_ms, before_chunk=2)] == [100, 101]
    assert store.waiting(since_ms=since_ms) == [
        WaitingId(nonce=100, partner="xandr", id="X7", at_ms=START_MS + day * DAY_MS)
    ]


def test_an_id_of_many_visitors_is_nobodys(store: PartnerIdsStore) -> None:
    """An id that six visitors carry reaches none of them and counts as refused; five may share."""
    put(store, [(visitor, 10, "stored", "same", 100 + visitor) for visitor in range(6)])
    put(
        store, [(visitor, 10, "stored", "home", 200 + visitor) for visitor in range(6, 11)], chunk=2
    )
    assert live(store, day=11) == [(visitor, "home") for visitor in range(6, 11)]
    (health,) = store.answers.read(since_ms=START_MS).health
    assert (health.refused, health.refusals) == (6, {"fan_out": 6})
    put(store, [(0, 11, "stored", "own", 300)], chunk=3)
    assert len(live(store, day=12)) == 11
    assert store.answers.read(since_ms=START_MS).health[0].refusals == {}


def test_everything_about_a_visitor_newest_first(store: PartnerIdsStore) -> None:
    """The card shows offers and ids of every partner."""
    put(store, [(0, 1, "offered", "", 5), (0, 2, "stored", "X7", 5), (1, 3, "stored", "X8", 6)])
    rows = store.of_visitors([V])
    assert [(each.action, each.id, each.nonce) for each in rows] == [
        ("stored", "X7", 5),
        ("offered", "", 5),
    ]
    assert rows[0].received_at_ms == START_MS + 2 * DAY_MS
    assert store.visitor_of("X8") == V + 1
    assert store.visitor_of("X9") is None


def test_rows_of_a_chunk(store: PartnerIdsStore) -> None:
    """A chunk in doubt can be asked which of its rows are there."""
    put(store, [(0, 1, "offered", "", 5), (0, 2, "stored", "X7", 5)], chunk=9)
    put(store, [], chunk=8)
    assert store.rows_of_chunk(9).tolist() == [0, 1]
    assert store.rows_of_chunk(8).tolist() == []


def test_erasing_burns_the_ordinals(client: Client, store: PartnerIdsStore) -> None:
    """Rows are gone, an id that another browser carries stays, and no ordinal is given again."""
    put(
        store,
        [
            (0, 45, "stored", "shared", 1),
            (1, 45, "stored", "shared", 2),
            (0, 46, "stored", "own", 3),
        ],
    )
    store.erase([V])
    for each in (store, opened(client)):
        assert each.of_visitors([V]) == []
        assert live(each) == [(1, "shared")]
        assert each.ids_of([1, 2]) == {1: ("xandr", "shared")}
        assert each.id_ordinals("xandr", ["shared"]).tolist() == [1]
        assert each.answers.read(since_ms=0).health[0].partner == "xandr"
        assert len(each.answers.read(since_ms=0).health) == 1
    assert store.id_ordinals("xandr", ["own"]).tolist() == [3]
    assert opened(client).id_ordinals("xandr", ["new"]).tolist() == [3]
    store.erase([V, V + 5])
    store.erase([])
