"""What the tag needs stops for a while: the engine, the database, the clock."""

import signal
import time
from pathlib import Path

from faults.database import Proxy, database_server
from faults.house import Child, House
from faults.sender import Sender
from faults.shim import Orders, Shim
from faults.tags import Tags, finished, opened
from faults.verdict import Lab, Outcome

RATE = 500.0
LATE_TIMES_MAX = 3.0
LATE_MS_MAX = 50.0
DRAINED_TIMES_MAX = 3.0


def engine_stopped(lab: Lab, folder: Path) -> Outcome:
    """Stop the engine's process for a while: the tag's answers come as quickly as before."""
    stopped_s = lab.outage_s
    with opened(folder) as house:
        engine, tags = house.starts_engine(), Tags(house, 1)
        house.waits_ready(house.port, engine)
        sender = Sender(house, targets=tags.ports, rate=RATE)
        with sender.sending() as log:
            time.sleep(1)  # connections are opened
            begin = time.monotonic()
            time.sleep(min(stopped_s, 20))
            stop = time.monotonic()
            engine.send_signal(signal.SIGSTOP)
            time.sleep(stopped_s)
            go_on = time.monotonic()
            waiting = len(house.waiting())
            engine.send_signal(signal.SIGCONT)
            drained_s = house.waits(lambda: len(house.waiting()) < 3, "loading again", s=300)
        findings = finished(house, tags, engine, log)
    times = [(begin, stop), (stop, go_on), (go_on, float("inf"))]
    p99s = [log.quantile(0.99, since=since, until=until) for since, until in times]
    p50s = [log.quantile(0.50, since=since, until=until) for since, until in times]
    faults = []
    if p99s[1] > max(LATE_MS_MAX, LATE_TIMES_MAX * p99s[0]):
        faults.append("the tag's answers came late while the engine stood still")
    if drained_s > DRAINED_TIMES_MAX * stopped_s:
        faults.append(f"the backlog took {drained_s:.0f} s")
    shown = [f"{p50:.1f}/{p99:.1f}" for p50, p99 in zip(p50s, p99s, strict=True)]
    note = (
        f"stopped {stopped_s:.0f} s; p50/p99 in ms before, during, after: {', '.join(shown)}; "
        f"{waiting} chunks drained in {drained_s:.1f} s"
    )
    return Outcome(times=1, findings=findings, faults=faults, note=note)


def database_down(lab: Lab, folder: Path) -> Outcome:
    """Cut the database off in mid-statement, and let it be away for a while."""
    return _database(lab, folder, is_down=True)


def database_slow(lab: Lab, folder: Path) -> Outcome:
    """Let the database answer half a second late, and then not at all for a while."""
    return _database(lab, folder, is_down=False)


def _database(lab: Lab, folder: Path, *, is_down: bool) -> Outcome:
    with database_server(folder / "server") as (url, proxy, server):
        # Why longer chunks: the stand-in needs a quarter of a second for each, however small.
        settings = {"chunk_seconds_max": 2.0}
        house = House(folder, settings=settings, variables={"JUMELLE_CLICKHOUSE_URL": url})
        try:
            engine, tags = house.starts_engine(), Tags(house, 2)
            house.waits_ready(house.port, engine)
            sender = Sender(house, targets=tags.ports, rate=RATE)
            with sender.sending() as log:
                if is_down:
                    _cut_off(house, proxy, lab.times(12, 2))
                    proxy.goes_down()
                    time.sleep(lab.outage_s)
                    waiting = len(house.waiting())
                    proxy.comes_back()
                else:
                    waiting = _slow_then_silent(house, proxy, server, lab.outage_s)
                drained_s = house.waits(lambda: len(house.waiting()) < 4, "loading again", s=600)
            findings = finished(house, tags, engine, log)
        finally:
            house.close()
    faults = []
    if drained_s > DRAINED_TIMES_MAX * lab.outage_s:
        faults.append(f"the backlog took {drained_s:.0f} s, more than three times the outage")
    if log.statuses[503]:
        faults.append(f"the tag refused {log.statuses[503]} times")
    note = f"away {lab.outage_s:.0f} s; {waiting} chunks drained in {drained_s:.1f} s"
    return Outcome(times=1, findings=findings, faults=faults, note=note)


def _cut_off(house: House, proxy: Proxy, times: int) -> None:
    """Cut all connections while a chunk is being inserted, for a moment, again and again."""
    for number in range(times):
        house.waits(lambda: bool(list(house.spool.glob("claimed/*"))), "a chunk being loaded")
        time.sleep(0.03 * (number % 7))
        proxy.goes_down()
        time.sleep(0.7)
        proxy.comes_back()


def _slow_then_silent(house: House, proxy: Proxy, server: Child, outage_s: float) -> int:
    proxy.delay_s = 0.5
    time.sleep(outage_s / 4)
    proxy.delay_s = 0
    server.send_signal(signal.SIGSTOP)
    time.sleep(outage_s)
    waiting = len(house.waiting())
    server.send_signal(signal.SIGCONT)
    return waiting


HOUR_S = 3600
DAY_S = 24 * HOUR_S


def clock_jumped(lab: Lab, folder: Path) -> Outcome:
    """Set the clock of every process back an hour, forward a day, still, and right again."""
    shim = Shim(folder / "shim", spool=folder / "data" / "spool")
    clocks = (
        Orders(clock_ahead_s=-HOUR_S),
        Orders(clock_ahead_s=DAY_S),
        Orders(clock_frozen_s=int(time.time())),
        Orders(),
    )
    times = lab.times(3, 1)
    house = House(folder, variables=shim.variables)
    try:
        engine = house.starts_engine(preload=shim.library)
        tags = Tags(house, 2, preload=shim.library)
        house.waits_ready(house.port, engine)
        sender = Sender(house, targets=tags.ports, rate=RATE)
        with sender.sending() as log:
            for _ in range(times):
                for clock in clocks:
                    time.sleep(1.5)
                    shim.orders(clock)
            time.sleep(1.5)
        findings = finished(house, tags, engine, log)
    finally:
        house.close()
    faults = [f"refused: {dict(log.statuses)}"] if set(log.statuses) - {200, 204} else []
    return Outcome(times=times * len(clocks), findings=findings, faults=faults)
