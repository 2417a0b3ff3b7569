"""The spool: acknowledged means kept, full means refused, dead writers lose only a torn tail."""

import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from service.engine.spool_reader import SpoolReader
from service.tag.record import Kind, Meta, write_record
from service.tag.spool import Spool, SpoolFull, SpoolSettings, writer_name


def record(number: int) -> bytes:
    return write_record(Kind.MESSAGE, number, bytes(16), Meta(site="s"), b"%d" % number)


def open_spool(root: Path, **limits: object) -> Spool:
    settings = SpoolSettings(**{"reserve_bytes": 0, **limits})  # type: ignore[arg-type]
    return Spool(root, writer=writer_name(0), settings=settings, clock=time.monotonic)


class Disk:
    """A disk whose syncs a test can let fail or wait."""

    def __init__(self) -> None:
        self.fails = False
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.syncs = 0

    def sync(self, handle: int) -> None:
        self.goes_on.wait(5)
        self.syncs += 1
        if self.fails:
            raise OSError(errno.EIO, "the disk is broken")
        os.fsync(handle)


def spool_on(disk: Disk, root: Path, **limits: object) -> Spool:
    settings = SpoolSettings(**{"reserve_bytes": 0, **limits})  # type: ignore[arg-type]
    return Spool(
        root, writer=writer_name(0), settings=settings, clock=time.monotonic, to_disk=disk.sync
    )


