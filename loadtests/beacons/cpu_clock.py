"""How much CPU time a process and all its children have used, in nanoseconds.

The scheduler counts it for each thread; threads and children must not end while they are measured.
"""

from collections.abc import Iterator
from pathlib import Path


def cpu_ns(pid: int) -> int:
    """Tell the CPU time of a whole process tree."""
    return sum(
        int((task / "schedstat").read_text().split()[0])
        for process in _tree(pid)
        for task in Path(f"/proc/{process}/task").iterdir()
    )


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _tree(int(child))
