"""Do previews starve the loader, or the loader previews? Printed, not asserted.

A loader takes chunk after chunk of a shop's messages into a database that holds some already, first
alone, then while four marketers preview without pause a rule whose behaviour criteria are never
cached. Both share the process and its database, as under `serve`. Wall-clock time counts here.
Run: `uv run python loadtests/THIS [CHUNKS]`; `--row` writes its row into README.md.
"""

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from loading.chunks import Mix, write_chunk
from loading.workshop import Workshop
from pyroaring import BitMap
from readme_row import write_row

from audiences.calendar_days import CalendarDays
from audiences.criteria import Criteria, World
from audiences.preview import Reach, preview
from audiences.rule import decode_rule
from matching.people import Identity, People

CHUNKS: Final = next((int(each) for each in sys.argv[1:] if each.isdigit()), 4)
KNOWN: Final = 1_000_000
MARKETERS: Final = 4
RULE: Final = {
    "type": "all",
    "of": [
        {"type": "did", "event": "Product Viewed", "at_least": 2, "within_days": 30},
        {
            "type": "did",
            "event": "Product Viewed",
            "where": [{"field": "products.category", "op": "is", "value": "cycling"}],
        },
        {"type": "not", "rule": {"type": "did", "event": "Order Completed", "within_days": 90}},
        {"type": "did", "event": "Order Completed", "sum": {"field": "total", "at_most": 500}},
    ],
}


class Marketers:
    """Threads that preview one after the other without pause."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.seconds: list[float] = []
        self._must_stop = threading.Event()
        links = np.zeros(2 * KNOWN, dtype=np.uint32)
        self.world = World(
            people={each: People(identity=each, version=1, customer_of=links) for each in Identity},
            customers=BitMap(),
            visitors=workshop.stores.customers.visitors(),
            excluded=BitMap(),
            audiences={},
            currencies={},
            data_version=1,
        )

    def ask(self) -> float:
        """Preview once with nothing cached, and tell how long it took."""
        began = time.monotonic()
        criteria = Criteria(
            events=self.workshop.stores.asked_events,
            traits=self.workshop.stores.traits,
            days=CalendarDays("UTC"),
            world=self.world,
            synced=lambda _: BitMap(),
            built=lambda _: BitMap(),
        )
        preview(
            decode_rule(RULE),
            Identity.LAST_AUTHENTICATED,
            criteria=criteria,
            reach=lambda *_: Reach(partners={}, seats={}),
            other_audiences={},
            exact=True,
            as_of_ms=time.time_ns() // 1_000_000,
        )
        return time.monotonic() - began

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Preview until the end of the block."""
        threads = [threading.Thread(target=self._work) for _ in range(MARKETERS)]
        for each in threads:
            each.start()
        yield
        self._must_stop.set()
        for each in threads:
            each.join()

    def _work(self) -> None:
        while not self._must_stop.is_set():
            self.seconds.append(self.ask())


def main() -> None:
    """Load alone, preview alone, do both, print."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Workshop(Path(folder) / "box", known=KNOWN, must_merge=True) as workshop,
    ):
        chunks = Path(folder) / "chunks"
        chunks.mkdir()
        mix = Mix(known=KNOWN, received_ms=time.time_ns() // 1_000_000)
        paths = []
        for number in range(1, 2 * CHUNKS + 2):
            write_chunk(chunks, number, mix)
            paths += chunks.glob(f"{number:08d}.*.chunk")
        workshop.load(paths[0])
        alone = [_rate(workshop, path) for path in paths[1 : CHUNKS + 1]]
        marketers = Marketers(workshop)
        calm = statistics.median(marketers.ask() for _ in range(5))
        with marketers.at_work():
            beside = [_rate(workshop, path) for path in paths[CHUNKS + 1 :]]
        figure = (
            f"{statistics.median(beside):,.0f} records a second beside {MARKETERS} marketers who "
            f"preview without pause, {statistics.median(alone):,.0f} alone "
            f"({statistics.median(beside) / statistics.median(alone):.2f}); an uncached preview "
            f"of four criteria takes {statistics.median(marketers.seconds):.2f} s beside the "
            f"loader and the other marketers (p95 {np.percentile(marketers.seconds, 95):.2f}, "
            f"{len(marketers.seconds)} of them), {calm:.2f} s alone"
        )
    print(figure)
    if "--row" in sys.argv:
        write_row(__file__, figure)


def _rate(workshop: Workshop, path: Path) -> float:
    began = time.monotonic()
    records, _ = workshop.load(path)
    return records / (time.monotonic() - began)


if __name__ == "__main__":
    main()
