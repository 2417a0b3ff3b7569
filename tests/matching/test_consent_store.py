"""Consents in the real database, against plain lists of what everybody said."""

from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, Final, Literal

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from matching.consent.decide import Decision, PartnerConsent, Signals, Use, decide, encode_signals
from matching.consent.history import ConsentRow, Standing
from matching.consent_store import (
    HISTORY_ROWS_MAX,
    ConsentColumns,
    ConsentStore,
    visitors_with_gpc,
)
from matching.ids import VISITOR_FIRST

pytestmark = pytest.mark.clickhouse

YES = encode_signals(Signals(explicit={"audiences": True, "sync": True}))
NO = encode_signals(Signals(explicit={"audiences": False, "sync": False}))
GPC = encode_signals(Signals(gpc=True))
NONE = encode_signals(Signals())
OUT = encode_signals(Signals(opted_out=True))
SERVER_YES = encode_signals(Signals(explicit={"audiences": True}, by_server=True))
BROKEN = '{"tcf":'
BROKEN_OUT = '{"opted_out":true,"of a later version":1}'
DEFAULTS: dict[str, Literal["allow", "deny"]] = {"open": "allow", "closed": "deny"}
DSP = PartnerConsent(gvl_id=1)

Row = tuple[int, int, int, int, str, str]
"""chunk, row, received_at_ms, visitor, signals, site: the order of the table's columns."""


@pytest.fixture
def client(database: Any) -> Client:
    """Give a client on empty tables."""
    opened: Client = database.client()
    return opened


def site_decides(signals: Signals, use: Use, partner: PartnerConsent | None, site: str) -> Decision:
    """Decide as a caller does who knows each site's default."""
    return decide(signals, use, default=DEFAULTS[site], partner=partner)


def columns(*rows: Row) -> ConsentColumns:
    """Turn rows into the columns that the store takes."""
    names = ("chunk", "row", "received_at_ms", "visitor", "signals", "site")
    by_name = zip(names, zip(*rows, strict=True) if rows else [[]] * 6, strict=True)
    return ConsentColumns(**{name: list(values) for name, values in by_name})


def test_the_newest_signals_decide(client: Client) -> None:
    """Consent and withdrawal count by receive time, then by chunk and row, whatever came first."""
    store, first = ConsentStore(client), VISITOR_FIRST
    store.insert(
        columns(
            (1, 0, 5_000, first, YES, "closed"),
            (1, 1, 4_000, first, NO, "closed"),
            (1, 2, 5_000, first + 1, YES, "open"),
            (1, 3, 5_000, first + 1, NO, "open"),
            (2, 0, 6_000, first + 2, GPC, "open"),
            (2, 1, 6_000, first + 3, GPC, "closed"),
            (2, 2, 6_000, first + 4, BROKEN, "open"),
        )
    )
    everyone = BitMap(range(first, first + 7))
    assert store.denied_audiences(site_decides) == BitMap([first + 1, first + 3, first + 4])
    for site, unheard in (("open", {first + 5, first + 6}), ("closed", set())):
        audiences = store.allowed(
            None, Use.AUDIENCES, site_decides, visitors=everyone, default_site=site
        )
        sync = store.allowed(DSP, Use.SYNC, site_decides, visitors=everyone, default_site=site)
        assert set(audiences) == {first, first + 2} | unheard
        assert set(sync) == {first} | unheard


def test_only_the_visitors_asked_for_are_found(client: Client) -> None:
    """Visitors outside of the given set, erased ones for instance, never come back."""
    store, first = ConsentStore(client), VISITOR_FIRST
    store.insert(columns((1, 0, 5_000, first, YES, "open"), (1, 1, 5_000, first + 1, YES, "open")))
    found = store.allowed(
        DSP, Use.SYNC, site_decides, visitors=BitMap([first + 1]), default_site="open"
    )
    assert found == BitMap([first + 1])


