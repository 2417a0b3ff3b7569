"""Decodes TCF consent strings, version 2 (frameworks 2.2 and 2.3).

Text comes in, a `TcString` or `Unreadable` goes out. Nothing is judged here: whether a string is
valid, and what it allows to whom, stands in `tcf_permission.py`.
"""

from bisect import bisect_right
from functools import lru_cache
from typing import Final

import msgspec

from matching.consent.bits import (
    TEXT_CHARS_MAX,
    Unreadable,
    UnreadableError,
    finish,
    number_of,
    read_ranges,
    signs_of,
    unreadable,
)

_CACHED_STRINGS_MAX: Final = 2048
_VENDOR_LAST: Final = 65535
_DISCLOSED, _ALLOWED, _PUBLISHER = 1, 2, 3
_LETTER_A: Final = ord("A")
_HEAD_BITS: Final = 213
_PUBLISHER_PAD_BITS_MAX: Final = 71
"""The framework's own examples fill this segment up generously; nothing is granted by it."""
_LETTERS: Final = frozenset(first << 6 | second for first in range(26) for second in range(26))
_6_BITS, _12_BITS, _24_BITS = (1 << 6) - 1, (1 << 12) - 1, (1 << 24) - 1
_36_BITS, _54_BITS = (1 << 36) - 1, (1 << 54) - 1


class Purposes(msgspec.Struct, frozen=True, gc=False):
    """A set of purposes 1..24, kept as the 24 bits of the string."""

    field: int = 0

    def __contains__(self, purpose: int) -> bool:
        return 1 <= purpose <= 24 and bool(self.field >> (24 - purpose) & 1)


