"""The people store: links follow from the stored log, whatever its order, and from nothing else."""

from typing import Any

import pytest
from pyroaring import BitMap

from matching.columns_store import all_columns
from matching.identification import METHODS, Method
from matching.ids import VISITOR_FIRST
from matching.people import Identity, Limits, LinkStatus
from matching.people_store import IdentificationColumns, PeopleStore

pytestmark = pytest.mark.clickhouse

V = VISITOR_FIRST
NOON_MS = 1_700_000_000_000
MINUTE = 60_000

# A visitor, its customer, the minute, the method, and whether it was only claimed.
Seen = tuple[int, int, int, str, bool]

HISTORY: list[Seen] = [
    (V, 7, 1, "login", False),
    (V + 1, 8, 2, "click", False),
    (V + 1, 0, 3, "page", False),
    (V + 2, 8, 2, "click", False),
    (V + 3, 7, 4, "login", True),
    (V, 8, 9, "server", False),
]


def columns_of(history: list[Seen], *, chunk: int = 1) -> IdentificationColumns:
    """Make the columns of a history, received as it happened."""
    times = [NOON_MS + minute * MINUTE for _, _, minute, _, _ in history]
    return IdentificationColumns(
        chunk=[chunk] * len(history),
        row=list(range(len(history))),
        received_at_ms=times,
        at_ms=times,
        visitor=[each[0] for each in history],
        customer=[each[1] for each in history],
        method=[each[3] for each in history],
        claimed=[each[4] for each in history],
        site=["demo"] * len(history),
        proof=[each[1] if each[3] == "click" else 0 for each in history],
    )


@pytest.fixture
def store(database: Any) -> PeopleStore:
    """Give a store on an empty table."""
    return PeopleStore(database.client())


def test_links_follow_from_the_stored_log(store: PeopleStore) -> None:
    """After a refresh both identities answer from the same links."""
    store.insert(columns_of(HISTORY))
    assert store.refresh(visitors=5)
    people = store.people(Identity.LAST_AUTHENTICATED)
    assert people.customer_of.tolist() == [7, 8, 0, 0, 0]
    assert people.version == 1
    assert people.customer_of is store.people(Identity.BROWSER).customer_of
    assert not people.customer_of.flags.writeable
    assert store.links.status_of(V + 2) is LinkStatus.CLICK_UNCONFIRMED


def test_the_version_moves_with_the_links_only(store: PeopleStore) -> None:
    """New visitors, claims and repeated logins change nobody's link and no version."""
    assert not store.refresh(visitors=3)
    store.insert(columns_of(HISTORY))
    assert store.refresh(visitors=5)
    before = store.people(Identity.BROWSER)
    assert not store.refresh(visitors=50)
    store.insert(columns_of([(V, 7, 10, "login", False), (V + 9, 7, 3, "form", True)], chunk=2))
    assert not store.refresh(visitors=50)
    assert store.people(Identity.BROWSER) is before
    store.insert(columns_of([(V, 8, 11, "purchase", False)], chunk=3))
    assert store.refresh(visitors=50)
    assert store.people(Identity.BROWSER).version == before.version + 1
    assert before.customer_of[0] == 7


def test_a_restart_gives_the_same_links(database: Any, store: PeopleStore) -> None:
    """Another store on the same table comes to the same people."""
    store.insert(columns_of(HISTORY[3:], chunk=2))
    store.insert(columns_of(HISTORY[:3], chunk=1))
    store.refresh(visitors=5)
    again = PeopleStore(database.client())
    again.refresh(visitors=5)
    same = again.links.customer_of == store.links.customer_of
    assert same.all()
    assert again.links.at_ms.tolist() == store.links.at_ms.tolist()


