"""Reads numbers of any width from the base64url text of a consent string, left to right.

A read past the end is an error, never zeros or ones: a string that was cut must not decode. So is
what no encoder writes: overlapping ranges, ones in the padding. Work is bounded by the length.
"""

from binascii import Error, a2b_base64
from typing import Final

import msgspec

TEXT_CHARS_MAX: Final = 8192
"""Longer consent strings are refused before anything looks at them."""

_URL_SAFE: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
"""Turns the two signs of base64url into base64's, and these and `=` into none at all."""
PAD_BITS_MAX: Final = 23
"""Encoders fill up to whole bytes and whole characters, so to 24 bits at most."""
_IS_RANGE: Final = 1 << 16
_FILLED_UP: Final = (b"", b"A", b"AA", b"AAA")

Ranges = tuple[tuple[int, ...], tuple[int, ...]]
"""First and last numbers, ascending and apart."""


class UnreadableError(ValueError):
    """A consent string breaks its format; the decoders turn this into `Unreadable`."""


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """What a decoder gives for a text that it cannot read: never a permission."""

    why: str


def unreadable(problem: ValueError) -> Unreadable:
    """Say why a text cannot be read."""
    if isinstance(problem, UnreadableError):
        return Unreadable(why=str(problem))
    is_text = not isinstance(problem, Error)
    return Unreadable(why="ends before its last field" if is_text else "not base64url text")


def signs_of(text: str) -> bytes:
    """Give a text's signs as base64 has them; a sign that base64url lacks becomes none at all."""
    if len(text) > TEXT_CHARS_MAX:
        raise UnreadableError(f"longer than {TEXT_CHARS_MAX} characters")
    try:
        return text.encode("ascii").translate(_URL_SAFE)
    except UnicodeEncodeError:
        raise UnreadableError("not base64url text") from None


def number_of(signs: bytes) -> int:
    """Give all bits of one piece of text as one number; there are six for each sign."""
    # Why: these formats pack 6 bits a sign, so any number of signs is right.
    surplus = -len(signs) % 4
    if surplus:
        signs += _FILLED_UP[surplus]
        return int.from_bytes(a2b_base64(signs, strict_mode=True), "big") >> 6 * surplus
    return int.from_bytes(a2b_base64(signs, strict_mode=True), "big")


class Bits:
    """The bits of one piece of text, from left to right; `left` of `number` are not read yet.

    Reading past the end is a ValueError: nobody can shift by less than nothing.
    """

    __slots__ = ("left", "number")

    def __init__(self, signs: bytes) -> None:
        self.number = number_of(signs)
        self.left = 6 * len(signs)

    def read(self, width: int) -> int:
        """Read the next `width` bits as an unsigned number."""
        left = self.left = self.left - width
        return self.number >> left & ((1 << width) - 1)

    def finish(self) -> None:
        """Refuse more after the last field than an encoder's padding, which is all zeros."""
        finish(self.number, self.left)


def read_ranges(number: int, left: int, count: int, last: int) -> tuple[Ranges, int]:
    """Read range entries of vendors, which lie within 1 to `last`, ascending and apart.

    What is left of `number` comes in, and out again behind them.
    """
    starts: list[int] = []
    ends: list[int] = []
    before = 0
    for _ in range(count):
        left -= 17
        start = end = number >> left & 0x1FFFF
        if start > _IS_RANGE:
            start -= _IS_RANGE
            left -= 16
            end = number >> left & 0xFFFF
        if not before < start <= end:
            raise UnreadableError(f"has the range {start}-{end} after {before}")
        before = end
        starts.append(start)
        ends.append(end)
    if before > last:
        raise UnreadableError(f"has a range up to {before} of {last}")
    return (tuple(starts), tuple(ends)), left


def finish(number: int, left: int, pad_bits_max: int = PAD_BITS_MAX) -> None:
    """Refuse more after the last field than an encoder's padding, which is all zeros."""
    if left > pad_bits_max or number & ((1 << left) - 1):
        raise UnreadableError(f"has {left} bits after the last field, or ones in its padding")