class Vendors(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A set of vendor ids: a bit field of `last` bits, or sorted ranges that do not overlap."""

    last: int = 0
    field: int = 0
    starts: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()

    def __contains__(self, vendor: int) -> bool:
        if self.starts:
            place = bisect_right(self.starts, vendor) - 1
            return place >= 0 and vendor <= self.ends[place]
        return 1 <= vendor <= self.last and bool(self.field >> (self.last - vendor) & 1)


class Restriction(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A publisher's limit on one purpose: 0 not allowed, 1 consent only, 2 interest only."""

    purpose: int
    kind: int
    vendors: Vendors


class PublisherTc(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The publisher's own purposes; its custom ones are bit fields of `custom` bits."""

    head: int
    """Consent, interest and the number of custom purposes, as the string has them."""
    customs: int
    """The custom purposes agreed to, then those of interest."""

    @property
    def consent(self) -> Purposes:
        """The purposes agreed to."""
        return Purposes(self.head >> 30)

    @property
    def interest(self) -> Purposes:
        """The purposes shown as legitimate interests and not objected to."""
        return Purposes(self.head >> 6 & _24_BITS)

    @property
    def custom(self) -> int:
        """How many purposes the publisher made up."""
        return self.head & _6_BITS

    @property
    def custom_consent(self) -> int:
        """The custom purposes agreed to."""
        return self.customs >> self.custom

    @property
    def custom_interest(self) -> int:
        """The custom purposes of legitimate interest."""
        return self.customs & ((1 << self.custom) - 1)


class TcString(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Everything a consent string says, field by field."""

    head: int
    """The fields of fixed width as the string has them; who asks for one reads it then."""
    vendors_consent: Vendors
    vendors_interest: Vendors
    restrictions: tuple[Restriction, ...]
    disclosed: Vendors | None = None
    allowed: Vendors | None = None
    publisher: PublisherTc | None = None

    @property
    def created_ms(self) -> int:
        """When the person was first asked."""
        return (self.head >> 171 & _36_BITS) * 100

    @property
    def updated_ms(self) -> int:
        """When the person answered."""
        return (self.head >> 135 & _36_BITS) * 100

    @property
    def cmp_id(self) -> int:
        """The platform that asked."""
        return self.head >> 123 & _12_BITS

    @property
    def cmp_version(self) -> int:
        """The platform's version."""
        return self.head >> 111 & _12_BITS

    @property
    def consent_screen(self) -> int:
        """On which screen of the platform the person answered."""
        return self.head >> 105 & _6_BITS

    @property
    def language(self) -> str:
        """In which language the person was asked."""
        return _letters(self.head >> 93 & _12_BITS)

    @property
    def vendor_list_version(self) -> int:
        """Which vendor list the person was shown."""
        return self.head >> 81 & _12_BITS

    @property
    def policy_version(self) -> int:
        """Which policy of the framework holds; 5 is that of TCF 2.3."""
        return self.head >> 75 & _6_BITS

    @property
    def service_specific(self) -> bool:
        """Whether the answer is for this site alone, as it must be."""
        return bool(self.head >> 74 & 1)

    @property
    def non_standard_texts(self) -> bool:
        """Whether the platform used its own words."""
        return bool(self.head >> 73 & 1)

    @property
    def special_features(self) -> int:
        """The twelve bits of special features."""
        return self.head >> 61 & _12_BITS

    @property
    def purposes_consent(self) -> Purposes:
        """The purposes agreed to."""
        return Purposes(self.head >> 37 & _24_BITS)

    @property
    def purposes_interest(self) -> Purposes:
        """The purposes shown as legitimate interests and not objected to."""
        return Purposes(self.head >> 13 & _24_BITS)

    @property
    def purpose_one_treatment(self) -> bool:
        """Whether purpose 1 was not shown at all."""
        return bool(self.head >> 12 & 1)

    @property
    def publisher_country(self) -> str:
        """The country whose law holds for the publisher."""
        return _letters(self.head & _12_BITS)


def decode_tcf(text: str) -> TcString | Unreadable:
    """Decode a consent string; whatever is cut, too long or malformed is `Unreadable`."""
    if len(text) > TEXT_CHARS_MAX:
        return Unreadable(why=f"longer than {TEXT_CHARS_MAX} characters")
    return _decode_cached(text)


@lru_cache(maxsize=_CACHED_STRINGS_MAX)
def _decode_cached(text: str) -> TcString | Unreadable:
    try:
        core, *others = signs_of(text).split(b".")
        return _read_core(core, *_read_segments(others))
    except ValueError as problem:
        return unreadable(problem)


_Segments = tuple[Vendors | None, Vendors | None, PublisherTc | None]


def _read_segments(segments: list[bytes]) -> _Segments:
    disclosed = allowed = publisher = None
    for signs in segments:
        number, left = number_of(signs), 6 * len(signs) - 3
        kind = number >> left
        if kind == _DISCLOSED and disclosed is None:
            disclosed, left = _read_vendors(number, left)
            finish(number, left)
        elif kind == _PUBLISHER and publisher is None:
            publisher, left = _read_publisher(number, left)
            finish(number, left, _PUBLISHER_PAD_BITS_MAX)
        elif kind == _ALLOWED and allowed is None:
            allowed, left = _read_vendors(number, left)
            finish(number, left)
        else:
            raise UnreadableError(f"has a segment of type {kind} that is unknown or doubled")
    return disclosed, allowed, publisher


def _read_core(
    signs: bytes,
    disclosed: Vendors | None,
    allowed: Vendors | None,
    publisher: PublisherTc | None,
) -> TcString:
    number, left = number_of(signs), 6 * len(signs) - _HEAD_BITS
    head = number >> left
    if head >> 207 != 2:
        raise UnreadableError(f"has version {head >> 207}, not 2")
    if not (head & _12_BITS in _LETTERS and head >> 93 & _12_BITS in _LETTERS):
        raise UnreadableError("has letters beyond Z")
    consent, left = _read_vendors(number, left)
    interest, left = _read_vendors(number, left)
    left -= 12
    count = number >> left & _12_BITS
    restrictions: tuple[Restriction, ...] = ()
    if count:
        restrictions, left = _read_restrictions(number, left, count)
    finish(number, left)
    return TcString(
        head=head,
        vendors_consent=consent,
        vendors_interest=interest,
        restrictions=restrictions,
        disclosed=disclosed,
        allowed=allowed,
        publisher=publisher,
    )


def _letters(coded: int) -> str:
    return chr(_LETTER_A + (coded >> 6)) + chr(_LETTER_A + (coded & _6_BITS))


def _read_vendors(number: int, left: int) -> tuple[Vendors, int]:
    left -= 17
    head = number >> left & 0x1FFFF
    last = head >> 1
    if head & 1:
        left -= 12
        (starts, ends), left = read_ranges(number, left, number >> left & _12_BITS, last)
        return Vendors(last=last, starts=starts, ends=ends), left
    left -= last
    return Vendors(last=last, field=number >> left & ((1 << last) - 1)), left


def _read_restrictions(number: int, left: int, count: int) -> tuple[tuple[Restriction, ...], int]:
    found = []
    for _ in range(count):
        left -= 20
        head = number >> left & 0xFFFFF
        purpose = head >> 14
        if purpose == 0:
            raise UnreadableError("restricts purpose 0")
        (starts, ends), left = read_ranges(number, left, head & _12_BITS, _VENDOR_LAST)
        vendors = Vendors(last=_VENDOR_LAST, starts=starts, ends=ends)
        found.append(Restriction(purpose=purpose, kind=head >> 12 & 3, vendors=vendors))
    return tuple(found), left


def _read_publisher(number: int, left: int) -> tuple[PublisherTc, int]:
    left -= 54
    head = number >> left & _54_BITS
    both = 2 * (head & _6_BITS)
    left -= both
    return PublisherTc(head=head, customs=number >> left & ((1 << both) - 1)), left
