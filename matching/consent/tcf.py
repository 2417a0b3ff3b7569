"""Decodes TCF consent strings, version 2 (frameworks 2.2 and 2.3).

Text comes in, a `TcString` or `Unreadable` goes out. Nothing is judged here: whether a string is
valid, and what it allows to whom, stands in `tcf_permission.py`.
"""

from bisect import bisect_right
from functools import lru_cache
from typing import Final

import msgspec

from matching.consent.bits import TEXT_CHARS_MAX, Bits, Unreadable, UnreadableError

_CACHED_STRINGS_MAX: Final = 2048
_VENDOR_LAST: Final = 65535
_DISCLOSED, _ALLOWED, _PUBLISHER = 1, 2, 3
_LETTER_A: Final = ord("A")


class Purposes(msgspec.Struct, frozen=True):
    """A set of purposes 1..24, kept as the 24 bits of the string."""

    field: int = 0

    def __contains__(self, purpose: int) -> bool:
        return 1 <= purpose <= 24 and bool(self.field >> (24 - purpose) & 1)


class Vendors(msgspec.Struct, frozen=True, kw_only=True):
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


class Restriction(msgspec.Struct, frozen=True, kw_only=True):
    """A publisher's limit on one purpose: 0 not allowed, 1 consent only, 2 interest only."""

    purpose: int
    kind: int
    vendors: Vendors


class PublisherTc(msgspec.Struct, frozen=True, kw_only=True):
    """The publisher's own purposes; its custom ones stay bit fields of `custom` bits."""

    consent: Purposes
    interest: Purposes
    custom: int
    custom_consent: int
    custom_interest: int


class TcString(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a consent string says, field by field."""

    created_ms: int
    updated_ms: int
    cmp_id: int
    cmp_version: int
    consent_screen: int
    language: str
    vendor_list_version: int
    policy_version: int
    service_specific: bool
    non_standard_texts: bool
    special_features: int
    purposes_consent: Purposes
    purposes_interest: Purposes
    purpose_one_treatment: bool
    publisher_country: str
    vendors_consent: Vendors
    vendors_interest: Vendors
    restrictions: tuple[Restriction, ...]
    disclosed: Vendors | None = None
    allowed: Vendors | None = None
    publisher: PublisherTc | None = None


def decode_tcf(text: str) -> TcString | Unreadable:
    """Decode a consent string; whatever is cut, too long or malformed is `Unreadable`."""
    if len(text) > TEXT_CHARS_MAX:
        return Unreadable(why=f"longer than {TEXT_CHARS_MAX} characters")
    return _decode_cached(text)


@lru_cache(maxsize=_CACHED_STRINGS_MAX)
def _decode_cached(text: str) -> TcString | Unreadable:
    core, *others = text.split(".")
    try:
        return _read_core(Bits(core), _read_segments(others))
    except UnreadableError as error:
        return Unreadable(why=str(error))


class _Segments(msgspec.Struct):
    disclosed: Vendors | None = None
    allowed: Vendors | None = None
    publisher: PublisherTc | None = None


def _read_segments(texts: list[str]) -> _Segments:
    found = _Segments()
    for text in texts:
        bits = Bits(text)
        kind = bits.read(3)
        if kind == _DISCLOSED and found.disclosed is None:
            found.disclosed = _read_vendors(bits)
        elif kind == _ALLOWED and found.allowed is None:
            found.allowed = _read_vendors(bits)
        elif kind == _PUBLISHER and found.publisher is None:
            found.publisher = _read_publisher(bits)
        else:
            raise UnreadableError(f"has a segment of type {kind} that is unknown or doubled")
        bits.finish()
    return found


def _read_core(bits: Bits, segments: _Segments) -> TcString:
    version = bits.read(6)
    if version != 2:
        raise UnreadableError(f"has version {version}, not 2")
    # Why: arguments are evaluated in order, so this list is the format's own table of fields.
    core = TcString(
        created_ms=bits.read(36) * 100,
        updated_ms=bits.read(36) * 100,
        cmp_id=bits.read(12),
        cmp_version=bits.read(12),
        consent_screen=bits.read(6),
        language=_read_letters(bits),
        vendor_list_version=bits.read(12),
        policy_version=bits.read(6),
        service_specific=bool(bits.read(1)),
        non_standard_texts=bool(bits.read(1)),
        special_features=bits.read(12),
        purposes_consent=Purposes(bits.read(24)),
        purposes_interest=Purposes(bits.read(24)),
        purpose_one_treatment=bool(bits.read(1)),
        publisher_country=_read_letters(bits),
        vendors_consent=_read_vendors(bits),
        vendors_interest=_read_vendors(bits),
        restrictions=tuple(_read_restriction(bits) for _ in range(bits.read(12))),
        disclosed=segments.disclosed,
        allowed=segments.allowed,
        publisher=segments.publisher,
    )
    bits.finish()
    return core


def _read_letters(bits: Bits) -> str:
    letters = bits.read(6), bits.read(6)
    if max(letters) > 25:
        raise UnreadableError(f"has letters {letters} beyond Z")
    return "".join(chr(_LETTER_A + letter) for letter in letters)


def _read_vendors(bits: Bits) -> Vendors:
    last = bits.read(16)
    if bits.read(1):
        return _read_ranges(bits, last)
    return Vendors(last=last, field=bits.read(last))


def _read_ranges(bits: Bits, last: int) -> Vendors:
    """Read range entries in linear work, however they overlap."""
    entries = sorted(_read_entry(bits, last) for _ in range(bits.read(12)))
    starts: list[int] = []
    ends: list[int] = []
    for start, end in entries:
        if ends and start <= ends[-1]:
            ends[-1] = max(end, ends[-1])
        else:
            starts.append(start)
            ends.append(end)
    return Vendors(last=last, starts=tuple(starts), ends=tuple(ends))


def _read_entry(bits: Bits, last: int) -> tuple[int, int]:
    if bits.read(1):
        start, end = divmod(bits.read(32), 1 << 16)
    else:
        start = end = bits.read(16)
    if not 1 <= start <= end <= last:
        raise UnreadableError(f"has the vendor range {start}-{end} outside 1-{last}")
    return start, end


def _read_restriction(bits: Bits) -> Restriction:
    purpose = bits.read(6)
    if purpose == 0:
        raise UnreadableError("restricts purpose 0")
    return Restriction(purpose=purpose, kind=bits.read(2), vendors=_read_ranges(bits, _VENDOR_LAST))


def _read_publisher(bits: Bits) -> PublisherTc:
    consent, interest = Purposes(bits.read(24)), Purposes(bits.read(24))
    custom = bits.read(6)
    return PublisherTc(
        consent=consent,
        interest=interest,
        custom=custom,
        custom_consent=bits.read(custom),
        custom_interest=bits.read(custom),
    )
