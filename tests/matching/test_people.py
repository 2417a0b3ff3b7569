"""People: links decided from the whole log, against a naive oracle, and the folds built on them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from matching.bitmaps import bitmap_of, bitmap_of_mask, mask_of, ordinals_of
from matching.identification import (
    METHOD_CODES,
    METHODS,
    STRENGTHS,
    Method,
    Observations,
    is_blocked,
)
from matching.ids import ORDINAL_LAST, VISITOR_FIRST
from matching.linking.click_links import Clicks, confirmed
from matching.linking.crowds import Crowds
from matching.linking.holders import NEWCOMERS_MAX, LinkHolders
from matching.people import (
    STATUSES,
    Identity,
    Limits,
    Links,
    LinkStatus,
    People,
    link,
    status_of_each,
)

MINUTE = 60_000
SMALL = Limits(visitors_per_customer=2, customers_per_visitor=2)

# (visitor number, customer, at in minutes, method, claimed)
Seen = tuple[int, int, int, Method, bool]


def observations_of(seen: list[Seen]) -> Observations:
    """Make the arrays of a history; its place in the history is the sequence."""
    columns = list(zip(*seen, strict=True)) or [(), (), (), (), ()]
    return Observations(
        visitor=np.array(columns[0], dtype=np.uint32) + np.uint32(VISITOR_FIRST),
        customer=np.array(columns[1], dtype=np.uint32),
        at_ms=np.array(columns[2], dtype=np.int64) * MINUTE,
        method=np.array([METHOD_CODES[method] for method in columns[3]], dtype=np.uint8),
        claimed=np.array(columns[4], dtype=np.bool_),
        chunk=np.arange(len(seen), dtype=np.uint64) // np.uint64(3),
        row=np.arange(len(seen), dtype=np.uint32) % np.uint32(3),
        proof=np.array([link_number(each) for each in seen], dtype=np.uint64),
    )


def link_number(one: Seen) -> int:
    """Tell which link a click came by: some customers share one, some have none that is known."""
    return one[1] % 3 if one[3] is Method.CLICK else 0


def confirmed_naively(seen: list[Seen], one: Seen) -> bool:
    """Tell whether a page of the visitor followed within half an hour."""
    pages = [s[2] for s in seen if s[0] == one[0] and s[3] is Method.PAGE]
    return any(0 <= page - one[2] <= 30 for page in pages)


def counts_naively(seen: list[Seen], one: Seen) -> bool:
    """Tell whether an observation may link, by reading the decision aloud."""
    visitor, customer, _, method, claimed = one
    if claimed or customer == 0 or method is Method.PAGE:
        return False
    if method is not Method.CLICK:
        return True
    if not confirmed_naively(seen, one):
        return False
    came: list[int] = []
    for other in sorted(seen, key=lambda s: s[2]):
        counting = other[3] is Method.CLICK and other[1] and not other[4]
        same_link = link_number(other) == link_number(one)
        if counting and same_link and confirmed_naively(seen, other) and other[0] not in came:
            came.append(other[0])
    return link_number(one) == 0 or visitor in came[:3]


def link_naively(seen: list[Seen], limits: Limits) -> dict[int, tuple[int, str]]:
    """Link visitor by visitor, then customer by customer."""
    won: dict[int, tuple[int, int]] = {}
    status: dict[int, str] = {}
    for visitor in {s[0] for s in seen}:
        named = [s for s in seen if s[0] == visitor and s[1] != 0 and s[3] is not Method.PAGE]
        good = [
            (STRENGTHS[s[3]], s[2], place, s[1])
            for place, s in enumerate(seen)
            if s[0] == visitor and counts_naively(seen, s)
        ]
        if len({customer for *_, customer in good}) > limits.customers_per_visitor:
            status[visitor] = "shared_device"
        elif good:
            _, at, _, customer = max(good)
            won[visitor] = (customer, at)
        elif any(s[3] is Method.CLICK and not s[4] for s in named):
            clicks = [s for s in named if s[3] is Method.CLICK and not s[4]]
            sure = any(confirmed_naively(seen, each) for each in clicks)
            status[visitor] = "click_over_limit" if sure else "click_unconfirmed"
        elif named:
            status[visitor] = "claimed_only"
    for customer in {customer for customer, _ in won.values()}:
        held = sorted((-at, visitor) for visitor, (c, at) in won.items() if c == customer)
        for place, (_, visitor) in enumerate(held):
            over = place >= limits.visitors_per_customer
            status[visitor] = "over_limit" if over else "linked"
    return {
        visitor: (won[visitor][0] if text == "linked" else 0, text)
        for visitor, text in status.items()
    }


def as_dict(links: Links) -> dict[int, tuple[int, str]]:
    """List every visitor that has a status."""
    return {
        visitor: (int(links.customer_of[visitor]), STATUSES[code].value)
        for visitor, code in enumerate(links.status.tolist())
        if code
    }


SEEN = st.tuples(
    st.integers(0, 4),
    st.integers(0, 4),
    st.integers(0, 90),
    st.sampled_from(METHODS),
    st.booleans(),
)
HISTORIES = st.lists(SEEN, max_size=25)


@given(HISTORIES)
def test_links_equal_the_naive_oracle(seen: list[Seen]) -> None:
    """Any history links as the decision says when applied one visitor at a time."""
    assert as_dict(link(observations_of(seen), limits=SMALL, visitors=5)) == link_naively(
        seen, SMALL
    )


@given(HISTORIES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(seen: list[Seen], random: object) -> None:
    """The same observations in another order give the same links."""
    observations = observations_of(seen)
    order = np.arange(len(seen))
    random.shuffle(order)  # type: ignore[attr-defined]
    straight = link(observations, limits=SMALL, visitors=5)
    shuffled = link(observations.take(order), limits=SMALL, visitors=5)
    for name in Links.__struct_fields__:
        assert (getattr(straight, name) == getattr(shuffled, name)).all()


@given(HISTORIES, st.data())
def test_taking_one_away_is_as_if_it_had_never_been(seen: list[Seen], data: st.DataObject) -> None:
    """Links without an observation equal those of a history that never had it."""
    gone = data.draw(st.integers(0, max(len(seen) - 1, 0)))
    rest = [s for place, s in enumerate(seen) if place != gone]
    kept = observations_of(seen).take(np.arange(len(seen)) != gone)
    assert as_dict(link(kept, limits=SMALL, visitors=5)) == link_naively(rest, SMALL)


@given(HISTORIES, st.integers(0, 4), st.integers(1, 4), st.integers(0, 500))
def test_a_claim_changes_no_link(
    seen: list[Seen], visitor: int, customer: int, minute: int
) -> None:
    """An unproven claim, however new, links nobody and fills no limit."""
    before = link(observations_of(seen), limits=SMALL, visitors=5)
    claim = (visitor, customer, minute, Method.LOGIN, True)
    after = link(observations_of([*seen, claim]), limits=SMALL, visitors=5)
    assert (before.customer_of == after.customer_of).all()


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param([], (0, "none"), id="nothing"),
        pytest.param([(0, 7, 1, Method.LOGIN, False)], (7, "linked"), id="login"),
        pytest.param(
            [(0, 7, 1, Method.LOGIN, False), (0, 8, 2, Method.PURCHASE, False)],
            (8, "linked"),
            id="login-and-purchase-are-equal-newest-wins",
        ),
        pytest.param(
            [(0, 7, 1, Method.LOGIN, False), (0, 8, 2, Method.SERVER, False)],
            (7, "linked"),
            id="a-later-weaker-one-never-displaces",
        ),
        pytest.param(
            [(0, 7, 5, Method.LOGIN, False), (0, 8, 5, Method.LOGIN, False)],
            (8, "linked"),
            id="equal-times-the-later-in-the-log",
        ),
        pytest.param([(0, 7, 1, Method.LOGIN, True)], (0, "claimed_only"), id="claimed"),
        pytest.param([(0, 7, 1, Method.CLICK, False)], (0, "click_unconfirmed"), id="click-alone"),
        pytest.param(
            [(0, 7, 1, Method.CLICK, False), (0, 0, 31, Method.PAGE, False)],
            (7, "linked"),
            id="click-and-page-at-30-minutes",
        ),
        pytest.param(
            [(0, 7, 1, Method.CLICK, False), (0, 0, 32, Method.PAGE, False)],
            (0, "click_unconfirmed"),
            id="page-too-late",
        ),
        pytest.param(
            [(0, 7, 1, Method.CLICK, False), (0, 0, 0, Method.PAGE, False)],
            (0, "click_unconfirmed"),
            id="page-before-the-click",
        ),
        pytest.param(
            [(0, 7, 1, Method.CLICK, False), (1, 0, 2, Method.PAGE, False)],
            (0, "click_unconfirmed"),
            id="page-of-another-visitor",
        ),
        pytest.param(
            [(0, customer, customer, Method.LOGIN, False) for customer in (1, 2, 3)],
            (0, "shared_device"),
            id="three-customers-share-it",
        ),
        pytest.param(
            [(visitor, 7, visitor, Method.LOGIN, False) for visitor in (0, 1, 2)],
            (0, "over_limit"),
            id="oldest-of-three-visitors",
        ),
        pytest.param([(0, 7, 1, Method.FORM, False)], (7, "linked"), id="form-of-an-open-site"),
    ],
)
def test_one_visitor(seen: list[Seen], expected: tuple[int, str]) -> None:
    """Each rule of linking, alone."""
    links = link(observations_of(seen), limits=SMALL, visitors=1)
    assert (int(links.customer_of[0]), links.status_of(VISITOR_FIRST).value) == expected


def test_every_observation_is_explained() -> None:
    """The card can say of each observation what became of it."""
    seen: list[Seen] = [
        (0, 7, 9, Method.LOGIN, False),
        (0, 8, 1, Method.LOGIN, False),
        (0, 8, 1, Method.FORM, True),
        (0, 0, 2, Method.PAGE, False),
        (1, 8, 1, Method.CLICK, False),
    ]
    observations = observations_of(seen)
    links = link(observations, limits=SMALL, visitors=2)
    assert status_of_each(observations, links) == [
        LinkStatus.LINKED,
        LinkStatus.SUPERSEDED,
        LinkStatus.CLAIMED_ONLY,
        LinkStatus.NONE,
        LinkStatus.CLICK_UNCONFIRMED,
    ]


def forwarded(visitors: int) -> list[Seen]:
    """Make the history of a newsletter link that came to so many readers, one a minute."""
    clicks: list[Seen] = [(each, 7, each, Method.CLICK, False) for each in range(visitors)]
    return clicks + [(each, 0, each, Method.PAGE, False) for each in range(visitors)]


def test_a_click_link_links_its_first_three_visitors() -> None:
    """A forwarded newsletter makes no more than three browsers one person's, and says so."""
    observations = observations_of([*forwarded(5), (0, 7, 9, Method.CLICK, False)])
    observations = observations.take(np.arange(11)[::-1])
    links = link(observations, limits=Limits(), visitors=5)
    assert links.customer_of.tolist() == [7, 7, 7, 0, 0]
    assert links.status_of(VISITOR_FIRST + 4) is LinkStatus.CLICK_OVER_LIMIT
    statuses = status_of_each(observations, links)
    told = {
        int(visitor) - VISITOR_FIRST: status
        for visitor, status, named in zip(
            observations.visitor, statuses, observations.customer, strict=True
        )
        if named
    }
    assert told[4] is LinkStatus.CLICK_OVER_LIMIT
    assert told[2] is LinkStatus.LINKED


