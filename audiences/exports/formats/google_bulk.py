"""Google's bulk uploader: UpdateUsersDataRequest messages, each behind its length as a varint.

Rows sorted by id go in, one operation for each id and segment; messages of at most
`request_bytes_max` bytes come out. Whoever delivers posts each message without its length.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from audiences.exports.formats.columns import refused_text
from audiences.exports.formats.parts import Group, Parts
from audiences.exports.formats.protobuf import (
    bytes_field,
    fields_of,
    number_field,
    read_varint,
    varint,
)
from audiences.exports.formats.rows import Counts, IdRow, UnwritableRow, joined
from audiences.exports.id_shapes import INT64_MAX
from audiences.exports.seat import Seat
from audiences.exports.seat_formats import GoogleBulk

USER_ID, LIST_ID, DELETE, DATA_SOURCE, ID_TYPE = 1, 4, 6, 7, 14
OPERATIONS, PROCESS_CONSENT = 1, 3
ID_TYPES: Final = {
    "GOOGLE_USER_ID": 0,
    "IDFA": 1,
    "ANDROID_ADVERTISING_ID": 2,
    "PARTNER_PROVIDED_ID": 4,
    "RIDA": 5,
    "AFAI": 6,
    "MSAI": 7,
    "GENERIC_DEVICE_ID": 9,
}
CONSENTED: Final = number_field(PROCESS_CONSENT, 1)
"""Without it Google drops the request; nobody without consent ever comes this far."""


def write(rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
    """Write the rows as messages, each as full as its limit allows."""
    message = _Message(seat, out)
    for row in rows:
        first = 1
        for segment, _ in row.adds:
            message.put(_operation(row, segment, seat, delete=False), ids=first, delete=False)
            first = 0
        for segment in row.removes:
            message.put(_operation(row, segment, seat, delete=True), ids=first, delete=True)
            first = 0
    message.send()
    return out.counts()


def read(files: Iterable[bytes], seat: Seat, _groups: Sequence[Group] = ()) -> list[IdRow]:
    """Read the operations of all messages back."""
    return joined(
        _parse(data, seat)
        for file in files
        for message in messages_of(file)
        for field, data in fields_of(message)
        if field == OPERATIONS and isinstance(data, bytes)
    )


def messages_of(file: bytes) -> Iterator[bytes]:
    """Give the messages of a file, each the body of one request."""
    at = 0
    while at < len(file):
        size, at = read_varint(file, at)
        yield file[at : at + size]
        at += size


def refused_id(text: str, _seat: Seat) -> str:
    """Say why an id cannot be written, or nothing."""
    return refused_text(text)


def refused_segment(segment: str, _seat: Seat) -> str:
    """Say why a segment cannot be written, or nothing."""
    number = segment.isascii() and segment.isdecimal() and str(int(segment)) == segment
    return "" if number and 0 < int(segment) <= INT64_MAX else "a user list is a number of 64 bits"


def _options(seat: Seat) -> GoogleBulk:
    if not isinstance(seat.format, GoogleBulk):
        raise UnwritableRow(f"seat {seat.key}: its format is not Google's bulk uploader")
    return seat.format


class _Message:
    """The operations of the message that is being filled."""

    def __init__(self, seat: Seat, out: Parts) -> None:
        self._seat = seat
        self._out = out
        self._bytes_max = _options(seat).request_bytes_max
        self._clear()

    def put(self, operation: bytes, *, ids: int, delete: bool) -> None:
        if self._operations and self._bytes + len(operation) > self._bytes_max:
            self.send()
        if self._bytes + len(operation) > self._bytes_max:
            raise UnwritableRow(
                f"seat {self._seat.key}: an operation of {len(operation)} bytes is longer than "
                f"`format.request_bytes_max` ({self._bytes_max}) allows; raise it"
            )
        self._operations.append(operation)
        self._bytes += len(operation)
        self._removes += delete
        self._ids += ids

    def send(self) -> None:
        if not self._operations:
            return
        message = b"".join(self._operations) + CONSENTED
        count = len(self._operations)
        self._out.put(
            varint(len(message)) + message,
            adds=count - self._removes,
            removes=self._removes,
            ids=self._ids,
        )
        self._clear()

    def _clear(self) -> None:
        self._operations: list[bytes] = []
        self._bytes = len(CONSENTED)
        self._removes = self._ids = 0


def _operation(row: IdRow, segment: str, seat: Seat, *, delete: bool) -> bytes:
    options = _options(seat)
    data = bytes_field(USER_ID, row.id.encode()) + number_field(LIST_ID, int(segment))
    if delete:
        data += number_field(DELETE, 1)
    if options.data_source_id:
        data += number_field(DATA_SOURCE, options.data_source_id)
    if id_type := ID_TYPES[options.id_types[row.id_space]]:
        data += number_field(ID_TYPE, id_type)
    return bytes_field(OPERATIONS, data)


def _parse(data: bytes, seat: Seat) -> IdRow:
    found = dict(fields_of(data))
    spaces = {ID_TYPES[name]: space for space, name in _options(seat).id_types.items()}
    name, segment = found[USER_ID], str(found[LIST_ID])
    removed = bool(found.get(DELETE))
    return IdRow(
        id=name.decode() if isinstance(name, bytes) else "",
        id_space=spaces[int(found.get(ID_TYPE, 0))],
        adds=[] if removed else [(segment, 0)],
        removes=[segment] if removed else [],
    )
