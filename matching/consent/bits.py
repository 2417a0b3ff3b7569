"""Reads numbers of any width from the base64url text of a consent string, left to right.

A read past the end is an error, never zeros or ones: a string that was cut must not decode.
Work is bounded by the text's length.
"""

import base64
import re
from typing import Final

import msgspec

TEXT_CHARS_MAX: Final = 8192
"""Longer consent strings are refused before anything looks at them."""

_ALPHABET: Final = re.compile(r"[A-Za-z0-9_-]+")
_PAD_BITS_MAX: Final = 23
"""Encoders fill up to whole bytes and whole characters, so to 24 bits at most."""


class UnreadableError(ValueError):
    """A consent string breaks its format; the decoders turn this into `Unreadable`."""


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """What a decoder gives for a text that it cannot read: never a permission."""

    why: str


class Bits:
    """The bits of one text, read from left to right."""

    __slots__ = ("_digits", "_position")

    def __init__(self, text: str) -> None:
        if len(text) > TEXT_CHARS_MAX or not _ALPHABET.fullmatch(text):
            raise UnreadableError("not base64url text of an accepted length")
        # Why: these formats pack 6 bits a character, so any number of characters is right.
        filled = base64.urlsafe_b64decode(text + "A" * (-len(text) % 4))
        # Why: slicing ones and zeros and int(.., 2) is the fastest read that Python has.
        self._digits = f"{int.from_bytes(filled, 'big'):0{8 * len(filled)}b}"[: 6 * len(text)]
        self._position = 0

    def read(self, width: int) -> int:
        """Read the next `width` bits as an unsigned number."""
        start = self._position
        stop = self._position = start + width
        if stop > len(self._digits):
            raise UnreadableError(f"ends {stop - len(self._digits)} bits too early")
        return int(self._digits[start:stop], 2) if width else 0

    def finish(self) -> None:
        """Refuse more after the last field than an encoder's padding, whose value is ignored."""
        surplus = len(self._digits) - self._position
        if surplus > _PAD_BITS_MAX:
            raise UnreadableError(f"has {surplus} bits after the last field")
