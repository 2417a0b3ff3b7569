"""What a lookalike must not know: defining traits, what came after, what is sensitive."""

from datetime import date
from typing import Any

import pytest

from audiences.calendar_days import day_of
from audiences.lookalikes.guard import CUT_DAYS_MAX, defining, is_sensitive, seed_began
from audiences.rule import Audience, decode_audience, decode_rule

TODAY = day_of(date(2026, 3, 30))
ORDERED = {"type": "did", "event": "Order Completed"}
CYCLING = {"field": "products.category", "op": "in", "value": ["cycling", "bikes"]}
OTHERS = {
    "other": decode_audience(
        {"key": "other", "name": "Other", "rule": {"type": "seen_on", "site": "shop"}}
    ),
    "loop": decode_audience(
        {"key": "loop", "name": "Loop", "rule": {"type": "in_audience", "audience": "loop"}}
    ),
    "twins": decode_audience(
        {"key": "twins", "name": "Twins", "lookalike": {"seed": "other", "percent": 5}}
    ),
}
TRAITS = [
    "event:Order Completed=7d",
    "event:Page=older",
    "category:cycling",
    "category:food",
    "product:bell",
    "site:shop",
    "age=40",
    "rfm_segment=champion",
    "rfm_recency=5",
]


def audience(key: str) -> Audience | None:
    return OTHERS.get(key)


RULES: list[Any] = [
    pytest.param(ORDERED, {"event:Order Completed=7d"}, id="event"),
    pytest.param(ORDERED | {"where": [CYCLING]}, {"category:cycling"}, id="category"),
    pytest.param(
        ORDERED | {"where": [CYCLING | {"op": "contains", "value": "cy"}]},
        {"category:cycling", "category:food"},
        id="some categories",
    ),
    pytest.param(
        ORDERED | {"at_least": 3},
        {"event:Order Completed=7d", "rfm_segment=champion", "rfm_recency=5"},
        id="how often",
    ),
    pytest.param(
        {"type": "trait", "trait": "rfm_segment", "op": "is", "value": "champion"},
        {"rfm_segment=champion", "rfm_recency=5"},
        id="computed",
    ),
    pytest.param(
        {"type": "trait", "trait": "age", "op": "at_least", "value": 40}, {"age=40"}, id="trait"
    ),
    pytest.param({"type": "in_audience", "audience": "other"}, {"site:shop"}, id="audience"),
    pytest.param({"type": "in_audience", "audience": "loop"}, set(), id="a circle"),
    pytest.param({"type": "in_audience", "audience": "twins"}, set(), id="twins"),
    pytest.param({"type": "in_audience", "audience": "gone"}, set(), id="unknown"),
    pytest.param(
        {"type": "sequence", "steps": [{"event": "Page"}, {"event": "Order Completed"}]},
        {"event:Page=older", "event:Order Completed=7d"},
        id="sequence",
    ),
    pytest.param(
        {"type": "not", "rule": {"type": "seen_on", "site": "shop"}}, {"site:shop"}, id="not"
    ),
    pytest.param({"type": "identified"}, set(), id="nothing known"),
]


@pytest.mark.parametrize(("rule", "expected"), RULES)
def test_the_traits_of_a_rule_are_told(rule: dict[str, Any], expected: set[str]) -> None:
    """What a rule asks for defines its people, and nothing else does."""
    made_of = defining(decode_rule(rule), audience)
    assert {trait for trait in TRAITS if made_of.holds(trait)} == expected


BEGINS: list[Any] = [
    pytest.param(ORDERED, None, id="at any time"),
    pytest.param(ORDERED | {"within_days": 7}, TODAY - 7, id="of late"),
    pytest.param(ORDERED | {"within_days": CUT_DAYS_MAX + 1}, None, id="too long ago"),
    pytest.param(ORDERED | {"since": "2026-03-01"}, day_of(date(2026, 3, 1)), id="since"),
    pytest.param(
        {
            "type": "all",
            "of": [ORDERED | {"within_days": 60}, {"type": "not", "rule": ORDERED}],
        },
        TODAY - 60,
        id="one of two",
    ),
    pytest.param(
        {"type": "any", "of": [ORDERED | {"within_days": 60}, ORDERED | {"within_days": 5}]},
        TODAY - 5,
        id="the youngest",
    ),
    pytest.param({"type": "identified"}, None, id="no events"),
]


@pytest.mark.parametrize(("rule", "expected"), BEGINS)
def test_a_seed_begins_with_its_youngest_events(rule: dict[str, Any], expected: int | None) -> None:
    """Seeds of late events are known until these began; others have no such day."""
    assert seed_began(decode_rule(rule), audience, today=TODAY) == expected


@pytest.mark.parametrize(
    "trait",
    ["religion=none", "category:PREGNANCY TESTS", "Political_Party=x", "event:Hospital Visit=7d"],
)
def test_sensitive_traits_are_known_by_their_words(trait: str) -> None:
    """Health, faith, politics and the like are named in any spelling."""
    assert is_sensitive(trait)


@pytest.mark.parametrize("trait", ["category:HEALTHY SNACKS", "age=40", "city=Essex", "site:demo"])
def test_words_inside_words_are_not_sensitive(trait: str) -> None:
    """Only whole words count."""
    assert not is_sensitive(trait)
