"""Rows of columns, as CSV, NDJSON and Parquet share them.

A row of an export goes in, one entry for each line of a table comes out; and back again. What a
cell looks like in a file is the format's work.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from audiences.exports.formats.parts import ANY, Group, Parts
from audiences.exports.formats.rows import IdRow, UnwritableRow
from audiences.exports.seat import MINUTES_PER_DAY, Removal, Seat
from audiences.exports.seat_formats import Column, Table

Cell = str | int | None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a table, where it goes and what it counts."""

    cells: list[Cell]
    group: Group
    adds: int
    removes: int
    ids: int


def entries(
    rows: Iterable[IdRow], seat: Seat, out: Parts, begin: Callable[[Group], None] | None = None
) -> Iterator[Entry]:
    """Give the lines of each row: what it enters, then what it leaves if that can be said.

    Where a file replaces a segment, `begin` makes sure that one which all left has a file too.
    """
    begin = begin or out.begin
    options = options_of(seat)
    removal = seat.membership.removal
    for row in rows:
        first = ids_of(row, seat)
        for segment, minutes in row.adds:
            yield Entry(
                cells=_cells(row, segment, options.add, minutes, options.columns),
                group=out.group(segment, "add", row.id_space),
                adds=1,
                removes=0,
                ids=first,
            )
            first = 0
        for segment in row.removes:
            if removal is Removal.REPLACE and "segment" in seat.file.per:
                begin(out.group(segment, "add", row.id_space))
            if removal not in {Removal.FLAG, Removal.FILE}:
                continue
            yield Entry(
                cells=_cells(row, segment, options.remove, 0, options.columns),
                group=out.group(segment, "remove", row.id_space),
                adds=0,
                removes=1,
                ids=first,
            )
            first = 0


def rows_back(
    lines: Iterable[Mapping[str, Any]], seat: Seat, group: Group = ANY
) -> Iterator[IdRow]:
    """Give what lines say, by the headers of their columns."""
    options = options_of(seat)
    for line in lines:
        found = {each.value: line[each.header] for each in options.columns if not each.id_space}
        named = [(str(found.get("id_space") or ""), str(found["id"]))] if "id" in found else []
        named += [
            (each.id_space, str(line[each.header]))
            for each in options.columns
            if each.id_space and line[each.header]
        ]
        (id_space, name), *others = named
        segment = str(found.get("segment") or group.segment)
        action = found.get("action") or (
            options.remove if group.action == "remove" else options.add
        )
        added = action == options.add
        yield IdRow(
            id=name,
            id_space=id_space or group.id_space or seat.id_spaces[0],
            adds=[(segment, _minutes(found))] if added else [],
            removes=[] if added else [segment],
            others=others,
        )


def ids_of(row: IdRow, seat: Seat) -> int:
    """Count the ids that a row says, what is no id of the seat left out."""
    return 1 + sum(id_space in seat.id_spaces for id_space, _ in row.others)


def options_of(seat: Seat) -> Table:
    """Give the options of a format of columns."""
    if not isinstance(seat.format, Table):
        raise UnwritableRow(f"seat {seat.key}: its format has no columns")
    return seat.format


def refused_text(text: str) -> str:
    """Say why a text cannot stand in a cell, or nothing."""
    if not text:
        return "it is empty"
    return "" if text.isprintable() else "it holds a control character"


def _cells(
    row: IdRow, segment: str, action: str, minutes: int, columns: tuple[Column, ...]
) -> list[Cell]:
    values: dict[str, Cell] = {
        "id": row.id,
        "id_space": row.id_space,
        "segment": segment,
        "action": action,
        "minutes": minutes or None,
        "days": minutes // MINUTES_PER_DAY or None,
    }
    said = {row.id_space: row.id, **dict(row.others)} if row.others else {row.id_space: row.id}
    return [said.get(each.id_space) if each.id_space else values[each.value] for each in columns]


def _minutes(found: Mapping[str, Any]) -> int:
    if minutes := found.get("minutes"):
        return int(minutes)
    return int(found.get("days") or 0) * MINUTES_PER_DAY
