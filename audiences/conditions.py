"""Tests of one value: the operators, what they compare with, and the form the engine gets.

In goes an operator with its value from a rule, out comes either an error or two lists: the texts
and the numbers that count as equal, or as bounds. Nothing here runs a query.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

CRITERION_VALUES_MAX: Final = 1_000
CONDITIONS_MAX: Final = 4
"""So many conditions on product lines, and as many on other properties: the queries' slots."""
LINE_PREFIX: Final = "products."
"""Where the path of a product line's property begins."""

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = Scalar | tuple[Scalar, ...] | None
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]


class Op(StrEnum):
    """How the value of a trait or property is compared."""

    IS = "is"
    IS_NOT = "is_not"
    IN = "in"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    BETWEEN = "between"
    EXISTS = "exists"
    CONTAINS = "contains"


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One test of a property; `field` is a path under `properties`."""

    field: Name
    op: Op
    value: Value = None

    def __post_init__(self) -> None:
        check_value(self.op, self.value)
        if not all(self.field.split(".")):
            raise ValueError(f"a field is a path such as products.category, not {self.field!r}")


def check_conditions(where: tuple[Condition, ...]) -> None:
    """Refuse more conditions than a query has slots for."""
    lines = sum(each.field.startswith(LINE_PREFIX) for each in where)
    if max(lines, len(where) - lines) > CONDITIONS_MAX:
        raise ValueError(
            f"where takes {CONDITIONS_MAX} conditions on {LINE_PREFIX}* and {CONDITIONS_MAX} on "
            f"other fields, found {lines} and {len(where) - lines}; combine several criteria"
        )


def check_value(op: Op, value: Value) -> None:
    """Refuse a value that the operator cannot compare with."""
    if not _fits(op, value):
        raise ValueError(f"{op} takes {_TAKES[op]}, not {value!r}"[:300])


_TAKES: Final = {
    Op.IS: "one text, number, true or false",
    Op.IS_NOT: "one text, number, true or false",
    Op.IN: f"a list of 1 to {CRITERION_VALUES_MAX} values",
    Op.AT_LEAST: "one number or text",
    Op.AT_MOST: "one number or text",
    Op.BETWEEN: "two numbers or two texts, the lower one first",
    Op.EXISTS: "no value",
    Op.CONTAINS: "a text",
}


def _fits(op: Op, value: Value) -> bool:
    if op is Op.EXISTS:
        return value is None
    if op is Op.IN:
        return isinstance(value, tuple) and 0 < len(value) <= CRITERION_VALUES_MAX
    if op is Op.BETWEEN:
        return isinstance(value, tuple) and _are_bounds(value)
    if value is None or isinstance(value, tuple):
        return False
    if op is Op.CONTAINS:
        return isinstance(value, str) and value != ""
    return op in {Op.IS, Op.IS_NOT} or not isinstance(value, bool)


def _are_bounds(value: tuple[Scalar, ...]) -> bool:
    if len(value) != 2 or any(isinstance(each, bool) for each in value):
        return False
    low, high = value
    if isinstance(low, str) or isinstance(high, str):
        return isinstance(low, str) and isinstance(high, str) and low <= high
    return low <= high


def texts_of(value: Value) -> list[str]:
    """Give the texts of a value as JSON would spell them, texts without quotes."""
    scalars = value if isinstance(value, tuple) else () if value is None else (value,)
    return [_text(each) for each in scalars]


def numbers_of(value: Value) -> list[float]:
    """Give the numbers among a value; true and false are none."""
    scalars = value if isinstance(value, tuple) else (value,)
    return [float(x) for x in scalars if isinstance(x, int | float) and not isinstance(x, bool)]


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def holds(op: Op, value: Value, found: Scalar) -> bool:
    """Tell whether a value that is there passes, as the queries tell it of stored ones."""
    texts, numbers = texts_of(value), numbers_of(value)
    text, number = _text(found), numbers_of(found)
    match op:
        case Op.EXISTS:
            return True
        case Op.CONTAINS:
            return texts[0] in text
        case Op.IS | Op.IN:
            return text in texts or any(each in numbers for each in number)
        case Op.IS_NOT:
            return not holds(Op.IS, value, found)
    low, high = _bounds_of(op, numbers or texts)
    compared: list[Any] = number if numbers else [text]
    return any((low is None or low <= x) and (high is None or x <= high) for x in compared)


def _bounds_of(op: Op, values: Sequence[Any]) -> tuple[Any, Any]:
    if op is Op.BETWEEN:
        return values[0], values[1]
    return (values[0], None) if op is Op.AT_LEAST else (None, values[0])
