"""What a preview shows: sizes, waterfall, reach, overlaps, breakdown, sample and warnings."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.criteria import Criteria
from audiences.preview import (
    Preview,
    Reach,
    SeatCount,
    ShownSeat,
    preview,
)
from audiences.preview_sets import Part, count_parts
from audiences.preview_warnings import WarningCode
from audiences.rounding import shown, shown_share
from audiences.rule import decode_rule
from audiences.trait_store import ComputedTrait
from matching.ids import VISITOR_FIRST
from matching.people import Identity, People

pytestmark = pytest.mark.embedded

V1, V2, V3, V4 = (VISITOR_FIRST + i for i in range(4))
CHAMPION = {"type": "trait", "trait": "segment", "op": "is", "value": "champion"}
BOUGHT = {"type": "did", "event": "Order Completed"}
RULE = {"type": "all", "of": [CHAMPION, BOUGHT, {"type": "not", "rule": {"type": "identified"}}]}


def reach_of(people: People, members: BitMap) -> Reach:
    """Reach everybody at partner `xandr`, and two ids for each on its seat."""
    seat = SeatCount(people=len(members), ids=2 * len(people.visitors_of(members)))
    return Reach(partners={"xandr": len(members)}, seats={"xandr_1": seat})


def filled(shop: Any) -> Any:
    """Fill the shop: customers 1 and 2 and visitor 3 bought, all but customer 2 are champions."""
    order = {"event": "Order Completed", "properties": {"total": 5, "currency": "USD"}}
    shop.fill([order | {"visitor": V1}, order | {"customer": 2}, order | {"visitor": V3}])
    segment = ComputedTrait(
        persons=np.array([1, 2, 3, V3, V4], dtype=np.uint32),
        codes=np.array([0, 1, 0, 0, 0], dtype=np.uint8),
        values=("champion", "lapsed"),
    )
    shop.traits.set_computed({"segment": segment})
    return shop


def previewed(shop: Any, rule: Any, **changes: Any) -> Preview:
    options: dict[str, Any] = {
        "criteria": shop.criteria(),
        "reach": reach_of,
        "other_audiences": {"buyers": BitMap([1, 2, V3]), "nobody": BitMap()},
        "exact": True,
        "as_of_ms": shop.NOW_MS,
    }
    return preview(decode_rule(rule), Identity.LAST_AUTHENTICATED, **(options | changes))


def test_a_preview_shows_the_whole_of_a_rule(shop: Any) -> None:
    """Size, share, funnel, what each criterion costs, reach and overlap belong together."""
    found = previewed(filled(shop), RULE, breakdown=["segment"])
    assert (found.size, found.base, found.share) == (1, 5, 0.2)
    steps = [(each.size, each.kept, each.lost) for each in found.waterfall]
    assert steps == [(4, 4, 1), (3, 2, 2), (2, 1, 1)]
    assert [(each.size, each.added) for each in found.leave_one_out] == [(1, 0), (2, 1), (2, 1)]
    assert found.waterfall[0].criterion == "segment is champion"
    assert (found.reach, found.seats) == ({"xandr": 1}, {"xandr_1": ShownSeat(people=1, ids=2)})
    overlaps = [(each.audience, each.size, each.jaccard) for each in found.overlaps]
    assert overlaps == [("buyers", 1, 0.3333), ("nobody", 0, 0.0)]
    champion, lapsed = found.breakdown["segment"]
    assert (champion.size, champion.share, champion.base_share, champion.index) == (1, 1, 0.8, 125)
    assert (lapsed.size, lapsed.index) == (0, 0)
    assert found.as_of == shop.NOW_MS


def test_a_sample_says_why_and_is_the_same_each_time(shop: Any) -> None:
    """Every person of the sample comes with the answer of each node of the rule."""
    found = previewed(filled(shop), {"type": "any", "of": [CHAMPION, BOUGHT]})
    assert [each.person for each in found.sample] == [1, 2, 3, V3, V4]
    assert [part.holds for part in found.sample[1].why.parts] == [False, True]
    again = previewed(shop, {"type": "any", "of": [CHAMPION, BOUGHT]})
    assert again.sample == found.sample


def test_counts_of_few_are_hidden_from_those_who_may_not_see_people(shop: Any) -> None:
    """Without the scope there is no sample, and small counts and shares are nowhere."""
    found = previewed(filled(shop), RULE, exact=False, breakdown=["segment"])
    assert (found.size, found.share, found.sample) == (None, None, ())
    plain = msgspec.to_builtins(msgspec.structs.replace(found, seconds=0.0, as_of=0))
    plain.pop("warnings")

    def numbers(value: Any) -> list[Any]:
        if isinstance(value, dict):
            return [each for inner in value.values() for each in numbers(inner)]
        if isinstance(value, list | tuple):
            return [each for inner in value for each in numbers(inner)]
        return [value] if isinstance(value, int | float) and value else []

    assert numbers(plain) == []


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, None), (19, None), (20, 20), (24, 20), (25, 30), (1234, 1230)],
    ids=str,
)
def test_counts_are_rounded_to_ten(count: int, expected: int | None) -> None:
    """Counts below twenty are hidden, others rounded; exact ones stay."""
    assert shown(count, exact=False) == expected
    assert shown(count, exact=True) == count
    assert shown_share(count, 2000, exact=False) == (None if expected is None else expected / 2000)
    assert shown_share(0, 0, exact=True) == 0.0


@given(st.lists(st.tuples(st.sets(st.integers(0, 9)), st.booleans()), min_size=1, max_size=6))
def test_waterfall_and_leave_one_out_equal_sets_by_hand(drawn: list[tuple[set[int], bool]]) -> None:
    """Running and leaving-out intersections count what Python's sets count, negated ones too."""
    base = set(range(10))
    parts = [Part(members=BitMap(each), negated=negated) for each, negated in drawn]
    sets = [base - each if negated else each for each, negated in drawn]
    everyone = BitMap(base)
    counts = count_parts(parts, everyone)
    assert counts.kept == [len(base.intersection(*sets[: at + 1])) for at in range(len(sets))]
    assert set(counts.members) == base.intersection(*sets)
    without = [len(base.intersection(*sets[:at], *sets[at + 1 :])) for at in range(len(sets))]
    assert counts.without == without
    assert [part.size(everyone) for part in parts] == [len(each) for each in sets]
    assert [set(part.members) for part in parts] == [each for each, _ in drawn]


