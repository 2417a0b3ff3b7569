"""More of everything than a process can have: connections, descriptors, copies of one batch."""

import asyncio
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from faults.house import House, memory_mib
from faults.messages import name_of
from faults.sender import Answer, Connection, Log, Sender, request_of
from faults.shim import Orders, Shim
from faults.tags import Tags, finished, opened
from faults.verdict import Lab, Outcome, Skipped

CONNECTIONS = 10_000
SPARE_FILES = 500
MEMORY_MIB_MAX = 400.0
FEW_FILES = 64
DAY_S = 24 * 3600


def many_connections(lab: Lab, folder: Path) -> Outcome:
    """Open 10,000 connections that say nothing: others are still answered, in bounded memory."""
    count = lab.times(CONNECTIONS, 1_000)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < count + SPARE_FILES:
        raise Skipped(f"this user may open {most} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with opened(folder) as house:
        engine, tags = house.starts_engine(), Tags(house, 1)
        ((port, child),) = tags.children.items()
        resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (most, most))
        sender = Sender(house, targets=tags.ports, rate=200)
        before = memory_mib(child)
        with sender.sending() as log, connected(port, count) as opened_:
            begin = time.monotonic()
            time.sleep(3)
            memory, late = memory_mib(child), log.quantile(0.99, since=begin)
        findings = finished(house, tags, engine, log)
    faults = [f"requests without an answer: {dict(log.broken)}"] if log.broken else []
    if opened_ < count:
        faults.append(f"only {opened_} of {count} connections could be opened")
    if memory > MEMORY_MIB_MAX:
        faults.append(f"the tag's memory grew to {memory:.0f} MiB")
    note = f"{before:.0f} -> {memory:.0f} MiB; p99 of others {late:.1f} ms"
    return Outcome(times=count, findings=findings, faults=faults, note=note)


@contextmanager
def connected(port: int, count: int) -> Iterator[int]:
    """Hold connections that stop in the middle of a request line; give how many could be opened."""
    held: list[socket.socket] = []
    with suppress(OSError):
        for number in range(count):
            # Why other addresses: one pair of addresses has fewer ports than we need.
            source = (f"127.0.{number // 5000 + 1}.1", 0)
            held.append(socket.create_connection(("127.0.0.1", port), 5, source_address=source))
            if number % 2:
                held[-1].sendall(b"POST /v1/ba")
    try:
        yield len(held)
    finally:
        for each in held:
            each.close()


def few_descriptors(lab: Lab, folder: Path) -> Outcome:
    """Take all of a tag process's 64 descriptors: it refuses, and recovers when they are free."""
    times, seconds, faults = lab.times(3, 1), 0.0, []
    with opened(folder) as house:
        engine, tags = house.starts_engine(), Tags(house, 1)
        ((port, child),) = tags.children.items()
        sender = Sender(house, targets=tags.ports, rate=200, at_once=4)
        with sender.sending() as log:
            for _ in range(times):
                time.sleep(1)
                resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (FEW_FILES, FEW_FILES))
                with connected(port, 3 * FEW_FILES):
                    time.sleep(3)
                seconds = max(seconds, house.waits_acknowledged(log.acknowledged, 50, s=15))
                house.waits_closed(s=15)
        if child.poll() is not None:
            faults.append("the tag process ended")
        findings = finished(house, tags, engine, log)
    note = f"taken again after {seconds:.1f} s; {sum(log.broken.values())} requests cut off"
    return Outcome(times=times, findings=findings, faults=faults, note=note)


def batch_repeated(lab: Lab, folder: Path) -> Outcome:
    """Send each batch five times at once to two processes, and again a day later."""
    shim = Shim(folder / "shim", spool=folder / "data" / "spool")
    times, log = lab.times(60, 10), Log()
    house = House(folder, variables=shim.variables)
    try:
        engine = house.starts_engine(preload=shim.library)
        tags = Tags(house, 2, preload=shim.library)
        house.waits_ready(house.port, engine)
        cookie = house.cookies()[0]
        requests = [
            [name_of(folder.name, 5 * number + each) for each in range(5)]
            for number in range(times)
        ]
        asyncio.run(_send_at_once(requests, tags.ports, log, cookie))
        house.waits(lambda: not house.waiting(), "first load")
        shim.orders(Orders(clock_ahead_s=DAY_S))
        asyncio.run(_send_at_once(requests, tags.ports, log, cookie))
        house.ends(engine)
        engine = house.starts_engine(preload=shim.library)
        asyncio.run(_send_at_once(requests, tags.ports, log, cookie))
        findings = finished(house, tags, engine, log)
    finally:
        house.close()
    faults = [] if log.statuses.keys() <= {200, 204} else [f"answers: {dict(log.statuses)}"]
    return Outcome(times=times * 15, findings=findings, faults=faults)


async def _send_at_once(requests: list[list[str]], ports: list[int], log: Log, cookie: str) -> None:
    connections = [Connection() for _ in range(5)]
    for number, names in enumerate(requests):
        head, body = request_of(names, kind=number % 3, cookie=cookie)
        log.sent.update(names)
        answers: list[Answer] = await asyncio.gather(
            *(
                each.request(ports[place % len(ports)], head, body)
                for place, each in enumerate(connections)
            )
        )
        for answer in answers:
            log.told(names, answer, 0)
    for each in connections:
        each.close()
