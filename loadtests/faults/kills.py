"""Processes that die while they work: the tag's, the engine, all at once, and politely."""

import time
from pathlib import Path
from random import Random

from faults.house import Child, House, Violation, free_port, kill
from faults.sender import Sender
from faults.tags import Tags, finished, opened
from faults.verdict import Lab, Outcome

RATE = 1000.0
TAGS = 3
LOADING_S_MAX = 0.5
"""An engine is killed within so much of the moment at which it begins to load."""
END_S_MAX = 10.0
SENT_ON_S = 0.3
REFUSED = "ConnectionRefusedError"


def tag_killed(lab: Lab, folder: Path) -> Outcome:
    """Kill a tag process under load, again and again, while an engine runs."""
    times, random = lab.times(200, 4), Random(1)
    with opened(folder) as house:
        engine = house.starts_engine()
        tags = Tags(house, TAGS)
        house.waits_ready(house.port, engine)
        sender = Sender(house, targets=tags.ports, rate=RATE)
        with sender.sending() as log:
            for _ in range(times):
                port = next(iter(tags.children))
                tags.waits(port)
                time.sleep(0.05 + random.random() * 0.25)
                tags.killed(port)
                tags.starts()
            tags.waits_all()
        broken = sum(log.broken.values())
        findings = finished(house, tags, engine, log)
    return Outcome(times=times, findings=findings, note=f"{broken} requests cut off")


def engine_killed(lab: Lab, folder: Path) -> Outcome:
    """Kill the engine while it loads chunks, again and again, while tags take records."""
    times, loading, random = lab.times(100, 3), 0, Random(2)
    with opened(folder) as house:
        tags = Tags(house, 2)
        sender = Sender(house, targets=tags.ports, rate=RATE)
        with sender.sending() as log:
            for _ in range(times):
                engine = house.starts_engine()
                house.waits(lambda: bool(claimed(house)), "first claimed chunk", engine)
                time.sleep(random.random() * LOADING_S_MAX)
                loading += bool(claimed(house))
                kill(engine)
        findings = finished(house, tags, house.starts_engine(), log)
    faults = [] if loading > times / 4 else [f"only {loading} kills met a chunk being loaded"]
    note = f"{loading} kills met a chunk being loaded"
    return Outcome(times=times, findings=findings, faults=faults, note=note)


def claimed(house: House) -> list[Path]:
    """List the chunks that an engine has claimed and not let go."""
    return list(house.spool.glob("claimed/*"))


def all_killed(lab: Lab, folder: Path) -> Outcome:
    """Kill the engine and every tag process in the same moment, and start all of them again."""
    times, random = lab.times(30, 1), Random(3)
    with opened(folder) as house:
        engine, tags = house.starts_engine(), Tags(house, 2)
        sender = Sender(house, targets=tags.ports, rate=RATE)
        with sender.sending() as log:
            for _ in range(times):
                house.waits(lambda: bool(claimed(house)), "first claimed chunk", engine)
                time.sleep(random.random() * LOADING_S_MAX)
                kill(engine, *tags.children.values())
                tags.ports.clear()
                tags.children.clear()
                engine = house.starts_engine()
                tags.starts()
                tags.starts()
                tags.waits_all()
        findings = finished(house, tags, engine, log)
    return Outcome(times=times, findings=findings)


def stopped_politely(lab: Lab, folder: Path) -> Outcome:
    """Send SIGTERM under load: every request is answered, and the process is gone within 10 s."""
    times, slowest, faults = lab.times(10, 2), 0.0, []
    with opened(folder) as house:
        engine, tags = house.starts_engine(), Tags(house, 1)
        sender = Sender(house, targets=tags.ports, rate=RATE, at_once=32)
        with sender.sending() as log:
            for _ in range(times):
                time.sleep(0.5)
                (port,) = tags.ports
                tags.starts()
                other = next(each for each in tags.children if each != port)
                tags.waits(other)
                child = tags.children.pop(port)
                # Why still a target: requests must be under way, and come, while it ends.
                child.terminate()
                time.sleep(SENT_ON_S)
                tags.ports.remove(port)
                slowest = max(slowest, SENT_ON_S + _ended_within(child))
        # Why not refused connections: nothing was sent on them, so nothing is in doubt.
        cut = {why: count for why, count in log.broken.items() if why != REFUSED}
        if cut:
            faults.append(f"requests without an answer: {cut}")
        if slowest > END_S_MAX:
            faults.append(f"a tag process took {slowest:.1f} s to end")
        findings = finished(house, tags, engine, log)
    note = f"ended within {slowest:.1f} s"
    return Outcome(times=times, findings=findings, faults=faults, note=note)


def _ended_within(child: Child) -> float:
    begin = time.monotonic()
    if child.wait(3 * END_S_MAX):
        raise Violation(f"a process ended with {child.returncode} after SIGTERM")
    return time.monotonic() - begin


def shared_by_two(lab: Lab, folder: Path) -> Outcome:
    """Start a second engine on one data directory; it goes, until the first one is killed."""
    times = lab.times(5, 1)
    faults = []
    with opened(folder) as house:
        engine, tags = house.starts_engine(), Tags(house, 2)
        house.waits_ready(house.port, engine)
        sender = Sender(house, targets=tags.ports, rate=RATE / 4)
        with sender.sending() as log:
            for _ in range(times):
                faults += _second_engine(house, engine.pid)
                kill(engine)
                engine = house.starts_engine()
                house.waits_ready(house.port, engine)
        folders = {path.name for path in house.spool.glob("w*")}
        if len(folders) < len(tags.children):
            faults.append(f"tag processes share a folder of the spool: {sorted(folders)}")
        findings = finished(house, tags, engine, log)
    return Outcome(times=times, findings=findings, faults=faults)


def _second_engine(house: House, owner: int) -> list[str]:
    port, house.port = house.port, free_port()
    second = house.starts_engine(role="all")
    house.port = port
    if second.wait(60) != 1:
        return [f"a second engine ended with {second.returncode}, not 1"]
    told = f"is in use by process {owner}" in house.log("all")
    return [] if told else ["a second engine did not say who has the data"]
