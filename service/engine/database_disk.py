"""Keeps the embedded engine from writing to a full disk, and mends what it wrote to one.

Why: the engine (chdb-core 26.9) takes a write that failed for lack of space as done, in inserts and
in merges, and replaces good parts by empty ones. So nothing is written below a reserve; merges stop
there, and what an insert wrote meanwhile counts as not written. When space is back every table is
loaded anew: the engine then sees its broken parts, and takes the ones they were merged from.
"""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from service.engine.sql import sql
from service.logs import fields
from service.metrics import DATABASE_FREE

MIB: Final = 1 << 20
LOOK_S: Final = 0.1
"""How often the disk is looked at: a merge that runs then may write so long without space."""
SLACK_SHARE: Final = 0.25
"""So much more than the reserve must be free before writing begins again."""

log: Final = logging.getLogger("jumelle.engine")


class DatabaseDiskFull(OSError):
    """The database's disk has no more than its reserve left; nothing is written to it."""


class DatabaseDisk:
    """The disk of one embedded engine, watched from its opening until its end."""

    def __init__(
        self,
        folder: Path,
        open_client: Callable[[], Client],
        *,
        reserve_bytes: int,
        free_bytes: Callable[[Path], int] | None = None,
    ) -> None:
        self._folder = folder
        self._open_client = open_client
        self._reserve_bytes = reserve_bytes
        self._free_bytes = free_bytes or free_bytes_of
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._is_low = False
        self.lost_parts = 0
        """Broken parts that nothing stands in for."""
        self._thread = threading.Thread(target=self._watch, name="database-disk", daemon=True)

    def watch(self) -> None:
        """Begin to look at the disk, and at what the engine found broken when it started."""
        self._client = self._open_client()
        self._forget_broken(are_inserts_void=False)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join()
        self._client.close()

    @property
    def problem(self) -> str:
        """Say what an operator has to do about this disk; nothing when all is well."""
        if self._is_low:
            return (
                f"the database's disk has less than its reserve of {self._reserve_bytes // MIB} "
                "MiB left: nothing is loaded until there is space; free some, or lower "
                "`database_reserve_bytes`"
            )
        if self.lost_parts:
            return (
                f"{self.lost_parts} parts of the database are broken and could not be mended: rows "
                "may be lost; what is left of them is in its `detached` folders"
            )
        return ""

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write within this block: DatabaseDiskFull before it, or after it when it may be void."""
        self._refuse_if_low()
        yield
        self._refuse_if_low()

    def recover(self) -> bool:
        """Mend the tables and let the engine write again, if there was no space and now is.

        Tells whether it did. Nobody may write at the same time.
        """
        if not self._is_low or self._free() < self._reserve_bytes * (1 + SLACK_SHARE):
            return False
        with self._lock:
            for (table,) in self._client.query(sql("tables_with_parts")).result_rows:
                self._client.command(f"detach table {table}")
                self._client.command(f"attach table {table}")
            # Why: marks are kept by a part's name, and a broken part's name comes again.
            self._client.command("system drop mark cache")
            # Why void: an insert without space was never acknowledged.
            self._forget_broken(are_inserts_void=True)
            self._client.command("system start merges")
            self._is_low = False
        log.warning("the database's disk has space again", extra=fields(lost=self.lost_parts))
        return True

    def _forget_broken(self, *, are_inserts_void: bool) -> None:
        """Delete broken parts of which nothing is lost; count and keep the others."""
        self.lost_parts = 0
        for table, name, level, is_covered in self._client.query(sql("broken_parts")).result_rows:
            if not is_covered and (level or not are_inserts_void):
                self.lost_parts += 1
                continue
            self._client.command(
                f"alter table {table} drop detached part '{name}'",
                settings={"allow_drop_detached": 1},
            )

    def _refuse_if_low(self) -> None:
        if self._free() < self._reserve_bytes:
            self._stop()
        if self._is_low:
            raise DatabaseDiskFull(self.problem)

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_S):
            with suppress(OSError):  # a disk that is gone: every write says so itself
                free = self._free()
                DATABASE_FREE.set(free)
                if not self._is_low and free < self._reserve_bytes:
                    self._stop()

    def _stop(self) -> None:
        with self._lock:
            if self._is_low:
                return
            try:
                self._client.command("system stop merges")
            finally:
                self._is_low = True
        log.error("the database's disk is full", extra=fields(free_bytes=self._free()))

    def _free(self) -> int:
        return self._free_bytes(self._folder)


def free_bytes_of(folder: Path) -> int:
    """Give what this process may still write on a folder's disk."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class WatchedClient:
    """A client of the embedded engine that writes only where the disk has space.

    What it does not name itself is the client's own.
    """

    def __init__(self, client: Client, disk: DatabaseDisk) -> None:
        self._client = client
        self._disk = disk

    def insert(self, *args: Any, **options: Any) -> Any:
        """Insert rows."""
        with self._disk.writing():
            return self._client.insert(*args, **options)

    def raw_insert(self, *args: Any, **options: Any) -> Any:
        """Insert bytes of a format."""
        with self._disk.writing():
            return self._client.raw_insert(*args, **options)

    def command(self, *args: Any, **options: Any) -> Any:
        """Run a statement that changes something."""
        with self._disk.writing():
            return self._client.command(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)
