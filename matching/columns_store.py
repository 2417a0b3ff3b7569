"""Reads the columns of a query into numpy, as ClickHouse's format Native sends them.

A query and the types of its columns come in, arrays go out block by block. Native is columns as
they lie in memory: against rows, reading costs half. What the columns mean, the caller knows.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray

PIECE_BYTES: Final = 1 << 20
MILLISECONDS: Final = "DateTime64(3, 'UTC')"
TEXTS: Final = "String"
"""A column of texts stands behind the one of their sizes; it comes as their bytes, end to end."""
_DTYPES: Final = {
    "UInt8": "u1",
    "UInt16": "<u2",
    "UInt32": "<u4",
    "UInt64": "<u8",
    "Float64": "<f8",
    MILLISECONDS: "<i8",
}


def blocks_of_columns(
    client: Client,
    query: str,
    types: Sequence[str],
    parameters: Mapping[str, Any] | None = None,
) -> Iterator[list[NDArray[Any]]]:
    """Read columns of these types block by block; the connection is taken until the last one."""
    stream: Any = client.raw_stream(query, parameters=dict(parameters or {}), fmt="Native")
    try:
        received = _Received(stream)
        while received.has_more():
            yield _block(received, types)
    finally:
        stream.close()


def all_columns(
    client: Client,
    query: str,
    types: Sequence[str],
    parameters: Mapping[str, Any] | None = None,
) -> list[NDArray[Any]]:
    """Read all rows at once: one array per column."""
    blocks = list(blocks_of_columns(client, query, types, parameters))
    empty = [np.empty(0, dtype=_DTYPES.get(kind, "u1")) for kind in types]
    return [np.concatenate(column) for column in zip(empty, *blocks, strict=True)]


class _Received:
    """The bytes of an answer, taken from the front."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._piece = b""
        self._at = 0

    def has_more(self) -> bool:
        """Tell whether a byte is left."""
        if self._at == len(self._piece):
            # Why read(): iterating the stream itself reads byte by byte.
            self._piece, self._at = self._stream.read(PIECE_BYTES), 0
        return bool(self._piece)

    def take(self, size: int) -> memoryview:
        """Take so many bytes."""
        parts = [] if self._at + size <= len(self._piece) else [self._piece[self._at :]]
        missing = size - len(parts[0]) if parts else 0
        while missing > 0:
            parts.append(self._stream.read(PIECE_BYTES))
            missing -= len(parts[-1])
            if not parts[-1]:
                raise ValueError(f"The answer ended within a block, {missing} bytes too early.")
        if parts:
            self._piece, self._at = b"".join(parts), 0
        self._at += size
        return memoryview(self._piece)[self._at - size : self._at]

    def number(self) -> int:
        """Take a number of variable length."""
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def text(self) -> str:
        """Take a text, which its length leads."""
        return bytes(self.take(self.number())).decode()


def _block(received: _Received, types: Sequence[str]) -> list[NDArray[Any]]:
    count, rows = received.number(), received.number()
    if count != len(types):
        raise ValueError(f"A block has {count} columns, {len(types)} were asked for.")
    columns: list[NDArray[Any]] = []
    for kind in types:
        name, found = received.text(), received.text()
        if found != kind:
            raise ValueError(f"The column {name} is a {found}, a {kind} was asked for.")
        if kind == TEXTS:
            columns.append(_texts(received, columns[-1]))
            continue
        dtype = np.dtype(_DTYPES[kind])
        columns.append(np.frombuffer(received.take(rows * dtype.itemsize), dtype=dtype))
    return columns


def _texts(received: _Received, sizes: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Take texts of these sizes, each behind a number that says its size again."""
    leads = np.ones(sizes.size, dtype=np.int64)
    for bits in range(7, 32, 7):
        leads += sizes >> np.uint32(bits) != 0
    ends = np.cumsum(sizes + leads)
    raw = np.frombuffer(received.take(int(ends[-1]) if ends.size else 0), dtype=np.uint8)
    is_text = np.ones(raw.size, dtype=np.bool_)
    begins = ends - sizes - leads
    for place in range(int(leads.max(initial=0))):
        is_text[begins[leads > place] + place] = False
    return raw[is_text]
