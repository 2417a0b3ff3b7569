"""What does fsync cost? Answers leave only when the disk has the record.

Two tag processes on one disk, `ack = "write"` and `ack = "fsync"`, loaded in turns; requests a
second, for here a disk waits. Run: `uv run python loadtests/THIS`; needs the package wrk.
"""

import re
import sys
from pathlib import Path
from tempfile import gettempdir
from typing import Final

from beacons.contest import Bar, Entrant, compete, judge
from beacons.lab import lab
from beacons.options import read_options
from beacons.pinned import page
from readme_row import write_row

IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


def main() -> int:
    """Measure, print, judge."""
    options = read_options(__doc__)
    kind = _file_system_of(options.folder or Path(gettempdir()))
    if kind in IN_MEMORY:
        print(
            f"the data directory lies on {kind}, which is no disk; give --folder", file=sys.stderr
        )
        return 2
    with lab(options) as made:
        entrants = []
        for ack in ("write", "fsync"):
            server = made.jumelle(f"ack = {ack}", ack=ack)
            load = page(server.keys, renewed=False)
            entrants.append(Entrant(name=server.name, server=server, load=load))
        found = compete(entrants, options)
    write, fsync = (each.name for each in entrants)
    ratio = found.rate_ratio(fsync, write)
    print(found.table(write))
    code = judge([Bar(text=f"requests a second on {kind}, of write", found=ratio, at_least=0.5)])
    if options.write:
        figure = (
            f"`fsync` answers {ratio:.2f} of the requests a second of `write` "
            f"({found.per_second(fsync):,.0f} against {found.per_second(write):,.0f}, "
            f"{options.connections} connections, {kind})"
        )
        write_row(__file__, figure)
    return code


def _file_system_of(folder: Path) -> str:
    mounts = re.findall(r"^\S+ (\S+) (\S+) ", Path("/proc/mounts").read_text(), re.MULTILINE)
    inside = [(place, kind) for place, kind in mounts if folder.resolve().is_relative_to(place)]
    _, kind = max(inside, key=lambda found: len(found[0]))
    return str(kind)


if __name__ == "__main__":
    raise SystemExit(main())
