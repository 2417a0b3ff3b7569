"""Xandr's Batch Segment Avro: one record for each id with all its segments.

Rows sorted by id go in, blocks of records come out. Which branch of the union says an id is the
seat's word; a lifetime of -1 removes, of -2 is the member's default. The schema stands beside.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from importlib.resources import files as package_files
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from audiences.exports.formats.avro_bytes import (
    SYNC_BYTES,
    Reader,
    array_bytes,
    block_bytes,
    header_bytes,
    long_bytes,
    longs_bytes,
    records_of,
    text_bytes,
)
from audiences.exports.formats.columns import refused_text
from audiences.exports.formats.items import Items, joined_items, of_changes
from audiences.exports.formats.parts import ANY, Group, Parts
from audiences.exports.formats.rows import (
    Counts,
    IdBlock,
    IdRow,
    UnwritableRow,
    joined,
    real_lifetime,
)
from audiences.exports.id_shapes import INT64_MAX
from audiences.exports.seat import Seat, Unit
from audiences.exports.seat_formats import Avro, AvroId

REMOVED: Final = -1
MEMBERS_DEFAULT: Final = -2
INT32_MAX: Final = 2_147_483_647
ANID: Final = "anid"
"""Xandr's own id: a bare number, which a union has no name for."""


@cache
def schema() -> bytes:
    """Give the schema as the files hold it."""
    file = package_files("audiences.exports.formats").joinpath("xandr_user.avsc")
    return msgspec.json.encode(msgspec.json.decode(file.read_bytes()))