def test_chunks_can_be_counted(client: Client) -> None:
    """The loader learns which rows of a chunk are stored, and an empty insert is nothing."""
    store = ConsentStore(client)
    store.insert(columns())
    store.insert(columns((7, 2, 1_000, VISITOR_FIRST, YES, "open")))
    store.insert(
        columns(
            (7, 0, 1_000, VISITOR_FIRST, YES, "open"), (8, 1, 1_000, VISITOR_FIRST, YES, "open")
        )
    )
    assert store.rows_of_chunk(7).tolist() == [0, 2]
    assert store.rows_of_chunk(9).tolist() == []
    assert store.rows_of_chunk(9).dtype == "uint32"


def test_a_withdrawal_outlives_the_next_signal(client: Client) -> None:
    """An opt-out, a denial or GPC is not undone by a later signal that answers something else."""
    store, first = ConsentStore(client), VISITOR_FIRST
    said = ((OUT, YES), (NO, GPC), (GPC, SERVER_YES), (NO, YES), (GPC, YES))
    store.insert(
        columns(
            *(
                (1, 2 * who + at, 1_000 + at, first + who, text, "open")
                for who, texts in enumerate(said)
                for at, text in enumerate(texts)
            )
        )
    )
    assert store.denied_audiences(site_decides) == BitMap([first, first + 1])
    assert store.opted_out() == BitMap([first])
    with_gpc = visitors_with_gpc(store.classes(), site_decides)
    assert with_gpc == BitMap([first + 1, first + 2])
    everyone = BitMap(range(first, first + len(said)))
    sync = store.allowed(DSP, Use.SYNC, site_decides, visitors=everyone, default_site="open")
    assert sync == BitMap([first + 3, first + 4])


def test_one_visitor_s_standing_is_its_class(client: Client) -> None:
    """The card asks of one visitor what every bitmap decides by; unreadable rows are None."""
    store, first = ConsentStore(client), VISITOR_FIRST
    store.insert(
        columns(
            (1, 0, 1_000, first, OUT, "open"),
            (1, 1, 2_000, first, YES, "closed"),
            (1, 2, 1_000, first + 1, BROKEN, "open"),
            (1, 3, 2_000, first + 1, YES, "open"),
        )
    )
    both = Signals(explicit={"audiences": True, "sync": True}, opted_out=True)
    assert store.standing(first) == Standing(signals=both, site="closed")
    assert store.standing(first + 1) == Standing(signals=None, site="open")
    assert store.standing(first + 2) is None


def test_history_is_newest_first(client: Client) -> None:
    """The identity card shows every change of one visitor, to the millisecond."""
    store = ConsentStore(client)
    at_ms = 1_780_272_000_123
    store.insert(
        columns(
            (1, 0, at_ms, VISITOR_FIRST, YES, "open"),
            (1, 1, at_ms, VISITOR_FIRST + 1, GPC, "open"),
            (2, 0, at_ms + 1, VISITOR_FIRST, NO, "closed"),
        )
    )
    assert store.history(VISITOR_FIRST) == [
        ConsentRow(received_at_ms=at_ms + 1, signals=NO, site="closed"),
        ConsentRow(received_at_ms=at_ms, signals=YES, site="open"),
    ]
    assert store.history(VISITOR_FIRST + 2) == []


def test_erased_visitors_leave_nothing(client: Client) -> None:
    """After an erasure there is no row, no history and no class of the visitor."""
    store, first = ConsentStore(client), VISITOR_FIRST
    store.insert(columns(*((1, at, 5_000, first + at % 3, NO, "open") for at in range(6))))
    store.erase([first, first + 2])
    store.erase([])
    assert [set(each.visitors) for each in store.classes()] == [{first + 1}]
    assert store.history(first) == []
    assert store.rows_of_chunk(1).tolist() == [1, 4]


def test_many_visitors_of_one_class_fit_one_bitmap(client: Client) -> None:
    """Small and large classes of visitors both come back whole."""
    store, first = ConsentStore(client), VISITOR_FIRST
    for size, signals in ((32, YES), (330, NO), (70_000, GPC)):
        store.insert(
            ConsentColumns(
                chunk=[size] * size,
                row=range(size),
                received_at_ms=[1_000] * size,
                visitor=range(first + size * 10, first + size * 11),
                signals=[signals] * size,
                site=["open"] * size,
            )
        )
    sizes = {len(each.visitors): each.visitors for each in store.classes()}
    assert sizes == {
        size: BitMap(range(first + size * 10, first + size * 11)) for size in (32, 330, 70_000)
    }