def test_rows_of_another_writer_are_seen(database: Any, store: PeopleStore) -> None:
    """A refresh reads the log again when it has grown, whoever wrote to it."""
    store.insert(columns_of(HISTORY))
    store.refresh(visitors=5)
    PeopleStore(database.client()).insert(columns_of([(V + 4, 9, 1, "login", False)], chunk=2))
    assert store.refresh(visitors=5)
    assert store.links.customer_of.tolist() == [7, 8, 0, 0, 9]


def test_rows_of_a_chunk(store: PeopleStore) -> None:
    """A chunk in doubt can be asked which of its rows are there."""
    store.insert(columns_of(HISTORY, chunk=4))
    store.insert(columns_of([], chunk=5))
    assert store.rows_of_chunk(4).tolist() == [0, 1, 2, 3, 4, 5]
    assert store.rows_of_chunk(5).tolist() == []


def test_the_card_explains_every_observation(store: PeopleStore) -> None:
    """Links of a visitor or customer come newest first, each with what became of it."""
    store.insert(columns_of(HISTORY))
    store.refresh(visitors=5)
    of_visitor = store.links_of(visitor=V)
    assert [(each.customer, each.method, each.status) for each in of_visitor] == [
        (8, "server", LinkStatus.SUPERSEDED),
        (7, "login", LinkStatus.LINKED),
    ]
    of_customer = store.links_of(customer=8)
    assert [(each.visitor, each.status) for each in of_customer] == [
        (V, LinkStatus.SUPERSEDED),
        (V + 2, LinkStatus.CLICK_UNCONFIRMED),
        (V + 1, LinkStatus.LINKED),
    ]
    assert of_customer[0].at_ms == NOON_MS + 9 * MINUTE
    assert of_customer[0].site == "demo"
    assert [each.status for each in store.links_of(customer=7)] == [
        LinkStatus.CLAIMED_ONLY,
        LinkStatus.LINKED,
    ]
    assert store.links_of(visitor=V + 77) == []


def test_limits_are_the_store_s(database: Any) -> None:
    """The limits given to the store are those that cut."""
    store = PeopleStore(database.client(), limits=Limits(visitors_per_customer=1))
    store.insert(columns_of([(V, 7, 1, "login", False), (V + 1, 7, 2, "login", False)]))
    store.refresh(visitors=2)
    assert store.links.customer_of.tolist() == [0, 7]


def test_every_method_survives_the_table(store: PeopleStore) -> None:
    """A stored method counts as it would have without the table."""
    history: list[Seen] = []
    for visitor, method in enumerate(METHODS, start=V):
        history += [(visitor, 7, 1, method.value, False), (visitor, 0, 1, "page", False)]
    store.insert(columns_of(history))
    store.refresh(visitors=1)
    expected = [0 if method is Method.PAGE else 7 for method in METHODS]
    assert store.links.customer_of.tolist() == expected
    assert store.links.method.tolist()[:5] == [0, 1, 2, 3, 4]


def test_a_method_of_a_newer_version_does_not_count(store: PeopleStore) -> None:
    """An unknown method links nobody and is shown as it stands."""
    store.insert(columns_of([(V, 7, 1, "iris_scan", False)]))
    assert not store.refresh(visitors=1)
    assert store.links_of(visitor=V)[0].method == "iris_scan"
    assert store.links_of(visitor=V)[0].status is LinkStatus.NONE


def test_recent_clicks(store: PeopleStore) -> None:
    """After a restart the loader still knows who clicked of late."""
    store.insert(columns_of([*HISTORY, (V + 1, 8, 5, "click", False)]))
    assert store.recent_clicks(since_ms=NOON_MS + 3 * MINUTE) == {V + 1: NOON_MS + 5 * MINUTE}


def test_erasing_is_as_if_never_observed(store: PeopleStore) -> None:
    """Links without the erased people's observations are those of a log that never had them."""
    store.insert(columns_of(HISTORY))
    store.refresh(visitors=5)
    store.erase(customers=[7], visitors=[V + 1])
    assert store.refresh(visitors=5)
    assert store.links.customer_of.tolist() == [8, 0, 0, 0, 0]
    assert store.links_of(customer=7) == []


