"""The kinds of id that the house speaks of, and the one ordinal space that people live in.

Nothing here does I/O. Ordinals are given in `ordinals.py`; what they mean is fixed here.
"""

from typing import Final, NewType

VisitorId = NewType("VisitorId", bytes)
"""128 random bits that name one browser; 16 bytes, never all zero."""

CrmId = NewType("CrmId", str)
"""The client's own id of a customer."""

Ordinal = NewType("Ordinal", int)
"""Dense uint32 of a visitor or customer inside bitmaps; 0 is nobody."""

NOBODY: Final = 0
CUSTOMER_FIRST: Final = 1
VISITOR_FIRST: Final = 1 << 29
"""Customers have the ordinals below this one, visitors it and those above."""
ORDINAL_LAST: Final = (1 << 32) - 2

ERASED_VISITOR: Final = VisitorId(bytes(16))
"""What an erased visitor's row holds; its ordinal is never given again."""


def is_visitor(ordinal: int) -> bool:
    """Tell a visitor's ordinal from a customer's."""
    return ordinal >= VISITOR_FIRST
