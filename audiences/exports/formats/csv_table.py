"""CSV with a header: one row for each id and segment, in UTF-8 without a byte order mark.

Rows sorted by id go in, lines come out; which columns there are is the seat's word. Removals need a
column `action`; a seat that replaces all with each file gets none.
"""

import csv
import io
from collections.abc import Iterable
from itertools import groupby
from typing import Final

from audiences.exports.formats.parts import Parts
from audiences.exports.formats.rows import Counts, IdRow, UnwritableRow
from audiences.exports.seat import MINUTES_PER_DAY, Csv, Removal, Seat

FORMULA_SIGNS: Final = frozenset("=+-@\t\r")
"""What a spreadsheet takes a cell for a formula by, when it comes first."""


def write(rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
    """Write one line for each id and segment."""
    options = _options(seat)
    out.header = _line([column.header for column in options.columns], options)
    adds = removes = ids = 0
    for row in rows:
        first = 1
        for segment, minutes in row.adds:
            line = _values(row, segment, options.add, minutes, options)
            out.put(_line(line, options), adds=1, removes=0, ids=first)
            adds, first = adds + 1, 0
        for segment in row.removes if seat.membership.removal is Removal.FLAG else ():
            line = _values(row, segment, options.remove, 0, options)
            out.put(_line(line, options), adds=0, removes=1, ids=first)
            removes, first = removes + 1, 0
        ids += 1 - first
    return Counts(rows=adds + removes, adds=adds, removes=removes, ids=ids)


def read(files: Iterable[bytes], seat: Seat) -> list[IdRow]:
    """Read files back, the rows of one id joined."""
    options = _options(seat)
    names = [column.value for column in options.columns]
    lines = []
    for data in files:
        table = csv.reader(
            io.StringIO(data.decode("utf-8"), newline=""), delimiter=options.delimiter
        )
        lines += [dict(zip(names, line, strict=True)) for line in list(table)[1:]]
    for line in lines:
        line.setdefault("id_space", seat.id_spaces[0])
        line.setdefault("action", options.add)
    return [
        IdRow(
            id=name,
            id_space=id_space,
            adds=[
                (each["segment"], _minutes(each)) for each in group if each["action"] == options.add
            ],
            removes=[each["segment"] for each in group if each["action"] == options.remove],
        )
        for (id_space, name), found in groupby(
            lines, key=lambda each: (each["id_space"], each["id"])
        )
        for group in [list(found)]
    ]


def refused_id(text: str, seat: Seat) -> str:
    """Say why an id cannot be written, or nothing."""
    _options(seat)
    if not text:
        return "it is empty"
    if text[0] in FORMULA_SIGNS:
        return f"it begins with {text[0]!r}, which spreadsheets read as a formula"
    return "" if text.isprintable() else "it holds a control character"


def refused_segment(segment: str, seat: Seat) -> str:
    """Say why a segment cannot be written, or nothing."""
    return refused_id(segment, seat)


def _options(seat: Seat) -> Csv:
    if not isinstance(seat.format, Csv):
        raise UnwritableRow(f"seat {seat.key}: its format is not CSV")
    return seat.format


def _values(row: IdRow, segment: str, action: str, minutes: int, options: Csv) -> list[str]:
    values = {
        "id": row.id,
        "id_space": row.id_space,
        "segment": segment,
        "action": action,
        "minutes": str(minutes) if minutes else "",
        "days": str(minutes // MINUTES_PER_DAY) if minutes else "",
    }
    return [values[column.value] for column in options.columns]


def _line(values: list[str], options: Csv) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=options.delimiter, lineterminator="\n").writerow(values)
    return text.getvalue().encode("utf-8")


def _minutes(line: dict[str, str]) -> int:
    if line.get("minutes"):
        return int(line["minutes"])
    return int(line.get("days") or 0) * MINUTES_PER_DAY
