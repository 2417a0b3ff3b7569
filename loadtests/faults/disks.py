"""Disks that are full, fail, take half of a write, or take seconds to keep it."""

import errno
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from faults.house import SERVER_KEY, House
from faults.sender import Log, Sender
from faults.shim import Orders, Shim
from faults.tags import Tags, finished, opened
from faults.verdict import Findings, Lab, Outcome, Skipped

MIB = 2**20
SMALL_MIB = 64
RESERVE_MIB = 8
RESUMED_S_MAX = 15.0
PAUL = "123456"


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[None]:
    """Let a folder lie on a disk of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise Skipped(f"no tmpfs can be mounted here: {made.stderr.strip()}")
    try:
        yield
    finally:
        # Why lazily: a process that was killed a moment ago may hold a file for a moment more.
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def filled(folder: Path, *, left_bytes: int = 0) -> Iterator[None]:
    """Let somebody else's file take the disk, but for so much, until the end of the block."""
    ballast, stopped = folder / "ballast", threading.Event()

    def fill() -> None:
        with ballast.open("wb") as file:
            while not stopped.wait(0.02):  # Why again: what is deleted meanwhile makes room
                free = os.statvfs(folder)
                more = free.f_bavail * free.f_frsize - left_bytes
                if more > 0:
                    with suppress(OSError):  # others take space at the same time
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, more)

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        ballast.unlink()


def spool_disk_at_reserve(lab: Lab, folder: Path) -> Outcome:
    """Fill the disk up to the spool's reserve: refused, but what is under way is finished."""
    return _spool_disk(lab, folder, reserve_mib=RESERVE_MIB, left_mib=RESERVE_MIB - 2)


def spool_disk_full(lab: Lab, folder: Path) -> Outcome:
    """Fill the disk to the last byte, with no reserve: writes fail in the middle of a chunk."""
    return _spool_disk(lab, folder, reserve_mib=0, left_mib=0)


def _spool_disk(lab: Lab, folder: Path, *, reserve_mib: int, left_mib: int) -> Outcome:
    times, slowest, faults = lab.times(5, 1), 0.0, []
    settings = {"reserve_bytes": reserve_mib * MIB}
    with small_disk(folder / "data", SMALL_MIB), opened(folder, **settings) as house:
        (folder / "clickhouse").mkdir()
        (house.data / "clickhouse").symlink_to(folder / "clickhouse")
        engine, tags = house.starts_engine(), Tags(house, 2)
        house.waits_ready(house.port, engine)
        _buys(tags)
        sender = Sender(house, targets=tags.ports, rate=1000)
        with sender.sending() as log:
            for _ in range(times):
                time.sleep(1.5)
                with filled(house.data, left_bytes=left_mib * MIB):
                    _waits_refusing(house, log)
                    if reserve_mib:
                        faults += _reserve_faults(house)
                    time.sleep(2)
                slowest = max(
                    slowest, house.waits_acknowledged(log.acknowledged, 100, s=RESUMED_S_MAX)
                )
        findings = finished(house, tags, engine, log)
    note = f"{log.statuses[503]} refused; taken again after {slowest:.1f} s"
    return Outcome(times=times, findings=findings, faults=faults, note=note)


def _buys(tags: Tags) -> None:
    """Let the one person who will be suppressed become known."""
    message = {"event": "Order Completed", "messageId": "an order", "userId": PAUL}
    url = f"http://127.0.0.1:{tags.ports[0]}/v1/track"
    httpx.post(url, json=message, auth=(SERVER_KEY, "")).raise_for_status()


def _waits_refusing(house: House, log: Log) -> None:
    before = log.statuses[503]
    house.waits(lambda: log.statuses[503] > before + 20, "refusal on a full disk")


def _reserve_faults(house: House) -> list[str]:
    """Within the reserve chunks are closed and loaded, and people can still be forbidden."""
    house.waits(lambda: not house.waiting(), "end of the chunks under way on a full disk")
    tombstones = house.data / "tombstones.log"
    before = tombstones.stat().st_size if tombstones.exists() else 0
    answer = house.call("POST", "/api/privacy/suppress", json={"id": PAUL})
    grown = tombstones.exists() and tombstones.stat().st_size > before
    if answer.is_success and grown:
        return []
    return [f"a tombstone on a full disk: {answer.status_code} {answer.text[:200]}"]


