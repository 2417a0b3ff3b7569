"""The few bytes of Protocol Buffers that a request needs: varints, texts and messages in fields.

Numbers and texts go in, bytes come out; and back again. Nothing here knows a schema.
"""

from collections.abc import Iterator
from typing import Final

VARINT: Final = 0
BYTES: Final = 2


def varint(number: int) -> bytes:
    """Write a number that is not negative, seven bits a byte."""
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)


def number_field(field: int, number: int) -> bytes:
    """Write a field that holds a number or a truth."""
    return varint(field << 3 | VARINT) + varint(number)


def bytes_field(field: int, data: bytes) -> bytes:
    """Write a field that holds a text or a message."""
    return varint(field << 3 | BYTES) + varint(len(data)) + data


def fields_of(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Read a message's fields in their order."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        number, at = read_varint(data, at)
        if tag & 7 == VARINT:
            yield tag >> 3, number
        elif tag & 7 == BYTES:
            yield tag >> 3, data[at : at + number]
            at += number
        else:
            raise ValueError(f"field {tag >> 3} is of the wire type {tag & 7}, not read here")


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number, and say where the next byte stands."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return number, at
        shift += 7
