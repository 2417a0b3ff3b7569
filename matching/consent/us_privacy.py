"""Reads the US Privacy string ("1YNN"), deprecated and still sent.

It can deny a sale. It never permits anything: pages send it to people everywhere.
"""

import re
from enum import StrEnum, auto
from typing import Final

_FORM: Final = re.compile(r"1[YN-]{3}")


class SaleChoice(StrEnum):
    """What the string says about selling the person's data."""

    OPTED_OUT = auto()
    NOT_OPTED_OUT = auto()
    UNREADABLE = auto()


def read_us_privacy(text: str) -> SaleChoice:
    """Read the third character: version, notice given, opted out of sale, covered by the LSPA."""
    if not _FORM.fullmatch(text):
        return SaleChoice.UNREADABLE
    return SaleChoice.OPTED_OUT if text[2] == "Y" else SaleChoice.NOT_OPTED_OUT
