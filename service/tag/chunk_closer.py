"""Brings a writer's files to the disk and closes them, in a thread of its own.

Files that somebody appends to come in; closed chunks go out, and futures that say whether the disk
kept what was written. The thread that answers requests never waits for the disk.
"""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Final

SYNC_EVERY_S: Final = 0.02
CLOSE_WAITS_S: Final = 30


class ChunkFile:
    """A file that its writer appends to, and how much of it the disk has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self.bytes = 0
        self.records = 0
        self.torn = False
        """Whether it may end in half a record."""
        self.failed = ""
        """Why the disk did not keep it; nothing more may be written to it then."""
        self.appends = 0
        self.appends_kept = -1
        self.waiting: list[tuple[int, Future[str]]] = []
        self.stuck = False
        """Whether it could not get its closed name yet."""

    @property
    def closed_path(self) -> Path:
        """The name that tells the loader that it may take this file."""
        number = self.path.stem
        name = f"{number}.torn" if self.torn else f"{number}.{self.records}.chunk"
        return self.path.with_name(name)


class ChunkCloser:
    """Syncs the open file every 20 ms, or at once when somebody waits; closes what is handed over.

    After a failed sync the pages of a file may be gone although the next sync succeeds, so a file
    is never synced again then, and its writer goes on with a new one.
    """

    def __init__(self, folder: Path, *, to_disk: Callable[[int], None]) -> None:
        self._to_disk = to_disk
        # Why kept open: a process without a free descriptor must still be able to close a chunk.
        self._folder = os.open(folder, os.O_RDONLY)
        self._wake = threading.Condition()
        self._open: ChunkFile | None = None
        self._closing: list[ChunkFile] = []
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="chunk-closer", daemon=True)
        self._thread.start()

    def appended(self, file: ChunkFile) -> None:
        """Note that something was written to a file."""
        with self._wake:
            file.appends += 1
            self._open = file

    def kept(self, files: Iterable[ChunkFile]) -> list["Future[str]"]:
        """Give a future for each file: when the disk has what is in it by now, "", or why not."""
        with self._wake:
            found = [self._kept(file) for file in {*files, *self._closing, *self._current()}]
            self._wake.notify_all()
        return found

    def hand_over(self, file: ChunkFile) -> None:
        """Take over a file for good: it is synced, closed and renamed."""
        with self._wake:
            self._open = None
            self._closing.append(file)
            self._wake.notify_all()

    def closing(self) -> list[ChunkFile]:
        """List the files that were handed over and have no closed name yet."""
        with self._wake:
            return list(self._closing)

    def wait_closed(self) -> None:
        """Wait until everything handed over is closed, within reason."""
        with self._wake:
            self._wake.wait_for(lambda: not self._closing, CLOSE_WAITS_S)

    def stop(self) -> None:
        """Close what was handed over and end the thread."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()
        self._thread.join()
        os.close(self._folder)

    def _kept(self, file: ChunkFile) -> "Future[str]":
        future: Future[str] = Future()
        if file.failed or file.appends_kept >= file.appends:
            future.set_result(file.failed)
        else:
            file.waiting.append((file.appends, future))
        return future

    def _current(self) -> list[ChunkFile]:
        return [] if self._open is None else [self._open]

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._is_awaited():
                    self._wake.wait(SYNC_EVERY_S)
                closing, current, ends = list(self._closing), self._current(), self._stopped
            for file in (*closing, *current):
                self._sync(file)
            for file in closing:
                self._close(file)
            if ends:
                return

    def _is_awaited(self) -> bool:
        if self._stopped or any(not file.stuck for file in self._closing):
            return True
        return any(file.waiting for file in self._current())

    def _sync(self, file: ChunkFile) -> None:
        with self._wake:
            appends, is_first = file.appends, file.appends_kept < 0
            must_sync = not file.failed and file.appends_kept < appends
        problem = self._sync_now(file.handle, is_first=is_first) if must_sync else ""
        with self._wake:
            if problem:
                file.failed = problem
            elif must_sync:
                file.appends_kept = appends
            failed, kept = file.failed, file.appends_kept
            told = [each for each in file.waiting if failed or each[0] <= kept]
            file.waiting = [each for each in file.waiting if each not in told]
        for _, future in told:
            future.set_result(failed)

    def _sync_now(self, handle: int, *, is_first: bool) -> str:
        try:
            self._to_disk(handle)
            if is_first:
                os.fsync(self._folder)
        except OSError as problem:
            return f"the disk did not keep the chunk: {problem.strerror}"
        return ""

    def _close(self, file: ChunkFile) -> None:
        if file.handle >= 0:
            with suppress(OSError):
                os.close(file.handle)
            file.handle = -1
        try:
            if file.records:
                file.path.rename(file.closed_path)
            else:
                file.path.unlink()
        except FileNotFoundError:
            pass
        except OSError:
            file.stuck = True  # tried again at the next turn
            return
        with suppress(OSError):  # the file was on the disk under its first name before
            os.fsync(self._folder)
        with self._wake:
            self._closing.remove(file)
            self._wake.notify_all()
