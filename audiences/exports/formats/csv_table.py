"""CSV with a header: one row for each id and segment, in UTF-8 without a byte order mark.

Rows sorted by id go in, lines come out; which columns there are is the seat's word. Removals need a
column `action` or a file of their own; a seat that replaces all with each file gets none.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from audiences.exports.formats.columns import Cell, entries, refused_text, rows_back
from audiences.exports.formats.parts import ANY, Group, Parts
from audiences.exports.formats.rows import Counts, IdRow, UnwritableRow, joined
from audiences.exports.id_shapes import SHAPES, shape_of
from audiences.exports.seat import Seat
from audiences.exports.seat_formats import Csv

FORMULA_SIGNS: Final = frozenset("=+-@\t\r")
"""What a spreadsheet takes a cell for a formula by, when it comes first."""


def write(rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
    """Write one line for each id and segment."""
    options = _options(seat)
    out.header = _line([column.header for column in options.columns], options)
    for each in entries(rows, seat, out):
        line = _line(each.cells, options)
        out.put(line, adds=each.adds, removes=each.removes, ids=each.ids, group=each.group)
    return out.counts()


def read(files: Iterable[bytes], seat: Seat, groups: Sequence[Group] = ()) -> list[IdRow]:
    """Read files back, the rows of one id joined."""
    options = _options(seat)
    pieces: list[IdRow] = []
    for number, data in enumerate(files):
        text = io.StringIO(data.decode("utf-8"), newline="")
        lines = csv.DictReader(text, delimiter=options.delimiter)
        pieces += rows_back(lines, seat, groups[number] if groups else ANY)
    return joined(pieces)


def refused_id(text: str, seat: Seat) -> str:
    """Say why an id cannot be written, or nothing."""
    # Why: a hash in base64 may well begin with +, and is no formula for that.
    if text[:1] in FORMULA_SIGNS:
        shapes = (SHAPES.get(shape_of(each, seat)) for each in seat.id_spaces)
        if any(shape is not None and shape.fullmatch(text) for shape in shapes):
            return ""
    return refused_segment(text, seat)


def refused_segment(segment: str, seat: Seat) -> str:
    """Say why a segment cannot be written, or nothing."""
    _options(seat)
    if segment and segment[0] in FORMULA_SIGNS:
        return f"it begins with {segment[0]!r}, which spreadsheets read as a formula"
    return refused_text(segment)


def _options(seat: Seat) -> Csv:
    if not isinstance(seat.format, Csv):
        raise UnwritableRow(f"seat {seat.key}: its format is not CSV")
    return seat.format


def _line(cells: Iterable[Cell], options: Csv) -> bytes:
    values = ["" if cell is None else str(cell) for cell in cells]
    if options.quote == "all":
        quoted = (f'"{value.replace(chr(34), chr(34) * 2)}"' if value else "" for value in values)
        return (options.delimiter.join(quoted) + "\n").encode("utf-8")
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=options.delimiter, lineterminator="\n").writerow(values)
    return text.getvalue().encode("utf-8")
