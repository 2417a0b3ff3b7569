"""Reads the sections of United States laws inside a GPP string: national, California, the states.

A section's id and text come in, a `UsSection` or `Unreadable` goes out. Only the fields that
decide on sale, sharing, targeted advertising and children are kept.
"""

from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from matching.consent.bits import (
    TEXT_CHARS_MAX,
    Bits,
    Unreadable,
    UnreadableError,
    signs_of,
    unreadable,
)

OPTED_OUT: Final = 1
NOT_OPTED_OUT: Final = 2
"""0 means that the field does not apply; 3 is no value."""
GIVEN: Final = 1
NOT_GIVEN: Final = 2

_CACHED_SECTIONS_MAX: Final = 2048
_GPC_KIND: Final = 1


class UsSection(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one section says; each choice is 0 (none asked), 1 (opted out) or 2 (did not)."""

    version: int
    sale: int
    sharing: int = 0
    targeted: int = 0
    notices: tuple[int, int, int] = (0, 0, 0)
    """Whether each of the three choices was explained: 0 (none needed), 1 (yes) or 2 (no)."""
    children: tuple[int, ...] = ()
    gpc: bool = False

    @property
    def opted_out(self) -> bool:
        """Say whether the person refused sale, sharing or targeted advertising."""
        return OPTED_OUT in (self.sale, self.sharing, self.targeted)

    @property
    def unasked(self) -> bool:
        """Say whether a choice that must be explained was not."""
        return NOT_GIVEN in self.notices

    @property
    def may_sell(self) -> bool:
        """Say whether the person was asked and refused nothing; nobody agrees unasked."""
        choices = (self.sale, self.sharing, self.targeted)
        agreed = [
            notice == GIVEN
            for choice, notice in zip(choices, self.notices, strict=True)
            if choice == NOT_OPTED_OUT
        ]
        return bool(agreed) and all(agreed) and not self.opted_out and not self.unasked

    @property
    def child_without_consent(self) -> bool:
        """Say whether the person is a known child for whom no consent was given."""
        return OPTED_OUT in self.children


class _Layout(NamedTuple):
    """How far right each field of two bits stands in the bits after the version."""

    width: int
    no_threes: int
    """A one in the lower bit of every field."""
    choices: tuple[int, int, int]
    notices: tuple[int, int, int]
    children: tuple[int, ...]


def _layout(
    width: int,
    notice_before: int,
    sale: int,
    sharing: int | None,
    targeted: int | None,
    child: int,
    children: int,
) -> _Layout:
    """Turn bit offsets into shifts; a notice stands `notice_before` bits before its choice."""

    def shift(offset: int | None) -> int:
        return width if offset is None else width - offset - 2  # nothing is left of all bits

    choices = (sale, sharing, targeted)
    notices = [each if each is None else each - notice_before for each in choices]
    return _Layout(
        width=width - 6,
        no_threes=(1 << (width - 6)) // 3,
        choices=(shift(sale), shift(sharing), shift(targeted)),
        notices=(shift(notices[0]), shift(notices[1]), shift(notices[2])),
        children=tuple(shift(child + 2 * number) for number in range(children)),
    )


_LIKE_VIRGINIA: Final = _layout(40, 4, 12, None, 14, 32, 1)
_LIKE_TEXAS: Final = _layout(42, 4, 12, None, 14, 32, 1)
_LIKE_UTAH: Final = _layout(42, 6, 14, None, 16, 34, 1)
_LIKE_FLORIDA: Final = _layout(46, 4, 12, None, 14, 32, 3)
_LIKE_INDIANA: Final = _layout(24, 4, 16, None, 18, 20, 1)

_LAYOUTS: Final[dict[tuple[int, int], _Layout]] = {
    (7, 1): _layout(60, 10, 18, 20, 22, 48, 2),  # national
    (7, 2): _layout(70, 10, 18, 20, 22, 56, 3),
    (8, 1): _layout(46, 6, 12, 14, None, 34, 2),  # California
    (9, 1): _LIKE_VIRGINIA,
    (10, 1): _layout(38, 4, 12, None, 14, 30, 1),  # Colorado
    (11, 1): _LIKE_UTAH,
    (12, 1): _layout(44, 4, 12, None, 14, 32, 3),  # Connecticut
    (13, 1): _LIKE_FLORIDA,
    (14, 1): _LIKE_FLORIDA,  # Montana
    (15, 1): _layout(52, 4, 12, None, 14, 38, 3),  # Oregon
    (16, 1): _LIKE_TEXAS,
    (17, 1): _layout(52, 4, 12, None, 14, 34, 5),  # Delaware
    (18, 1): _LIKE_UTAH,  # Iowa
    (19, 1): _LIKE_TEXAS,  # Nebraska
    (20, 1): _LIKE_FLORIDA,  # New Hampshire
    (21, 1): _layout(54, 4, 12, None, 14, 36, 5),  # New Jersey
    (22, 1): _LIKE_TEXAS,  # Tennessee
    (23, 1): _LIKE_TEXAS,  # Minnesota
    (24, 1): _layout(22, 4, 16, None, 18, 20, 0),  # Maryland
    (25, 1): _LIKE_INDIANA,
    (26, 1): _LIKE_INDIANA,  # Kentucky
    (27, 1): _LIKE_INDIANA,  # Rhode Island
}
US_SECTIONS: Final = frozenset(section for section, _ in _LAYOUTS)
_WITH_SENSITIVE_DATA: Final = frozenset({25, 26, 27})
"""Their second segment lists eight kinds of sensitive data instead of GPC."""


def decode_us_section(section: int, text: str) -> UsSection | Unreadable:
    """Decode one section; an unknown version or any surprise is `Unreadable`."""
    if len(text) > TEXT_CHARS_MAX:
        return Unreadable(why=f"longer than {TEXT_CHARS_MAX} characters")
    return _decode_cached(section, text)


@lru_cache(maxsize=_CACHED_SECTIONS_MAX)
def _decode_cached(section: int, text: str) -> UsSection | Unreadable:
    try:
        return _read_section(section, text)
    except ValueError as problem:
        return unreadable(problem)


def _read_section(section: int, text: str) -> UsSection:
    core, *others = signs_of(text).split(b".")
    if len(others) > 1:
        raise UnreadableError(f"has {len(others)} segments after the first")
    gpc = bool(others) and _read_second_segment(section, Bits(others[0]))
    return _read_core(section, Bits(core), gpc=gpc)


def _read_core(section: int, bits: Bits, *, gpc: bool) -> UsSection:
    version = bits.read(6)
    layout = _LAYOUTS.get((section, version))
    if layout is None:
        raise UnreadableError(f"is section {section} in unknown version {version}")
    fields = bits.read(layout.width)
    bits.finish()
    _refuse_threes(fields, layout.no_threes)
    sale, sharing, targeted = layout.choices
    of_sale, of_sharing, of_targeted = layout.notices
    return UsSection(
        version=version,
        sale=fields >> sale & 3,
        sharing=fields >> sharing & 3,
        targeted=fields >> targeted & 3,
        notices=(fields >> of_sale & 3, fields >> of_sharing & 3, fields >> of_targeted & 3),
        children=tuple([fields >> child & 3 for child in layout.children]),
        gpc=gpc,
    )


def _read_second_segment(section: int, bits: Bits) -> bool:
    """Tell whether the segment says GPC."""
    if section in _WITH_SENSITIVE_DATA:
        _refuse_threes(bits.read(16), 0x5555)
        bits.finish()
        return False
    head = bits.read(3)
    if head >> 1 != _GPC_KIND:
        raise UnreadableError(f"has a segment of unknown type {head >> 1}")
    bits.finish()
    return bool(head & 1)


def _refuse_threes(fields: int, every_low_bit: int) -> None:
    """Refuse the value 3 in any of the fields of two bits."""
    if fields & (fields >> 1) & every_low_bit:
        raise UnreadableError("has a field with value 3")
