"""Splits GPP strings into their sections by the header, whose ids are Fibonacci-coded ranges.

Text comes in, section texts by id go out, or `Unreadable`. The sections themselves are read by
`us_sections.py`, `tcf.py` and `us_privacy.py`; those nobody reads stay raw text.
"""

from functools import lru_cache
from typing import Final

import msgspec

from matching.consent.bits import (
    TEXT_CHARS_MAX,
    Bits,
    Unreadable,
    UnreadableError,
    signs_of,
    unreadable,
)

TCF_EU: Final = 2
US_PRIVACY: Final = 6

_CACHED_STRINGS_MAX: Final = 2048
_CACHED_HEADERS_MAX: Final = 1024
"""Few headers are met: one for each set of sections."""
_TYPE_AND_VERSION: Final = 3 << 6 | 1
_SECTIONS_MAX: Final = 64
_SECTION_ID_MAX: Final = 4095


class Gpp(msgspec.Struct, frozen=True, kw_only=True):
    """The texts of a GPP string's sections."""

    sections: dict[int, str]


def decode_gpp(text: str) -> Gpp | Unreadable:
    """Decode the header and split the sections; a wrong number of them is `Unreadable`."""
    if len(text) > TEXT_CHARS_MAX:
        return Unreadable(why=f"longer than {TEXT_CHARS_MAX} characters")
    return _decode_cached(text)


@lru_cache(maxsize=_CACHED_STRINGS_MAX)
def _decode_cached(text: str) -> Gpp | Unreadable:
    header, *sections = text.split("~")
    try:
        ids = _read_header(header)
    except ValueError as problem:
        return unreadable(problem)
    if len(ids) != len(sections):
        return Unreadable(why=f"names {len(ids)} sections and has {len(sections)}")
    return Gpp(sections=dict(zip(ids, sections, strict=True)))


@lru_cache(maxsize=_CACHED_HEADERS_MAX)
def _read_header(text: str) -> tuple[int, ...]:
    bits = Bits(signs_of(text))
    head = bits.read(24)
    if head >> 12 != _TYPE_AND_VERSION:
        raise UnreadableError(
            f"has header type {head >> 18} version {head >> 12 & 63}, not 3 and 1"
        )
    ids: list[int] = []
    last = 0
    for _ in range(head & 0xFFF):
        is_range = bits.read(1)
        first = last + _read_fibonacci(bits)
        last = first + _read_fibonacci(bits) if is_range else first
        if last > _SECTION_ID_MAX or len(ids) + last - first >= _SECTIONS_MAX:
            raise UnreadableError(f"names section {last} or more than {_SECTIONS_MAX} sections")
        ids.extend(range(first, last + 1))
    bits.finish()
    return tuple(ids)


def _read_fibonacci(bits: Bits) -> int:
    """Read a number >= 1: a sum of Fibonacci numbers, lowest first, ended by two ones."""
    value = 0
    weight, heavier = 1, 2
    before = 0
    while weight <= 2 * _SECTION_ID_MAX:
        bit = bits.read(1)
        if bit and before:
            return value
        value += weight * bit
        before = bit
        weight, heavier = heavier, weight + heavier
    raise UnreadableError(f"names a section beyond {_SECTION_ID_MAX}")
