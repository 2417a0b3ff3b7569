"""Reads one cell of a CRM file as the type its column is said to have.

A value comes in as text (CSV) or as JSON and Parquet give it; kind, text and number as
`customer_traits` keeps them go out. ValueError says what could not be read.
"""

import math
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec

EPOCH: Final = date(1970, 1, 1)
TEXT_CHARS_MAX: Final = 2_000
MEMBERS_MAX: Final = 1_000
YES: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
NO: Final = frozenset({"0", "false", "f", "no", "n", "off"})
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
# Why no leading zero: a post code or card number is no quantity.
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d+)?")


class TraitType(StrEnum):
    """What a column holds; AUTO takes each value for what it looks like."""

    NUMBER = "number"
    TEXT = "text"
    DATE = "date"
    BOOLEAN = "boolean"
    SET = "set"
    AUTO = "auto"


class TraitValue(msgspec.Struct, frozen=True, kw_only=True):
    """One value as the table keeps it."""

    kind: str
    text: str = ""
    number: float = 0.0


def is_blank(value: Any) -> bool:
    """Tell an empty cell."""
    if type(value) is str:
        return not value or value.isspace()
    return value is None or value == [] or (isinstance(value, float) and math.isnan(value))


def read_trait(value: Any, trait_type: TraitType, *, separator: str = ",") -> TraitValue:
    """Read a cell that is not blank."""
    match trait_type:
        case TraitType.NUMBER:
            return TraitValue(kind="number", number=_number(value))
        case TraitType.BOOLEAN:
            yes = read_boolean(value)
            return TraitValue(kind="boolean", text="true" if yes else "false", number=float(yes))
        case TraitType.DATE:
            day = read_date(value)
            days = float((day - EPOCH).days)
            return TraitValue(kind="date", text=day.isoformat(), number=days)
        case TraitType.SET:
            members = _members(value, separator)
            text = msgspec.json.encode(members).decode()
            return TraitValue(kind="set", text=text, number=float(len(members)))
        case TraitType.TEXT:
            return TraitValue(kind="text", text=read_text(value))
        case TraitType.AUTO:
            return read_trait(value, _type_of(value), separator=separator)


def read_text(value: Any) -> str:
    """Read a text; numbers as they are written, without a point if they are whole."""
    if type(value) is str and len(value) <= TEXT_CHARS_MAX:
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float | Decimal | date):
        raise ValueError(f"a {type(value).__name__}, not a text")  # noqa: TRY004 - as below
    text = str(value).strip()
    if len(text) > TEXT_CHARS_MAX:
        raise ValueError(f"{len(text)} characters, more than {TEXT_CHARS_MAX}")
    return text


def read_boolean(value: Any) -> bool:
    """Read yes or no in any usual spelling."""
    text = read_text(value).lower()
    if text in YES:
        return True
    if text in NO:
        return False
    raise ValueError(f"{_shown(text)}, neither true nor false")


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError(f"a {type(value).__name__}, not a number")  # noqa: TRY004 - one kind of error
    text = str(value).strip()
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError(f"{_shown(text)}, not a number")
    return float(text)


def read_date(value: Any) -> date:
    """Read a day; of a moment the day in UTC."""
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).date()
    if isinstance(value, date):
        return value
    text = read_text(value)
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise ValueError(f"{_shown(text)}, not a date like 2024-05-31") from None


def _members(value: Any, separator: str) -> list[str]:
    given = value if isinstance(value, list) else read_text(value).split(separator)
    members = sorted({read_text(each) for each in given if not is_blank(each)})
    if len(members) > MEMBERS_MAX:
        raise ValueError(f"{len(members)} members, more than {MEMBERS_MAX}")
    return members


def _type_of(value: Any) -> TraitType:
    if isinstance(value, bool) or value in ("true", "false"):
        return TraitType.BOOLEAN
    if isinstance(value, int | float | Decimal):
        return TraitType.NUMBER
    if isinstance(value, date):
        return TraitType.DATE
    if isinstance(value, list):
        return TraitType.SET
    if isinstance(value, str) and _PLAIN_NUMBER.fullmatch(value.strip()):
        return TraitType.NUMBER
    return TraitType.TEXT


def _shown(text: str) -> str:
    return repr(text[:40])
