"""What appending to the spool has cost a tag process so far, told by the process itself.

Comes in: the file that `serve_timing_append.py` writes. Goes out: a value, and shares of a load.
"""

from pathlib import Path
from typing import Final

import msgspec

TOLD_WITHIN_S: Final = 0.5


class AppendTimes(msgspec.Struct, frozen=True, kw_only=True):
    """CPU nanoseconds, counted since the process began."""

    calls: int
    append_ns: int
    """In `Spool.append`, less what the clock counts of itself."""
    sync_ns: int
    """In the thread that brings the bytes to the disk."""
    clock_ns: int
    """What the clock at `Spool.append` costs altogether; nobody pays it elsewhere."""

    def share(self, before: "AppendTimes", cpu_ns: float) -> float:
        """Tell the share of appending and syncing in the CPU time spent since `before`."""
        spent = self.append_ns - before.append_ns + self.sync_ns - before.sync_ns
        if self.calls == before.calls:
            raise SystemExit("nothing went through Spool.append: what appending costs is unknown")
        return spent / (cpu_ns - (self.clock_ns - before.clock_ns))


def read_append_times(path: Path) -> AppendTimes:
    """Read what was told last."""
    return msgspec.json.decode(path.read_bytes(), type=AppendTimes)
