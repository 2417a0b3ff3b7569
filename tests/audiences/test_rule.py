"""Rules and audiences as text: what is read, what is refused and how."""

import json
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from audiences.conditions import Op, holds
from audiences.definitions import build_order
from audiences.rfm import RfmSettings
from audiences.rule import (
    RULE_DEPTH_MAX,
    RULE_NODES_MAX,
    Audience,
    Rule,
    criteria_of,
    decode_audience,
    decode_rule,
    referenced_audiences,
)
from audiences.rule_source import TEXT_CHARS_MAX, RuleError
from audiences.rule_words import words_of

DID = {"type": "did", "event": "Order Completed"}
EVERYONE = {"type": "everyone"}
TRAIT = {"type": "trait", "trait": "a", "op": "is", "value": 1}
EXAMPLES = files("service").joinpath("example_config")

EVERY_KIND = [
    pytest.param({"type": "all", "of": [EVERYONE, DID]}, id="all"),
    pytest.param({"type": "any", "of": [DID]}, id="any"),
    pytest.param({"type": "not", "rule": DID}, id="not"),
    pytest.param({"type": "at_least", "k": 2, "of": [EVERYONE, DID, DID]}, id="at_least"),
    pytest.param({"type": "trait", "trait": "age", "op": "between", "value": [18, 30]}, id="trait"),
    pytest.param({**DID, "exactly": 0, "within_days": 30, "site": "shop"}, id="did"),
    pytest.param({**DID, "sum": {"field": "total", "at_least": 9.5}}, id="did sum"),
    pytest.param({**DID, "since": "2026-01-01", "until": "2026-01-31"}, id="did dates"),
    pytest.param(
        {
            "type": "sequence",
            "steps": [
                {"event": "Viewed", "where": [{"field": "url", "op": "contains", "value": "b"}]},
                {"event": "Bought"},
            ],
            "within_minutes": 30,
        },
        id="sequence",
    ),
    pytest.param({"type": "in_audience", "audience": "champions"}, id="in_audience"),
    pytest.param({"type": "synced", "partner": "xandr"}, id="synced"),
    pytest.param({"type": "seen_on", "site": "shop"}, id="seen_on"),
    pytest.param({"type": "identified"}, id="identified"),
    pytest.param(EVERYONE, id="everyone"),
]


@pytest.mark.parametrize("plain", EVERY_KIND)
def test_every_kind_is_read_and_written_back(plain: dict[str, Any]) -> None:
    """A rule is read alike from values, JSON and YAML, and says itself again; it has words."""
    rule = decode_rule(plain)
    assert decode_rule(json.dumps(plain)) == rule
    assert decode_rule(msgspec.yaml.encode(plain)) == rule
    assert msgspec.convert(msgspec.to_builtins(rule), Rule) == rule
    assert words_of(rule)


def nested(levels: int) -> dict[str, Any]:
    """Nest `not` so deep that the rule has this many levels."""
    rule: dict[str, Any] = EVERYONE
    for _ in range(levels - 1):
        rule = {"type": "not", "rule": rule}
    return rule