def test_an_unconfirmed_click_takes_no_place_of_a_link() -> None:
    """Mail scanners that open a link leave its three places to people."""
    scanners: list[Seen] = [(each, 7, 0, Method.CLICK, False) for each in (5, 6, 7)]
    links = link(observations_of(scanners + forwarded(3)), limits=Limits(), visitors=8)
    assert links.customer_of.tolist() == [7, 7, 7, 0, 0, 0, 0, 0]


def test_clicks_of_far_apart_times_are_confirmed_alike() -> None:
    """Visitors and times that do not fit one number together are asked in parts."""
    far = 1 << 34  # a place that leaves thirty bits for the time
    at_ms = np.array([0, 5 * MINUTE, 1 << 40, (1 << 47) - 1, 1 << 47], dtype=np.int64)
    pages = np.array([0, 36, 30, 0, 30], dtype=np.int64) * MINUTE
    pages[2:] += np.array([1 << 40, 1 << 47, 1 << 47])
    for place in (1, far):
        places = np.full(5, place, dtype=np.int64)
        clicks = Clicks(place=places, at_ms=at_ms, proof=np.zeros(5, dtype=np.uint64))
        found = confirmed(clicks, page_place=places, page_at_ms=pages)
        assert found.tolist() == [True, False, True, True, True]
        others = confirmed(clicks, page_place=places + 1, page_at_ms=pages)
        assert others.tolist() == [False] * 5