TOLD = {
    YES: Signals(explicit={"audiences": True, "sync": True}),
    NO: Signals(explicit={"audiences": False, "sync": False}),
    SERVER_YES: Signals(explicit={"audiences": True}, by_server=True),
    GPC: Signals(gpc=True),
    OUT: Signals(opted_out=True),
    NONE: Signals(),
}
CHANGES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.integers(0, 12),
        st.sampled_from([*TOLD, BROKEN]),
        st.sampled_from(["open", "closed"]),
    ),
    max_size=30,
)


def stands(texts: list[str]) -> Signals | None:
    """Go through all that a visitor said, oldest first, as slowly as it reads."""
    gpc, opted_out, explicit = False, False, dict[str, bool]()
    for text in texts:
        if text in {BROKEN, BROKEN_OUT}:
            return None
        told = TOLD[text]
        gpc = gpc if told.by_server else told.gpc
        opted_out = opted_out or told.opted_out
        explicit |= told.explicit or {}
    return Signals(gpc=gpc, opted_out=opted_out, explicit=explicit or None)


Known = dict[int, tuple[Signals | None, str, bool]]
"""What stands of each visitor, the site of the newest, and whether it opted out."""


def known_of(rows: list[Row]) -> Known:
    """Go through all rows of each visitor, oldest first."""
    found: Known = {}
    for visitor in {row[3] for row in rows}:
        own = sorted((row for row in rows if row[3] == visitor), key=lambda row: (row[2], *row[:2]))
        texts = [row[4] for row in own]
        opted_out = OUT in texts or BROKEN_OUT in texts
        found[visitor] = (stands(texts), own[-1][5], opted_out)
    return found


def known_to(store: ConsentStore) -> Known:
    """Give what a store says of everybody, class by class."""
    return {
        visitor: (each.signals, each.site, each.opted_out)
        for each in store.classes()
        for visitor in each.visitors
    }


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, use=st.sampled_from(Use), default_site=st.sampled_from(["open", "closed"]))
def test_any_history_agrees_with_a_list(
    client: Client, changes: list[tuple[int, int, str, str]], use: Use, default_site: str
) -> None:
    """Each visitor is allowed exactly what all its own signals say together."""
    client.command("truncate table consents")
    store, numbers = ConsentStore(client), count()
    rows = [
        (1, next(numbers), 1_000 + at, VISITOR_FIRST + visitor, signals, site)
        for at, visitor, signals, site in changes
    ]
    store.insert(columns(*rows))
    everyone, known = BitMap(range(VISITOR_FIRST, VISITOR_FIRST + 13)), known_of(rows)
    silent = (Signals(), default_site, False)
    expected = {
        visitor
        for visitor in everyone
        for signals, site, _ in [known.get(visitor, silent)]
        if signals is not None and site_decides(signals, use, DSP, site).allowed
    }
    found = store.allowed(DSP, use, site_decides, visitors=everyone, default_site=default_site)
    assert set(found) == expected


PLACES: Final = st.sampled_from([0, 1, 2, 3, 40, 1 << 20, (1 << 20) + 1])
"""Visitors near each other, and some beyond the first slice that is read at a time."""
TOLD_NOW = st.lists(
    st.tuples(
        PLACES,
        st.integers(0, 5),
        st.sampled_from([*TOLD, BROKEN, BROKEN_OUT]),
        st.sampled_from(["open", "closed", ""]),
    ),
    max_size=6,
)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), TOLD_NOW),
        st.tuples(st.just("erase"), st.lists(PLACES, max_size=2, unique=True)),
        st.tuples(st.just("ask"), st.none()),
    ),
    max_size=10,
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_what_is_kept_in_memory_is_what_the_table_says(
    client: Client, acts: list[tuple[str, Any]]
) -> None:
    """After any inserts, late ones too, erasures and questions, a new store says the same."""
    client.command("truncate table consents")
    store, numbers, rows = ConsentStore(client), count(), list[Row]()
    store.classes()
    for act, what in acts:
        if act == "insert":
            new = [
                (1, next(numbers), 1_000 + at, VISITOR_FIRST + place, text, site)
                for place, at, text, site in what
            ]
            store.insert(columns(*new))
            rows += new
        elif act == "erase":
            gone = [VISITOR_FIRST + place for place in what]
            store.erase(gone)
            rows = [row for row in rows if row[3] not in gone]
        else:
            assert known_to(store) == known_of(rows)
    assert known_to(store) == known_to(ConsentStore(client)) == known_of(rows)
    out = {visitor for visitor, (_, __, is_out) in known_of(rows).items() if is_out}
    assert set(store.opted_out()) == out


