"""The files of one export: lines go in, parts within the seat's limits come out.

A part is closed before a line would break `max_rows` or `max_bytes` (after compression). The same
lines give the same bytes. Opening, syncing and renaming files is `run.py`'s work.
"""

import datetime as dt
import hashlib
import io
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, Final

import msgspec

from audiences.exports.formats.control_file import ControlLine, control_files
from audiences.exports.formats.open_part import ANY, GZIP, GZIP_TAIL_BYTES, Group, OpenPart, Part
from audiences.exports.formats.rows import Counts, UnwritableRow
from audiences.exports.seat import Mode, Seat

__all__ = ["ANY", "GZIP", "Group", "Lot", "Part", "Parts", "discard"]

OPEN_FILES_MAX: Final = 500


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """Many lines of one group, end to end, and what they count."""

    group: Group = ANY
    lines: bytes
    rows: int
    adds: int
    removes: int
    ids: int


class Parts:
    """The open files of an export and the finished ones before them."""

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
        self._files: list[OpenPart] = []
        self._open: dict[Group, OpenPart] = {}
        self._numbers: dict[Group, int] = {}

    def put(
        self,
        line: bytes,
        *,
        adds: int,
        removes: int,
        ids: int,
        rows: int = 1,
        group: Group = ANY,
    ) -> None:
        """Write one line, in a new part when the group's open one has no room for it.

        A format that packs several rows into what it writes at once says how many in `rows`.
        """
        part = self._open.get(group)
        if part is None or not part.has_room(line, rows):
            part = self._next(group)
            if not part.has_room(line, rows):
                raise UnwritableRow(
                    f"seat {self._seat.key}: a line of {len(line)} bytes is longer than "
                    f"`file.max_bytes` ({self._seat.file.max_bytes}) allows; raise the limit"
                )
        part.put(line, rows=rows, adds=adds, removes=removes, ids=ids)

    def put_lots(self, lots: Sequence[Lot]) -> bool:
        """Write many lines at once, or nothing where a part gets full by them; and say which.

        Nothing is opened before all is known to fit.
        """
        for lot in lots:
            part = self._open.get(lot.group)
            if not (part.has_room_for_all if part else self._fits_a_new_part)(lot.lines, lot.rows):
                return False
        for lot in lots:
            part = self._open.get(lot.group) or self._next(lot.group)
            counts = (lot.rows, lot.adds, lot.removes, lot.ids)
            part.put(lot.lines, **dict(zip(Counts.__struct_fields__, counts, strict=True)))
        return True

    def group(self, segment: str, action: str, id_space: str) -> Group:
        """Tell which file takes a line about all this."""
        per = self._seat.file.per
        if not per:
            return ANY
        return Group(
            segment if "segment" in per else "",
            action if "action" in per else "",
            id_space if "id_space" in per else "",
        )

    def counts(self) -> Counts:
        """Add up what was put so far."""
        each = [file.counts() for file in self._files]
        names = Counts.__struct_fields__
        return Counts(**{name: sum(getattr(one, name) for one in each) for name in names})

    def begin(self, group: Group) -> None:
        """Make sure that the group has a file, even if nothing is ever put into it."""
        if group not in self._numbers and not self._seat.file.skip_empty:
            self._next(group)

    def close(self, group: Group = ANY) -> None:
        """End the group's open part."""
        if (part := self._open.pop(group, None)) is not None:
            part.close()

    def finish(self, *, even_empty: bool = False) -> list[Part]:
        """Close all parts and give them; `even_empty` makes one with the header alone."""
        if even_empty and not self._files and not self._seat.file.per:
            self.begin(ANY)
        for group in list(self._open):
            self.close(group)
        return [each.part() for each in self._files] + self._controls()

    def _fits_a_new_part(self, lines: bytes, rows: int) -> bool:
        file = self._seat.file
        size = len(self.header) + len(lines)
        at_most = size + size // 1000 + GZIP_TAIL_BYTES
        if file.max_rows and rows > file.max_rows:
            return False
        return not file.max_bytes or at_most <= file.max_bytes

    def _next(self, group: Group) -> OpenPart:
        self.close(group)
        if len(self._open) >= OPEN_FILES_MAX:
            raise UnwritableRow(
                f"seat {self._seat.key}: more than {OPEN_FILES_MAX} files at once, one for each "
                f"{' and '.join(self._seat.file.per)}; spread the audiences over several seats"
            )
        number = self._numbers[group] = self._numbers.get(group, 0) + 1
        name = self._named(self._seat.file.name, group, number)
        if self._seat.file.compression == "gzip":
            name += ".gz"
        part = OpenPart(name, self._open_file(name), self._seat, self.header, group)
        self._files.append(part)
        self._open[group] = part
        return part

    def _named(self, template: str, group: Group, number: int) -> str:
        file = self._seat.file
        return template.format_map(
            {
                "seat": self._seat.key,
                "partner": self._seat.partner,
                "account": self._seat.account,
                "run": self._run,
                "part": f"{number:04}",
                "split": number,
                "mode": file.mode_names.get(self._mode, self._mode.value),
                "date": f"{dt.datetime.fromtimestamp(self.at_s, dt.UTC):%Y%m%d}",
                "epoch_s": self.at_s,
                "segment": group.segment,
                "action": _other_name(file.action_names, group.action),
                "id_space": file.id_space_names.get(group.id_space, group.id_space),
            }
        )

    def _controls(self) -> list[Part]:
        if not self._seat.file.control_root:
            return []
        lines = [
            ControlLine(
                root=self._named(self._seat.file.control_root, each.group, 0),
                name=each.part().name,
                bytes=each.part().bytes,
                lines=each.part().counts.rows + bool(self.header),
                md5=each.md5,
            )
            for each in self._files
        ]
        return [self._control(name, data) for name, data in control_files(lines)]

    def _control(self, name: str, data: bytes) -> Part:
        with self._open_file(name) as file:
            file.write(data)
        digest = hashlib.sha256(data).hexdigest()
        return Part(name=name, bytes=len(data), sha256=digest, counts=Counts())


def discard(_name: str) -> BinaryIO:
    """Open a file that keeps nothing: what a dry run writes to."""
    return _Nowhere()


def _other_name(names: dict[Any, str], name: str) -> str:
    return names.get(name, name)


class _Nowhere(io.BytesIO):
    def write(self, data: Any, /) -> int:
        return len(memoryview(data))