def test_who_is_cut_by_the_limit_is_listed() -> None:
    """A customer with too many browsers can be shown which of them stay linked."""
    crowds = Crowds(np.array([7, 7, 8, 7, 0], dtype=np.uint32), visitors_max=2)
    kept, cut = crowds.cut(crowds.over_limit(), np.array([5, 9, 1, 9, 0], dtype=np.int64))
    assert (kept.tolist(), cut.tolist()) == ([1, 3], [0])
    assert crowds.of(7) == BitMap([0, 1, 3])
    assert crowds.of(8) is None


def test_holders_of_a_link_are_found_also_after_many_came() -> None:
    """Pairs of link and visitor are found wherever they came in."""
    holders = LinkHolders(np.array([9, 4, 9], dtype=np.uint64), np.array([1, 2, 3]))
    many = np.arange(100, 100 + NEWCOMERS_MAX)
    holders.add(many.astype(np.uint64), many)
    holders.add(np.array([9], dtype=np.uint64), np.array([8]))
    asked = np.array([9, 0, 100, 5], dtype=np.uint64)
    assert holders.of(asked).tolist() == [1, 3, 8, 100]
    assert holders.of(np.zeros(0, dtype=np.uint64)).tolist() == []


def test_a_visitor_beyond_the_known_ones_is_linked_too() -> None:
    """A count of visitors taken a moment too early loses no link."""
    links = link(observations_of([(9, 7, 1, Method.LOGIN, False)]), limits=SMALL, visitors=2)
    assert links.customer_of[9] == 7