def test_what_another_wrote_is_seen(client: Client) -> None:
    """Rows that came or went without this store, as after a failed insert, are not missed."""
    store, other, first = ConsentStore(client), ConsentStore(client), VISITOR_FIRST
    store.insert(columns((1, 0, 1_000, first, YES, "open")))
    assert set(known_to(store)) == {first}
    other.insert(columns((1, 1, 2_000, first, NO, "open"), (1, 2, 1_000, first + 1, GPC, "open")))
    assert known_to(store) == known_to(other)
    assert store.denied_audiences(site_decides) == BitMap([first])
    other.erase([first])
    assert set(known_to(store)) == {first + 1}


def test_many_changes_at_once_are_read_anew(client: Client) -> None:
    """When more visitors changed than are worth asking for one by one, all are read."""
    store, first, size = ConsentStore(client), VISITOR_FIRST, 10_100
    store.insert(columns((1, 0, 1_000, first, YES, "open")))
    assert len(store.classes()) == 1
    for chunk, signals in ((2, YES), (3, NO)):
        store.insert(
            ConsentColumns(
                chunk=[chunk] * size,
                row=range(size),
                received_at_ms=[1_000 + chunk] * size,
                visitor=range(first, first + size),
                signals=[signals] * size,
                site=["open"] * size,
            )
        )
        (only,) = store.classes()
        assert (only.signals, len(only.visitors)) == (TOLD[signals], size)


def test_classes_that_were_given_out_never_change(client: Client) -> None:
    """Who asked before keeps the answer of that moment; bitmaps may be changed by their owner."""
    store, first = ConsentStore(client), VISITOR_FIRST
    store.insert(columns((1, 0, 1_000, first, YES, "open"), (1, 1, 1_000, first + 1, NO, "open")))
    before = store.classes()
    assert store.classes() is before
    store.opted_out().add(first)
    for each in before:
        each.visitors.clear()
    store.insert(columns((1, 2, 2_000, first, NO, "open")))
    assert sorted(len(each.visitors) for each in before) == [1, 1]
    assert [set(each.visitors) for each in store.classes()] == [{first, first + 1}]
    assert not store.opted_out()


def test_threads_may_ask_while_one_writes(database: Any) -> None:
    """Every answer given meanwhile is one of a moment: what one insert brought is there whole."""
    store, first, rounds = ConsentStore(database.client()), VISITOR_FIRST, 12

    def write() -> None:
        for at in range(rounds):
            text = (YES, NO)[at % 2]
            store.insert(columns(*((1, at * 3 + i, at, first + i, text, "open") for i in range(3))))

    def ask() -> list[int]:
        return [len(store.denied_audiences(site_decides)) for _ in range(rounds)]

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(3)]
        pool.submit(write).result()
        assert {size for each in asked for size in each.result()} <= {0, 3}
    assert known_to(store) == known_to(ConsentStore(database.client()))
    assert len(store.denied_audiences(site_decides)) == 3


def test_each_answer_is_told_with_what_it_meant(client: Client) -> None:
    """Even when a visitor answered more often than is shown, what it withdrew before counts."""
    store, first = ConsentStore(client), VISITOR_FIRST
    changes = [OUT, *([YES, NO] * HISTORY_ROWS_MAX)][: HISTORY_ROWS_MAX + 1]
    store.insert(columns(*((1, at, at, first, text, "open") for at, text in enumerate(changes))))
    told = store.answers(first, site_decides)
    assert [each.at_ms for each in told] == list(range(HISTORY_ROWS_MAX, 0, -1))
    reasons = {each.reason for answer in told for each in answer.uses.values()}
    assert reasons == {"opted_out"}
    assert store.answers(first + 1, site_decides) == []
