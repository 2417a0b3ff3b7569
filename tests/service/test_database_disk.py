"""The embedded engine's disk: nothing is written below the reserve, and broken parts are mended."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from service.engine.database_disk import LOOK_S, DatabaseDisk, DatabaseDiskFull, WatchedClient

pytestmark = pytest.mark.clickhouse

RESERVE = 1 << 20
PARTS_OF = """
select path from system.parts where database = 'disk' and table = 'things' and active
"""


class Disk:
    """A table of the real engine on a disk whose free space the test says."""

    def __init__(self, opens: Callable[[str], Client]) -> None:
        self.free = 10 * RESERVE
        self._opens = opens
        first = opens("default")
        first.command("create database disk engine=Atomic")
        first.close()
        self.plain = opens("disk")
        self.plain.command("create table things (a UInt64) engine=MergeTree order by a")
        self.disk = self.starts()
        self.client: Any = WatchedClient(self.plain, self.disk)

    def starts(self) -> DatabaseDisk:
        """Begin to watch, as at the start of the service."""
        disk = DatabaseDisk(
            Path(),
            lambda: self._opens("disk"),
            reserve_bytes=RESERVE,
            free_bytes=lambda _: self.free,
        )
        disk.watch()
        return disk

    def inserts(self, *numbers: int) -> None:
        """Insert each number by itself, so that it is a part of its own."""
        for number in numbers:
            self.client.insert("things", [[number]], column_names=["a"])

    def rows(self) -> list[int]:
        """Give what is stored."""
        return [number for (number,) in self.plain.query("select a from things").result_rows]

    def breaks(self) -> int:
        """Empty the active parts' data, as the engine leaves them on a full disk; count them."""
        parts = self.plain.query(PARTS_OF).result_rows
        for (path,) in parts:
            os.truncate(Path(path) / "data.bin", 0)
        return len(parts)

    def close(self) -> None:
        """Let everything go."""
        self.plain.command("system start merges")
        self.plain.command("drop database disk sync")
        self.disk.close()
        self.plain.close()


@pytest.fixture
def disk(opens_embedded: Callable[[str], Client]) -> Iterator[Disk]:
    """Give a disk with space, and an empty table on it."""
    made = Disk(opens_embedded)
    yield made
    made.close()


def test_nothing_is_written_below_the_reserve(disk: Disk) -> None:
    """Inserts and statements are refused, saying what to do, and go on once there is space."""
    disk.inserts(1)
    disk.free = RESERVE - 1
    with pytest.raises(DatabaseDiskFull, match=r"reserve of 1 MiB .* free some, or lower"):
        disk.inserts(2)
    with pytest.raises(DatabaseDiskFull):
        disk.client.command("truncate table things")
    assert disk.disk.recover() is False
    disk.free = 10 * RESERVE
    with pytest.raises(DatabaseDiskFull):
        disk.inserts(2)  # first the tables must be looked at
    assert disk.disk.recover() is True
    assert disk.disk.problem == ""
    disk.inserts(2)
    assert sorted(disk.rows()) == [1, 2]


def test_an_insert_that_met_a_full_disk_is_not_acknowledged(disk: Disk) -> None:
    """When the space ends while rows are written, the caller hears that they may not be kept."""

    class Filling:
        def insert(self, *args: Any, **options: Any) -> None:
            disk.plain.insert(*args, **options)
            disk.free = 0

    client = WatchedClient(Filling(), disk.disk)  # type: ignore[arg-type]
    with pytest.raises(DatabaseDiskFull):
        client.insert("things", [[1]], column_names=["a"])


def test_merges_stop_by_themselves_on_a_full_disk(disk: Disk) -> None:
    """The disk is watched although nobody writes: no merge begins until there is space."""
    disk.inserts(1, 2)
    disk.free = 0
    deadline = time.monotonic() + 100 * LOOK_S
    while not disk.disk.problem and time.monotonic() < deadline:
        time.sleep(LOOK_S / 4)
    with pytest.raises(Exception, match=r"Cancelled merging parts|ABORTED"):
        disk.plain.command("optimize table things final")
    disk.free = 10 * RESERVE
    disk.disk.recover()
    disk.plain.command("optimize table things final")
    assert len(disk.plain.query(PARTS_OF).result_rows) == 1


def test_broken_parts_are_mended_from_what_they_were_merged_from(disk: Disk) -> None:
    """A merge that wrote nothing is undone, so that no stored row is lost or doubled."""
    disk.inserts(*range(8))
    disk.plain.command("optimize table things final")
    assert disk.breaks() == 1
    disk.free = 0
    with pytest.raises(DatabaseDiskFull):
        disk.inserts(8)
    disk.free = 10 * RESERVE
    assert disk.disk.recover() is True
    assert sorted(disk.rows()) == list(range(8))
    assert (disk.disk.lost_parts, disk.disk.problem) == (0, "")


def test_a_part_that_nothing_stands_in_for_is_told(disk: Disk) -> None:
    """What cannot be mended is kept apart and said, at recovery and at every later start."""
    disk.inserts(1, 2)
    disk.plain.command("optimize table things final")
    for (path,) in disk.plain.query(PARTS_OF.replace("and active", "and not active")).result_rows:
        shutil.rmtree(path)
    disk.breaks()
    disk.free = 0
    with pytest.raises(DatabaseDiskFull):
        disk.inserts(3)
    disk.free = 10 * RESERVE
    disk.disk.recover()
    assert disk.disk.problem.startswith("1 parts of the database are broken")
    again = disk.starts()
    assert again.problem == disk.disk.problem
    again.close()
