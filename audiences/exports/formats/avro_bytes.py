"""The few bytes of Avro that a file needs: numbers, texts, blocks and the container around them.

Values go in, bytes come out; and back again. The sync marker is made from what the file begins
with, so that the same rows give the same bytes. Nothing here knows a schema's meaning.
"""

import hashlib
import zlib
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from audiences.exports.formats.protobuf import read_varint, varint

MAGIC: Final = b"Obj\x01"
SYNC_BYTES: Final = 16
VARINT_BYTES_MAX: Final = 10
RAW_DEFLATE: Final = -15
"""zlib's window bits for deflate without header and checksum, which Avro asks for."""


def long_bytes(number: int) -> bytes:
    """Write a number: zig-zag, then seven bits a byte."""
    return varint(number << 1 if number >= 0 else (-number << 1) - 1)


def longs_bytes(numbers: NDArray[np.int64]) -> Any:
    """Write many numbers at once, none negative: an Arrow array of the bytes of each."""
    zigzag = numbers.astype(np.uint64) << np.uint64(1)
    shifts = np.arange(0, VARINT_BYTES_MAX * 7, 7, dtype=np.uint64)
    sevens = zigzag[:, None] >> shifts
    sizes = np.maximum((sevens != 0).sum(axis=1), 1)
    places = np.arange(VARINT_BYTES_MAX)
    data = (sevens & np.uint64(0x7F)).astype(np.uint8)
    data |= (places < sizes[:, None] - 1).astype(np.uint8) << np.uint8(7)
    offsets = np.zeros(numbers.size + 1, dtype=np.int32)
    np.cumsum(sizes, out=offsets[1:])
    kept = np.ascontiguousarray(data[places < sizes[:, None]])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(kept)]
    return pa.Array.from_buffers(pa.binary(), numbers.size, buffers)


def text_bytes(text: str) -> bytes:
    """Write a text behind its length."""
    data = text.encode()
    return long_bytes(len(data)) + data


def array_bytes(items: list[bytes]) -> bytes:
    """Write an array in one block."""
    return (long_bytes(len(items)) + b"".join(items) if items else b"") + b"\0"


def header_bytes(schema: bytes, codec: str, first: bytes) -> bytes:
    """Write what a file begins with; its last 16 bytes are the marker."""
    said = {"avro.codec": codec.encode(), "avro.schema": schema}
    pairs = [text_bytes(key) + long_bytes(len(data)) + data for key, data in said.items()]
    marker = hashlib.sha256(schema + codec.encode() + first).digest()[:SYNC_BYTES]
    return MAGIC + array_bytes(pairs) + marker


def block_bytes(records: bytes, count: int, codec: str, marker: bytes) -> bytes:
    """Write one block of records."""
    if codec == "deflate":
        press = zlib.compressobj(6, zlib.DEFLATED, RAW_DEFLATE)
        records = press.compress(records) + press.flush()
    return long_bytes(count) + long_bytes(len(records)) + records + marker


class Reader:
    """Reads values off bytes, one after another."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_done(self) -> bool:
        """Whether all was read."""
        return self._at >= len(self._data)

    def long(self) -> int:
        """Read a number."""
        number, self._at = read_varint(self._data, self._at)
        return number >> 1 if not number & 1 else -(number >> 1) - 1

    def raw(self, size: int) -> bytes:
        """Read so many bytes."""
        self._at += size
        return self._data[self._at - size : self._at]

    def text(self) -> str:
        """Read a text."""
        return self.raw(self.long()).decode()

    def items(self) -> Iterator[int]:
        """Give a number for each item of an array; the caller reads it before the next."""
        while count := self.long():
            if count < 0:
                count = -count
                self.long()
            yield from range(count)


def records_of(file: bytes) -> Iterator[tuple[int, Reader]]:
    """Give the blocks of a file: how many records each has, and a reader of them."""
    reader = Reader(file)
    if reader.raw(len(MAGIC)) != MAGIC:
        raise ValueError("it does not begin as an Avro file does")
    said = {reader.text(): reader.raw(reader.long()) for _ in reader.items()}
    reader.raw(SYNC_BYTES)
    while not reader.is_done:
        count = reader.long()
        data = reader.raw(reader.long())
        reader.raw(SYNC_BYTES)
        if said.get("avro.codec") == b"deflate":
            data = zlib.decompress(data, RAW_DEFLATE)
        yield count, Reader(data)
