"""Texts of rules: what YAML and JSON may say, and what would grow without end."""

import msgspec
import pytest

from audiences.rule import decode_rule
from audiences.rule_source import RuleError


def test_a_yaml_text_that_unfolds_without_end_is_refused() -> None:
    """Anchors that multiply are counted as often as they are named."""
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 9):
        text += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    with pytest.raises(RuleError, match="too many values"):
        decode_rule(text)


def test_merged_keys_that_multiply_are_refused_at_once() -> None:
    """YAML's `<<` merges nothing here, so that lists of merged objects cannot grow."""
    text = "a0: &a0 {x: 1, y: 2}\n"
    for level in range(1, 12):
        text += f"a{level}: &a{level}\n  <<: [{', '.join([f'*a{level - 1}'] * 8)}]\n"
    with pytest.raises(RuleError, match="too many values"):
        decode_rule(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("no", "no", id="no is a country"),
        pytest.param("on", "on", id="on"),
        pytest.param("12:30", "12:30", id="a time"),
        pytest.param("2020-02-29", "2020-02-29", id="a day"),
        pytest.param("007", "007", id="leading zeros"),
        pytest.param("0x10", "0x10", id="hexadecimal"),
        pytest.param("1_000", "1_000", id="underscore"),
        pytest.param("true", True, id="true"),
        pytest.param("-5", -5, id="number"),
        pytest.param("2.50", 2.5, id="fraction"),
        pytest.param("1e3", 1000.0, id="exponent"),
        pytest.param('"5"', "5", id="quoted"),
    ],
)
def test_yaml_says_what_json_would(text: str, value: object) -> None:
    """A bare word of YAML is a text unless JSON reads it as a number, true or false."""
    rule = decode_rule(f"type: trait\ntrait: a\nop: is\nvalue: {text}")
    assert msgspec.to_builtins(rule)["value"] == value
    assert type(msgspec.to_builtins(rule)["value"]) is type(value)
    assert decode_rule(f"{{type: trait, trait: a, op: is, value: {text}}}") == rule