def database_disk_full(lab: Lab, folder: Path) -> Outcome:
    """Fill the database's disk: the tag goes on, and all is loaded once space is back."""
    times, slowest = lab.times(3, 1), 0.0
    refused_s = lab.times(12, 5)
    settings = {"database_reserve_bytes": 64 * MIB}
    with opened(folder, **settings) as house, small_disk(house.data / "clickhouse", 512):
        engine, tags = house.starts_engine(), Tags(house, 2)
        house.waits_ready(house.port, engine)
        sender = Sender(house, targets=tags.ports, rate=500)
        with sender.sending() as log:
            for _ in range(times):
                time.sleep(2)
                with filled(house.data / "clickhouse", left_bytes=MIB // 2):
                    house.waits(lambda: len(house.waiting()) > 4, "backlog of a full database")
                    time.sleep(refused_s)
                seconds = house.waits(lambda: len(house.waiting()) < 4, "loading again")
                slowest = max(slowest, seconds)
            problems = house.log("engine").count('"level": "error"')
        findings = finished(house, tags, engine, log)
    faults = [] if problems else ["the database's disk was never full"]
    if log.statuses[503]:
        faults.append("the tag refused messages although its own disk had space")
    note = f"caught up {slowest:.1f} s after space returned"
    return Outcome(times=times, findings=findings, faults=faults, note=note)


LATE_MS_MAX = 250.0
SYNC_S = 2.0


def failing_disk(lab: Lab, folder: Path) -> Outcome:
    """Let writes and syncs fail, writes stop short, syncs take seconds, while `ack` is `write`."""
    late: list[float] = []

    def while_slow(log: Log, shim: Shim) -> list[str]:
        late.append(_late_while_slow(log, shim))
        return []

    times, findings, faults, refused = _failing_disk(lab, folder, {}, while_slow)
    if max(late) > LATE_MS_MAX:
        faults.append(f"answers took {max(late):.0f} ms while the disk synced slowly")
    note = f"{refused} refused; p99 {max(late):.0f} ms while each sync took {SYNC_S:.0f} s"
    return Outcome(times=times, findings=findings, faults=faults, note=note)


def failing_disk_awaited(lab: Lab, folder: Path) -> Outcome:
    """Do the same while `ack` is `fsync`: no answer comes before the disk kept the message."""
    times, findings, faults, refused = _failing_disk(
        lab, folder, {"ack": "fsync"}, _early_while_slow
    )
    return Outcome(times=times, findings=findings, faults=faults, note=f"{refused} refused")


def _failing_disk(
    lab: Lab,
    folder: Path,
    settings: dict[str, str],
    while_slow: Callable[[Log, Shim], list[str]],
) -> tuple[int, Findings, list[str], int]:
    """Let a disk fail in every way; give times, findings, faults and refused requests."""
    shim = Shim(folder / "shim", spool=folder / "data" / "spool")
    times: int = lab.times(3, 1)
    faults: list[str] = []
    house = House(folder, settings=settings, variables=shim.variables)
    try:
        engine, tags = house.starts_engine(), Tags(house, 2, preload=shim.library)
        house.waits_ready(house.port, engine)
        sender = Sender(house, targets=tags.ports, rate=500)
        with sender.sending() as log:
            for _ in range(times):
                for what, orders in REFUSED.items():
                    faults += _refused_while(house, log, shim, what, orders)
                faults += while_slow(log, shim)
        return times, finished(house, tags, engine, log), faults, log.statuses[503]
    finally:
        house.close()


REFUSED = {
    "writes failed": Orders(write_errno=errno.EIO),
    "writes stopped short": Orders(write_bytes_max=100),
    "syncs failed": Orders(sync_errno=errno.EIO),
}


def _refused_while(house: House, log: Log, shim: Shim, what: str, orders: Orders) -> list[str]:
    """Nothing may be acknowledged while the disk keeps nothing, and all again afterwards."""
    time.sleep(0.5)
    shim.orders(orders)
    time.sleep(0.5)
    before = len(log.acknowledged)
    time.sleep(1.5)
    acknowledged = len(log.acknowledged) - before
    shim.orders(Orders())
    house.waits_acknowledged(log.acknowledged, 100, s=RESUMED_S_MAX)
    return [f"{acknowledged} acknowledged while {what}"] if acknowledged else []


def _late_while_slow(log: Log, shim: Shim) -> float:
    time.sleep(2)  # what was refused before is sent again
    shim.orders(Orders(sync_ms=int(SYNC_S * 1000)))
    begin = time.monotonic()
    time.sleep(2.5 * SYNC_S)
    shim.orders(Orders())
    time.sleep(1)  # until those are answered who still wait
    return log.quantile(0.99, since=begin)


def _early_while_slow(log: Log, shim: Shim) -> list[str]:
    """No answer may come before its sync ended, and answers must come all the same."""
    shim.orders(Orders(sync_ms=int(SYNC_S * 1000)))
    begin = time.monotonic() + 0.5  # a sync that was under way is quick
    time.sleep(3 * SYNC_S)
    median = log.quantile(0.5, since=begin)
    shim.orders(Orders())
    if median == 0:
        return ["nobody was answered while the disk synced slowly"]
    return [] if median > SYNC_S * 500 else [f"answers came after {median:.0f} ms of a sync"]
