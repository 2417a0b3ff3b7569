"""The one form of all rules that say the same, and its hash: key of the criterion cache.

In goes a rule, out come bytes that do not depend on the order of alternatives, on defaults spelt
out or on how a number is written. It does not look for deeper equivalences (two rules may select
alike and differ here).
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import msgspec

from audiences.conditions import Op
from audiences.rule import All, AnyOf, AtLeast, Criterion, Did, DidInOrder, HasTrait, Not, Rule

Plain = dict[str, Any]


def canonical(rule: Rule) -> bytes:
    """Give the canonical form of a rule as JSON."""
    return _encode(_plain(rule))


def rule_hash(rule: Rule) -> str:
    """Give 16 hex digits that are equal for rules of equal canonical form."""
    return blake2b(canonical(rule), digest_size=8).hexdigest()


def _plain(rule: Rule) -> Plain:
    match rule:
        case All() | AnyOf():
            unique = _distinct(map(_plain, rule.of))
            if len(unique) == 1:
                return dict(unique[0])
            return {"type": "all" if isinstance(rule, All) else "any", "of": unique}
        case AtLeast():
            # Why all of them: a rule that stands twice counts twice.
            parts = sorted(map(_plain, rule.of), key=_encode)
            return {"type": "at_least", "k": rule.k, "of": parts}
        case Not():
            return {"type": "not", "rule": _plain(rule.rule)}
        case _:
            return _plain_criterion(rule)


def _plain_criterion(rule: Criterion) -> Plain:
    plain: Plain = msgspec.to_builtins(rule)
    if isinstance(rule, HasTrait):
        return _plain_test(plain)
    if isinstance(rule, DidInOrder):
        for step in plain["steps"]:
            step["where"] = _distinct(map(_plain_test, step.get("where", ())))
    if isinstance(rule, Did):
        plain["where"] = _distinct(map(_plain_test, plain.get("where", ())))
        plain.pop("exactly", None)
        if rule.sum is None:
            plain["at_least"], plain["at_most"] = rule.counts()
        else:
            plain["sum"] = {name: _number(value) for name, value in plain["sum"].items()}
    return plain


def _plain_test(plain: Plain) -> Plain:
    value = plain.pop("value", None)
    if plain["op"] == Op.IN:
        unique = _distinct(map(_number, value))
        if len(unique) == 1:
            return plain | {"op": Op.IS, "value": unique[0]}
        return plain | {"value": unique}
    if isinstance(value, list | tuple):
        return plain | {"value": [_number(each) for each in value]}
    return plain if value is None else plain | {"value": _number(value)}


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _distinct(rows: Iterable[Any]) -> list[Any]:
    """Give each once, in an order of their own."""
    unique = {_encode(each): each for each in rows}
    return [unique[text] for text in sorted(unique)]


def _encode(plain: Any) -> bytes:
    return msgspec.json.encode(plain, order="sorted")
