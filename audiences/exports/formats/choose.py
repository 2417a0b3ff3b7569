"""Which format writes which seat, behind what all formats share: the case and shape of ids."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from audiences.exports import seat_formats
from audiences.exports.formats import (
    csv_table,
    google_bulk,
    google_data_manager,
    lines,
    ndjson_table,
    parquet_table,
    patterns,
    requests,
    ttd_json,
    xandr_avro,
    xandr_text,
)
from audiences.exports.formats.parts import Group, Parts
from audiences.exports.formats.rows import Counts, IdBlock, IdRow, bytes_of
from audiences.exports.id_shapes import as_kept, in_case, refused_shape, shape_of
from audiences.exports.seat import Seat

IN_A_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class Format(Protocol):
    """What each module of this folder offers."""

    def write(self, rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
        """Write rows sorted by id space and id."""

    def read(self, files: Iterable[bytes], seat: Seat, groups: Sequence[Group] = ()) -> list[IdRow]:
        """Read uncompressed files back; `groups`, in parallel, says what each holds one of."""

    def refused_id(self, text: str, seat: Seat) -> str:
        """Say why an id cannot be written, or nothing."""

    def refused_segment(self, segment: str, seat: Seat) -> str:
        """Say why a segment cannot be written, or nothing."""


class Writer:
    """A format with the checks that all share."""

    def __init__(self, form: Format) -> None:
        self._form = form

    def write(self, rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
        """Write rows sorted by id space and id."""
        return self._form.write(_in_its_case(rows, seat) if seat.ids.case else rows, seat, out)

    def write_blocks(self, blocks: Iterable[IdBlock], seat: Seat, out: Parts) -> None:
        """Write blocks of rows, whole where the format can."""
        if seat.ids.case:
            blocks = (_block_in_its_case(block, seat) for block in blocks)
        write, form = self._form.write, seat.format
        match form:
            case seat_formats.Delimited():
                xandr_text.write_blocks(blocks, seat, out)
            case seat_formats.Lines():
                patterns.write_blocks(blocks, seat, out, write=write, charset=form.charset)
            case seat_formats.Csv():
                patterns.write_blocks(blocks, seat, out, write=write, quoted=form.delimiter)
            case seat_formats.Avro():
                xandr_avro.write_blocks(blocks, seat, out)
            case seat_formats.Json():
                ttd_json.write_blocks(blocks, seat, out)
            case seat_formats.Ndjson():
                patterns.write_blocks(blocks, seat, out, write=write)
            case _:
                write((row for block in blocks for row in block.rows()), seat, out)

    def read(self, files: Iterable[bytes], seat: Seat, groups: Sequence[Group] = ()) -> list[IdRow]:
        """Read uncompressed files back; `groups`, in parallel, says what each holds one of."""
        return [_as_kept(row, seat) for row in self._form.read(files, seat, groups)]

    def refused_id(self, text: str, seat: Seat, id_space: str = "") -> str:
        """Say why an id cannot be written, or nothing; its space is the seat's only one if bare."""
        if not id_space and len(seat.id_spaces) == 1:
            id_space = seat.id_spaces[0]
        return refused_shape(text, id_space, seat) or self._form.refused_id(text, seat)

    def refused_ids(self, ids: Any, seat: Seat, id_space: str) -> list[int]:
        """Give the places of the ids of an Arrow array that cannot be written, all of one space."""
        if all_plain(ids, seat, id_space):
            return []
        each = enumerate(ids.to_pylist())
        return [place for place, text in each if self.refused_id(text, seat, id_space)]

    def refused_segment(self, segment: str, seat: Seat) -> str:
        """Say why a segment cannot be written, or nothing."""
        if "segment" in seat.file.per and not IN_A_NAME.fullmatch(segment):
            return "it names a file, so it may hold only letters, digits, . _ and -, at most 100"
        return self._form.refused_segment(segment, seat)


FORMATS: Final[Mapping[type, Format]] = {
    seat_formats.Delimited: xandr_text,
    seat_formats.Avro: xandr_avro,
    seat_formats.Json: ttd_json,
    seat_formats.Lines: lines,
    seat_formats.Csv: csv_table,
    seat_formats.Ndjson: ndjson_table,
    seat_formats.Parquet: parquet_table,
    seat_formats.Requests: requests,
    seat_formats.DataManager: google_data_manager,
    seat_formats.GoogleBulk: google_bulk,
}


def all_plain(ids: Any, seat: Seat, id_space: str) -> bool:
    """Tell at once whether no format refuses any of these ids: letters and digits of ASCII alone.

    False says nothing: each must be looked at.
    """
    if not takes_plain(seat, id_space):
        return False
    # Why bytes: of them only letters and digits of ASCII are letters and digits.
    return bytes_of(ids).isalnum() and not (pc.binary_length(ids).to_numpy() == 0).any()


def takes_plain(seat: Seat, id_space: str) -> bool:
    """Tell whether the format takes every id of letters and digits of ASCII alone.

    Not so where ids have a shape, nor where the format has words of its own against them.
    """
    is_strict = isinstance(seat.format, seat_formats.Lines | seat_formats.Avro)
    return not is_strict and not shape_of(id_space, seat)


def writer_of(seat: Seat) -> Writer:
    """Give what writes the seat's format."""
    return Writer(FORMATS[type(seat.format)])


def _in_its_case(rows: Iterable[IdRow], seat: Seat) -> Iterable[IdRow]:
    for row in rows:
        yield msgspec.structs.replace(row, id=in_case(row.id, row.id_space, seat))


def _block_in_its_case(block: IdBlock, seat: Seat) -> IdBlock:
    ids = [in_case(text, block.id_space, seat) for text in block.ids.to_pylist()]
    return msgspec.structs.replace(block, ids=pa.array(ids, type=pa.string()))


def _as_kept(row: IdRow, seat: Seat) -> IdRow:
    if row.id_space not in seat.ids.case:
        return row
    return msgspec.structs.replace(row, id=as_kept(row.id, row.id_space))
