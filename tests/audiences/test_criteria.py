"""Every other kind of criterion, the base, identities, and what is cached."""

from typing import Any

import pytest
from pyroaring import BitMap

from audiences.conditions import Condition, Op
from audiences.criterion_cache import Cached, CriterionCache
from audiences.definitions import AudienceCycleError, UnknownAudienceError
from audiences.event_selection import Selection, bare_query, rows_query
from audiences.rule import Audience, Everyone, decode_audience, decode_rule
from matching.customer_traits_store import CustomerTrait, insert_traits
from matching.ids import VISITOR_FIRST
from matching.people import Identity

pytestmark = pytest.mark.embedded

V1, V2, V3, V4 = (VISITOR_FIRST + i for i in range(4))
LAST, BROWSER = Identity.LAST_AUTHENTICATED, Identity.BROWSER
IN_TEST = {"type": "in_audience", "audience": "test"}


def audience(key: str, rule: Any, identity: Identity = LAST) -> Audience:
    return decode_audience({"name": key, "rule": rule, "identity": identity.value}, key=key)


@pytest.mark.parametrize(
    ("rule", "people", "browsers"),
    [
        pytest.param({"type": "everyone"}, {1, 2, 3, V3, V4}, {V1, V2, V3, V4}, id="everyone"),
        pytest.param({"type": "identified"}, {1, 2, 3}, {V1, V2}, id="identified"),
        pytest.param({"type": "synced", "partner": "xandr"}, {1, V3}, {V1, V3}, id="synced"),
        pytest.param({"type": "seen_on", "site": "blog"}, {1, 3}, {V1, V4}, id="seen_on"),
        pytest.param({"type": "not", "rule": {"type": "identified"}}, {V3, V4}, {V3, V4}, id="not"),
        pytest.param(
            {"type": "trait", "trait": "age", "op": "is", "value": 26}, {1}, {V1, V2}, id="trait"
        ),
        pytest.param(
            {"type": "trait", "trait": "age", "op": "is_not", "value": 26},
            {2, 3, V3, V4},
            {V3, V4},
            id="trait is_not",
        ),
        pytest.param(
            {"type": "did", "event": "Order Completed"}, {3, V3}, {V3, V4}, id="a named customer"
        ),
    ],
)
def test_criteria_hold_for_people_and_for_browsers(
    shop: Any, rule: dict[str, Any], people: set[int], browsers: set[int]
) -> None:
    """A criterion selects customers and unlinked visitors, or browsers with their own events."""
    insert_traits(
        shop.client,
        [CustomerTrait(customer=1, trait="age", kind="number", number=26, source="crm", at_ms=1)],
    )
    shop.fill(
        [
            {"event": "Page", "site": "blog", "visitor": V1},
            {"event": "Page", "site": "blog", "visitor": V4, "customer": 3},
            {"event": "Page", "site": "blog", "visitor": V3, "flags": 2},
            {"event": "Order Completed", "visitor": V4, "customer": 3},
            {"event": "Order Completed", "visitor": V3},
        ]
    )
    assert shop.people_of(rule, LAST) == people
    assert shop.people_of(rule, BROWSER) == browsers


def test_excluded_visitors_are_in_no_audience(shop: Any) -> None:
    """Bots and browsers that forbid audiences are outside the base, under negation too."""
    shop.excluded = BitMap([V2, V4])
    shop.fill([{"event": "Page", "visitor": V4}])
    for rule in ({"type": "everyone"}, {"type": "not", "rule": {"type": "seen_on", "site": "x"}}):
        assert shop.people_of(rule, LAST) == {1, 2, 3, V3}
        assert shop.people_of(rule, BROWSER) == {V1, V3}


def test_an_audience_inside_is_evaluated_under_the_outer_identity(shop: Any) -> None:
    """The inner rule is asked anew for browsers, whatever the inner audience says itself."""
    shop.fill([{"event": "Page", "visitor": V1}])
    shop.audiences = {
        "readers": audience("readers", {"type": "did", "event": "Page"}),
        "test": audience("test", {"type": "in_audience", "audience": "readers"}),
    }
    assert shop.people_of(IN_TEST, LAST) == {1}
    assert shop.people_of(IN_TEST, BROWSER) == {V1}


def test_twins_inside_are_those_that_were_built(shop: Any) -> None:
    """A lookalike stands for its built members, which follow their links to the outer identity."""
    shop.fill([])
    twins = {"name": "Twins", "lookalike": {"seed": "seed", "size": 2}}
    shop.audiences = {"test": decode_audience(twins, key="test")}
    shop.built = {"test": BitMap([1, V3])}
    assert shop.people_of(IN_TEST, LAST) == {1, V3}
    assert shop.people_of(IN_TEST, BROWSER) == {V1, V2, V3}


def test_a_chain_of_audiences_is_evaluated_once_each(shop: Any) -> None:
    """Audiences that name the one before twice do not double the work at each step."""
    shop.fill([{"event": "Page", "visitor": V1}])
    rule: dict[str, Any] = {"type": "did", "event": "Page"}
    for number in range(40):
        key = f"a{number}"
        shop.audiences[key] = audience(key, rule)
        inner = {"type": "in_audience", "audience": key}
        rule = {"type": "all", "of": [inner, {"type": "any", "of": [inner]}]}
    assert shop.people_of(rule) == {1}


def test_unknown_audiences_and_circles_are_refused(shop: Any) -> None:
    """A definition that went missing or round in circles fails by name."""
    with pytest.raises(UnknownAudienceError, match="test"):
        shop.people_of(IN_TEST)
    shop.audiences = {"test": audience("test", {"type": "not", "rule": IN_TEST})}
    with pytest.raises(AudienceCycleError, match="test"):
        shop.people_of(IN_TEST)


