"""Parquet: one row for each id and segment, with the seat's columns as fields.

Rows sorted by id go in, row groups of a fixed size come out, so that memory stays flat and the same
rows give the same bytes. Files are split by rows alone: their size is known only at their end.
"""

import io
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from audiences.exports.formats.columns import (
    Cell,
    Entry,
    entries,
    refused_text,
    rows_back,
)
from audiences.exports.formats.parts import ANY, Group, Parts
from audiences.exports.formats.rows import Counts, IdRow, UnwritableRow, joined
from audiences.exports.seat import Removal, Seat
from audiences.exports.seat_formats import Parquet

NUMBERS = frozenset({"minutes", "days"})


def write(rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
    """Write the rows into one file for each group and `file.max_rows` of it."""
    files: dict[Group, _File] = {}

    def begin(group: Group) -> None:
        if group not in files and not seat.file.skip_empty:
            files[group] = _File(seat, out, group)

    for each in entries(rows, seat, out, begin):
        if each.group not in files:
            files[each.group] = _File(seat, out, each.group)
        files[each.group].put(each)
    if not files and seat.membership.removal is Removal.REPLACE and not seat.file.per:
        begin(ANY)
    for file in files.values():
        file.finish()
    return out.counts()


def read(files: Iterable[bytes], seat: Seat, groups: Sequence[Group] = ()) -> list[IdRow]:
    """Read files back, the rows of one id joined."""
    pieces: list[IdRow] = []
    for number, data in enumerate(files):
        lines = pq.read_table(io.BytesIO(data)).to_pylist()
        pieces += rows_back(lines, seat, groups[number] if groups else ANY)
    return joined(pieces)


def refused_id(text: str, _seat: Seat) -> str:
    """Say why an id cannot be written, or nothing."""
    return refused_text(text)


def refused_segment(segment: str, _seat: Seat) -> str:
    """Say why a segment cannot be written, or nothing."""
    return refused_text(segment)


class _Drain(io.RawIOBase):
    """Takes what the writer writes and gives it on, keeping count of the place."""

    def __init__(self) -> None:
        super().__init__()
        self._taken = 0
        self._waiting: list[bytes] = []

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._taken + sum(map(len, self._waiting))

    def write(self, data: Any, /) -> int:
        self._waiting.append(bytes(data))
        return len(self._waiting[-1])

    def take(self) -> bytes:
        data = b"".join(self._waiting)
        self._taken += len(data)
        self._waiting.clear()
        return data


class _File:
    """The open files of one group, one after another."""

    def __init__(self, seat: Seat, out: Parts, group: Group) -> None:
        self._options = _options(seat)
        self._rows_max = seat.file.max_rows
        self._out = out
        self._group = group
        self._schema = pa.schema(
            [
                (each.header, pa.int64() if each.value in NUMBERS else pa.string())
                for each in self._options.columns
            ]
        )
        self._begin()

    def put(self, entry: Entry) -> None:
        """Keep a row until its row group is full."""
        if self._rows_max and self._rows >= self._rows_max:
            self.finish()
            self._begin()
        self._cells.append(entry.cells)
        self._adds += entry.adds
        self._removes += entry.removes
        self._ids += entry.ids
        self._rows += 1
        if len(self._cells) >= self._options.row_group_rows:
            self._send()

    def finish(self) -> None:
        """Write what is kept and the footer, and end the file."""
        self._send()
        self._writer.close()
        self._out.put(self._drain.take(), adds=0, removes=0, ids=0, rows=0, group=self._group)
        self._out.close(self._group)

    def _begin(self) -> None:
        self._drain = _Drain()
        self._writer = pq.ParquetWriter(self._drain, self._schema, compression="zstd")
        self._cells: list[list[Cell]] = []
        self._rows = self._adds = self._removes = self._ids = 0

    def _send(self) -> None:
        if not self._cells:
            return
        columns = [
            pa.array(column, field.type)
            for column, field in zip(zip(*self._cells, strict=True), self._schema, strict=True)
        ]
        self._writer.write_table(pa.table(columns, schema=self._schema))
        self._out.put(
            self._drain.take(),
            adds=self._adds,
            removes=self._removes,
            ids=self._ids,
            rows=len(self._cells),
            group=self._group,
        )
        self._cells = []
        self._adds = self._removes = self._ids = 0


def _options(seat: Seat) -> Parquet:
    if not isinstance(seat.format, Parquet):
        raise UnwritableRow(f"seat {seat.key}: its format is not Parquet")
    return seat.format
