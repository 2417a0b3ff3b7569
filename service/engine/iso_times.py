"""ISO times of many messages are read at once: texts come in, milliseconds go out.

Only the form that browsers write (`2026-01-31T09:05:00.250Z`) is read here; every other text is
left to the caller, who reads it as `read_time_ms` does. Both give the same for the same text.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]

UNREAD: Final = np.iinfo(np.int64).min
"""Stands for a text that is not of that form."""
DAY_MS: Final = 86_400_000

_FORM: Final = b"0000-00-00T00:00:00.000Z"
_NONE: Final = "?" * len(_FORM)
_BETWEEN: Final = "\n" * 8
"""Stands between texts, as no text of the form has it: so the places prove whose each sign is."""


def _words(signs: bytes) -> Words:
    return np.frombuffer(signs, dtype="<u8").astype(np.uint64)


# Eight signs are one number here, and all eight are judged or reckoned with at once.
_DIGITS: Final = _words(bytes(0xFF if sign == ord("0") else 0 for sign in _FORM))
_LOW: Final = np.uint64(0x0F0F0F0F0F0F0F0F)
_SIXES: Final = _DIGITS & np.uint64(0x0606060606060606)
_FORM_WORDS: Final = _words(_FORM)
_FIXED: Final = ~(_DIGITS & _LOW)
"""What of a sign must be as in the form: all of a mark, the upper half of a digit."""

_FIRST_MONTH: Final = -1970 * 12
"""January of the year 0, as months are counted from 1970."""
_DAYS_BEFORE: Final = (
    np.arange(_FIRST_MONTH, _FIRST_MONTH + 10_001 * 12).astype("M8[M]").astype("M8[D]")
).astype(np.int64)
"""The day on which each month begins, from the year 0 on."""


def read_iso_times(texts: Sequence[str | None]) -> Ints:
    """Read the times of that form, UNREAD for others."""
    try:
        joined = _BETWEEN.join(texts) + _BETWEEN  # type: ignore[arg-type]
    except TypeError:  # some have none
        joined = ""
    if len(joined) == 32 * len(texts) and joined.isascii():
        found = _read(joined)
        if (found != UNREAD).all():
            return found
    return _read("".join([_of_length(text) + _BETWEEN for text in texts]))


def _of_length(text: str | None) -> str:
    return text if text and len(text) == len(_FORM) and text.isascii() else _NONE


def _read(joined: str) -> Ints:
    words = _words(joined.encode()).reshape(-1, 4).T
    plain = words[3] == _words(_BETWEEN.encode())[0]
    for word, form, fixed, digits, sixes in zip(
        words, _FORM_WORDS, _FIXED, _DIGITS, _SIXES, strict=False
    ):
        plain &= word & fixed == form
        plain &= (word + sixes) & ~_LOW & digits == form & digits  # a digit above 9 overflows
    low = words[:3] & _LOW
    pairs = low * np.uint64(10) + (low >> np.uint64(8))
    months = (_at(pairs[0], 0) * 100 + _at(pairs[0], 2)) * 12 + _at(pairs[0], 5) - 1
    month, day, hour = _at(pairs[0], 5), _at(pairs[1], 0), _at(pairs[1], 3)
    minute, second = _at(pairs[1], 6), _at(pairs[2], 1)
    plain &= (months >= 12) & (month >= 1) & (month <= 12) & (day >= 1)
    plain &= (hour <= 23) & (minute <= 59) & (second <= 59)
    months = np.where(plain, months, 0)
    begins = _DAYS_BEFORE[months]
    plain &= begins + day <= _DAYS_BEFORE[months + 1]
    milli = _at(pairs[2], 4) * 10 + _at(low[2], 6)
    ms = ((hour * 60 + minute) * 60 + second) * 1000 + milli
    return np.where(plain, (begins + day - 1) * DAY_MS + ms, UNREAD)


def _at(word: Words, place: int) -> Ints:
    return (word >> np.uint64(8 * place) & np.uint64(0xFF)).astype(np.int64)
