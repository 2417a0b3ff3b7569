"""The customer store: ordinals of stored rows only, names, traits and erasure."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client
from pyroaring import BitMap

from matching.customer_store import BROWSER_SOURCE, CustomerName, CustomerStore, CustomerTrait
from matching.ids import CUSTOMER_FIRST, VISITOR_FIRST

pytestmark = pytest.mark.clickhouse

A, B, C = (bytes([number]) * 15 + b"\0" for number in (1, 2, 3))
NOBODY = bytes(16)


class LossyClient:
    """A client that loses the answers of inserts, before or after they happened."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.lose: str | None = None

    def insert(self, table: str, columns: Sequence[Any], **rest: Any) -> None:
        """Insert, or fail as told."""
        if self.lose == "before":
            raise ConnectionError("lost before the insert")
        self._client.insert(table, columns, **rest)
        if self.lose == "after":
            raise ConnectionError("lost after the insert")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


@pytest.fixture
def client(database: Any) -> Client:
    """Give a client on empty tables."""
    return cast(Client, database.client())


@pytest.fixture
def store(client: Client) -> CustomerStore:
    """Give a store on empty tables, opened."""
    return opened(client)


def opened(client: Any) -> CustomerStore:
    """Start a store as after a restart."""
    store = CustomerStore(client)
    store.open()
    return store


def customers_of(store: CustomerStore, *crm_ids: str) -> list[int]:
    """Give ordinals to CRM ids."""
    ordinals: list[int] = store.customer_ordinals(crm_ids, source="crm", at_ms=1).tolist()
    return ordinals


def name(customer: int, kind: str, value: str, at_ms: int = 1) -> CustomerName:
    """Make a name of the CRM's."""
    return CustomerName(customer=customer, kind=kind, value=value, source="crm", at_ms=at_ms)


def trait(
    customer: int, *, value: float, source: str = "crm", at_ms: int = 1, kind: str = "number"
) -> CustomerTrait:
    """Make a customer's age."""
    return CustomerTrait(
        customer=customer, trait="age", kind=kind, number=value, source=source, at_ms=at_ms
    )


def test_visitors_get_ordinals_once_and_keep_them(client: Client, store: CustomerStore) -> None:
    """New ids are numbered in order, the zero id is nobody, and a restart knows them all."""
    given = store.visitor_ordinals([B, NOBODY, A, B], chunk=7)
    assert given.tolist() == [VISITOR_FIRST, 0, VISITOR_FIRST + 1, VISITOR_FIRST]
    again = opened(client)
    assert again.find_visitors([A, B, C]).tolist() == [VISITOR_FIRST + 1, VISITOR_FIRST, 0]
    assert again.visitor_ordinals([C], chunk=8).tolist() == [VISITOR_FIRST + 2]
    assert again.visitor_ids([VISITOR_FIRST, VISITOR_FIRST + 9]) == {VISITOR_FIRST: B}
    assert again.visitors() == BitMap(range(VISITOR_FIRST, VISITOR_FIRST + 3))
    assert again.visitor_count == 3


def test_customers_get_ordinals_once_and_keep_them(client: Client, store: CustomerStore) -> None:
    """CRM ids are numbered from 1; empty and blocked ones are nobody's."""
    assert customers_of(store, "123456", "", "null", "x", "123456") == [1, 0, 0, 2, 1]
    again = opened(client)
    assert again.find_customers(["x", "y", "undefined"]).tolist() == [2, 0, 0]
    assert customers_of(again, "y") == [3]
    assert again.crm_ids([1, 3, 9]) == {1: "123456", 3: "y"}
    assert again.customers() == BitMap([1, 2, 3])


@pytest.mark.parametrize("lose", ["before", "after"])
@pytest.mark.parametrize("restart", [False, True], ids=["same-cache", "reopened"])
def test_a_lost_answer_gives_no_ordinal_twice(client: Client, lose: str, restart: bool) -> None:
    """Whether or not the rows arrived, the failed keys keep their ordinals and nobody else's."""
    lossy = LossyClient(client)
    store = opened(lossy)
    store.visitor_ordinals([A], chunk=1)
    lossy.lose = lose
    with pytest.raises(ConnectionError):
        store.visitor_ordinals([A, B], chunk=2)
    assert store.find_visitors([A, B]).tolist() == [VISITOR_FIRST, 0]
    lossy.lose = None
    if restart:
        store.open()
    given = store.visitor_ordinals([C, B], chunk=2).tolist()
    assert given == [VISITOR_FIRST + 2, VISITOR_FIRST + 1]
    rows = client.query("select ordinal, id from visitors order by ordinal").result_rows
    assert rows == [(VISITOR_FIRST, A), (VISITOR_FIRST + 1, B), (VISITOR_FIRST + 2, C)]


@pytest.mark.parametrize("lose", ["before", "after"])
def test_a_lost_answer_gives_no_customer_twice(client: Client, lose: str) -> None:
    """The same holds for customers, also when settling fails at first."""
    lossy = LossyClient(client)
    store = opened(lossy)
    lossy.lose = lose
    with pytest.raises(ConnectionError):
        customers_of(store, "123456", "y")
    if lose == "before":
        with pytest.raises(ConnectionError):
            customers_of(store, "x")
    lossy.lose = None
    assert customers_of(store, "x", "y", "123456") == [3, 2, 1]
    assert opened(client).crm_ids([1, 2, 3]) == {1: "123456", 2: "y", 3: "x"}


