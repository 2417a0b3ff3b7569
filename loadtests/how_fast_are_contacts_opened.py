"""How fast are contacts opened? Sealed hashes as an export opens them, beside one by one.

300,000 sealed hashes in the order in which the table gives them. In turns: opened in bulk; opened,
written in a partner's form and put in the file's order, as each run of a seat of contacts does; and
opened by one call of the library each (30,000 of them). CPU seconds, medians of the rounds. Run:
`uv run python loadtests/THIS`; `--write` writes its row into README.md.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Final

import pyarrow as pa
from readme_row import write_row

from matching.contact_hashes import open_sealed
from matching.opening import Opener
from matching.sealing import Sealer
from service.engine.opened_contacts import OpenedContacts

COUNT: Final = 300_000
ONE_BY_ONE: Final = 30_000
ROUNDS: Final = 5
SPACES: Final = ("email_meta", "email_uid2")
TIMES_MIN: Final = 6.0


def main() -> None:
    """Measure in turns, print, and end with 1 when the bar is missed."""
    key = os.urandom(64)
    sealed = sorted(Sealer(key).seal_all([os.urandom(32) for _ in range(COUNT)]))
    ids = pa.array(sealed)
    contacts = OpenedContacts(key)
    single, bulk, whole = [], [], []
    for round_ in range(ROUNDS):
        space = SPACES[round_ % len(SPACES)]
        single.append(us(lambda: [open_sealed(each, key) for each in sealed[:ONE_BY_ONE]], 0.1))
        bulk.append(us(lambda: Opener(key).open_all(sealed), 1.0))
        whole.append(us(lambda at=space: contacts.opened(at, ids), 1.0))  # type: ignore[misc]
    times = statistics.median(one / all_ for one, all_ in zip(single, bulk, strict=True))
    figure = (
        f"{statistics.median(bulk):.2f} CPU us a contact, {times:.1f} x one by one; "
        f"{statistics.median(whole):.2f} us with its form, from column to column"
    )
    print(figure)
    if "--write" in sys.argv:
        write_row(__file__, figure)
    if times < TIMES_MIN:
        raise SystemExit(f"a bar is missed: {TIMES_MIN} x one by one")


def us(work: Callable[[], object], part: float) -> float:
    """Give the CPU microseconds a contact, where `part` of them were opened."""
    begin = time.process_time()
    work()
    return (time.process_time() - begin) / (COUNT * part) * 1e6


if __name__ == "__main__":
    main()
