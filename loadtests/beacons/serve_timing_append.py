"""The command line of the service, with a clock at `Spool.append`: what keeping costs.

Takes the same arguments as `jumelle`; the file named by APPEND_TIMES is told, a few times a
second, the CPU time of all appends (less the clock's own), of the syncing thread, and of the clock.
"""

import json
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from beacons.append_times import AppendTimes
from service.cli import main
from service.tag.spool import Spool

TELL_EVERY_S: Final = 0.1
LOOKS: Final = 20_000
append: Final = Spool.append
clock: Final = time.thread_time_ns


class Counted:
    """What was counted so far."""

    calls = 0
    inside_ns = 0


def append_timed(spool: Spool, records: Sequence[bytes]) -> Any:
    """Stand in for `Spool.append`."""
    begin = clock()
    try:
        return append(spool, records)
    finally:
        Counted.inside_ns += clock() - begin
        Counted.calls += 1


def tell(path: Path) -> None:
    """Write what was counted, for ever."""
    between_ns, both_ns = _price_of_the_clock()
    while True:
        calls = Counted.calls
        told = AppendTimes(
            calls=calls,
            append_ns=Counted.inside_ns - calls * between_ns,
            sync_ns=_sync_ns(),
            clock_ns=calls * both_ns,
        )
        draft = path.with_suffix(".new")
        draft.write_text(json.dumps({name: getattr(told, name) for name in told.__struct_fields__}))
        draft.replace(path)
        time.sleep(TELL_EVERY_S)


def _price_of_the_clock() -> tuple[int, int]:
    """Give what two looks count of themselves, and what they cost altogether."""
    between: list[int] = []
    begin = clock()
    for _ in range(LOOKS):
        first = clock()
        between.append(clock() - first)
    return sorted(between)[LOOKS // 2], (clock() - begin) // LOOKS


def _sync_ns() -> int:
    for thread in threading.enumerate():
        if thread.name == "chunk-closer":
            path = Path(f"/proc/self/task/{thread.native_id}/schedstat")
            return int(path.read_text().split()[0])
    return 0


if __name__ == "__main__":
    Spool.append = append_timed  # type: ignore[method-assign, assignment]
    told_to = Path(os.environ["APPEND_TIMES"])
    threading.Thread(target=tell, args=(told_to,), daemon=True).start()
    main()