@pytest.mark.parametrize(
    ("source", "place"),
    [
        pytest.param({"type": "nobody"}, "nobody", id="unknown type"),
        pytest.param({"type": "all", "of": []}, "$.of", id="empty all"),
        pytest.param(
            {"type": "all", "of": [DID, {**DID, "color": 1}]}, "$.of[1]", id="extra field"
        ),
        pytest.param({**DID, "at_least": -1}, "$.at_least", id="negative count"),
        pytest.param({**DID, "at_least": 3, "at_most": 2}, "more than", id="bounds turned"),
        pytest.param({**DID, "exactly": 1, "at_most": 2}, "exactly", id="exactly with at_most"),
        pytest.param({**DID, "sum": {"field": "total"}}, "$.sum", id="sum without bound"),
        pytest.param(
            {**DID, "at_least": 1, "sum": {"field": "t", "at_least": 1}}, "sum", id="sum and count"
        ),
        pytest.param({**DID, "within_days": 3, "since": "2026-01-01"}, "choose", id="two windows"),
        pytest.param({**DID, "since": "2026-02-30"}, "$.since", id="no such day"),
        pytest.param(
            {**DID, "where": [{"field": "a..b", "op": "exists"}]}, "$.where[0]", id="broken path"
        ),
        pytest.param(
            {**DID, "where": [{"field": "a", "op": "exists"}] * 5}, "where takes 4", id="too many"
        ),
        pytest.param({"type": "at_least", "k": 3, "of": [DID]}, "k is 3", id="k of fewer"),
        pytest.param({"type": "sequence", "steps": [{"event": "a"}]}, "$.steps", id="one step"),
        pytest.param({"type": "in_audience", "audience": "No Key"}, "$.audience", id="bad key"),
        pytest.param(nested(RULE_DEPTH_MAX + 1), "levels deep", id="too deep"),
        pytest.param(nested(500), "too deeply", id="far too deep"),
        pytest.param({"type": "any", "of": [DID] * RULE_NODES_MAX}, "nodes", id="too many nodes"),
        pytest.param("type: did\nevent: x\nat_least: .nan", "finite", id="not a number"),
        pytest.param('{"type": "did", "event": "x", "at_least": NaN}', "finite", id="JSON's NaN"),
        pytest.param(
            {"type": "all", "of": [EVERYONE, {**DID, "within_days": "3"}]},
            "Expected `int | null`, got `str` - at `$.of[1].within_days`",
            id="text for a number",
        ),
        pytest.param(
            {**TRAIT, "value": 2**53 + 1}, "2^53 on either side of 0; write", id="a long number"
        ),
        pytest.param(
            '{"type": "trait", "trait": "a", "op": "is", "value": 1' + "0" * 5_000 + "}",
            "digits",
            id="a number of 5,000 digits",
        ),
        pytest.param(
            {"type": "all", "of": [{**TRAIT, "value": "x" * (TEXT_CHARS_MAX + 1)}]},
            "- at `$.of[0].value`",
            id="a long text",
        ),
        pytest.param({**TRAIT, "value": "\ud800"}, "half a character", id="half a character"),
        pytest.param('{"type": "everyone", "type": "identified"}', "'type'", id="a key twice"),
        pytest.param("type: everyone\ntype: identified", "line 2", id="a key twice in YAML"),
        pytest.param("a: {b: 1, b: 2}", "'b'", id="a key twice, deeper"),
        pytest.param("[1]: x", "A key is a text", id="a list as key"),
        pytest.param("!!python/object:os.system x", "constructor", id="a tag of Python"),
        pytest.param("a: &a\n  b: *a", "too deeply", id="an object inside itself"),
        pytest.param("a: 1\n---\nb: 1", "single document", id="two documents"),
        pytest.param("{not json", "JSON", id="no JSON"),
        pytest.param("[" * 100_000, "too deeply", id="brackets"),
        pytest.param("just words", "object", id="no object"),
    ],
)
def test_a_bad_rule_is_refused_with_its_place(source: object, place: str) -> None:
    """An error names the path or the limit, whatever is wrong."""
    with pytest.raises(RuleError) as caught:
        decode_rule(source)
    assert place in str(caught.value)


@pytest.mark.parametrize("op", list(Op))
@pytest.mark.parametrize(
    ("value", "ops"),
    [
        pytest.param(None, {"exists"}, id="none"),
        pytest.param("x", {"is", "is_not", "at_least", "at_most", "contains"}, id="text"),
        pytest.param("", {"is", "is_not", "at_least", "at_most"}, id="empty text"),
        pytest.param(5, {"is", "is_not", "at_least", "at_most"}, id="number"),
        pytest.param(True, {"is", "is_not"}, id="boolean"),
        pytest.param(["a"], {"in"}, id="one value"),
        pytest.param([1, 2], {"in", "between"}, id="two numbers"),
        pytest.param([2, 1], {"in"}, id="turned bounds"),
        pytest.param(["a", 1], {"in"}, id="mixed"),
        pytest.param([], set(), id="no values"),
        pytest.param(["a"] * 1001, set(), id="too many values"),
    ],
)
def test_each_operator_takes_only_its_values(op: Op, value: object, ops: set[str]) -> None:
    """An operator accepts the values that it can compare with and refuses the others."""
    plain = {"type": "trait", "trait": "age", "op": op.value, "value": value}
    if op.value in ops:
        decode_rule(plain)
    else:
        with pytest.raises(RuleError, match=f"{op.value} takes"):
            decode_rule(plain)


