"""Rows of the ledger in RowBinary, the one way to insert bitmap states without a detour.

Values in, bytes out. Nothing here asks the database.
"""

import datetime as dt
import struct
from typing import Final

from pyroaring import BitMap

from audiences.bitmap_states import encode_length, encode_state

HELD_COLUMNS: Final = ("seat", "run", "kind", "segment", "sent_on", "expires_days", "ids", "at")
EPOCH: Final = dt.date(1970, 1, 1)
KIND_HELD: Final = 1


def held_row(
    seat: str, run: int, segment: str, day: dt.date, expires_days: int, ids: BitMap, at_us: int
) -> bytes:
    """Write one row of the ledger with the columns of `HELD_COLUMNS`."""
    return b"".join(
        (
            _text(seat),
            struct.pack("<Qb", run, KIND_HELD),
            _text(segment),
            struct.pack("<HH", (day - EPOCH).days, expires_days),
            encode_state(ids),
            struct.pack("<q", at_us),
        )
    )


def _text(text: str) -> bytes:
    data = text.encode("utf-8")
    return encode_length(len(data)) + data
