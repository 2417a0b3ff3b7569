"""Which format writes which seat, behind what all formats share: the case and shape of ids."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from audiences.exports.formats import (
    csv_table,
    google_bulk,
    google_data_manager,
    lines,
    ndjson_table,
    parquet_table,
    requests,
    ttd_json,
    xandr_avro,
    xandr_text,
)
from audiences.exports.formats.parts import Group, Parts
from audiences.exports.formats.rows import Counts, IdRow
from audiences.exports.id_shapes import as_kept, in_case, refused_shape
from audiences.exports.seat import Seat
from audiences.exports.seat_formats import (
    Avro,
    Csv,
    DataManager,
    Delimited,
    GoogleBulk,
    Json,
    Lines,
    Ndjson,
    Parquet,
    Requests,
)

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

    def read(self, files: Iterable[bytes], seat: Seat, groups: Sequence[Group] = ()) -> list[IdRow]:
        """Read uncompressed files back; `groups`, in parallel, says what each holds one of."""
        return [_as_kept(row, seat) for row in self._form.read(files, seat, groups)]

    def refused_id(self, text: str, seat: Seat, id_space: str = "") -> str:
        """Say why an id cannot be written, or nothing; its space is the seat's only one if bare."""
        if not id_space and len(seat.id_spaces) == 1:
            id_space = seat.id_spaces[0]
        return refused_shape(text, id_space, seat) or self._form.refused_id(text, seat)

    def refused_segment(self, segment: str, seat: Seat) -> str:
        """Say why a segment cannot be written, or nothing."""
        if "segment" in seat.file.per and not IN_A_NAME.fullmatch(segment):
            return "it names a file, so it may hold only letters, digits, . _ and -, at most 100"
        return self._form.refused_segment(segment, seat)


FORMATS: Final[Mapping[type, Format]] = {
    Delimited: xandr_text,
    Avro: xandr_avro,
    Json: ttd_json,
    Lines: lines,
    Csv: csv_table,
    Ndjson: ndjson_table,
    Parquet: parquet_table,
    Requests: requests,
    DataManager: google_data_manager,
    GoogleBulk: google_bulk,
}


def writer_of(seat: Seat) -> Writer:
    """Give what writes the seat's format."""
    return Writer(FORMATS[type(seat.format)])


def _in_its_case(rows: Iterable[IdRow], seat: Seat) -> Iterable[IdRow]:
    for row in rows:
        yield msgspec.structs.replace(row, id=in_case(row.id, row.id_space, seat))


def _as_kept(row: IdRow, seat: Seat) -> IdRow:
    if row.id_space not in seat.ids.case:
        return row
    return msgspec.structs.replace(row, id=as_kept(row.id, row.id_space))
