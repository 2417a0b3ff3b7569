"""The spool: acknowledged means kept, full means refused, dead writers lose only a torn tail."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
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