@pytest.mark.parametrize(
    ("op", "value", "found", "expected"),
    [
        pytest.param(Op.IS, "5", 5, True, id="text of a number"),
        pytest.param(Op.IS, True, True, True, id="boolean"),
        pytest.param(Op.IS, 1, True, False, id="true is not 1"),
        pytest.param(Op.IS_NOT, "a", "b", True, id="is_not"),
        pytest.param(Op.IN, ("a", 5), 5.0, True, id="in"),
        pytest.param(Op.AT_LEAST, 4, 5, True, id="at least"),
        pytest.param(Op.AT_LEAST, 4, "champion", False, id="text against a number"),
        pytest.param(Op.AT_MOST, "b", "a", True, id="texts in order"),
        pytest.param(Op.BETWEEN, (2, 4), 5, False, id="between"),
        pytest.param(Op.EXISTS, None, "", True, id="exists"),
        pytest.param(Op.CONTAINS, "amp", "champion", True, id="contains"),
    ],
)
def test_a_found_value_passes_or_not(op: Op, value: Any, found: Any, expected: bool) -> None:
    """Values in memory are compared as the queries compare stored ones."""
    assert holds(op, value, found) is expected


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        pytest.param({"at_most": 3}, "at most 3 times", id="at most"),
        pytest.param({"at_most": 0}, "exactly 0 times", id="none"),
        pytest.param({"at_least": 2, "at_most": 3}, "2 to 3 times", id="both"),
        pytest.param({"at_least": 1_000_000}, "at least 1000000 times", id="all digits"),
        pytest.param(
            {"sum": {"field": "total", "at_least": 1234567.25}},
            "with total at least 1234567.25 in all",
            id="a sum's digits",
        ),
        pytest.param(
            {"sum": {"field": "total", "at_least": 0, "at_most": 5}},
            "with total 0 to 5 in all",
            id="a sum from 0",
        ),
    ],
)
def test_words_name_the_bounds_that_hold(bounds: dict[str, Any], words: str) -> None:
    """No digit of a bound is lost in words, and none is added."""
    assert words_of(decode_rule({**DID, **bounds})) == f"Order Completed {words}"


def test_criteria_and_audiences_of_a_rule_are_found() -> None:
    """Distinct criteria come in their order; audiences are found at any depth."""
    inner = {"type": "in_audience", "audience": "complainers"}
    rule = decode_rule({"type": "all", "of": [DID, {"type": "not", "rule": inner}, DID]})
    assert [type(each).__name__ for each in criteria_of(rule)] == ["Did", "InAudience"]
    assert referenced_audiences(rule) == {"complainers"}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        pytest.param({"rule": None}, "either a rule or a lookalike", id="neither"),
        pytest.param({"lookalike": {"seed": "a", "size": 5}}, "either", id="both"),
        pytest.param({"rule": None, "lookalike": {"seed": "a"}}, "size or percent", id="no size"),
        pytest.param(
            {"rule": None, "lookalike": {"seed": "me", "size": 1}}, "own seed", id="own seed"
        ),
        pytest.param({"key": "other"}, "is to be 'me'", id="other key"),
        pytest.param({"min_size": -1}, "$.min_size", id="min_size"),
        pytest.param({"identity": "device"}, "$.identity", id="identity"),
        pytest.param({"rule": nested(13)}, "levels", id="rule too deep"),
    ],
)
def test_a_bad_audience_is_refused(changes: dict[str, Any], place: str) -> None:
    """An audience has a rule or a lookalike, and one key."""
    with pytest.raises(RuleError) as caught:
        decode_audience({"name": "Me", "rule": DID, **changes}, key="me")
    assert place in str(caught.value)


def test_the_examples_are_audiences_that_can_be_built() -> None:
    """Every file of the example is an audience of its name, and all can be put in order."""
    found: dict[str, Audience] = {}
    for file in EXAMPLES.joinpath("audiences").iterdir():
        audience = decode_audience(file.read_text(encoding="utf-8"))
        assert file.name == f"{audience.key}.yaml"
        found[audience.key] = audience
    assert len(build_order(found)) == 6
    order = build_order(found)
    assert order.index("bought_last_week") < order.index("big_spenders_to_win_back")


def test_the_example_of_rfm_names_a_segment_for_every_pair() -> None:
    """The shipped table leaves no pair of scores without a segment."""
    text = EXAMPLES.joinpath("rfm.toml").read_text(encoding="utf-8")
    settings = msgspec.toml.decode(text, type=RfmSettings)
    assert "champion" in {each.segment for each in settings.segments}
