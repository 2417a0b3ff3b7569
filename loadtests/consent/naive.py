"""A slow, obviously right reading of consent strings: zeros and ones, taken one field at a time.

Text comes in, what it agrees to goes out, or None. It knows no shortcut and shares no code with the
decoders that it is compared with.
"""

from typing import Final

import msgspec

ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_GPC: Final = 1
# Fields of two bits between the version and the end: how many, where sale, sharing and targeted
# advertising stand, how far before each its notice, and where children begin and end.
_SECTIONS: Final[dict[tuple[int, int], tuple[int, tuple[int, ...], int, range]]] = {
    (7, 1): (27, (6, 7, 8), 5, range(21, 23)),
    (7, 2): (32, (6, 7, 8), 5, range(25, 28)),
    (8, 1): (20, (3, 4), 3, range(14, 16)),
    (9, 1): (17, (3, 4), 2, range(13, 14)),
}


class Agreed(msgspec.Struct, frozen=True, kw_only=True):
    """What a TC string says of purposes and vendors."""

    purposes: frozenset[int]
    interests: frozenset[int]
    vendors: frozenset[int]
    interested: frozenset[int]
    forbidden: frozenset[tuple[int, int]]
    disclosed: frozenset[int] | None


class _Cut(Exception):
    """The text ended, or holds what no field can be."""


class _Digits:
    def __init__(self, text: str) -> None:
        if not text or any(char not in ALPHABET for char in text):
            raise _Cut
        self.rest = "".join(f"{ALPHABET.index(char):06b}" for char in text)

    def take(self, width: int) -> int:
        """Take the next bits as a number."""
        if width > len(self.rest):
            raise _Cut
        taken, self.rest = self.rest[:width], self.rest[width:]
        return int(taken or "0", 2)

    def members(self, count: int) -> frozenset[int]:
        """Take as many bits and give the places of ones, from 1."""
        return frozenset(place for place in range(1, count + 1) if self.take(1))

    def ranges(self) -> frozenset[int]:
        """Take range entries."""
        found: set[int] = set()
        for _ in range(self.take(12)):
            is_range, first = self.take(1), self.take(16)
            found.update(range(first, (self.take(16) if is_range else first) + 1))
        return frozenset(found)

    def vendors(self) -> frozenset[int]:
        """Take a vendor section in either form."""
        last = self.take(16)
        return self.ranges() if self.take(1) else self.members(last)


def read_tc(text: str) -> Agreed | None:
    """Read a TC string as far as it is one."""
    core, *others = text.split(".")
    try:
        digits = _Digits(core)
        if digits.take(6) != 2:
            return None
        digits.take(146)
        purposes, interests = digits.members(24), digits.members(24)
        digits.take(13)
        vendors, interested = digits.vendors(), digits.vendors()
        forbidden: set[tuple[int, int]] = set()
        for _ in range(digits.take(12)):
            purpose, kind = digits.take(6), digits.take(2)
            named = digits.ranges()
            forbidden |= {(purpose, vendor) for vendor in named if kind in {0, 3}}
        segments = [_Digits(other) for other in others]
        disclosed = [each.vendors() for each in segments if each.take(3) == 1]
    except _Cut:
        return None
    return Agreed(
        purposes=purposes,
        interests=interests,
        vendors=vendors,
        interested=interested,
        forbidden=frozenset(forbidden),
        disclosed=disclosed[0] if disclosed else None,
    )


def agrees(agreed: Agreed, vendor: int, purpose: int) -> bool:
    """Tell whether a string can be read as letting a vendor, or 0 for us, do this."""
    consent, interest = purpose in agreed.purposes, purpose in agreed.interests
    if vendor == 0:
        return consent or interest
    if agreed.disclosed is None or vendor not in agreed.disclosed:
        return False
    if (purpose, vendor) in agreed.forbidden:
        return False
    return (consent and vendor in agreed.vendors) or (interest and vendor in agreed.interested)


def sells(section: int, text: str) -> bool:
    """Tell whether a section of the United States can be read as agreeing to a sale."""
    core, *others = text.split(".")
    try:
        digits = _Digits(core)
        found = _SECTIONS.get((section, digits.take(6)))
        if found is None:
            return False
        count, choices, before, children = found
        fields = [digits.take(2) for _ in range(count)]
        for segment in map(_Digits, others):
            if segment.take(2) == _GPC and segment.take(1):
                return False
    except _Cut:
        return False
    asked = all(fields[choice] != 2 or fields[choice - before] == 1 for choice in choices)
    said = {fields[choice] for choice in choices}
    return asked and 2 in said and 1 not in said and 1 not in {fields[child] for child in children}
