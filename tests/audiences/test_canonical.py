"""The canonical form: one for all rules that say the same, however they are written."""

import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiences.canonical import canonical, rule_hash
from audiences.rule import decode_rule

sys.path.insert(0, str(Path(__file__).parent))
from rule_worlds import Draw, rule_of

DID = {"type": "did", "event": "Order Completed"}
EVERYONE = {"type": "everyone"}

SAME = [
    pytest.param([DID, {**DID, "at_least": 1}, {**DID, "where": []}], id="defaults"),
    pytest.param([{**DID, "exactly": 2}, {**DID, "at_least": 2, "at_most": 2}], id="exactly"),
    pytest.param(
        [{"type": "all", "of": [DID, EVERYONE]}, {"type": "all", "of": [EVERYONE, DID, DID]}],
        id="order and repeats",
    ),
    pytest.param([{"type": "any", "of": [DID]}, DID], id="a single part"),
    pytest.param(
        [
            {"type": "trait", "trait": "a", "op": "in", "value": [2, 1.0, 1]},
            {"type": "trait", "trait": "a", "op": "in", "value": [1, 2]},
        ],
        id="order of values",
    ),
    pytest.param(
        [{**DID, "where": [{"field": "a", "op": "exists"}] * count} for count in (1, 2)],
        id="a condition twice",
    ),
    pytest.param(
        [
            {"type": "trait", "trait": "a", "op": "in", "value": ["x"]},
            {"type": "trait", "trait": "a", "op": "is", "value": "x"},
        ],
        id="in one",
    ),
]


@pytest.mark.parametrize("plains", SAME)
def test_rules_that_say_the_same_have_one_form(plains: list[dict[str, Any]]) -> None:
    """Order, defaults and spelling of numbers do not show in the canonical form."""
    assert len({canonical(decode_rule(plain)) for plain in plains}) == 1
    assert len({rule_hash(decode_rule(plain)) for plain in plains}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"value": 1}, {"value": True}, id="1 and true"),
        pytest.param({"value": 1}, {"value": "1"}, id="1 and its text"),
        pytest.param({"op": "is_not"}, {}, id="operator"),
    ],
)
def test_rules_that_differ_have_two_forms(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Values of different kinds are never taken for the same."""
    trait = {"type": "trait", "trait": "a", "op": "is", "value": 1}
    assert canonical(decode_rule({**trait, **one})) != canonical(decode_rule({**trait, **other}))


@given(st.permutations([DID, EVERYONE, {"type": "not", "rule": DID}, {"type": "identified"}]))
def test_the_canonical_form_is_a_rule_of_its_own_form(parts: list[dict[str, Any]]) -> None:
    """The canonical form can be read again and has itself as canonical form."""
    form = canonical(decode_rule({"type": "all", "of": [{"type": "any", "of": parts}, *parts]}))
    assert canonical(decode_rule(form)) == form


def respelt(rnd: Random, value: Any) -> Any:
    """Write a rule otherwise: order, repeats, defaults and numbers; what it says stays."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if rnd.random() < 0.5 else value
    if not isinstance(value, dict):
        return value
    plain = {
        key: [respelt(rnd, each) for each in inner] if key in LISTS else respelt(rnd, inner)
        for key, inner in rnd.sample(list(value.items()), len(value))
        if key not in EXACT
    }
    plain |= {key: value[key] for key in EXACT if key in value}
    plain |= {key: unordered(rnd, plain[key]) for key in unordered_parts(plain)}
    plain |= {key: rnd.sample(plain[key], len(plain[key])) for key in {"where"} & plain.keys()}
    if plain.get("type") == "did" and "sum" not in plain:
        plain = with_defaults(plain)
    if plain.get("type") != "at_least" and "type" in plain and rnd.random() < 0.2:
        plain = {"type": rnd.choice(["all", "any"]), "of": [plain] * rnd.randint(1, 2)}
    return plain


LISTS = {"of", "where", "steps"}
EXACT = ["k", "at_least", "at_most", "exactly", "within_days", "within_minutes"]


def unordered_parts(plain: dict[str, Any]) -> list[str]:
    """Name the lists whose order says nothing and whose members count once."""
    parts = {"of": plain.get("type") in {"all", "any"}, "value": plain.get("op") == "in"}
    return [key for key, free in parts.items() if free]


def unordered(rnd: Random, values: list[Any]) -> list[Any]:
    """Put values into any order, some of them twice at the end."""
    return rnd.sample(values, len(values)) + rnd.sample(values, rnd.randint(0, len(values)))


def with_defaults(plain: dict[str, Any]) -> dict[str, Any]:
    """Spell out what a count means when it says less."""
    exactly = plain.pop("exactly", None)
    if exactly is not None:
        return plain | {"at_least": exactly, "at_most": exactly}
    low = plain.get("at_least", 0 if "at_most" in plain else 1)
    return plain | {"at_least": low, "site": plain.get("site"), "exactly": None}


@given(st.integers(0, 2**32))
def test_a_rule_respelt_keeps_its_form_and_hash(seed: int) -> None:
    """However the same rule is written, it has one canonical form; another rule has another."""
    rnd = Draw(seed)
    plain, other = rule_of(rnd, ["a"]), rule_of(rnd, ["a"])
    form = canonical(decode_rule(plain))
    again = decode_rule(respelt(rnd, plain))
    assert canonical(again) == form, (plain, again)
    assert rule_hash(again) == rule_hash(decode_rule(form))
    same = canonical(decode_rule(other)) == form
    assert same == (rule_hash(decode_rule(other)) == rule_hash(again))
