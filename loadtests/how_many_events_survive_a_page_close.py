"""How many events survive a page close? A thousand pages end at random moments in a real browser.

Chromium closes tabs, leaves pages, crashes them (`Page.crash`) and is killed as a whole (SIGKILL);
answers take 0, 40 or 200 ms. Behind the pages stands the real service. Every event that was queued
at least 50 ms before the end must be in ClickHouse once, by the end of the browser's next visit, or
the exit code is 1; of a browser that is killed as a whole what it had neither sent nor written to
its disk, every few seconds, is gone, so that there only nothing may come twice. Prints the seed, a
line for each kind, and how many messages were sent twice.
Run: `uv run python loadtests/THIS [CLOSES] [--seed N]`; `--row` writes its row into README.md.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from readme_row import write_row

from service.engine.clickhouse import ClickHouse

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from page_closes import (
    OWED_MS,
    Closed,
    Ending,
    Figure,
    close_pages,
    figures,
    kill_browsers,
    make_plans,
)
from real_browser import endpoint
from tag_world import Ports, chromium, open_world, write_partners_certificate

SHARES: Final = {Ending.CLOSED: 0.45, Ending.LEFT: 0.35, Ending.CRASHED: 0.17, Ending.KILLED: 0.03}
AT_ONCE: Final = 4
COUNTS: Final = "select event, count() from events where startsWith(event, 'Close ') group by event"


def main() -> None:
    """Close the pages, and read the closed service's database."""
    asked = arguments()
    counts = {ending: round(asked.closes * share) for ending, share in SHARES.items()}
    print(f"seed {asked.seed}", flush=True)
    folder, ports, began = (
        Path(tempfile.mkdtemp(prefix="jumelle-closes-")),
        Ports(),
        time.monotonic(),
    )
    certificate = folder / "partners.pem"
    write_partners_certificate(certificate)
    (folder / "world").mkdir()
    with open_world(folder / "world", ports, certificate) as world:
        closed = end_pages(folder, ports, certificate, asked.seed, counts)
        world.service.loads()
        sheet = world.service.balance()
    found = figures(closed, stored_in(folder / "world" / "data"))
    for figure in found:
        print(line_of(figure), flush=True)
    doubled = sheet["duplicates"] / sheet["received"]
    print(
        f"{sheet['duplicates']:,} of {sheet['received']:,} records were sent twice ({doubled:.1%})"
    )
    print(f"{time.monotonic() - began:.0f} s")
    if asked.row:
        write_row(__file__, row_of(found, doubled))
    pages = [each for each in found if each.ending is not Ending.KILLED]
    sys.exit(any(each.lost for each in pages) or any(each.doubled for each in found))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("closes", nargs="?", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--row", action="store_true")
    return parser.parse_args()


def end_pages(
    folder: Path, ports: Ports, certificate: Path, seed: int, counts: dict[Ending, int]
) -> list[Closed]:
    """End all pages: most in one browser, a few with a browser of their own that is killed."""
    kills = make_plans(seed, {Ending.KILLED: counts[Ending.KILLED]})
    others = dict(counts)
    del others[Ending.KILLED]
    plans = make_plans(seed + 1, others, first=len(kills))

    async def run() -> list[Closed]:
        closed, killed = await asyncio.gather(
            close_pages(endpoint(folder / "browser"), plans, at_once=AT_ONCE),
            kill_browsers(folder / "killed", ports, certificate, kills),
        )
        return [*closed, *killed]

    with chromium(folder / "browser", ports, certificate):
        return asyncio.run(run())


def stored_in(data: Path) -> dict[str, int]:
    """Count the stored events by name, in the folder that the service has let go."""
    client = ClickHouse(data).client()
    return dict(client.query(COUNTS).result_rows)


def line_of(figure: Figure) -> str:
    """Say what became of one kind."""
    lost = f", lost {', '.join(figure.lost)}" if figure.lost else ""
    doubled = f", stored twice {', '.join(figure.doubled)}" if figure.doubled else ""
    return (
        f"{figure.ending}: {figure.closes:,} closes, {figure.owed - len(figure.lost):,} of"
        f" {figure.owed:,} events queued {OWED_MS} ms before stored{lost}{doubled};"
        f" of the last moments {figure.late_stored:,} of {figure.late:,}"
    )


def row_of(found: list[Figure], doubled: float) -> str:
    """Say what became of all of them."""
    kinds = "; ".join(
        f"{each.ending} {each.closes:,} times: {each.owed - len(each.lost):,} of {each.owed:,}"
        f" (of the last {OWED_MS} ms {each.late_stored:,} of {each.late:,})"
        for each in found
    )
    twice = sum(len(each.doubled) for each in found)
    return (
        f"events stored by the next visit, {kinds}; {twice} stored twice, {doubled:.1%} sent twice"
    )


if __name__ == "__main__":
    main()