@pytest.mark.parametrize(
    ("rule", "codes"),
    [
        pytest.param(CHAMPION, [WarningCode.SMALL], id="small"),
        pytest.param(
            {"type": "all", "of": [CHAMPION, {**CHAMPION, "op": "is_not"}]},
            [WarningCode.EMPTY],
            id="empty",
        ),
        pytest.param(
            {"type": "all", "of": [CHAMPION, {**CHAMPION, "op": "is_not"}, {"type": "everyone"}]},
            [WarningCode.EMPTY],
            id="empty, where nothing else would change it",
        ),
        pytest.param(
            {"type": "all", "of": [CHAMPION, {"type": "everyone"}]},
            [WarningCode.SMALL, WarningCode.REMOVES_NOBODY],
            id="idle",
        ),
        pytest.param(
            {"type": "did", "event": "order completed", "exactly": 0},
            [WarningCode.SMALL, WarningCode.UNKNOWN_EVENT],
            id="unknown event",
        ),
        pytest.param(
            {**CHAMPION, "trait": "likes", "op": "is_not"},
            [WarningCode.SMALL, WarningCode.UNKNOWN_TRAIT],
            id="unknown trait",
        ),
        pytest.param(
            {**BOUGHT, "sum": {"field": "total", "at_least": 1}},
            [WarningCode.EMPTY, WarningCode.OTHER_CURRENCY],
            id="other currency",
        ),
    ],
)
def test_warnings_name_what_may_be_wrong(
    shop: Any, rule: dict[str, Any], codes: list[WarningCode]
) -> None:
    """Each thing that a marketer may have overlooked has its code and words."""
    found = previewed(filled(shop), rule).warnings
    assert [each.code for each in found] == codes
    assert all(each.text for each in found)


CROWD = list(range(1_000, 1_300))


def crowded(shop: Any) -> Any:
    """Fill the shop with 300 customers, of whom 240 are champions and 6 bought."""
    filled(shop)
    persons = np.array(CROWD, dtype=np.uint32)
    champions = np.arange(300) >= 240
    segment = ComputedTrait(
        persons=persons, codes=champions.astype(np.uint8), values=("champion", "lapsed")
    )
    shop.traits.set_computed({"segment": segment})
    shop.more_customers = BitMap(CROWD)
    shop.fill([{"event": "Order Completed", "customer": each} for each in CROWD[:6]])
    return shop


