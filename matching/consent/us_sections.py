"""Reads the sections of United States laws inside a GPP string: national, California, the states.

A section's id and text come in, a `UsSection` or `Unreadable` goes out. Only the fields that
decide on sale, sharing, targeted advertising and children are kept.
"""

from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from matching.consent.bits import TEXT_CHARS_MAX, Bits, Unreadable, UnreadableError

OPTED_OUT: Final = 1
NOT_OPTED_OUT: Final = 2
"""0 means that the field does not apply; 3 is no value."""

_CACHED_SECTIONS_MAX: Final = 2048
_GPC_KIND: Final = 1


class UsSection(msgspec.Struct, frozen=True, kw_only=True):
    """What one section says; each choice is 0 (none asked), 1 (opted out) or 2 (did not)."""

    version: int
    sale: int
    sharing: int = 0
    targeted: int = 0
    children: tuple[int, ...] = ()
    gpc: bool = False

    @property
    def opted_out(self) -> bool:
        """Say whether the person refused sale, sharing or targeted advertising."""
        return OPTED_OUT in {self.sale, self.sharing, self.targeted}

    @property
    def may_sell(self) -> bool:
        """Say whether the person was asked and refused nothing."""
        return NOT_OPTED_OUT in {self.sale, self.sharing, self.targeted} and not self.opted_out

    @property
    def child_without_consent(self) -> bool:
        """Say whether the person is a known child for whom no consent was given."""
        return OPTED_OUT in self.children


class _Layout(NamedTuple):
    """Bit offsets; every field after the 6 bits of the version is 2 bits wide."""

    width: int
    sale: int
    sharing: int | None
    targeted: int | None
    child: int
    children: int


_LIKE_VIRGINIA: Final = _Layout(40, 12, None, 14, 32, 1)
_LIKE_TEXAS: Final = _Layout(42, 12, None, 14, 32, 1)
_LIKE_UTAH: Final = _Layout(42, 14, None, 16, 34, 1)
_LIKE_FLORIDA: Final = _Layout(46, 12, None, 14, 32, 3)
_LIKE_INDIANA: Final = _Layout(24, 16, None, 18, 20, 1)

_LAYOUTS: Final[dict[tuple[int, int], _Layout]] = {
    (7, 1): _Layout(60, 18, 20, 22, 48, 2),  # national
    (7, 2): _Layout(70, 18, 20, 22, 56, 3),
    (8, 1): _Layout(46, 12, 14, None, 34, 2),  # California
    (9, 1): _LIKE_VIRGINIA,
    (10, 1): _Layout(38, 12, None, 14, 30, 1),  # Colorado
    (11, 1): _LIKE_UTAH,
    (12, 1): _Layout(44, 12, None, 14, 32, 3),  # Connecticut
    (13, 1): _LIKE_FLORIDA,
    (14, 1): _LIKE_FLORIDA,  # Montana
    (15, 1): _Layout(52, 12, None, 14, 38, 3),  # Oregon
    (16, 1): _LIKE_TEXAS,
    (17, 1): _Layout(52, 12, None, 14, 34, 5),  # Delaware
    (18, 1): _LIKE_UTAH,  # Iowa
    (19, 1): _LIKE_TEXAS,  # Nebraska
    (20, 1): _LIKE_FLORIDA,  # New Hampshire
    (21, 1): _Layout(54, 12, None, 14, 36, 5),  # New Jersey
    (22, 1): _LIKE_TEXAS,  # Tennessee
    (23, 1): _LIKE_TEXAS,  # Minnesota
    (24, 1): _Layout(22, 16, None, 18, 20, 0),  # Maryland
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
    except UnreadableError as error:
        return Unreadable(why=str(error))


def _read_section(section: int, text: str) -> UsSection:
    core, *others = text.split(".")
    if len(others) > 1:
        raise UnreadableError(f"has {len(others)} segments after the first")
    gpc = bool(others) and _read_second_segment(section, Bits(others[0]))
    return _read_core(section, Bits(core), gpc=gpc)


def _read_core(section: int, bits: Bits, *, gpc: bool) -> UsSection:
    version = bits.read(6)
    layout = _LAYOUTS.get((section, version))
    if layout is None:
        raise UnreadableError(f"is section {section} in unknown version {version}")
    fields = _read_pairs(bits, layout.width - 6)
    bits.finish()

    def field(offset: int | None) -> int:
        return 0 if offset is None else fields >> (layout.width - offset - 2) & 3

    return UsSection(
        version=version,
        sale=field(layout.sale),
        sharing=field(layout.sharing),
        targeted=field(layout.targeted),
        children=tuple(field(layout.child + 2 * child) for child in range(layout.children)),
        gpc=gpc,
    )


def _read_second_segment(section: int, bits: Bits) -> bool:
    """Tell whether the segment says GPC."""
    if section in _WITH_SENSITIVE_DATA:
        _read_pairs(bits, 16)
        bits.finish()
        return False
    kind = bits.read(2)
    if kind != _GPC_KIND:
        raise UnreadableError(f"has a segment of unknown type {kind}")
    gpc = bool(bits.read(1))
    bits.finish()
    return gpc


def _read_pairs(bits: Bits, width: int) -> int:
    """Read two-bit fields at once and refuse the value 3 in any of them."""
    fields = bits.read(width)
    every_low_bit = (1 << width) // 3
    if fields & (fields >> 1) & every_low_bit:
        raise UnreadableError("has a field with value 3")
    return fields
