"""NDJSON: one object for each id and segment, with the seat's columns as keys.

Rows sorted by id go in, lines come out. Lifetimes are numbers, what is not known is null.
"""

from collections.abc import Iterable, Sequence

import msgspec

from audiences.exports.formats.columns import entries, options_of, refused_text, rows_back
from audiences.exports.formats.parts import ANY, Group, Parts
from audiences.exports.formats.rows import Counts, IdRow, joined
from audiences.exports.seat import Seat


def write(rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
    """Write one line for each id and segment."""
    headers = [column.header for column in options_of(seat).columns]
    for each in entries(rows, seat, out):
        line = msgspec.json.encode(dict(zip(headers, each.cells, strict=True))) + b"\n"
        out.put(line, adds=each.adds, removes=each.removes, ids=each.ids, group=each.group)
    return out.counts()


def read(files: Iterable[bytes], seat: Seat, groups: Sequence[Group] = ()) -> list[IdRow]:
    """Read files back, the rows of one id joined."""
    pieces: list[IdRow] = []
    for number, data in enumerate(files):
        lines = map(msgspec.json.decode, data.splitlines())
        pieces += rows_back(lines, seat, groups[number] if groups else ANY)
    return joined(pieces)


def refused_id(text: str, _seat: Seat) -> str:
    """Say why an id cannot be written, or nothing."""
    return refused_text(text)


def refused_segment(segment: str, _seat: Seat) -> str:
    """Say why a segment cannot be written, or nothing."""
    return refused_text(segment)
