"""What one export of rows writes, kept in memory: for the tests of seat files."""

import io
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from audiences.exports.formats.choose import writer_of
from audiences.exports.formats.parts import Group, Part, Parts
from audiences.exports.formats.rows import Counts, IdRow
from audiences.exports.seat import Mode, Seat
from audiences.exports.seat_checks import problems_of

AT_MS = 1_795_219_200_123
DAY_MINUTES = 1440


class Kept(io.BytesIO):
    """A file whose bytes outlive it."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""

    def close(self) -> None:
        self.data = self.getvalue()
        super().close()


class Written:
    """What one export of rows gave: parts and the bytes of each."""

    def __init__(
        self,
        rows: Sequence[IdRow],
        seat: Seat,
        *,
        mode: Mode = Mode.DELTA,
        even_empty: bool = False,
    ) -> None:
        self.seat = seat
        self.files: dict[str, Kept] = {}
        out = Parts(seat=seat, run=5, mode=mode, at_ms=AT_MS, open_file=self._open)
        self.counts: Counts = writer_of(seat).write(rows, seat, out)
        self.parts: list[Part] = out.finish(even_empty=even_empty)

    def _open(self, name: str) -> Kept:
        assert name not in self.files
        self.files[name] = Kept()
        return self.files[name]

    def plain(self) -> dict[str, bytes]:
        """Give each file uncompressed."""
        return {
            name: zlib.decompress(file.data, 31) if name.endswith(".gz") else file.data
            for name, file in self.files.items()
        }

    def read(self) -> list[IdRow]:
        """Read all files of rows back."""
        parts = [part for part in self.parts if not part.name.endswith(".info")]
        groups = [Group(part.segment, part.action, part.id_space) for part in parts]
        plain = self.plain()
        data = [plain[part.name] for part in parts]
        return writer_of(self.seat).read(data, self.seat, groups)


def loose(seat: Seat, changes: dict[str, Any]) -> Seat:
    """Change values of a seat by their dotted places, to a seat good or bad."""
    data = msgspec.to_builtins(seat)
    for place, value in changes.items():
        *way, last = place.split(".")
        target = data
        for name in way:
            target = target[name]
        target[last] = value
    return msgspec.convert(data, Seat)


def changed(seat: Seat, changes: dict[str, Any]) -> Seat:
    """Change values of a seat by their dotted places, to another good seat."""
    other = loose(seat, changes)
    assert problems_of(other) == []
    return other
