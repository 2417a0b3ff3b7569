"""How long do people take: deciding, keeping up to date and asking who is whose? Printed.

Fills a new embedded database with a crowd (people/crowd.py) for each size in turn, decides all of
it, brings it up to date after more came or went, and asks what previews ask. CPU time, medians; the
reference is ordering the log by `np.lexsort`. In the end the links must be those of a store that
read everything. Run: `uv run python loadtests/THIS [VISITORS ...]`; `--row` writes README's row.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from people.crowd import Crowd, fill
from people.news import as_others, as_usual
from pyroaring import BitMap
from readme_row import write_row

from matching.bitmaps import bitmap_of
from matching.ids import VISITOR_FIRST
from matching.linking.links import Links
from matching.people import Identity, People
from matching.people_store import PeopleStore
from service.engine.clickhouse import ClickHouse
from service.engine.migrate import migrate

SIZES: Final = [int(each) for each in sys.argv[1:] if each.isdigit()] or [1_000_000, 10_000_000]
TIMES: Final = 5
PARTNERS: Final = 12
DAYS: Final = (30, 180)
FULL_PER_LEXSORT_MAX: Final = 1.5
MAP_PER_OR_MAX: Final = 4.0
EXPANSION_MS_MAX: Final = 25.0
REACH_MS_MAX: Final = 1.0

Figures = dict[str, float]


def main() -> None:
    """Measure each size in a process of its own, and tell the growth from the first to the last."""
    if "--one" in sys.argv:
        print(json.dumps(measure(SIZES[0])))
        return
    found = [_in_own_process(size) for size in SIZES]
    first, last = found[0], found[-1]
    print(f"{'CPU ms':58}" + "".join(f"{size:>14,}" for size in SIZES) + "   growth")
    for name, value in last.items():
        cells = "".join(f"{each[name]:>14,.2f}" for each in found)
        print(f"{name:58}{cells}   {value / max(first[name], 1e-9):6.1f}x")
    figure = _figure(SIZES[-1], last)
    print(figure)
    if "--row" in sys.argv:
        write_row(__file__, figure)
    missed = _missed(SIZES[-1], last)
    if missed:
        raise SystemExit(f"the bar is missed: {', '.join(missed)}")


def measure(visitors: int) -> Figures:
    """Fill, decide, renew, ask."""
    crowd = Crowd(visitors=visitors)
    with tempfile.TemporaryDirectory() as folder:
        clickhouse = ClickHouse(Path(folder))
        client = clickhouse.client()
        migrate(client)
        fill(client, crowd)
        client.command("system stop merges identifications")
        store = PeopleStore(client)
        figures = _lexsort(store) | _full(store, crowd)
        figures |= _renewals(store, crowd)
        client.command("system start merges identifications")  # an erasure rewrites parts
        figures |= _removals(store, crowd)
        figures |= _asked(store.people(Identity.LAST_AUTHENTICATED), crowd)
        figures["RSS at most, MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        _must_equal_everything(store, PeopleStore(clickhouse.client()), crowd)
        clickhouse.close()
    return figures


def _lexsort(store: PeopleStore) -> Figures:
    """Order the log as it comes, by visitor and time: the reference."""
    blocks = [(block.place, block.at_ms) for block in store.log.everything()]
    place, at_ms = (np.concatenate(column) for column in zip(*blocks, strict=True))
    return {"np.lexsort of the log": _median_ms(lambda _: np.lexsort((at_ms, place)), 1)}


def _full(store: PeopleStore, crowd: Crowd) -> Figures:
    def read(_: int) -> None:
        for _block in store.log.everything():
            pass

    def decide(_: int) -> None:
        store.read_again_whole()
        store.refresh(visitors=crowd.visitors)

    reading = _median_ms(read, 2)
    both = _median_ms(decide, 2)
    return {
        "reading the log": reading,
        "reading it and deciding everybody": both,
        "deciding everybody": both - reading,
        "state, bytes a visitor": store.state_bytes / crowd.visitors,
    }


def _renewals(store: PeopleStore, crowd: Crowd) -> Figures:
    seed = iter(range(1, 1_000))
    figures: Figures = {}
    for count in (10_000, 20):
        for name, make in (("", as_usual), (" all of somebody else", as_others)):
            took, again = [], []
            for _ in range(3):
                store.insert(make(crowd, count, next(seed)))
                took.append(_cpu_ms(lambda: store.refresh(visitors=crowd.visitors)))
                all_again = store.last_renewal.everything
                again.append(crowd.visitors if all_again else store.last_renewal.read_again)
            figures[f"{count:,} new identifications{name}"] = statistics.median(took)
            figures[f"   of the {count:,}{name} read again"] = statistics.median(again)
    return figures


def _removals(store: PeopleStore, crowd: Crowd) -> Figures:
    deleting, renewing = [], []
    for number in range(2):
        customer = crowd.crowded + 17 + number
        visitors = store.people(Identity.LAST_AUTHENTICATED).visitors_of(BitMap([customer]))
        deleting.append(
            _cpu_ms(lambda: store.erase(customers=[customer], visitors=list(visitors)))  # noqa: B023
        )
        renewing.append(_cpu_ms(lambda: store.refresh(visitors=crowd.visitors)))
    return {
        "erasing a customer's observations": statistics.median(deleting),
        "renewing after it": statistics.median(renewing),
    }


def _asked(people: People, crowd: Crowd) -> Figures:
    chance = np.random.default_rng(1)
    days = [_some(chance, crowd.visitors, 80) for _ in range(max(DAYS))]
    figures: Figures = {}
    for count in DAYS:
        union = BitMap.union(*days[:count])
        ored = _median_ms(lambda _: BitMap.union(*days[:count]), TIMES)  # noqa: B023
        mapped = _median_ms(lambda _: people.persons_of_visitors(union), TIMES)  # noqa: B023
        figures[f"OR of {count} days"] = ored
        figures[f"persons of their {len(union) / crowd.visitors:.0%} of visitors"] = mapped
        figures[f"   against the OR of {count} days, times"] = mapped / ored
    everybody = people.base(
        customers=BitMap(range(1, crowd.customers + 1)),
        visitors=BitMap(range(VISITOR_FIRST, VISITOR_FIRST + crowd.visitors)),
    )
    persons = bitmap_of(chance.permutation(np.array(everybody))[: crowd.customers])
    figures["visitors of a tenth as many persons"] = _median_ms(
        lambda _: people.visitors_of(persons), TIMES
    )
    partners = [
        people.persons_of_visitors(_some(chance, crowd.visitors, 2)) for _ in range(PARTNERS)
    ]
    figures[f"reach of {PARTNERS} partners in persons"] = _median_ms(
        lambda _: [persons.intersection_cardinality(each) for each in partners], TIMES
    )
    visitors = chance.integers(0, crowd.visitors, 1_000_000).astype(np.uint32) + np.uint32(
        VISITOR_FIRST
    )
    customers = np.where(chance.random(1_000_000) < 0.1, 5, 0).astype(np.uint32)
    figures["folding 1,000,000 rows"] = _median_ms(
        lambda _: people.fold(visitors, customers), TIMES
    )
    return figures


def _some(chance: np.random.Generator, visitors: int, of: int) -> BitMap:
    """Draw one in `of` visitors."""
    found = chance.integers(0, visitors, visitors // of).astype(np.uint32)
    return bitmap_of(found + np.uint32(VISITOR_FIRST))


def _must_equal_everything(store: PeopleStore, fresh: PeopleStore, crowd: Crowd) -> None:
    fresh.refresh(visitors=crowd.visitors)
    for name in Links.__struct_fields__:
        assert np.array_equal(getattr(store.links, name), getattr(fresh.links, name)), name


def _cpu_ms(do: Callable[[], object]) -> float:
    began = time.process_time()
    do()
    return (time.process_time() - began) * 1000


def _median_ms(do: Callable[[int], object], times: int) -> float:
    return statistics.median(_cpu_ms(lambda: do(number)) for number in range(times))  # noqa: B023


def _in_own_process(visitors: int) -> Figures:
    command = [sys.executable, __file__, str(visitors), "--one"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _figure(visitors: int, found: Figures) -> str:
    lexsort = found["np.lexsort of the log"]
    both, news = found["reading it and deciding everybody"], found["10,000 new identifications"]
    return (
        f"{visitors:,} visitors, {Crowd(visitors=visitors).rows:,} identifications: reading and "
        f"deciding all {both / 1000:.1f} CPU s, {both / lexsort:.2f} of ordering them by "
        f"np.lexsort; 10,000 new {news:,.0f} CPU ms, 20 new "
        f"{found['20 new identifications']:.0f}, after an erasure "
        f"{found['renewing after it']:.0f}; persons of 180 days' visitors "
        f"{found['   against the OR of 180 days, times']:.1f} x the OR of the days, visitors of "
        f"persons {found['visitors of a tenth as many persons']:.0f} ms, reach of 12 partners "
        f"{found['reach of 12 partners in persons']:.2f} ms; {found['state, bytes a visitor']:.0f} "
        f"bytes a visitor, RSS at most {found['RSS at most, MiB']:,.0f} MiB"
    )


def _missed(visitors: int, found: Figures) -> list[str]:
    bars: dict[str, tuple[float, float]] = {
        "deciding against lexsort": (
            found["deciding everybody"] / found["np.lexsort of the log"],
            FULL_PER_LEXSORT_MAX,
        ),
        **{
            f"map of {count} days": (
                found[f"   against the OR of {count} days, times"],
                MAP_PER_OR_MAX,
            )
            for count in DAYS
        },
    }
    if visitors <= 10_000_000:
        bars["expansion"] = (found["visitors of a tenth as many persons"], EXPANSION_MS_MAX)
        bars["reach"] = (found["reach of 12 partners in persons"], REACH_MS_MAX)
    return [f"{name} {value:.2f} > {bar}" for name, (value, bar) in bars.items() if value > bar]


if __name__ == "__main__":
    main()