def waits(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def takes(spool: Spool, number: int) -> bool:
    """Try to append a record."""
    try:
        spool.append([record(number)])
    except SpoolFull:
        return False
    return True


@contextmanager
def limited(kind: int, to: int) -> Iterator[None]:
    """Let this process have less of something."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (to, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def bodies(root: Path) -> list[bytes]:
    reader = SpoolReader(root, next_number=1)
    return [each.body for chunk in reader.claim() for each in reader.read(chunk).records]


def test_closed_chunks_are_read_in_order(tmp_path: Path) -> None:
    """What was appended comes out in the order in which it was appended."""
    spool = open_spool(tmp_path, chunk_bytes_max=200)
    for number in range(20):
        spool.append([record(number)])
    spool.close()
    assert bodies(tmp_path) == [b"%d" % number for number in range(20)]


@pytest.mark.parametrize("ack", ["write", "fsync"])
def test_append_is_kept_in_both_modes(tmp_path: Path, ack: str) -> None:
    """`kept` returns in both modes, and the records are in the file by then."""
    spool = open_spool(tmp_path, ack=ack)
    spool.append([record(1), record(2)])
    asyncio.run(asyncio.wait_for(spool.kept(), 5))
    assert b"".join([record(1), record(2)]) in next(spool.folder.glob("*.open")).read_bytes()
    spool.close()


def test_full_spool_refuses(tmp_path: Path) -> None:
    """Above its size the spool refuses, so that the sender tries again; nothing is half written."""
    spool = open_spool(tmp_path, spool_bytes_max=300)
    with pytest.raises(SpoolFull, match="its limit"):
        _append_all(spool, 100)
    spool.close()
    kept = bodies(tmp_path)
    assert kept == [b"%d" % number for number in range(len(kept))]


def _append_all(spool: Spool, count: int) -> None:
    for number in range(count):
        spool.append([record(number)])


def test_reserve_is_left_on_the_disk(tmp_path: Path) -> None:
    """When only the reserve is left, nothing more is taken."""
    spool = open_spool(tmp_path, reserve_bytes=1 << 60)
    with pytest.raises(SpoolFull, match="reserve"):
        spool.append([record(1)])
    spool.close()


def test_open_chunk_of_a_living_writer_is_left_alone(tmp_path: Path) -> None:
    """The reader takes closed chunks only while their writer lives."""
    spool = open_spool(tmp_path)
    spool.append([record(1)])
    assert bodies(tmp_path) == []
    spool.close()
    assert bodies(tmp_path) == [b"1"]


def test_second_boot_has_its_own_folder(tmp_path: Path) -> None:
    """Two writers never share a folder, and the chunks of both are read."""
    first, second = open_spool(tmp_path), open_spool(tmp_path)
    first.append([record(1)])
    second.append([record(2)])
    first.close()
    second.close()
    assert sorted(bodies(tmp_path)) == [b"1", b"2"]


def test_a_write_that_stops_short_is_refused_whole(tmp_path: Path) -> None:
    """When the disk takes half of a record its sender hears so, and nothing of it is read."""
    spool = open_spool(tmp_path)
    assert takes(spool, 0)
    with limited(resource.RLIMIT_FSIZE, len(record(0)) + 30):
        assert not takes(spool, 1)
        assert not takes(spool, 2)
    waits(lambda: takes(spool, 3))
    spool.close()
    assert bodies(tmp_path) == [b"0", b"3"]
    assert list(tmp_path.glob("*/*.torn")) == []


def test_a_process_without_descriptors_refuses_and_recovers(tmp_path: Path) -> None:
    """Without a free descriptor no chunk is opened, the open one is closed; later all goes on."""
    spool = open_spool(tmp_path)
    assert takes(spool, 0)
    with limited(resource.RLIMIT_NOFILE, 3):
        spool.close_chunk()
        assert not takes(spool, 1)
        assert spool.full() == "no new chunk could be opened: Too many open files"
    waits(lambda: takes(spool, 2))
    spool.close()
    assert bodies(tmp_path) == [b"0", b"2"]


def test_nothing_is_taken_until_a_disk_that_failed_keeps_a_new_file(tmp_path: Path) -> None:
    """After a failed sync records are refused, also with `ack = "write"`, until a sync succeeds."""
    disk = Disk()
    spool = spool_on(disk, tmp_path)
    assert takes(spool, 0)
    waits(lambda: disk.syncs > 0)
    disk.fails = True
    assert takes(spool, 1)
    waits(lambda: not takes(spool, 2))
    until = time.monotonic() + 0.7
    while time.monotonic() < until:
        assert not takes(spool, 3)
    disk.fails = False
    waits(lambda: takes(spool, 4))
    spool.close()
    found = bodies(tmp_path)
    assert found[:2] + found[-1:] == [b"0", b"1", b"4"]
    assert b"3" not in found


def test_an_answer_that_waits_for_a_broken_disk_is_a_refusal(tmp_path: Path) -> None:
    """With `ack = "fsync"` whoever waits for a sync that fails, or has failed, is refused."""
    disk = Disk()
    disk.fails = True
    spool = spool_on(disk, tmp_path, ack="fsync")
    spool.append([record(1)])
    waits(lambda: disk.syncs > 0)  # it failed before anybody waited
    time.sleep(0.05)
    with pytest.raises(SpoolFull, match="did not keep"):
        asyncio.run(asyncio.wait_for(spool.kept(), 5))
    spool.close()
    assert disk.syncs == 1  # never again: it could succeed although the bytes are gone


def test_whoever_waits_while_its_record_is_being_synced_is_answered(tmp_path: Path) -> None:
    """One who begins to wait in mid-sync is answered by it, without another record."""
    disk = Disk()
    disk.goes_on.clear()
    spool = spool_on(disk, tmp_path, ack="fsync")
    spool.append([record(1)])
    time.sleep(0.1)
    threading.Timer(0.1, disk.goes_on.set).start()
    asyncio.run(asyncio.wait_for(spool.kept(), 1))
    spool.close()


def test_a_slow_disk_holds_up_nobody(tmp_path: Path) -> None:
    """While a sync takes its time records are taken, and chunks are closed one behind another."""
    disk = Disk()
    disk.goes_on.clear()
    spool = spool_on(disk, tmp_path, chunk_seconds_max=0.0)
    begin = time.monotonic()
    for number in range(50):
        spool.append([record(number)])
        spool.close_old_chunk()
    assert time.monotonic() - begin < 1
    assert spool.open_records == 50
    assert len(list(spool.folder.glob("*.open"))) == 2
    disk.goes_on.set()
    spool.close()
    assert bodies(tmp_path) == [b"%d" % number for number in range(50)]


WRITER = """
import sys, time
from pathlib import Path
from service.tag.record import Kind, Meta, write_record
from service.tag.spool import Spool, SpoolSettings, writer_name
spool = Spool(Path(sys.argv[1]), writer=writer_name(0),
              settings=SpoolSettings(reserve_bytes=0, chunk_bytes_max=3000), clock=time.monotonic)
number = 0
while True:
    spool.append([write_record(Kind.MESSAGE, number, bytes(16), Meta(site="s"), b"%d" % number)])
    print(number, flush=True)
    number += 1
"""


def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    """After SIGKILL every acknowledged record is read, in order, and at most one more."""
    for _ in range(5):
        root = tmp_path / str(time.monotonic_ns())
        acknowledged = _kill_after(root, lambda count: count >= 300)
        found = bodies(root)
        assert found[:acknowledged] == [b"%d" % number for number in range(acknowledged)]
        assert len(found) <= acknowledged + 1


def _kill_after(root: Path, enough: Callable[[int], bool]) -> int:
    child = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(root)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    count = 0
    for line in child.stdout:
        count = int(line) + 1
        if enough(count):
            os.kill(child.pid, signal.SIGKILL)
            break
    rest = child.stdout.read().splitlines()
    child.stdout.close()
    child.wait()
    return int(rest[-1]) + 1 if rest else count