PERSONS = st.lists(st.integers(0, 6), max_size=8)
CUSTOMER_OF = st.lists(st.integers(0, 5), max_size=6)
IDENTITIES = st.sampled_from(list(Identity))


def bits(first: int, numbers: list[int]) -> BitMap:
    """Make a set of ordinals from small numbers."""
    return BitMap([first + number for number in numbers])


def person_naively(people: People, visitor: int, customer: int) -> int:
    """Fold one event."""
    if people.identity is Identity.BROWSER:
        return visitor
    index = visitor - VISITOR_FIRST
    known = 0 <= index < len(people.customer_of)
    return customer or (int(people.customer_of[index]) if known else 0) or visitor


@given(CUSTOMER_OF, IDENTITIES, st.lists(st.tuples(st.integers(-1, 8), st.integers(0, 3))))
def test_fold_equals_one_event_at_a_time(
    customer_of: list[int], identity: Identity, rows: list[tuple[int, int]]
) -> None:
    """Named customers stand, others follow the link, and visitor 0 is nobody."""
    people = People(
        identity=identity, version=1, customer_of=np.array(customer_of, dtype=np.uint32)
    )
    visitors = np.array([v + VISITOR_FIRST if v >= 0 else 0 for v, _ in rows], dtype=np.uint32)
    customers = np.array([customer for _, customer in rows], dtype=np.uint32)
    expected = [
        person_naively(people, visitor, customer)
        for visitor, customer in zip(visitors.tolist(), customers.tolist(), strict=True)
    ]
    assert people.fold(visitors, customers).tolist() == expected