def test_the_criterion_that_leaves_too_few_is_named(shop: Any) -> None:
    """Of a rule that would hold for many it is said which criterion leaves only some."""
    found = previewed(crowded(shop), {"type": "all", "of": [CHAMPION, BOUGHT]}).warnings
    few = [each.text for each in found if each.code is WarningCode.LEAVES_FEW]
    assert len(few) == 1
    assert "Order Completed" in few[0]


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "rounded"])
def test_an_audience_of_almost_the_same_people_is_named(shop: Any, exact: bool) -> None:
    """A likeness of 0.95 and more is probably a duplicate; a smaller one is not."""
    others = {"same": BitMap(CROWD[:235]), "less": BitMap(CROWD[:200])}
    found = previewed(crowded(shop), CHAMPION, other_audiences=others, exact=exact).warnings
    named = [each.text for each in found if each.code is WarningCode.NEAR_DUPLICATE]
    assert len(named) == 1
    assert "'same'" in named[0]


def test_seats_that_reach_too_few_are_named(shop: Any) -> None:
    """A seat's own minimum counts, in people."""

    def reach(_: People, members: BitMap) -> Reach:
        small = SeatCount(people=len(members) // 2, ids=900, min_size=200)
        large = SeatCount(people=len(members), ids=900, min_size=200)
        return Reach(partners={}, seats={"small": small, "large": large})

    found = previewed(crowded(shop), CHAMPION, reach=reach).warnings
    texts = [each.text for each in found if each.code is WarningCode.BELOW_SEAT_MINIMUM]
    assert len(texts) == 1
    assert "small (at least 200)" in texts[0]
    assert "large" not in texts[0]


@pytest.mark.parametrize(("minutes", "warned"), [(9, False), (11, True)], ids=["fresh", "stale"])
def test_data_that_is_not_loaded_is_said(shop: Any, minutes: int, warned: bool) -> None:
    """When what came ten minutes ago still waits, the counts are old."""
    criteria = Criteria(
        events=shop.events,
        traits=shop.traits,
        days=shop.days,
        world=filled(shop).world(),
        synced=lambda _: BitMap(),
        built=lambda _: BitMap(),
        loaded_until_ms=lambda: shop.NOW_MS - minutes * 60_000,
    )
    found = previewed(shop, CHAMPION, criteria=criteria).warnings
    assert (WarningCode.STALE in [each.code for each in found]) == warned


def test_a_preview_counts_whom_a_build_selects(shop: Any) -> None:
    """Groups within groups, negated twice and alone, have the size of the very members."""
    inner = {"type": "not", "rule": {"type": "not", "rule": BOUGHT}}
    any_of = {"type": "any", "of": [CHAMPION, {"type": "identified"}]}
    for rule in (RULE, inner, any_of, {"type": "all", "of": [inner, any_of, {**RULE}]}):
        members = filled(shop).people_of(rule)
        assert previewed(shop, rule).size == len(members)


def test_sums_over_sites_of_several_currencies_are_warned_of(shop: Any) -> None:
    """Adding euros and dollars up is allowed, but said."""
    filled(shop)
    shop.CURRENCIES = {"shop": "USD", "blog": "EUR"}
    found = previewed(shop, {**BOUGHT, "sum": {"field": "total", "at_least": 1}})
    assert found.size == 3
    assert WarningCode.MIXED_CURRENCIES in [each.code for each in found.warnings]


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(CHAMPION, id="few"),
        pytest.param({"type": "all", "of": [CHAMPION, {**CHAMPION, "op": "is_not"}]}, id="nobody"),
        pytest.param({"type": "all", "of": [CHAMPION, {"type": "everyone"}]}, id="idle"),
    ],
)
def test_warnings_do_not_tell_few_from_nobody_without_the_scope(shop: Any, rule: Any) -> None:
    """Whether anybody is there, and whether a criterion removes somebody, counts people too."""
    found = previewed(filled(shop), rule, exact=False).warnings
    assert [each.code for each in found] == [WarningCode.SMALL]


def test_a_warning_counts_events_only_for_those_who_may_see_people(shop: Any) -> None:
    """How many events are in another currency is left out of the words."""
    rule = {**BOUGHT, "sum": {"field": "total", "at_least": 1}}
    texts = {
        exact: [
            each.text
            for each in previewed(filled(shop), rule, exact=exact).warnings
            if each.code is WarningCode.OTHER_CURRENCY
        ]
        for exact in (True, False)
    }
    assert texts[True][0].startswith("3 events")
    assert "3" not in texts[False][0]


def test_values_of_few_are_not_named_without_the_scope(shop: Any) -> None:
    """A value whose count is hidden could name a person, so its row is left out."""
    found = previewed(filled(shop), RULE, exact=False, breakdown=["segment"])
    assert found.breakdown == {"segment": ()}