def test_a_criterion_is_asked_once_until_the_data_or_the_day_changes(shop: Any) -> None:
    """The cache is keyed by criterion, identity, versions and day."""
    shop.fill([])
    rule, criteria = decode_rule({"type": "synced", "partner": "xandr"}), shop.criteria()
    criteria.bitmap(rule, LAST, shop.NOW_MS)
    criteria.bitmap(rule, LAST, shop.NOW_MS + 60_000)
    assert len(shop.asked_partners) == 1
    criteria.bitmap(rule, BROWSER, shop.NOW_MS)
    criteria.bitmap(rule, LAST, shop.NOW_MS + shop.DAY_MS)
    assert len(shop.asked_partners) == 3
    shop.version += 1
    renewed = criteria.renewed(shop.world())
    assert len(shop.cache) == 0
    renewed.bitmap(rule, LAST, shop.NOW_MS)
    assert len(shop.asked_partners) == 4


def test_the_cache_drops_what_was_not_used_for_longest() -> None:
    """At most so many bitmaps are kept; reading one counts as use."""
    cache = CriterionCache(criteria_max=2)
    keys = [(bytes([i]), LAST, 1, 1, 1) for i in range(3)]
    some = [Cached(criterion=Everyone(), members=BitMap([each])) for each in range(3)]
    cache.put(keys[0], some[0])
    cache.put(keys[1], some[1])
    assert cache.get(keys[0]) == BitMap([0])
    cache.put(keys[2], some[2])
    assert cache.get(keys[1]) is None
    assert cache.get(keys[0]) is not None


@pytest.mark.parametrize(
    ("conditions", "field", "query"),
    [
        pytest.param([], "", "event_rows", id="none"),
        pytest.param([], "total", "event_rows", id="sum"),
        pytest.param([], "points", "event_rows_where", id="sum of any field"),
        pytest.param([("products.category", Op.IS, "x")], "", "event_rows_promoted", id="category"),
        pytest.param([("url", Op.IS_NOT, "x")], "", "event_rows_promoted", id="is_not"),
        pytest.param(
            [("products.name", Op.IS_NOT, "x")], "", "event_rows_where", id="line or none"
        ),
        pytest.param(
            [("products.name", Op.IS_NOT, "x"), ("products.sku", Op.IS, "x")],
            "",
            "event_rows_promoted",
            id="is_not of a line that has another property",
        ),
        pytest.param([("products.price", Op.AT_LEAST, 5)], "", "event_rows_promoted", id="price"),
        pytest.param([("products.price", Op.AT_MOST, 5)], "", "event_rows_where", id="0 or none"),
        pytest.param([("products.sku", Op.EXISTS, None)], "", "event_rows_where", id="exists"),
        pytest.param([("url", Op.CONTAINS, "x")], "total", "event_rows_promoted", id="url"),
        pytest.param([("coupon", Op.IS, "x")], "", "event_rows_where", id="any field"),
        pytest.param([("url", Op.IS, "")], "", "event_rows_where", id="empty text"),
    ],
)
def test_the_cheapest_query_that_is_right_is_chosen(
    conditions: list[tuple[str, Op, Any]], field: str, query: str
) -> None:
    """Properties are parsed only where a promoted column could answer otherwise."""
    where = [Condition(field=path, op=op, value=value) for path, op, value in conditions]
    assert rows_query(Selection(event="x", last_day=1, where=where, field=field)) == query


@pytest.mark.parametrize(
    ("conditions", "field", "query"),
    [
        pytest.param([], "revenue", "event_amounts", id="sum"),
        pytest.param([("total", Op.AT_LEAST, 5)], "", "event_owners_of_amount", id="count"),
        pytest.param([("total", Op.IN, (5, 6))], "total", "event_amounts", id="both of one amount"),
        pytest.param([("total", Op.AT_LEAST, 5)], "revenue", None, id="of two amounts"),
        pytest.param([("total", Op.AT_MOST, 5)], "", None, id="0 or none"),
        pytest.param([("url", Op.IS, "x")], "total", None, id="another property"),
        pytest.param([("total", Op.AT_LEAST, 5)] * 2, "", None, id="two conditions"),
        pytest.param([("products.price", Op.AT_LEAST, 5)], "", None, id="number of a line"),
        pytest.param([("products.name", Op.IS, "x")], "", "event_owners_of_line", id="line"),
        pytest.param([("products.name", Op.IN, ("x", "y"))], "", "event_owners_of_line", id="in"),
        pytest.param([("products.name", Op.IN, ("x", 5))], "", None, id="number among texts"),
        pytest.param([("products.name", Op.IS, "")], "", None, id="empty text"),
        pytest.param([("products.name", Op.CONTAINS, "x")], "", None, id="part of a line's text"),
        pytest.param([("products.name", Op.IS_NOT, "x")], "", None, id="no such line"),
        pytest.param([("url", Op.CONTAINS, "x")], "", "event_owners_of_url", id="part of url"),
        pytest.param([("url", Op.IS, "x")], "", "event_owners_of_url", id="url"),
        pytest.param([("coupon", Op.IS, "x")], "", None, id="not promoted"),
        pytest.param([], "", None, id="neither"),
    ],
)
def test_what_needs_few_columns_is_asked_barely(
    conditions: list[tuple[str, Op, Any]], field: str, query: str | None
) -> None:
    """Owners alone, or with one amount, are read where they say all; else rows are asked for."""
    where = [Condition(field=path, op=op, value=value) for path, op, value in conditions]
    found = bare_query(Selection(event="x", last_day=1, where=where, field=field), {})
    assert (found and found[0]) == query
