"""The tag processes of a house, each on a port of its own, and how an experiment ends.

A tag process that is killed is still being sent to until the lab takes its port out of `ports`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.house import Child, House, free_port, kill
from faults.sender import Log
from faults.verdict import Findings, settled

DRAIN_S = 300.0


class Tags:
    """Tag processes; `ports` are those that take records now, and senders follow it."""

    def __init__(self, house: House, count: int, *, preload: Path | None = None) -> None:
        self._house = house
        self._preload = preload
        self.ports: list[int] = []
        self.children: dict[int, Child] = {}
        for _ in range(count):
            self.starts()
        self.waits_all()

    def starts(self) -> None:
        """Start one more."""
        port = free_port()
        self.children[port] = self._house.starts_tag(port, preload=self._preload)

    def waits(self, port: int) -> None:
        """Wait until one takes records."""
        if port not in self.ports:
            self._house.waits_ready(port, self.children[port])
            self.ports.append(port)

    def waits_all(self) -> None:
        """Wait until every one takes records."""
        for port in self.children:
            self.waits(port)

    def killed(self, port: int) -> None:
        """Kill one under the eyes of its senders."""
        kill(self.children.pop(port))
        self.ports.remove(port)

    def ends(self) -> None:
        """Stop all of them politely."""
        self.ports.clear()
        for child in self.children.values():
            self._house.ends(child)
        self.children.clear()


@contextmanager
def opened(folder: Path, **settings: object) -> Iterator[House]:
    """Give a house of which nothing runs on when the block ends."""
    house = House(folder, settings=settings)
    try:
        yield house
    finally:
        house.close()


def finished(house: House, tags: Tags, engine: Child, log: Log, *, off: int = 0) -> Findings:
    """Stop the tags, let the engine load everything, stop it, and judge what is stored."""
    tags.ends()
    ready, _ = house.drains(s=DRAIN_S)
    house.ends(engine)
    return settled(house, log, ready=ready, off=off)
