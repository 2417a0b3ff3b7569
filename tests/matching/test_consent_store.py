"""Consents in the real database, against plain lists of what everybody said."""

from itertools import count
from typing import Any, Literal

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from matching.consent.decide import Decision, PartnerConsent, Signals, Use, decide, encode_signals
from matching.consent_store import (
    ConsentColumns,
    ConsentRow,
    ConsentStore,
    Standing,
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
        if text == BROKEN:
            return None
        told = TOLD[text]
        gpc = gpc if told.by_server else told.gpc
        opted_out = opted_out or told.opted_out
        explicit |= told.explicit or {}
    return Signals(gpc=gpc, opted_out=opted_out, explicit=explicit or None)


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
    in_order = sorted(rows, key=lambda row: (row[2], row[1]))
    everyone = BitMap(range(VISITOR_FIRST, VISITOR_FIRST + 13))
    expected = set()
    for visitor in everyone:
        own = [row for row in in_order if row[3] == visitor]
        signals, site = stands([row[4] for row in own]), own[-1][5] if own else default_site
        if signals is not None and site_decides(signals, use, DSP, site).allowed:
            expected.add(visitor)
    found = store.allowed(DSP, use, site_decides, visitors=everyone, default_site=default_site)
    assert set(found) == expected
