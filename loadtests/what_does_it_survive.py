"""What does it survive? Faults are made to the real processes, and every message is accounted for.

Repeat: `uv run python loadtests/what_does_it_survive.py [--short] [--outage SECONDS] [NAME ...]`
with the names of the table's first column; without names all are made. Senders on loopback note
what was acknowledged; afterwards the tables are read: each acknowledged message must be there
exactly once, no other twice, none in part, with an exact balance. Exit code 1 when anything did not
hold. Root makes the full disks (tmpfs), a C compiler the failing ones and the jumping clocks; where
one is missing these rows say `skipped`. An outage lasts 60 seconds unless told otherwise.
"""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

from faults import crowds, damage, disks, kills, outages
from faults.verdict import Experiment, Lab, Row, folder_of, row_of

EXPERIMENTS: Final[dict[str, Experiment]] = {
    "tag killed": kills.tag_killed,
    "engine killed": kills.engine_killed,
    "all killed": kills.all_killed,
    "stopped politely": kills.stopped_politely,
    "shared by two": kills.shared_by_two,
    "cut anywhere": damage.cut_anywhere,
    "bits flipped": damage.bits_flipped,
    "foreign files": damage.foreign_files,
    "earlier version": damage.earlier_version,
    "spool disk at reserve": disks.spool_disk_at_reserve,
    "spool disk full": disks.spool_disk_full,
    "database disk full": disks.database_disk_full,
    "failing disk": disks.failing_disk,
    "failing disk, fsync": disks.failing_disk_awaited,
    "engine stopped": outages.engine_stopped,
    "database down": outages.database_down,
    "database slow": outages.database_slow,
    "clock jumped": outages.clock_jumped,
    "many connections": crowds.many_connections,
    "few descriptors": crowds.few_descriptors,
    "batch repeated": crowds.batch_repeated,
}
COLUMNS: Final = (
    "experiment",
    "times",
    "sent",
    "acknowledged",
    "lost",
    "doubled",
    "partial",
    "seconds",
    "verdict",
)


def main() -> None:
    """Make the experiments that were asked for and print their rows."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no process of ours stays behind
    rows = []
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    folder = Path(tempfile.mkdtemp(prefix="jumelle-faults-"))
    lab = Lab(folder=folder, is_short=asked.short, outage_s=asked.outage)
    for name in asked.names or EXPERIMENTS:
        rows.append(row_of(name, EXPERIMENTS[name], lab))
        print(line_of(rows[-1]), flush=True)
        if not (asked.keep and rows[-1].is_violated):
            shutil.rmtree(folder / folder_of(name), ignore_errors=True)
    violated = [row.experiment for row in rows if row.is_violated]
    print(f"{len(rows)} experiments, {len(violated)} violated {', '.join(violated)}")
    sys.exit(1 if violated else 0)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(EXPERIMENTS))
    parser.add_argument("--short", action="store_true", help="a few of each fault")
    parser.add_argument("--outage", type=float, default=60.0, help="seconds that an outage lasts")
    parser.add_argument("--keep", action="store_true", help="keep the data of what did not hold")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in EXPERIMENTS]
    if unknown:
        parser.error(f"no experiment {unknown[0]!r}; there are {', '.join(EXPERIMENTS)}")
    return asked


def line_of(row: Row) -> str:
    """Give a row as a line of the table."""
    found = row.findings
    verdict = f"{row.verdict} ({row.note})" if row.note else row.verdict
    counts = (row.times, found.sent, found.acknowledged, found.lost, found.doubled, found.partial)
    cells = [row.experiment, *(f"{each:,}" for each in counts), f"{row.seconds:.0f}", verdict]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
