"""Says a rule in words, for waterfalls, explanations and messages; they are for reading only."""

from collections.abc import Sequence

from audiences.conditions import Condition, Op, Value, texts_of
from audiences.rule import (
    All,
    AnyOf,
    AtLeast,
    Criterion,
    Did,
    DidInOrder,
    Everyone,
    HasTrait,
    Identified,
    InAudience,
    Not,
    Rule,
    SeenOn,
    Synced,
)

VALUES_SHOWN = 3
OPERATORS = {
    Op.IS: "is",
    Op.IS_NOT: "is not",
    Op.IN: "is one of",
    Op.AT_LEAST: "is at least",
    Op.AT_MOST: "is at most",
    Op.BETWEEN: "is between",
    Op.EXISTS: "is known",
    Op.CONTAINS: "contains",
}


def words_of(rule: Rule) -> str:
    """Say a rule in one line."""
    match rule:
        case All():
            return f"all of ({'; '.join(map(words_of, rule.of))})"
        case AnyOf():
            return f"any of ({'; '.join(map(words_of, rule.of))})"
        case AtLeast():
            return f"at least {rule.k} of ({'; '.join(map(words_of, rule.of))})"
        case Not():
            return f"not ({words_of(rule.rule)})"
        case _:
            return _words_of_criterion(rule)


def _words_of_criterion(rule: Criterion) -> str:
    match rule:
        case HasTrait():
            return _test(rule.trait, rule.op, rule.value)
        case Did():
            return _did(rule)
        case DidInOrder():
            return _in_order(rule)
        case InAudience():
            return f"in audience {rule.audience}"
        case Synced():
            return f"known to {rule.partner}"
        case SeenOn():
            return f"seen on {rule.site}"
        case Identified():
            return "identified as a customer"
        case Everyone():
            return "everyone"


def _did(rule: Did) -> str:
    parts = [rule.event]
    if rule.site is not None:
        parts.append(f"on {rule.site}")
    if rule.sum is not None:
        parts.append(f"with {rule.sum.field} {_range(rule.sum.at_least, rule.sum.at_most)} in all")
    else:
        low, high = rule.counts()
        times = f"{_range(None if low == 0 and high else low, high)} times"
        parts.append("at least once" if (low, high) == (1, None) else times)
    parts += _where(rule.where)
    if rule.within_days is not None:
        parts.append(f"within {rule.within_days} days")
    if rule.since is not None:
        parts.append(f"since {rule.since}")
    if rule.until is not None:
        parts.append(f"until {rule.until}")
    return " ".join(parts)


def _in_order(rule: DidInOrder) -> str:
    steps = ", then ".join(" ".join([step.event, *_where(step.where)]) for step in rule.steps)
    if rule.within_minutes is not None:
        return f"{steps} within {rule.within_minutes} minutes"
    return steps if rule.within_days is None else f"{steps} within {rule.within_days} days"


def _where(where: Sequence[Condition]) -> list[str]:
    tests = [_test(each.field, each.op, each.value) for each in where]
    return [f"where {' and '.join(tests)}"] if tests else []


def _test(name: str, op: Op, value: Value) -> str:
    values = texts_of(value)
    shown = ", ".join(values[:VALUES_SHOWN])
    if op is Op.BETWEEN:
        shown = " and ".join(values)
    elif len(values) > VALUES_SHOWN:
        shown += f" and {len(values) - VALUES_SHOWN} more"
    return f"{name} {OPERATORS[op]} {shown}".rstrip()


def _range(low: float | None, high: float | None) -> str:
    if low is not None and low == high:
        return f"exactly {_number(low)}"
    if high is None:
        return f"at least {_number(low or 0)}"
    return f"at most {_number(high)}" if low is None else f"{_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    """Write all digits: a short form would name other bounds than those that hold."""
    return str(int(value)) if value == int(value) else repr(value)
