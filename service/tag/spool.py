"""The spool: records go in, closed chunk files come out for the loader. Acknowledged means kept.

A writer owns one folder `spool/w<k>-<boot>/`; its newest file is `NNNNNNNN.open`, a closed chunk
is `NNNNNNNN.RECORDS.chunk`. With `ack = "write"` the bytes are in the page cache when `append`
returns (a killed process loses nothing) and on disk within 20 ms; with `ack = "fsync"` `kept` waits
for the disk.
"""

import asyncio
import fcntl
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from service.tag.record import MAGIC, Damage, find_record, read_records

SYNC_EVERY_S: Final = 0.02


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
    """One writer's part of the spool. `append` is called from one thread; a second thread syncs."""

    def __init__(
        self, root: Path, *, writer: str, settings: SpoolSettings, clock: Callable[[], float]
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
        self._file = -1
        self._bytes = 0
        self._opened = 0.0
        self._records = 0
        self._size_seen = spool_bytes(root)
        self._size_seen_at = clock()
        self._syncer = _Syncer()

    def append(self, records: Sequence[bytes]) -> None:
        """Write the records in order, all or none; raise SpoolFull when they cannot be kept."""
        why = self.full()
        if why:
            raise SpoolFull(why)
        if self._syncer.failed:
            self._abandon()
        if self._file < 0:
            self._open_next()
        joined = b"".join(records)
        self._write(joined)
        self._bytes += len(joined)
        self._size_seen += len(joined)
        self._records += len(records)
        self._syncer.changed(self._file)
        if self._bytes >= self._settings.chunk_bytes_max:
            self.close_chunk()

    @property
    def open_records(self) -> int:
        """How many records the open chunk holds."""
        return self._records

    def closed(self) -> list[Path]:
        """List this writer's closed chunks that the loader has not claimed yet."""
        return [*self.folder.glob("*.chunk"), *self.folder.glob("*.torn")]

    def full(self) -> str:
        """Say why nothing more can be taken; empty while it can."""
        now = self._clock()
        if now - self._size_seen_at > 1:
            self._size_seen, self._size_seen_at = spool_bytes(self._root), now
        if self._size_seen > self._settings.spool_bytes_max:
            return f"the spool holds {self._size_seen} bytes, its limit"
        free = os.statvfs(self._root)
        if free.f_bavail * free.f_frsize < self._settings.reserve_bytes:
            return "the disk has only its reserve left"
        return ""

    async def kept(self) -> None:
        """Wait until what was appended is as safe as `ack` promises."""
        if self._settings.ack == "fsync":
            await asyncio.wrap_future(self._syncer.wanted())

    def close_old_chunk(self) -> None:
        """Close the open chunk once it is old enough; called a few times a second."""
        old = self._clock() - self._opened >= self._settings.chunk_seconds_max
        if self._file >= 0 and old and self._bytes > len(MAGIC):
            self.close_chunk()

    def close_chunk(self) -> None:
        """Sync, close and rename the open file, so that the loader may claim it."""
        if self._file < 0:
            return
        if self._syncer.failed:
            self._abandon()
            return
        handle, self._file = self._file, -1
        self._syncer.finish(handle)
        closed = self.folder / f"{self._number:08d}.{self._records}.chunk"
        self._path("open").rename(closed)
        self._records = 0
        sync_folder(self.folder)

    def close(self) -> None:
        """Close the open chunk, stop the syncing thread and give the folder's lock back."""
        self.close_chunk()
        self._syncer.stop()
        self._lock.close()

    def _open_next(self) -> None:
        self._number += 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        try:
            self._file = os.open(self._path("open"), flags, 0o600)
            os.write(self._file, MAGIC)
            sync_folder(self.folder)
        except OSError as problem:
            self._abandon()
            raise SpoolFull(f"a new chunk could not be opened: {problem}") from problem
        self._bytes = len(MAGIC)
        self._opened = self._clock()

    def _write(self, joined: bytes) -> None:
        try:
            written = os.write(self._file, joined)
        except OSError as problem:
            self._abandon()
            raise SpoolFull(f"the spool could not be written: {problem}") from problem
        if written != len(joined):
            # Why: some of these records may be whole, but the sender hears that none was kept.
            with suppress(OSError):
                os.ftruncate(self._file, self._bytes)
            self._abandon()
            raise SpoolFull(f"the disk took {written} of {len(joined)} bytes")

    def _abandon(self) -> None:
        # Why: after a failed write or fsync the file's pages may be lost although the next sync
        # succeeds, so this file is never written again; the reader cuts its torn tail.
        if self._file >= 0:
            self._syncer.forget()
            os.close(self._file)
            self._file = -1
            self._records = 0
            path = self._path("open")
            if path.exists():
                path.rename(self._path("torn"))

    def _path(self, ending: str) -> Path:
        return self.folder / f"{self._number:08d}.{ending}"


class _Syncer:
    """A thread that brings written bytes to disk: every 20 ms, or at once when somebody waits."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._handle = -1
        self._dirty = False
        self._syncing = False
        self.failed = False
        """Whether the disk refused to keep what was written to the open file."""
        self._stopped = False
        self._waiting: list[Future[None]] = []
        self._thread = threading.Thread(target=self._run, name="spool-sync", daemon=True)
        self._thread.start()

    def changed(self, handle: int) -> None:
        with self._wake:
            self._handle, self._dirty = handle, True

    def wanted(self) -> Future[None]:
        waiter: Future[None] = Future()
        with self._wake:
            if self._dirty or self._syncing:
                self._waiting.append(waiter)
                self._wake.notify_all()
            else:
                waiter.set_result(None)
        return waiter

    def finish(self, handle: int) -> None:
        with self._wake:
            self._wake.wait_for(lambda: not self._syncing)
            problem: Exception | None = None
            try:
                _to_disk(handle)
            except OSError as failed:
                problem = SpoolFull(f"the disk did not keep the chunk: {failed}")
            os.close(handle)
            self._handle, self._dirty = -1, False
            _answer(self._take_waiting(), problem)

    def forget(self) -> None:
        with self._wake:
            self._wake.wait_for(lambda: not self._syncing)
            self._handle, self._dirty, self.failed = -1, False, False
            _answer(self._take_waiting(), SpoolFull("the chunk was given up after a failed write"))

    def stop(self) -> None:
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._wake:
                if not (self._waiting and self._dirty):
                    self._wake.wait(SYNC_EVERY_S)
                if self._stopped:
                    return
                if not self._dirty:
                    continue
                handle, waiting = self._handle, self._take_waiting()
                self._dirty, self._syncing = False, True
            self._sync(handle, waiting)

    def _sync(self, handle: int, waiting: list[Future[None]]) -> None:
        problem: Exception | None = None
        try:
            _to_disk(handle)
        except OSError as failed:
            problem = SpoolFull(f"the disk did not keep the chunk: {failed}")
        with self._wake:
            self._syncing = False
            self.failed = self.failed or problem is not None
            self._wake.notify_all()
        _answer(waiting, problem)

    def _take_waiting(self) -> list[Future[None]]:
        waiting, self._waiting = self._waiting, []
        return waiting


def _answer(waiting: list[Future[None]], problem: Exception | None) -> None:
    for each in waiting:
        if problem is None:
            each.set_result(None)
        else:
            each.set_exception(problem)


def writer_name(worker: int) -> str:
    """Name a new writer's folder; two boots never share one."""
    return f"w{worker}-{time.time_ns():x}-{os.getpid()}"


def spool_bytes(root: Path) -> int:
    """Add up what waits in the spool."""
    total = 0
    for path in root.glob("*/*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def count_records(path: Path) -> int:
    """Count a closed chunk's records: by its name, or by its bytes when its writer died."""
    named = path.suffixes[-2:]
    if len(named) == 2 and named[1] == ".chunk" and named[0][1:].isdigit():
        return int(named[0][1:])
    content, start, records = path.read_bytes(), 0, 0
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
