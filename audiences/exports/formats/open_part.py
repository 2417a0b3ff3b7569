"""One file of an export while it is written: bytes, checksums and counts, within the seat's limits.

Lines come in, compressed bytes go to a file that somebody else opened. Which line goes to which
file is `parts.py`'s question.
"""

import hashlib
import zlib
from typing import BinaryIO, Final, NamedTuple

import msgspec

from audiences.exports.formats.rows import Counts
from audiences.exports.seat import Seat

GZIP: Final = 31
"""zlib's window bits for a gzip header without name and time."""
GZIP_TAIL_BYTES: Final = 64
"""More than the end of a stream and what a flush adds."""


class Group(NamedTuple):
    """What a file holds one of, where the seat says so in `file.per`; empty = several."""

    segment: str = ""
    action: str = ""
    """add or remove."""
    id_space: str = ""


ANY: Final = Group()


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One finished file, and what whoever delivers it must know beside its bytes."""

    name: str
    bytes: int
    sha256: str
    counts: Counts
    segment: str = ""
    action: str = ""
    id_space: str = ""


class OpenPart:
    """A file that takes lines until it is full."""

    def __init__(self, name: str, file: BinaryIO, seat: Seat, header: bytes, group: Group) -> None:
        self.group = group
        self._name = name
        self._file = file
        self._gzip = zlib.compressobj(6, zlib.DEFLATED, GZIP) if name.endswith(".gz") else None
        self._limits = seat.file
        self._digest = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False) if seat.file.control_root else None
        self._written = 0
        self._pending = 0
        self._rows = self._adds = self._removes = self._ids = 0
        self._write(header)

    def has_room(self, line: bytes, rows: int) -> bool:
        if self._limits.max_rows and self._rows and self._rows + rows > self._limits.max_rows:
            return False
        if not self._limits.max_bytes or self._size_at_most(line) <= self._limits.max_bytes:
            return True
        if self._gzip is None:
            return False
        # Why: what the compressor still holds is only known once it is flushed.
        self._emit(self._gzip.flush(zlib.Z_SYNC_FLUSH))
        self._pending = 0
        return self._size_at_most(line) <= self._limits.max_bytes

    def has_room_for_all(self, lines: bytes, rows: int) -> bool:
        if self._limits.max_rows and self._rows + rows > self._limits.max_rows:
            return False
        return not self._limits.max_bytes or self._size_at_most(lines) <= self._limits.max_bytes

    def put(self, line: bytes, *, rows: int, adds: int, removes: int, ids: int) -> None:
        self._write(line)
        self._rows += rows
        self._adds += adds
        self._removes += removes
        self._ids += ids

    def close(self) -> None:
        if self._gzip is not None:
            self._emit(self._gzip.flush())
        self._file.close()

    def part(self) -> Part:
        """Tell the facts of the closed file."""
        return Part(
            name=self._name,
            bytes=self._written,
            sha256=self._digest.hexdigest(),
            counts=self.counts(),
            **self.group._asdict(),
        )

    def counts(self) -> Counts:
        return Counts(rows=self._rows, adds=self._adds, removes=self._removes, ids=self._ids)

    @property
    def md5(self) -> str:
        return self._md5.hexdigest() if self._md5 else ""

    def _size_at_most(self, line: bytes) -> int:
        if self._gzip is None:
            return self._written + len(line)
        # Why: deflate never grows text by more than 5 bytes in each block of 16 KiB.
        waiting = self._pending + len(line)
        return self._written + waiting + waiting // 1000 + GZIP_TAIL_BYTES

    def _write(self, data: bytes) -> None:
        if self._gzip is None:
            self._emit(data)
        else:
            self._pending += len(data)
            self._emit(self._gzip.compress(data))

    def _emit(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        if self._md5 is not None:
            self._md5.update(data)
        self._written += len(data)