def test_names(store: CustomerStore) -> None:
    """A customer has each name once, with its newest time, and the last taker of a name has it."""
    one, two = customers_of(store, "123456", "x")
    store.put_names([name(one, "card", "K1"), name(one, "email", "sealed")])
    store.put_names([name(one, "card", "K1", 5), name(two, "email", "sealed", 9)])
    assert store.names(one) == [name(one, "card", "K1", 5), name(one, "email", "sealed")]
    assert store.find_by_name("card", "K1") == one
    assert store.find_by_name("email", "sealed") == two
    assert store.find_by_name("card", "sealed") is None
    assert store.find_by_name("crm_id", "x") == two


def test_the_newest_opt_in_stands(store: CustomerStore) -> None:
    """Yes and no follow each other; of two at one time the no stands."""
    one, two, three = customers_of(store, "1a", "2a", "3a")
    store.put_names(
        [
            *(name(one, "opt_in", "0", 1), name(one, "opt_in", "1", 2)),
            *(name(two, "opt_in", "1", 1), name(two, "opt_in", "0", 2)),
            *(name(three, "opt_in", "0", 3), name(three, "opt_in", "1", 3)),
        ]
    )
    assert store.opted_in() == BitMap([one])
    assert [each.value for each in store.names(two)] == ["0"]
    assert [each.value for each in store.names(three)] == ["0"]


def test_traits_of_every_kind(store: CustomerStore) -> None:
    """Each kind of value comes back as what it was, and an empty kind takes it away."""
    rows = [
        ("age", "number", "", 26.0),
        ("score", "number", "", 0.5),
        ("city", "text", "Nantes", 0.0),
        ("since", "date", "2020-02-29", 18_321.0),
        ("vip", "boolean", "true", 1.0),
        ("likes", "set", '["cycling","running"]', 2.0),
        ("gone", "text", "x", 0.0),
    ]
    values = [
        CustomerTrait(
            customer=1, trait=key, kind=kind, text=text, number=number, source="crm", at_ms=1
        )
        for key, kind, text, number in rows
    ]
    assert store.put_traits(values) == 7
    store.put_traits([CustomerTrait(customer=1, trait="gone", kind="", source="crm", at_ms=2)])
    assert store.traits_of(1) == {
        "age": 26,
        "score": 0.5,
        "city": "Nantes",
        "since": "2020-02-29",
        "vip": True,
        "likes": ["cycling", "running"],
    }
    assert store.traits_of(2) == {}


BROWSER, EMPTY = {"source": BROWSER_SOURCE}, {"kind": ""}
OVERWRITING: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "the newest stands": ({"value": 26}, {"value": 27}, 27),
    "the CRM's stays": ({"value": 26}, {"value": 99, **BROWSER}, 26),
    "a browser's over a browser's": ({"value": 99, **BROWSER}, {"value": 98, **BROWSER}, 98),
    "the CRM's over a browser's": ({"value": 99, **BROWSER}, {"value": 26}, 26),
    "nothing to keep": ({"value": 0, **EMPTY}, {"value": 99, **BROWSER}, 99),
}


def test_browsers_never_overwrite_the_crm(store: CustomerStore) -> None:
    """A browser's word stands only where nobody else has spoken, also within one batch."""
    cases = list(enumerate(OVERWRITING.items(), start=1))
    store.put_traits([trait(customer, **first) for customer, (_, (first, _, _)) in cases])
    store.put_traits([trait(customer, **then, at_ms=2) for customer, (_, (_, then, _)) in cases])
    for customer, (case, (_, _, age)) in cases:
        assert store.traits_of(customer) == {"age": age}, case
    both = [trait(9, value=26), trait(9, value=99, at_ms=2, **BROWSER)]
    assert store.put_traits(both) == 1
    assert store.traits_of(9) == {"age": 26}


def test_erasing_wipes_the_person_and_keeps_the_ordinals(
    client: Client, store: CustomerStore
) -> None:
    """Ids, names and traits are gone, others stay, and the same ids later are somebody new."""
    one, two = customers_of(store, "123456", "x")
    first, second = store.visitor_ordinals([A, B], chunk=1).tolist()
    store.put_names([name(two, "email", "sealed"), name(one, "card", "K1")])
    store.put_traits([CustomerTrait(customer=two, trait="age", kind="number", source="c", at_ms=1)])
    store.erase(customers=[two], visitors=[second])
    for each in (store, opened(client)):
        assert each.find_customers(["123456", "x"]).tolist() == [one, 0]
        assert each.find_visitors([A, B]).tolist() == [first, 0]
        assert each.names(two) == []
        assert each.traits_of(two) == {}
        assert each.find_by_name("email", "sealed") is None
        assert each.crm_ids([one, two]) == {one: "123456"}
        assert each.visitor_ids([first, second]) == {first: A}
        assert each.customers() == BitMap([one])
        assert each.visitors() == BitMap([first])
    again = opened(client)
    assert customers_of(again, "x") == [two + 1]
    assert again.visitor_ordinals([B], chunk=2).tolist() == [second + 1]
    again.erase(customers=[two], visitors=[second])
    assert again.find_customers(["x"]).tolist() == [two + 1]


def test_many_new_visitors_are_stored_in_pieces(client: Client) -> None:
    """A batch larger than one insert is stored whole, also when its second piece fails."""
    ids = [bytes([number]) * 16 for number in range(1, 11)]
    lossy = LossyClient(client)
    store = CustomerStore(lossy, rows_per_insert_max=4)  # type: ignore[arg-type]
    lossy.lose = "after"
    with pytest.raises(ConnectionError):
        store.visitor_ordinals(ids, chunk=1)
    lossy.lose = None
    given = store.visitor_ordinals(ids, chunk=1)
    assert given.tolist() == list(range(VISITOR_FIRST, VISITOR_FIRST + 10))
    assert opened(client).find_visitors(ids).tolist() == given.tolist()
    assert CUSTOMER_FIRST not in store.visitors()
