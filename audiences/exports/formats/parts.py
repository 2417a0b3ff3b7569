"""The files of one export: lines go in, parts within the seat's limits come out.

A part is closed before a line would break `max_rows` or `max_bytes` (after compression). The same
lines give the same bytes. Opening, syncing and renaming files is `run.py`'s work.
"""

import datetime as dt
import hashlib
import io
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, Final

import msgspec

from audiences.exports.formats.rows import Counts, UnwritableRow
from audiences.exports.seat import Mode, Seat

GZIP: Final = 31
"""zlib's window bits for a gzip header without name and time."""
GZIP_TAIL_BYTES: Final = 64
"""More than the end of a stream and what a flush adds."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One finished file."""

    name: str
    bytes: int
    sha256: str
    counts: Counts


class Parts:
    """The open file of an export and the finished ones before it."""

    def __init__(
        self,
        *,
        seat: Seat,
        run: int,
        mode: Mode,
        at_ms: int,
        open_file: Callable[[str], BinaryIO],
    ) -> None:
        self.at_s = at_ms // 1000
        self.header = b""
        """What every part begins with; a format sets it before its first line."""
        self._seat = seat
        self._run = run
        self._mode = mode
        self._open_file = open_file
        self._finished: list[Part] = []
        self._open: _OpenPart | None = None

    def put(self, line: bytes, *, adds: int, removes: int, ids: int) -> None:
        """Write one line, in a new part when the open one has no room for it."""
        if self._open is None or not self._open.has_room(line):
            self._finish_open()
            self._open = self._next()
            if not self._open.has_room(line):
                raise UnwritableRow(
                    f"seat {self._seat.key}: a line of {len(line)} bytes is longer than "
                    f"`file.max_bytes` ({self._seat.file.max_bytes}) allows; raise the limit"
                )
        self._open.put(line, adds=adds, removes=removes, ids=ids)

    def finish(self, *, even_empty: bool = False) -> list[Part]:
        """Close the last part and give all; `even_empty` makes one with the header alone."""
        if even_empty and self._open is None and not self._finished:
            self._open = self._next()
        self._finish_open()
        return self._finished

    def _next(self) -> "_OpenPart":
        name = self._seat.file.name.format_map(
            {
                "seat": self._seat.key,
                "partner": self._seat.partner,
                "account": self._seat.account,
                "run": self._run,
                "part": f"{len(self._finished) + 1:04}",
                "mode": self._mode,
                "date": f"{dt.datetime.fromtimestamp(self.at_s, dt.UTC):%Y%m%d}",
            }
        )
        if self._seat.file.compression == "gzip":
            name += ".gz"
        return _OpenPart(name, self._open_file(name), self._seat, self.header)

    def _finish_open(self) -> None:
        if self._open is not None:
            self._finished.append(self._open.finish())
            self._open = None


def discard(_name: str) -> BinaryIO:
    """Open a file that keeps nothing: what a dry run writes to."""
    return _Nowhere()


class _Nowhere(io.BytesIO):
    def write(self, data: Any, /) -> int:
        return len(memoryview(data))


class _OpenPart:
    def __init__(self, name: str, file: BinaryIO, seat: Seat, header: bytes) -> None:
        self._name = name
        self._file = file
        self._gzip = zlib.compressobj(6, zlib.DEFLATED, GZIP) if name.endswith(".gz") else None
        self._limits = seat.file
        self._digest = hashlib.sha256()
        self._written = 0
        self._pending = 0
        self._rows = self._adds = self._removes = self._ids = 0
        self._write(header)

    def has_room(self, line: bytes) -> bool:
        if self._limits.max_rows and self._rows >= self._limits.max_rows:
            return False
        if not self._limits.max_bytes or self._size_at_most(line) <= self._limits.max_bytes:
            return True
        if self._gzip is None:
            return False
        # Why: what the compressor still holds is only known once it is flushed.
        self._emit(self._gzip.flush(zlib.Z_SYNC_FLUSH))
        self._pending = 0
        return self._size_at_most(line) <= self._limits.max_bytes

    def put(self, line: bytes, *, adds: int, removes: int, ids: int) -> None:
        self._write(line)
        self._rows += 1
        self._adds += adds
        self._removes += removes
        self._ids += ids

    def finish(self) -> Part:
        if self._gzip is not None:
            self._emit(self._gzip.flush())
        self._file.close()
        counts = Counts(rows=self._rows, adds=self._adds, removes=self._removes, ids=self._ids)
        return Part(
            name=self._name, bytes=self._written, sha256=self._digest.hexdigest(), counts=counts
        )

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
        self._written += len(data)
