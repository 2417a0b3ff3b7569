"""Writes members by their names: JSON lines or an Arrow stream, a piece at a time.

In go ordinals, out come bytes with CRM ids and visitors; ordinals never leave the engine.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
import pyarrow as pa

from matching.customer_store import CustomerStore
from matching.ids import VISITOR_FIRST

MEMBERS_A_PIECE: Final = 10_000
COLUMNS: Final = pa.schema(
    [("person", pa.string()), ("crm_id", pa.string()), ("visitor", pa.string())]
)

Row = dict[str, str]


def lines_of(customers: CustomerStore, persons: list[int]) -> Iterator[bytes]:
    """Give one JSON object a line."""
    for rows in _pieces(customers, persons):
        yield b"".join(msgspec.json.encode(row) + b"\n" for row in rows)


def arrow_of(customers: CustomerStore, persons: list[int]) -> Iterator[bytes]:
    """Give an Arrow IPC stream with the columns person, crm_id and visitor."""
    sink = _Sink()
    with pa.ipc.new_stream(sink, COLUMNS) as writer:
        for rows in _pieces(customers, persons):
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=COLUMNS))
            yield sink.taken()
    yield sink.taken()


def _pieces(customers: CustomerStore, persons: list[int]) -> Iterator[list[Row]]:
    for begin in range(0, len(persons), MEMBERS_A_PIECE):
        piece = persons[begin : begin + MEMBERS_A_PIECE]
        crm_ids = customers.crm_ids([each for each in piece if each < VISITOR_FIRST])
        visitors = customers.visitor_ids([each for each in piece if each >= VISITOR_FIRST])
        rows: list[Row] = [{"person": "customer", "crm_id": crm_id} for crm_id in crm_ids.values()]
        rows += [{"person": "visitor", "visitor": each.hex()} for each in visitors.values()]
        yield rows


class _Sink:
    """A file that only collects, so that what was written can be sent and forgotten."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Take bytes."""
        self._pieces.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: all is in memory."""

    def taken(self) -> bytes:
        """Give what came since the last time."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken
