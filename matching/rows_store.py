"""Reads fixed-width rows of a query into numpy, as RowBinary and in pieces.

A query and the width of its rows come in, structured arrays go out; what they mean, the calling
store knows.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray

PIECE_BYTES: Final = 1 << 20

Parameters = Mapping[str, Any]


def pieces_of_rows(
    client: Client, query: str, row: np.dtype[Any], parameters: Parameters | None = None
) -> Iterator[NDArray[Any]]:
    """Read the rows piece by piece; the connection is taken until the last one is read."""
    stream: Any = client.raw_stream(query, parameters=dict(parameters or {}), fmt="RowBinary")
    rest = b""
    try:
        # Why read(): iterating the stream itself reads byte by byte.
        while piece := stream.read(PIECE_BYTES):
            whole = rest + piece
            rows = len(whole) // row.itemsize
            rest = whole[rows * row.itemsize :]
            if rows:
                yield np.frombuffer(whole, dtype=row, count=rows)
    finally:
        stream.close()
    if rest:
        raise ValueError(f"A row of {row.itemsize} bytes ended after {len(rest)}: {query[:80]}")


def all_rows(
    client: Client, query: str, row: np.dtype[Any], parameters: Parameters | None = None
) -> NDArray[Any]:
    """Read all rows at once."""
    pieces = list(pieces_of_rows(client, query, row, parameters))
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=row)


def all_numbers(
    client: Client, query: str, parameters: Parameters | None = None
) -> NDArray[np.uint32]:
    """Read the one UInt32 column of a query."""
    return all_rows(client, query, np.dtype("<u4"), parameters).astype(np.uint32, copy=False)


def ticks(times_ms: Any) -> list[int]:
    """Make of times in milliseconds what the driver takes for DateTime64(3): Python ints."""
    return times_ms.tolist() if isinstance(times_ms, np.ndarray) else list(times_ms)
