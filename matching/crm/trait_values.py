"""Reads a trait's values of a batch: all at once where they are alike, else one by one.

Cells come in; kind, text and number as `customer_traits` keeps them go out, and why a cell cannot
be read.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from matching.crm.values import TEXT_CHARS_MAX, TraitType, is_blank, read_trait

_NUMBERS: Final = re.compile(r"(?:[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?\n)*")
# Why no leading zero: a post code or card number is no quantity.
_PLAIN_NUMBERS: Final = re.compile(r"(?:-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,30})?\n)*")


class TraitValues(msgspec.Struct, frozen=True, kw_only=True):
    """Values side by side; the empty kind is an empty cell or one of `refusals`."""

    kinds: list[str]
    texts: list[str]
    numbers: list[float]
    refusals: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.kinds)


def trait_values(
    values: Sequence[Any], column: str, trait_type: TraitType, *, separator: str = ","
) -> TraitValues:
    """Read the cells of a column."""
    if set(map(type, values)) <= {str}:
        if trait_type in (TraitType.NUMBER, TraitType.AUTO):
            numbers = _numbers(values, trait_type)
            if numbers is not None:
                count = len(values)
                kinds = [TraitType.NUMBER.value] * count
                return TraitValues(kinds=kinds, texts=[""] * count, numbers=numbers)
        if trait_type is TraitType.TEXT and max(map(len, values), default=0) <= TEXT_CHARS_MAX:
            return _texts(values)
    return _one_by_one(values, column, trait_type, separator)


def _numbers(values: Sequence[str], trait_type: TraitType) -> list[float] | None:
    """Read numbers that are all written plainly."""
    plain = _NUMBERS if trait_type is TraitType.NUMBER else _PLAIN_NUMBERS
    if not plain.fullmatch("\n".join(values) + "\n"):
        return None
    return list(map(float, values))


def _texts(values: Sequence[str]) -> TraitValues:
    texts = list(map(str.strip, values))
    kind = TraitType.TEXT.value
    kinds = [kind if text else "" for text in texts] if "" in texts else [kind] * len(texts)
    return TraitValues(kinds=kinds, texts=texts, numbers=[0.0] * len(texts))


def _one_by_one(
    values: Sequence[Any], column: str, trait_type: TraitType, separator: str
) -> TraitValues:
    kinds, texts, numbers = [], [], []
    refusals = {}
    for code, value in enumerate(values):
        kind, text, number = "", "", 0.0
        if not is_blank(value):
            try:
                read = read_trait(value, trait_type, separator=separator)
            except ValueError as error:
                refusals[code] = f"unreadable {column}: {error}"
            else:
                kind, text, number = read.kind, read.text, read.number
        kinds.append(kind)
        texts.append(text)
        numbers.append(number)
    return TraitValues(kinds=kinds, texts=texts, numbers=numbers, refusals=refusals)
