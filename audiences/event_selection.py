"""Which events a criterion looks at, as parameters of one of the queries for rows.

In goes a selection of events with conditions, out come the query's name and its parameters. Nothing
here runs it.
"""

import sys
from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Final

import msgspec

from audiences.calendar_days import date_of
from audiences.conditions import LINE_PREFIX, Condition, Op, numbers_of, texts_of

ORDER_COMPLETED: Final = "Order Completed"
ORDER_REFUNDED: Final = "Order Refunded"
DAY_LAST: Final = 65_535
"""The last day that a Date column can hold."""

_TEXTS_OF_LINES = ("product_id", "sku", "name", "category", "brand", "variant")
PROMOTED_TEXTS: Final = frozenset({"url", *(LINE_PREFIX + each for each in _TEXTS_OF_LINES)})
PROMOTED_NUMBERS: Final = frozenset({"total", "revenue", "products.price", "products.quantity"})
WHOLE_AMOUNTS: Final = frozenset({"total", "revenue"})
AMOUNT_MAX: Final = sys.float_info.max
PROMOTED_LINES_MAX: Final = 2
PROMOTED_OTHERS_MAX: Final = 1
"""So many conditions has `event_rows_promoted` room for, on lines and on other properties."""


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Events of a name (and their refunds) on these days; `field` is the amount to be read."""

    event: str
    last_day: int
    first_day: int = 0
    site: str | None = None
    where: Sequence[Condition] = ()
    field: str = ""

    @property
    def refund(self) -> str:
        """Give the name of the events that count against a sum of these; empty where none do."""
        return ORDER_REFUNDED if self.field and self.event == ORDER_COMPLETED else ""


def rows_query(selection: Selection) -> str:
    """Choose the cheapest query that answers the selection exactly."""
    if not selection.where and selection.field in WHOLE_AMOUNTS | {""}:
        return "event_rows"
    lines = sum(each.field.startswith(LINE_PREFIX) for each in selection.where)
    few = lines <= PROMOTED_LINES_MAX and len(selection.where) - lines <= PROMOTED_OTHERS_MAX
    # Why: where no line of an event has any promoted property, its columns hold no lines at all.
    needs_line = not lines or any(
        each.op is not Op.IS_NOT and each.field.startswith(LINE_PREFIX) for each in selection.where
    )
    promoted = few and needs_line and all(_is_promoted(each) for each in selection.where)
    if promoted and selection.field in PROMOTED_NUMBERS | {""}:
        return "event_rows_promoted"
    return "event_rows_where"


def bare_query(
    selection: Selection, currencies: Mapping[str, str]
) -> tuple[str, dict[str, Any]] | None:
    """Choose a query that reads no more than owners and amounts; None where none can answer."""
    if len(selection.where) == 1 and not selection.field:
        (condition,) = selection.where
        if _is_of_texts(condition):
            name = "event_owners_of_url" if condition.field == "url" else "event_owners_of_line"
            return name, owners_parameters(selection) | {
                "column": condition.field,
                "texts": texts_of(condition.value),
                "anywhere": condition.op is Op.CONTAINS,
            }
    parameters = _amounts_parameters(selection, currencies)
    if parameters is None:
        return None
    return ("event_amounts" if selection.field else "event_owners_of_amount"), parameters


def _is_of_texts(condition: Condition) -> bool:
    texts = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if condition.op is Op.CONTAINS:
        return condition.field == "url"
    whole = condition.op in {Op.IS, Op.IN} and all(isinstance(each, str) for each in texts)
    return whole and condition.field in PROMOTED_TEXTS and _is_promoted(condition)


def _amounts_parameters(
    selection: Selection, currencies: Mapping[str, str]
) -> dict[str, Any] | None:
    column = selection.field or (selection.where[0].field if selection.where else "")
    if column not in WHOLE_AMOUNTS or len(selection.where) > 1:
        return None
    least, most, numbers = -inf, inf, list[float]()
    for each in selection.where:
        if each.field != column or not _is_promoted(each):
            return None
        numbers = numbers_of(each.value)
        if each.op in {Op.AT_LEAST, Op.BETWEEN}:
            # Why finite: what is too large for a number is none.
            least, most, numbers = numbers[0], [*numbers, AMOUNT_MAX][1], []
    (other,) = WHOLE_AMOUNTS - {column}
    return {
        **owners_parameters(selection),
        **currency_parameters(currencies),
        "field": selection.field,
        "refund": selection.refund,
        "column": column,
        "other": other,
        "least": least,
        "most": most,
        "numbers": numbers,
    }


def owners_parameters(selection: Selection) -> dict[str, Any]:
    """Give what `event_owners` asks for."""
    return {
        "events": [selection.event, *filter(None, [selection.refund])],
        "first": date_of(max(0, selection.first_day)),
        "last": date_of(min(DAY_LAST, max(0, selection.last_day))),
        "site": selection.site or "",
    }


def rows_parameters(selection: Selection, currencies: Mapping[str, str]) -> dict[str, Any]:
    """Give what the row queries ask for; `currencies` are those of the sites."""
    prefix = len(LINE_PREFIX)
    lines = [each for each in selection.where if each.field.startswith(LINE_PREFIX)]
    others = [each for each in selection.where if not each.field.startswith(LINE_PREFIX)]
    return {
        **owners_parameters(selection),
        **currency_parameters(currencies),
        "field": selection.field,
        "refund": selection.refund,
        **_tests("", [each.field for each in others], others),
        **_tests("line_", [each.field[prefix:] for each in lines], lines),
    }


def currency_parameters(currencies: Mapping[str, str]) -> dict[str, Any]:
    """Give the sites that have a currency, and which."""
    known = {site: currency.upper() for site, currency in currencies.items() if currency}
    return {"sites": list(known), "currencies": list(known.values())}


def _tests(prefix: str, fields: list[str], where: Sequence[Condition]) -> dict[str, Any]:
    return {
        f"{prefix}fields": fields,
        f"{prefix}ops": [each.op.value for each in where],
        f"{prefix}texts": [texts_of(each.value) for each in where],
        f"{prefix}numbers": [numbers_of(each.value) for each in where],
    }


def _is_promoted(condition: Condition) -> bool:
    """Tell whether the promoted column answers as the property would, missing ones included."""
    texts, numbers = texts_of(condition.value), numbers_of(condition.value)
    if condition.op is Op.EXISTS or "" in texts:
        return False
    if condition.field in PROMOTED_TEXTS:
        # An empty text is at most any other, a missing one is not.
        return condition.op is not Op.AT_MOST or bool(numbers)
    if condition.field not in PROMOTED_NUMBERS or len(numbers) != len(texts):
        return False
    # A missing number reads as 0, so 0 itself must fail the test.
    if condition.op in {Op.IS, Op.IN}:
        return 0 not in numbers
    return condition.op in {Op.AT_LEAST, Op.BETWEEN} and numbers[0] > 0