@given(CUSTOMER_OF, IDENTITIES, PERSONS, PERSONS)
def test_sets_of_people_equal_the_naive_ones(
    customer_of: list[int], identity: Identity, some_visitors: list[int], some: list[int]
) -> None:
    """Every set of people is what it is when made member by member."""
    people = People(
        identity=identity, version=1, customer_of=np.array(customer_of, dtype=np.uint32)
    )
    visitors, customers = bits(VISITOR_FIRST, some_visitors), bits(1, some)
    link_of = {VISITOR_FIRST + place: c for place, c in enumerate(customer_of) if c}
    folded = BitMap([person_naively(people, visitor, 0) for visitor in visitors])
    assert people.persons_of_visitors(visitors) == folded
    linked = BitMap([visitor for visitor, customer in link_of.items() if customer in customers])
    browser = identity is Identity.BROWSER
    assert people.persons_of_customers(customers) == (linked if browser else customers)
    unlinked = visitors - BitMap(link_of)
    base = people.base(customers=customers, visitors=visitors)
    assert base == (visitors if browser else customers | unlinked)
    assert people.visitors_of(base) == (visitors if browser else unlinked | linked)
    held = BitMap([link_of[visitor] for visitor in visitors if visitor in link_of])
    assert people.customers_of(base) == (held if browser else customers)


@given(
    st.sampled_from([0, VISITOR_FIRST]),
    st.lists(st.tuples(st.integers(0, 300_000), st.sampled_from([1, 9, 9_000])), max_size=5),
)
def test_masks_and_bitmaps_are_the_same_sets(first: int, runs: list[tuple[int, int]]) -> None:
    """Sparse, dense, empty and ragged masks turn into their bitmaps and back."""
    mask = np.zeros(max((start + length for start, length in runs), default=0), dtype=np.bool_)
    for start, length in runs:
        mask[start : start + length] = True
    bitmap = bitmap_of_mask(mask, first=first)
    assert bitmap == BitMap((np.flatnonzero(mask) + first).tolist())
    assert (mask_of(bitmap, first=first, size=mask.size) == mask).all()
    assert bitmap_of(ordinals_of(bitmap)[::-1]) == bitmap


def test_a_mask_must_begin_at_a_block() -> None:
    """A mask that cannot be placed is refused, not shifted."""
    with pytest.raises(ValueError, match="multiple of 65536, not at 1"):
        bitmap_of_mask(np.ones(1, dtype=np.bool_), first=1)


def test_the_last_ordinal_is_a_visitor() -> None:
    """The very last visitor is no customer."""
    people = People(
        identity=Identity.LAST_AUTHENTICATED, version=1, customer_of=np.zeros(0, dtype=np.uint32)
    )
    assert people.customers_of(BitMap([1, ORDINAL_LAST])) == BitMap([1])
    assert people.visitors_of(BitMap([1, ORDINAL_LAST])) == BitMap([ORDINAL_LAST])


@pytest.mark.parametrize("crm_id", ["", " ", "0", "NULL", "undefined", "{{userId}}", "%%ID%%"])
def test_ids_that_no_customer_has_are_blocked(crm_id: str) -> None:
    """What scripts send for want of an id is never a customer."""
    assert is_blocked(crm_id)


def test_a_customer_id_is_not_blocked() -> None:
    """Paul's number is a customer's."""
    assert not is_blocked("123456")
