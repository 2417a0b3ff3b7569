"""ClickHouse's groupBitmap states of UInt32 as pyroaring bitmaps, and back.

A state is a kind byte, then either a count and the members (at most 32) or a length and the
portable roaring form. Bytes in, bytes out: nothing here asks the database.
"""

import sys
from array import array
from typing import Final

from pyroaring import BitMap

SMALL, ROARING = 0, 1
SMALL_MEMBERS_MAX: Final = 32


class BadBitmapStateError(ValueError):
    """Bytes that are no groupBitmap state of UInt32."""


def encode_state(members: BitMap) -> bytes:
    """Write a bitmap as a groupBitmap state."""
    _check_byte_order()
    if len(members) <= SMALL_MEMBERS_MAX:
        return bytes([SMALL, len(members)]) + array("I", members).tobytes()
    portable = members.serialize()
    return bytes([ROARING]) + encode_length(len(portable)) + portable


def decode_state(state: bytes | memoryview, offset: int = 0) -> tuple[BitMap, int]:
    """Read the state at the offset; give the bitmap and the offset behind it."""
    _check_byte_order()
    view = memoryview(state)
    try:
        kind = view[offset]
        length, begin = decode_length(view, offset + 1)
    except IndexError:
        raise BadBitmapStateError(f"The bitmap state ends at byte {len(view)}") from None
    end = begin + (4 * length if kind == SMALL else length)
    if kind not in {SMALL, ROARING} or end > len(view):
        raise BadBitmapStateError(f"No bitmap state of kind {kind} ends at byte {end}")
    if kind == SMALL:
        return BitMap(array("I", bytes(view[begin:end]))), end
    return BitMap.deserialize(bytes(view[begin:end])), end


def encode_length(length: int) -> bytes:
    """Write a varuint: seven bits a byte, the lowest first."""
    out = bytearray()
    while length > 0x7F:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out)


def decode_length(view: memoryview, offset: int) -> tuple[int, int]:
    """Read a varuint; give it and the offset behind it."""
    length = shift = 0
    while True:
        byte = view[offset]
        offset += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return length, offset
        shift += 7


def _check_byte_order() -> None:
    if sys.byteorder != "little":
        raise BadBitmapStateError("Bitmap states are read on little-endian hosts only")
