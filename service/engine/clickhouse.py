"""Opens ClickHouse: the embedded engine on a folder (the default), or a server named by URL.

Both give the same client and the same SQL. One process owns an embedded folder; a second is told.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from service.engine.clickhouse_http import open_http
from service.engine.database_disk import DatabaseDisk, WatchedClient

DATABASE: Final = "jumelle"
LOCK_NAME: Final = "jumelle.lock"
EMBEDDED_CONFIG: Final = Path(__file__).parent / "embedded.xml"
RESERVE_BYTES: Final = 512 << 20
"""So much of an embedded engine's disk stays free."""


class CannotOpen(Exception):
    """The database of this installation cannot be had; the text says what to do."""


class DataInUse(CannotOpen):
    """Another process owns this data directory."""


class NoServer(CannotOpen):
    """The ClickHouse server does not answer, or not to this user."""


class ClickHouse:
    """The one database of an installation; gives out clients, each with a connection of its own."""

    def __init__(
        self,
        data: Path,
        *,
        url: str = "",
        threads: int = 2,
        reserve_bytes: int = RESERVE_BYTES,
        memory_bytes: int = 0,
    ) -> None:
        """Open; an embedded engine holds at most so much memory, 0 is nine tenths of all."""
        self._url = url
        self._threads = threads
        self._memory_bytes = memory_bytes
        self._clients: list[Client] = []
        self.folder = data / "clickhouse"
        self._lock = take_lock(data)
        if not url:
            self.folder.mkdir(parents=True, exist_ok=True)
            _use_own_temporary_folder(data)
        first = self._first()
        first.command(f"create database if not exists {DATABASE} engine=Atomic")
        first.close()
        self._disk: DatabaseDisk | None = None
        if not url:
            self._disk = DatabaseDisk(
                self.folder, lambda: self._open(database=DATABASE), reserve_bytes=reserve_bytes
            )
            self._disk.watch()

    @property
    def embedded(self) -> bool:
        """Whether the engine runs in this process."""
        return not self._url

    def client(self) -> Client:
        """Open one more client; a client serves one thread at a time."""
        client = self._open(database=DATABASE)
        self._clients.append(client)
        return client if self._disk is None else cast(Client, WatchedClient(client, self._disk))

    @property
    def problems(self) -> list[str]:
        """Say what an operator has to look at."""
        return [self._disk.problem] if self._disk is not None and self._disk.problem else []

    def recover(self) -> bool:
        """Write again after the disk was full, if there is space; nobody may write meanwhile."""
        return self._disk is not None and self._disk.recover()

    def close(self) -> None:
        """Close every client and give the data directory back."""
        if self._disk is not None:
            self._disk.close()
        for client in self._clients:
            client.close()
        self._lock.close()

    def _first(self) -> Client:
        try:
            return self._open(database="")
        except Error as problem:
            self._lock.close()
            if self.embedded:
                raise
            # Why not the URL: it holds the password.
            raise NoServer(
                f"no ClickHouse for Jumelle at {urlsplit(self._url).hostname}: "
                f"{str(problem).splitlines()[0]}; start it, or correct JUMELLE_CLICKHOUSE_URL"
            ) from None

    def _open(self, *, database: str) -> Client:
        settings: dict[str, Any] = {"max_threads": self._threads}
        if self._url:
            return open_http(self._url, database=database or "default", settings=settings)
        options: dict[str, Any] = {"database": database} if database else {}
        engine = {"config-file": str(EMBEDDED_CONFIG)}
        if self._memory_bytes:
            engine["max_server_memory_usage"] = str(self._memory_bytes)
        return clickhouse_connect.get_client(
            interface="chdb",
            path=str(self.folder),
            settings=settings,
            chdb_options=engine,
            **options,
        )


def take_lock(data: Path) -> Any:
    """Own the data directory for this process, or raise DataInUse saying who has it."""
    data.mkdir(parents=True, exist_ok=True)
    file = (data / LOCK_NAME).open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise DataInUse(
            f"{data} is in use by process {owner}: stop it, or set JUMELLE_DATA to another folder"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _use_own_temporary_folder(data: Path) -> None:
    # Why: the driver spools inserts to files of visitor data, which a killed process leaves behind.
    folder = data / "clickhouse-tmp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    tempfile.tempdir = str(folder)