def write(rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
    """Write each row as one record."""
    blocks = _Blocks(seat, out)
    for row in rows:
        blocks.put(row)
    blocks.send()
    return out.counts()


def write_blocks(blocks: Iterable[IdBlock], seat: Seat, out: Parts) -> None:
    """Write the same records, many at once."""
    records = _Blocks(seat, out)
    for block in blocks:
        items, begin = Items(block, _records(block, seat)), 0
        while begin < items.count:
            begin = records.put_some(items, begin)
    records.send()


def read(files: Iterable[bytes], seat: Seat, _groups: Sequence[Group] = ()) -> list[IdRow]:
    """Read the records of all files back."""
    return joined(
        _parse(reader, seat)
        for file in files
        for count, reader in records_of(file)
        for _ in range(count)
    )


def refused_id(text: str, seat: Seat) -> str:
    """Say why an id cannot be written, or nothing."""
    branches = {each.branch for each in _options(seat).id_types.values()}
    if branches == {ANID} and not (
        text.isascii() and text.isdecimal() and str(int(text)) == text and int(text) <= INT64_MAX
    ):
        return "Xandr's own ids are whole numbers of 64 bits"
    return refused_text(text)


def refused_segment(segment: str, seat: Seat) -> str:
    """Say why a segment cannot be written, or nothing."""
    if _options(seat).segment == "code":
        return refused_text(segment)
    number = segment.isascii() and segment.isdecimal() and str(int(segment)) == segment
    if not number or not 0 < int(segment) <= INT32_MAX:
        return "a segment's id must be a whole number from 1 to 2147483647"
    return ""


def _options(seat: Seat) -> Avro:
    if not isinstance(seat.format, Avro):
        raise UnwritableRow(f"seat {seat.key}: its format is not Avro")
    return seat.format


@cache
def _branches() -> dict[str, int]:
    union = msgspec.json.decode(schema())["fields"][0]["type"]
    return {_name_of(branch): place for place, branch in enumerate(union)}


@cache
def domains() -> tuple[str, ...]:
    """List the kinds of devices that the schema knows, in its order."""
    union = msgspec.json.decode(schema())["fields"][0]["type"]
    (device,) = (each for each in union if _name_of(each) == "device_id")
    return tuple(device["fields"][1]["type"]["symbols"])


def _name_of(branch: Any) -> str:
    return branch["name"] if isinstance(branch, dict) else ANID


class _Blocks:
    """The records of the block that is being filled."""

    def __init__(self, seat: Seat, out: Parts) -> None:
        self._seat = seat
        self._options = _options(seat)
        self._out = out
        self._clear()

    def put(self, row: IdRow) -> None:
        self._records.append(_record(row, self._seat))
        self._bytes += len(self._records[-1])
        self._adds += len(row.adds)
        self._removes += len(row.removes)
        self._count += 1
        self._send_if_full()

    def put_some(self, items: Items, begin: int) -> int:
        """Put records until the block is full, and say where that was."""
        end = items.reaching(begin, self._options.block_bytes - self._bytes)
        if self._seat.file.max_rows:
            end = min(end, begin + self._seat.file.max_rows - self._count)
        self._records.append(items.bytes(begin, end))
        self._bytes += len(self._records[-1])
        self._adds += items.adds(begin, end)
        self._removes += items.removes(begin, end)
        self._count += end - begin
        self._send_if_full()
        return end

    def _send_if_full(self) -> None:
        if self._bytes >= self._options.block_bytes or self._count == self._seat.file.max_rows:
            self.send()

    def send(self) -> None:
        data, codec = b"".join(self._records), self._options.codec
        if not self._out.header:
            self._out.header = header_bytes(schema(), codec, data)
        if not self._records:
            return
        count = self._count
        self._out.put(
            block_bytes(data, count, codec, self._out.header[-SYNC_BYTES:]),
            adds=self._adds,
            removes=self._removes,
            ids=count,
            rows=count,
            group=ANY,
        )
        self._clear()

    def _clear(self) -> None:
        self._records: list[bytes] = []
        self._bytes = self._adds = self._removes = self._count = 0


def _record(row: IdRow, seat: Seat) -> bytes:
    return _uid(row, seat) + _segments(row, seat)


def _records(block: IdBlock, seat: Seat) -> Any:
    """Give each id's record: what says the id, and what its change says of segments."""
    rows = [
        IdRow(id="", id_space=block.id_space, adds=adds, removes=removes)
        for adds, removes in block.changes
    ]
    said = of_changes(block, [_segments(row, seat) for row in rows])
    if _options(seat).id_types[block.id_space].branch == ANID:
        place = long_bytes(_branches()[ANID])
        return joined_items(place, longs_bytes(block.ids.cast(pa.int64()).to_numpy()), said)
    sizes = pc.binary_length(block.ids).to_numpy()
    leads = pa.array([long_bytes(size) for size in range(int(sizes.max()) + 1)], pa.binary())
    before, behind = _around_id(block.id_space, seat)
    ids = block.ids.cast(pa.binary())
    return joined_items(before, leads.take(pa.array(sizes)), ids, behind, said)


def _segments(row: IdRow, seat: Seat) -> bytes:
    has_ends = seat.membership.expiry.unit is not Unit.NONE
    segments = [
        _segment(
            segment,
            real_lifetime(minutes, row, seat.key) if has_ends else MEMBERS_DEFAULT,
            seat,
        )
        for segment, minutes in row.adds
    ]
    segments += [_segment(segment, REMOVED, seat) for segment in row.removes]
    return array_bytes(segments)


def _uid(row: IdRow, seat: Seat) -> bytes:
    if _options(seat).id_types[row.id_space].branch == ANID:
        return long_bytes(_branches()[ANID]) + long_bytes(int(row.id))
    before, behind = _around_id(row.id_space, seat)
    return before + text_bytes(row.id) + behind


def _around_id(id_space: str, seat: Seat) -> tuple[bytes, bytes]:
    """Give what stands before and behind the text of an id in its branch of the union."""
    said = _options(seat).id_types[id_space]
    place = long_bytes(_branches()[said.branch])
    match said.branch:
        case "eid":
            return place + text_bytes(said.source), b""
        case "ifa":
            return place, text_bytes(said.type)
        case "external_id":
            return place, long_bytes(int(seat.account))
        case "device_id":
            return place, long_bytes(domains().index(said.domain))
        case _:
            return place, b""


def _segment(segment: str, expires_minutes: int, seat: Seat) -> bytes:
    options = _options(seat)
    by_code = options.segment == "code"
    return b"".join(
        (
            long_bytes(0 if by_code else int(segment)),
            text_bytes(segment if by_code else ""),
            long_bytes(int(seat.account) if by_code else 0),
            long_bytes(expires_minutes),
            # Why: at once, and nothing of the clock in the bytes.
            long_bytes(0),
            long_bytes(options.value),
        )
    )


def _parse(reader: Reader, seat: Seat) -> IdRow:
    name, said = _read_uid(reader, seat)
    spaces = {each: space for space, each in _options(seat).id_types.items()}
    adds, removes = [], []
    for _ in reader.items():
        number, code = reader.long(), reader.text()
        reader.long()
        minutes = reader.long()
        reader.long()
        reader.long()
        if minutes == REMOVED:
            removes.append(code or str(number))
        else:
            adds.append((code or str(number), max(minutes, 0)))
    return IdRow(id=name, id_space=spaces[said], adds=adds, removes=removes)


def _read_uid(reader: Reader, seat: Seat) -> tuple[str, AvroId]:
    names = {place: name for name, place in _branches().items()}
    match names[reader.long()]:
        case "anid":
            return str(reader.long()), AvroId(branch="anid")
        case "eid":
            source = reader.text()
            return reader.text(), AvroId(branch="eid", source=source)
        case "ifa":
            name = reader.text()
            return name, AvroId(branch="ifa", type=reader.text())
        case "external_id":
            name = reader.text()
            reader.long()
            return name, AvroId(branch="external_id")
        case "device_id":
            name = reader.text()
            return name, AvroId(branch="device_id", domain=domains()[reader.long()])
        case "hem":
            return reader.text(), AvroId(branch="hem")
        case other:
            raise UnwritableRow(f"seat {seat.key}: no branch {other} is read here")
