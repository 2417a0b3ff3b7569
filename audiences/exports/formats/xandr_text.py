"""Xandr's Batch Segment text: `UID , SEG;SEG [TAB SEG;SEG] [^ DOMAIN]`, one line for each id.

Rows sorted by id go in, Latin-1 lines of at most 1800 segments come out. The separators and the
fields of a segment are the seat's; nothing here decides who is sent.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audiences.exports.formats.parts import Group, Lot, Parts
from audiences.exports.formats.rows import (
    Change,
    Counts,
    IdBlock,
    IdRow,
    UnwritableRow,
    bytes_of,
    real_lifetime,
)
from audiences.exports.seat import Removal, Seat
from audiences.exports.seat_formats import Delimited, Separators

REMOVED: Final = -1
"""The EXPIRATION that takes an id out of a segment."""
SEGMENT_ID_MAX: Final = 2_147_483_647
LATIN_1_LAST: Final = "\xff"

Said = tuple[Literal["add", "remove"], str]


def write(rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
    """Write each row as one line, or as several when it has too many segments."""
    options = _options(seat)
    lines = adds = removes = ids = 0
    for row in rows:
        changes = _changes(row, seat, out)
        for start in range(0, len(changes), options.segments_per_line_max):
            piece = changes[start : start + options.segments_per_line_max]
            added = sum(kind == "add" for kind, _ in piece)
            first = int(start == 0)
            line = _line(row, piece, seat).encode("latin-1")
            out.put(line, adds=added, removes=len(piece) - added, ids=first)
            lines, ids = lines + 1, ids + first
            adds, removes = adds + added, removes + len(piece) - added
    return Counts(rows=lines, adds=adds, removes=removes, ids=ids)


def write_blocks(blocks: Iterable[IdBlock], seat: Seat, out: Parts) -> None:
    """Write the same, many lines at once: those of one change differ in their id alone."""
    most = _options(seat).segments_per_line_max
    for block in blocks:
        if any(len(adds) + len(removes) > most for adds, removes in block.changes):
            write(block.rows(), seat, out)
            continue
        counts = np.bincount(block.codes, minlength=len(block.changes)).tolist()
        said = list(zip(counts, block.changes, strict=True))
        lot = Lot(
            lines=_text(
                block, [_end(block.id_space, change, seat, out) for change in block.changes]
            ),
            rows=len(block.ids),
            adds=sum(count * len(adds) for count, (adds, _) in said),
            removes=sum(count * len(removes) for count, (_, removes) in said),
            ids=len(block.ids),
        )
        if not out.put_lots([lot]):
            write(block.rows(), seat, out)


def read(files: Iterable[bytes], seat: Seat, _groups: Sequence[Group] = ()) -> list[IdRow]:
    """Read files back, the lines of one id joined."""
    lines = [line for data in files for line in data.decode("latin-1").split("\n")[:-1]]
    parsed = [_parse(line, seat) for line in lines]
    return [
        IdRow(
            id=name,
            id_space=id_space,
            adds=[each for row in group for each in row.adds],
            removes=[each for row in group for each in row.removes],
        )
        for (id_space, name), found in groupby(parsed, key=lambda row: (row.id_space, row.id))
        for group in [list(found)]
    ]


def refused_id(text: str, seat: Seat) -> str:
    """Say why an id cannot be written, or nothing."""
    return _refused(text, seat)


def refused_segment(segment: str, seat: Seat) -> str:
    """Say why a segment cannot be written, or nothing."""
    if "SEG_ID" not in _options(seat).fields:
        return _refused(segment, seat)
    number = segment.isascii() and segment.isdecimal() and str(int(segment)) == segment
    if not number or not 0 < int(segment) <= SEGMENT_ID_MAX:
        return "SEG_ID must be a whole number from 1 to 2147483647"
    return ""


def _options(seat: Seat) -> Delimited:
    if not isinstance(seat.format, Delimited):
        raise UnwritableRow(f"seat {seat.key}: its format is not delimited text")
    return seat.format


def _refused(text: str, seat: Seat) -> str:
    options = _options(seat)
    if not text:
        return "it is empty"
    if not text.isprintable() or max(text) > LATIN_1_LAST:
        return "it holds a character outside printable Latin-1"
    if not _marks(options.separators).isdisjoint(text):
        return "it holds one of the seat's separators"
    return ""


def _changes(row: IdRow, seat: Seat, out: Parts) -> list[Said]:
    has_ends = "EXPIRATION" in _options(seat).fields
    changes: list[Said] = [
        ("add", _segment(name, real_lifetime(ends, row, seat.key) if has_ends else 0, seat, out))
        for name, ends in row.adds
    ]
    return changes + [("remove", _segment(name, REMOVED, seat, out)) for name in row.removes]


def _end(id_space: str, change: Change, seat: Seat, out: Parts) -> str:
    """Give what follows the id in a line of this change."""
    adds, removes = change
    row = IdRow(id="", id_space=id_space, adds=adds, removes=removes)
    return _line(row, _changes(row, seat, out), seat)


def _text(block: IdBlock, ends: list[str]) -> bytes:
    behind = ends[0] if len(ends) == 1 else pa.array(ends, type=pa.string()).take(block.codes)
    data = bytes_of(pc.binary_join_element_wise(block.ids, behind, ""))
    return data if data.isascii() else data.decode().encode("latin-1")


@cache
def _marks(separators: Separators) -> frozenset[str]:
    return frozenset(getattr(separators, name) for name in separators.__struct_fields__)


def _segment(segment: str, expires_minutes: int, seat: Seat, out: Parts) -> str:
    values = {
        "SEG_ID": segment,
        "SEG_CODE": segment,
        "MEMBER_ID": seat.account,
        "EXPIRATION": expires_minutes,
        "TIMESTAMP": out.at_s,
        "VALUE": _options(seat).value,
    }
    options = _options(seat)
    return options.separators.field.join(str(values[field]) for field in options.fields)


def _line(row: IdRow, changes: list[Said], seat: Seat) -> str:
    options = _options(seat)
    marks = options.separators
    if seat.membership.removal is Removal.SECTION:
        added = marks.segment.join(text for kind, text in changes if kind == "add")
        removed = marks.segment.join(text for kind, text in changes if kind == "remove")
        said = added + (marks.remove + removed if removed else "")
    else:
        said = marks.segment.join(text for _, text in changes)
    domain = options.tags.get(row.id_space, "")
    return row.id + marks.user + said + (marks.tag + domain if domain else "") + "\n"


def _parse(line: str, seat: Seat) -> IdRow:
    options = _options(seat)
    marks = options.separators
    line, tagged, domain = line.partition(marks.tag)
    name, _, said = line.partition(marks.user)
    added, _, removed = said.partition(marks.remove)
    adds, removes = [], [segment for segment, _ in _fields(removed, seat)]
    for segment, expires in _fields(added, seat):
        if expires == REMOVED:
            removes.append(segment)
        else:
            adds.append((segment, expires))
    spaces = {domain: id_space for id_space, domain in options.tags.items()}
    untagged = next(each for each in (*seat.id_spaces, "") if each not in options.tags)
    id_space = spaces[domain] if tagged else untagged
    return IdRow(id=name, id_space=id_space, adds=adds, removes=removes)


def _fields(said: str, seat: Seat) -> Iterator[tuple[str, int]]:
    options = _options(seat)
    for segment in said.split(options.separators.segment) if said else ():
        values = dict(zip(options.fields, segment.split(options.separators.field), strict=True))
        yield values.get("SEG_ID") or values["SEG_CODE"], int(values.get("EXPIRATION", 0))
