"""Which format writes which seat."""

from collections.abc import Iterable
from typing import Protocol

from audiences.exports.formats import csv_table, ttd_json, xandr_text
from audiences.exports.formats.parts import Parts
from audiences.exports.formats.rows import Counts, IdRow
from audiences.exports.seat import Csv, Delimited, Json, Seat


class Writer(Protocol):
    """What each module of this folder offers."""

    def write(self, rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
        """Write rows sorted by id space and id."""

    def read(self, files: Iterable[bytes], seat: Seat) -> list[IdRow]:
        """Read uncompressed files back."""

    def refused_id(self, text: str, seat: Seat) -> str:
        """Say why an id cannot be written, or nothing."""

    def refused_segment(self, segment: str, seat: Seat) -> str:
        """Say why a segment cannot be written, or nothing."""


def writer_of(seat: Seat) -> Writer:
    """Give the module that writes the seat's format."""
    match seat.format:
        case Delimited():
            return xandr_text
        case Json():
            return ttd_json
        case Csv():
            return csv_table
