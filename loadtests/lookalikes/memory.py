"""Watches how much memory this process takes while something runs."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PAUSE_S: Final = 0.005
MIB: Final = 1 << 20


class Peak:
    """The most memory that was taken beyond what was taken at the start, in MiB."""

    def __init__(self) -> None:
        self.before = resident()
        self.most = self.before

    @property
    def beyond(self) -> float:
        """Give the difference."""
        return (self.most - self.before) / MIB


@contextmanager
def watched() -> Iterator[Peak]:
    """Look at the memory every few milliseconds."""
    peak, done = Peak(), threading.Event()

    def look() -> None:
        while not done.wait(PAUSE_S):
            peak.most = max(peak.most, resident())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()
        peak.most = max(peak.most, resident())


def resident() -> int:
    """Give the bytes that this process has in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
