"""The spool: records go in, closed chunk files come out for the loader. Acknowledged means kept.

A writer owns one folder `spool/w<k>-<boot>/`; its newest file is `NNNNNNNN.open`, a closed chunk
is `NNNNNNNN.RECORDS.chunk`. With `ack = "write"` the bytes are in the page cache when `append`
returns (a killed process loses nothing) and on disk within 20 ms; with `ack = "fsync"` `kept` waits
for the disk.
"""

import asyncio
import fcntl
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from service.tag.chunk_closer import ChunkCloser, ChunkFile
from service.tag.record import MAGIC, Damage, find_record, read_records

TROUBLE_LASTS_S: Final = 0.25
"""After a refused write the disk is left alone for so long: every request would ask it again."""

LOOK_EVERY_S: Final = 0.01
"""How often the disk is asked what is free: a reserve is not gone as soon."""


def sync_call(system: Any) -> Callable[[int], None]:
    """Give what brings a file's bytes to the disk; macOS has fsync alone, which keeps as much."""
    found: Callable[[int], None] = getattr(system, "fdatasync", system.fsync)
    return found


_to_disk: Final = sync_call(os)


class SpoolFull(Exception):
    """The spool is at its limit or the disk refused a write; the sender must try again."""


class SpoolSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of the spool."""

    ack: Literal["write", "fsync"] = "write"
    chunk_bytes_max: int = 64 * 1024 * 1024
    chunk_seconds_max: float = 1.0
    spool_bytes_max: int = 20 * 1024**3
    reserve_bytes: int = 256 * 1024 * 1024


class Spool:
    """One writer's part of the spool, called from one thread; no call but `close*` awaits a disk.

    Whatever is wrong with disk or descriptors, `append` says SpoolFull and the next one tries anew.
    """

    def __init__(
        self,
        root: Path,
        *,
        writer: str,
        settings: SpoolSettings,
        clock: Callable[[], float],
        to_disk: Callable[[int], None] = _to_disk,
    ) -> None:
        self._root = root
        self._settings = settings
        self._clock = clock
        # Why a hidden name first: the reader takes an unlocked folder for a dead writer's.
        draft = root / f".{writer}"
        draft.mkdir(parents=True, mode=0o700)
        self._lock = os.fdopen(os.open(draft / "lock", os.O_WRONLY | os.O_CREAT, 0o600), "w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.folder = draft.rename(root / writer)
        sync_folder(root)
        self._number = 0
        self._file: ChunkFile | None = None
        self._opened = 0.0
        self._unasked: set[ChunkFile] = set()
        self._trouble = ""
        self._trouble_ends = 0.0
        self._suspect = ""
        """Why the disk is not trusted since a sync failed."""
        self._size_seen = spool_bytes(root)
        self._size_seen_at = clock()
        self._free_seen = 0
        self._free_seen_at = -math.inf
        self._closer = ChunkCloser(self.folder, to_disk=to_disk)

    def append(self, records: Sequence[bytes]) -> None:
        """Write the records in order, all or none; raise SpoolFull when they cannot be kept."""
        why = self.full()
        if why:
            raise SpoolFull(why)
        file = self._file or self._open_next()
        joined = b"".join(records)
        self._write(file, joined)
        file.records += len(records)
        self._size_seen += len(joined)
        self._closer.appended(file)
        if self._settings.ack == "fsync":
            self._unasked.add(file)
        if file.bytes >= self._settings.chunk_bytes_max:
            self._roll()

    @property
    def open_records(self) -> int:
        """How many records the open chunk holds, and those that are being closed."""
        closing = sum(file.records for file in self._closer.closing())
        return closing + (self._file.records if self._file else 0)

    def closed(self) -> list[Path]:
        """List this writer's closed chunks that the loader has not claimed yet."""
        return [*self.folder.glob("*.chunk"), *self.folder.glob("*.torn")]

    def full(self) -> str:
        """Say why nothing more can be taken; empty while it can."""
        now = self._clock()
        if now < self._trouble_ends:
            return self._trouble
        if (self._suspect or (self._file and self._file.failed)) and (why := self._try_disk()):
            return why
        try:
            if now - self._size_seen_at > 1:
                self._size_seen, self._size_seen_at = spool_bytes(self._root), now
            if now - self._free_seen_at > LOOK_EVERY_S:
                free = os.statvfs(self._root)
                self._free_seen = free.f_bavail * free.f_frsize
                self._free_seen_at = now
        except OSError as problem:
            return self._troubled(f"the spool cannot be looked at: {problem.strerror}")
        if self._size_seen > self._settings.spool_bytes_max:
            return f"the spool holds {self._size_seen} bytes, its limit"
        if self._free_seen < self._settings.reserve_bytes:
            return "the disk has only its reserve left"
        return ""

    async def kept(self) -> None:
        """Wait until what was appended is as safe as `ack` promises."""
        if self._settings.ack != "fsync":
            return
        asked, self._unasked = self._unasked, set()
        for each in self._closer.kept(asked):
            why = await asyncio.wrap_future(each)
            if why:
                raise SpoolFull(why)

    def close_old_chunk(self) -> None:
        """Close the open chunk once it is old enough; called a few times a second."""
        old = self._clock() - self._opened >= self._settings.chunk_seconds_max
        # Why not behind another: on a slow disk files would pile up faster than they are closed.
        if old and self._file is not None and self._file.records and not self._closer.closing():
            self._roll()

    def close_chunk(self) -> None:
        """Sync, close and rename the open file; the loader may claim it when this returns."""
        self._roll()
        self._closer.wait_closed()

    def close(self) -> None:
        """Close the open chunk, stop the closing thread and give the folder's lock back."""
        self._roll()
        self._closer.stop()
        self._lock.close()

    def _roll(self) -> None:
        """Go on with another file; the thread closes this one."""
        if self._file is not None:
            self._suspect = self._file.failed or self._suspect
            self._closer.hand_over(self._file)
            self._file = None

    def _try_disk(self) -> str:
        """After a failed sync, say why nothing is taken until the disk kept a new file's begin."""
        file = self._file
        if file is not None and file.failed:
            self._roll()
            return self._troubled(self._suspect)
        if file is None:
            try:
                self._closer.appended(self._open_next())
            except SpoolFull as problem:
                return str(problem)
        elif file.appends_kept == file.appends:
            self._suspect = ""
        return self._suspect

    def _open_next(self) -> ChunkFile:
        self._number += 1
        try:
            file = ChunkFile(self.folder / f"{self._number:08d}.open")
        except OSError as problem:
            raise SpoolFull(
                self._troubled(f"no new chunk could be opened: {problem.strerror}")
            ) from problem
        self._file = file
        self._opened = self._clock()
        self._write(file, MAGIC)
        return file

    def _write(self, file: ChunkFile, joined: bytes) -> None:
        try:
            written = os.write(file.handle, joined)
        except OSError as problem:
            self._give_up(file)
            why = f"the spool could not be written: {problem.strerror}"
            raise SpoolFull(self._troubled(why)) from problem
        if written != len(joined):
            self._give_up(file)
            raise SpoolFull(self._troubled(f"the disk took {written} of {len(joined)} bytes"))
        file.bytes += written

    def _give_up(self, file: ChunkFile) -> None:
        """Write no more to a file that refused a write; what it holds so far is kept."""
        # Why cut: some of these records may be whole, but their sender hears that none was kept.
        try:
            os.ftruncate(file.handle, file.bytes)
        except OSError:
            file.torn = True
        self._roll()

    # Why never an error's whole text: the sender is told, and paths are none of its business.
    def _troubled(self, why: str) -> str:
        self._trouble, self._trouble_ends = why, self._clock() + TROUBLE_LASTS_S
        return why


def writer_name(worker: int) -> str:
    """Name a new writer's folder; two boots never share one."""
    return f"w{worker}-{time.time_ns():x}-{os.getpid()}"


def spool_bytes(root: Path) -> int:
    """Add up what waits in the spool."""
    total = 0
    for folder in root.iterdir():
        # Why: files are let go and folders of dead writers are taken away at any moment.
        with suppress(FileNotFoundError, NotADirectoryError):
            for path in folder.iterdir():
                with suppress(FileNotFoundError):
                    total += path.stat().st_size
    return total


def count_records(path: Path) -> int:
    """Count a closed chunk's records: by its name, or by its bytes when its writer died."""
    named = path.suffixes[-2:]
    if len(named) == 2 and named[1] == ".chunk" and named[0][1:].isdigit():
        return int(named[0][1:])
    try:
        content, start, records = path.read_bytes(), 0, 0
    except FileNotFoundError:  # claimed or let go a moment ago
        return 0
    while True:
        try:
            for _ in read_records(content, start=start):
                records += 1
        except Damage as problem:
            start = find_record(content, problem.offset + 1)
        else:
            return records
        if start == len(content):
            return records


def sync_folder(path: Path) -> None:
    """Bring a folder's entries to the disk, so that a rename or a new file survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