def test_a_click_beyond_its_link_s_places_is_explained_on_either_card(store: PeopleStore) -> None:
    """Visitor and customer tell the same of a click that came too late for a place."""
    history: list[Seen] = []
    for number in range(5):
        history += [(V + number, 8, number, "click", False), (V + number, 0, number, "page", False)]
    store.insert(columns_of(history))
    store.refresh(visitors=5)
    assert store.links.customer_of.tolist() == [8, 8, 8, 0, 0]
    (own,) = store.links_of(visitor=V + 4)
    assert own.status is LinkStatus.CLICK_OVER_LIMIT
    of_customer = {each.visitor: each.status for each in store.links_of(customer=8)}
    assert [of_customer[V + number].value for number in range(5)] == [
        *["linked"] * 3,
        *["click_over_limit"] * 2,
    ]


def test_an_erased_visitor_frees_its_place_on_a_link(database: Any) -> None:
    """Whoever came fourth by a link is linked once one of the first three is erased."""
    store = PeopleStore(database.client(), rows_per_visitor_read=0)
    history: list[Seen] = []
    for number in range(4):
        history += [(V + number, 8, number, "click", False), (V + number, 0, number, "page", False)]
    store.refresh(visitors=4)
    store.insert(columns_of(history))
    store.refresh(visitors=4)
    store.erase(customers=[], visitors=[V])
    assert store.refresh(visitors=4)
    assert not store.last_renewal.everything
    assert store.links.customer_of.tolist() == [0, 8, 8, 8]
    assert list(store.changed_visitors) == [V, V + 3]
    assert (store.changes.before.tolist(), store.changes.now.tolist()) == ([8, 0], [0, 8])


def test_who_is_cut_can_be_shown(database: Any) -> None:
    """Of a customer with too many visitors the store tells who stays and who does not."""
    store = PeopleStore(database.client(), limits=Limits(visitors_per_customer=1))
    store.insert(columns_of([(V, 7, 1, "login", False), (V + 1, 7, 2, "login", False)]))
    store.refresh(visitors=2)
    assert store.visitors_over_limit(7) == (BitMap([V + 1]), BitMap([V]))
    assert store.visitors_over_limit(8) == (BitMap(), BitMap())


def test_the_order_of_the_log_decides_between_equals(database: Any) -> None:
    """Two logins at the same time go to the later row, whichever way the log was read."""
    store = PeopleStore(database.client(), rows_per_visitor_read=0)
    store.insert(columns_of([(V, 9, 1, "login", False)], chunk=5))
    store.insert(columns_of([(V, 7, 1, "login", False)], chunk=2))
    assert store.refresh(visitors=1)
    assert store.links.customer_of.tolist() == [9]
    store.insert(columns_of([(V, 6, 1, "purchase", False)], chunk=7))
    store.insert(columns_of([(V, 5, 1, "purchase", False)], chunk=1))
    assert store.refresh(visitors=1)
    assert not store.last_renewal.everything
    assert store.links.customer_of.tolist() == [6]


def test_columns_of_another_type_are_refused(database: Any) -> None:
    """What a query sends is not taken for something else."""
    client = database.client()
    with pytest.raises(ValueError, match="is a UInt8, a UInt32 was asked for"):
        all_columns(client, "select 1 as one", ["UInt32"])
    with pytest.raises(ValueError, match="has 1 columns, 2 were asked for"):
        all_columns(client, "select 1 as one", ["UInt8", "UInt8"])
    (numbers,) = all_columns(client, "select toUInt32(number) from numbers(300000)", ["UInt32"])
    assert numbers.tolist() == list(range(300_000))
    (none,) = all_columns(client, "select toUInt32(number) from numbers(0)", ["UInt32"])
    assert none.tolist() == []
