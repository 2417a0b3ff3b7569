"""The Trade Desk's data requests: each line of a file is the body of one request.

Rows sorted by id go in, requests of at most `file.max_items` items and `request_bytes_max` bytes
come out. A lifetime of 0 minutes takes an id out. Sending and signing is the delivery's work.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from audiences.exports.formats.items import Items, joined_items, of_changes
from audiences.exports.formats.parts import Group, Parts
from audiences.exports.formats.rows import (
    WRITTEN_AS_THEY_ARE,
    Change,
    Counts,
    IdBlock,
    IdRow,
    UnwritableRow,
    bytes_of,
    real_lifetime,
)
from audiences.exports.id_shapes import LETTERS_KEPT, as_kept
from audiences.exports.seat import Seat
from audiences.exports.seat_formats import Json

STAND_IN: Final = "\x01"
ESCAPED: Final = msgspec.json.encode(STAND_IN)[1:-1]
"""A character that no key of an id holds, and how JSON writes it."""
REMOVED: Final = 0
"""The TtlInMinutes that takes an id out of a segment."""


def write(rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
    """Write the rows as requests, each as full as its limits allow."""
    batch = _Batch(seat)
    lines = adds = removes = ids = 0
    for row in rows:
        item = msgspec.json.encode(_item(row, seat))
        if not batch.has_room(item):
            lines += batch.send(out)
        if not batch.has_room(item):
            raise _too_long(seat, (row.adds, row.removes))
        batch.put(item, row)
        adds, removes, ids = adds + len(row.adds), removes + len(row.removes), ids + 1
    lines += batch.send(out)
    return Counts(rows=lines, adds=adds, removes=removes, ids=ids)


def write_blocks(blocks: Iterable[IdBlock], seat: Seat, out: Parts) -> None:
    """Write the same requests, many items at once."""
    batch = _Batch(seat)
    for block in blocks:
        items, begin = Items(block, _items(block, seat)), 0
        while begin < items.count:
            end = batch.room_for(items, begin)
            if end == begin and not batch.send(out):
                raise _too_long(seat, block.changes[block.codes[begin]])
            batch.put_all(items, begin, end)
            begin = end
    batch.send(out)


def read(files: Iterable[bytes], seat: Seat, _groups: Sequence[Group] = ()) -> list[IdRow]:
    """Read the items of all requests back."""
    requests = [msgspec.json.decode(line) for data in files for line in data.splitlines()]
    return [_parse(item, seat) for request in requests for item in request["Items"]]


def refused_id(text: str, seat: Seat) -> str:
    """Say why an id cannot be written, or nothing."""
    _options(seat)
    if not text:
        return "it is empty"
    return "" if text.isprintable() else "it holds a control character"


def refused_segment(segment: str, seat: Seat) -> str:
    """Say why a segment cannot be written, or nothing."""
    return refused_id(segment, seat)


class _Batch:
    """The items of the request that is being filled."""

    def __init__(self, seat: Seat) -> None:
        options = _options(seat)
        said = msgspec.json.encode(options.request)[:-1]
        self._start = said + (b"," if options.request else b"") + b'"Items":['
        self._items_max = seat.file.max_items
        self._bytes_max = options.request_bytes_max
        self._clear()

    def has_room(self, item: bytes) -> bool:
        if self._items_max and self._count >= self._items_max:
            return False
        return self._bytes + len(item) + len(b",") <= self._bytes_max

    def put(self, item: bytes, row: IdRow) -> None:
        self._items.append(item)
        self._count += 1
        self._bytes += len(item) + len(b",")
        self._adds += len(row.adds)
        self._removes += len(row.removes)

    def room_for(self, items: Items, begin: int) -> int:
        """Say where to stop so that the items, each with its comma, have room."""
        end = items.within(begin, self._bytes_max - self._bytes)
        return min(end, begin + self._items_max - self._count) if self._items_max else end

    def put_all(self, items: Items, begin: int, end: int) -> None:
        if begin < end:
            self._items.append(items.bytes(begin, end)[: -len(b",")])
            self._bytes += len(self._items[-1]) + len(b",")
            self._count += end - begin
            self._adds += items.adds(begin, end)
            self._removes += items.removes(begin, end)

    def send(self, out: Parts) -> int:
        if not self._items:
            return 0
        line = self._start + b",".join(self._items) + b"]}\n"
        out.put(line, adds=self._adds, removes=self._removes, ids=self._count)
        self._clear()
        return 1

    def _clear(self) -> None:
        self._items: list[bytes] = []
        self._count = 0
        self._bytes = len(self._start) + len(b"]}\n")
        self._adds = self._removes = 0


def _options(seat: Seat) -> Json:
    if not isinstance(seat.format, Json):
        raise UnwritableRow(f"seat {seat.key}: its format is not JSON")
    return seat.format


def _items(block: IdBlock, seat: Seat) -> Any:
    """Give each id's item, its comma behind it."""
    if bytes_of(block.ids).translate(None, WRITTEN_AS_THEY_ARE):
        rows = [msgspec.json.encode(_item(row, seat)) + b"," for row in block.rows()]
        return pa.array(rows, type=pa.binary())
    before, behind = [], []
    for adds, removes in block.changes:
        row = IdRow(id=STAND_IN, id_space=block.id_space, adds=adds, removes=removes)
        # Why the first: the id stands before all that segments say.
        first, _, last = msgspec.json.encode(_item(row, seat)).partition(ESCAPED)
        before.append(first)
        behind.append(last + b",")
    ids = block.ids.cast(pa.binary())
    return joined_items(of_changes(block, before), ids, of_changes(block, behind))


def _too_long(seat: Seat, change: Change) -> UnwritableRow:
    adds, removes = change
    return UnwritableRow(
        f"seat {seat.key}: an id with {len(adds) + len(removes)} segments is longer than "
        "`format.request_bytes_max` allows; raise it or use fewer segments"
    )


def _item(row: IdRow, seat: Seat) -> dict[str, Any]:
    data = [
        {"Name": segment, "TtlInMinutes": real_lifetime(minutes, row, seat.key)}
        for segment, minutes in row.adds
    ]
    data += [{"Name": segment, "TtlInMinutes": REMOVED} for segment in row.removes]
    return {_options(seat).id_keys[row.id_space]: row.id, "Data": data}


def _parse(item: dict[str, Any], seat: Seat) -> IdRow:
    found = [(space, key) for space, key in _options(seat).id_keys.items() if key in item]
    # Why: both kinds of device share one key, and are kept in one case each.
    id_space, key = next((each for each in found if _is_kept_so(item[each[1]], each[0])), found[0])
    data = [(each["Name"], each["TtlInMinutes"]) for each in item["Data"]]
    return IdRow(
        id=item[key],
        id_space=id_space,
        adds=[(segment, minutes) for segment, minutes in data if minutes != REMOVED],
        removes=[segment for segment, minutes in data if minutes == REMOVED],
    )


def _is_kept_so(text: str, id_space: str) -> bool:
    return id_space not in LETTERS_KEPT or as_kept(text, id_space) == text
