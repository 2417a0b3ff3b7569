"""Long random histories: links equal a slow oracle's, whatever the order and the way to them."""

import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from pyroaring import BitMap

from matching.identification import METHOD_CODES, METHODS, IdentificationColumns, Observations
from matching.ids import VISITOR_FIRST
from matching.people import STATUSES, Identity, Limits, Links, People, link
from matching.people_store import PeopleStore

sys.path.insert(0, str(Path(__file__).parent))
from people_oracle import NOTHING, Decided, History, Seen, decide

VISITORS = 2_000
LIMITS = Limits(visitors_per_customer=3, customers_per_visitor=2)
EVERY_STATUS = {
    "none",
    "linked",
    "shared_device",
    "over_limit",
    "claimed_only",
    "click_unconfirmed",
    "click_over_limit",
}


def observations_of(log: list[Seen]) -> Observations:
    """Lay a log out as arrays."""
    columns = list(zip(*log, strict=True)) or [()] * 8
    return Observations(
        chunk=np.array(columns[0], dtype=np.uint64),
        row=np.array(columns[1], dtype=np.uint32),
        visitor=np.array(columns[2], dtype=np.uint32),
        customer=np.array(columns[3], dtype=np.uint32),
        at_ms=np.array(columns[4], dtype=np.int64),
        method=np.array([METHOD_CODES[each] for each in columns[5]], dtype=np.uint8),
        claimed=np.array(columns[6], dtype=np.bool_),
        proof=np.array(columns[7], dtype=np.uint64),
    )


def decided_by(links: Links) -> list[Decided]:
    """List what links say of each visitor."""
    columns = (links.customer_of, links.status, links.method, links.at_ms)
    return [
        Decided(customer, STATUSES[status], METHODS[method] if method < 255 else "", at_ms)
        for customer, status, method, at_ms in zip(*(c.tolist() for c in columns), strict=True)
    ]


def expected_of(log: list[Seen], *, visitors: int = VISITORS) -> list[Decided]:
    """Ask the oracle of each visitor."""
    decided = decide(log, visitors_per_customer=3, customers_per_visitor=2)
    return [decided.get(VISITOR_FIRST + place, NOTHING) for place in range(visitors)]


def assert_same(one: Links, other: Links) -> None:
    """Compare bit for bit."""
    for name in Links.__struct_fields__:
        assert np.array_equal(getattr(one, name), getattr(other, name)), name


def link_log(log: list[Seen]) -> Links:
    """Decide a whole log at once."""
    return link(observations_of(log), limits=LIMITS, visitors=VISITORS)


def test_ten_thousand_steps_equal_the_oracle() -> None:
    """Links equal the oracle's after every two hundred steps, in any order, for both identities."""
    history, chance, met = History(seed=1, visitors=VISITORS), Random(2), Counter[str]()
    for step in range(1, 10_001):
        history.step()
        if step % 200:
            continue
        links, expected = link_log(history.log), expected_of(history.log)
        assert decided_by(links) == expected
        shuffled = list(history.log)
        chance.shuffle(shuffled)
        assert_same(link_log(shuffled), links)
        assert_folded(links, expected, chance)
        met.update(each.status for each in expected)
    assert met.keys() == EVERY_STATUS
    assert min(met.values()) >= 100
    assert met.total() == 50 * VISITORS
    assert history.steps.keys() >= {*map(str, METHODS), "claimed", "removed", "erased"}


def assert_folded(links: Links, expected: list[Decided], chance: Random) -> None:
    """Compare folds: an event that names its customer stays his, any other follows its visitor."""
    visitors = [chance.randrange(VISITORS + 5) for _ in range(200)]
    named = [chance.choice((0, 0, 1, 2, 77)) for _ in visitors]
    rows = np.array(visitors, dtype=np.uint32) + np.uint32(VISITOR_FIRST)
    customers = np.array(named, dtype=np.uint32)
    linked = {place: each.customer for place, each in enumerate(expected) if each.customer}
    for identity in Identity:
        people = People(identity=identity, version=1, customer_of=links.customer_of)
        own = [
            VISITOR_FIRST + visitor
            if identity is Identity.BROWSER
            else customer or linked.get(visitor, VISITOR_FIRST + visitor)
            for visitor, customer in zip(visitors, named, strict=True)
        ]
        assert people.fold(rows, customers).tolist() == own


def test_removing_is_as_if_never_observed() -> None:
    """For each of some hundred observations the links without it are those of a log without it."""
    history = History(seed=3, visitors=60, customers=12)
    for _ in range(300):
        history.observe()
    whole = observations_of(history.log)
    for gone in range(300):
        kept = whole.take(np.arange(300) != gone)
        links = link(kept, limits=LIMITS, visitors=60)
        rest = history.log[:gone] + history.log[gone + 1 :]
        assert decided_by(links) == expected_of(rest, visitors=60)


def columns_of(log: list[Seen]) -> IdentificationColumns:
    """Make columns to be stored."""
    columns = [list(column) for column in zip(*log, strict=True)]
    return IdentificationColumns(
        chunk=columns[0],
        row=columns[1],
        received_at_ms=columns[4],
        at_ms=columns[4],
        visitor=columns[2],
        customer=columns[3],
        method=columns[5],
        claimed=columns[6],
        site=["shop"] * len(log),
        proof=columns[7],
    )


@pytest.mark.clickhouse
@pytest.mark.embedded
def test_a_store_that_reads_little_equals_one_that_reads_all(database: Any) -> None:
    """After every batch the links, and what changed, are those of reading the whole log."""
    client = database.client()
    store = PeopleStore(client, limits=LIMITS, rows_per_visitor_read=0)
    history, chance, did = History(seed=4, visitors=300, customers=90), Random(5), Counter[str]()
    store.refresh(visitors=VISITORS)
    before = store.links.customer_of.copy()
    for batch in range(50):
        store.insert(columns_of([history.observe() for _ in range(chance.choice((1, 40, 100)))]))
        if chance.random() < 0.2:
            visitors, customers = history.erase()
            store.erase(customers=customers, visitors=visitors)
        changed = store.refresh(visitors=VISITORS)
        whole = link_log(history.log)
        assert_same(store.links, whole)
        now = whole.customer_of
        places = np.flatnonzero(now != before)
        assert store.changed_visitors == BitMap((places + VISITOR_FIRST).tolist())
        assert store.changes.before.tolist() == before[places].tolist()
        assert store.changes.now.tolist() == now[places].tolist()
        assert changed == bool(places.size)
        assert_people(store, now)
        did["everything"] += store.last_renewal.everything
        did["outvoted"] += store.last_renewal.outvoted
        did["read again"] += store.last_renewal.read_again
        before = now.copy()
        if batch % 10 == 0:
            assert decided_by(whole) == expected_of(history.log)
    assert did["everything"] <= 1
    assert did["outvoted"] > 300
    assert did["read again"] > 1_000
    assert sum(history.steps.values()) >= 2_000


def assert_people(store: PeopleStore, customer_of: np.ndarray[Any, Any]) -> None:
    """Compare the published people with those of the links."""
    for identity in Identity:
        fresh = People(identity=identity, version=0, customer_of=customer_of)
        people = store.people(identity)
        everybody = BitMap(range(VISITOR_FIRST, VISITOR_FIRST + VISITORS))
        assert np.array_equal(people.customer_of, customer_of)
        assert people.persons_of_visitors(everybody) == fresh.persons_of_visitors(everybody)
