"""How long does re-deciding take? Ten million visitors for one partner, by classes of consent.

Fills the table of consents of a new embedded database with ten million visitors who gave thousands
of different signals, the strings of the test vectors among them, and one in ten a second answer.
Times reading everybody once at the start, taking in what ten thousand visitors answer after it, as
each tick does, and what each partner costs then.
Run: `uv run python loadtests/THIS [VISITORS]`; `--row` writes its row into README.md.
"""

import gzip
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from pyroaring import BitMap
from readme_row import write_row

from matching.consent.decide import (
    Decision,
    PartnerConsent,
    Signals,
    Use,
    decide,
    encode_signals,
)
from matching.consent.vendor_list import read_vendor_list
from matching.consent_store import (
    ConsentClasses,
    ConsentColumns,
    ConsentStore,
    allowed_visitors,
)
from matching.ids import VISITOR_FIRST
from service.engine.clickhouse import ClickHouse
from service.engine.migrate import migrate

VISITORS: Final = next((int(each) for each in sys.argv[1:] if each.isdigit()), 10_000_000)
SECONDS_MAX: Final = 2.0
CASES: Final = Path(__file__).parents[1] / "tests" / "cases" / "consent"
LISTS: Final = {42: read_vendor_list((CASES / "vendor_list_42.json").read_bytes())}
NOW_MS: Final = 1_795_348_800_000
STRINGS: Final = 3_000
AGAIN: Final = 20
NEW_ANSWERS: Final = 10_000
TICKS: Final = range(2, 5)
ANSWERS: Final = ("store", "audiences", "sync", "personalise")
T = TypeVar("T")
FILL: Final = """
insert into consents
select 1 as chunk, toUInt32(number) as row,
  fromUnixTimestamp64Milli({now_ms:Int64} - toInt64(number % 2000000000)) as received_at,
  toUInt32({first:UInt32} + number % {visitors:UInt32}) as visitor,
  {signals:Array(String)}[1 + cityHash64(number) % {size:UInt32}] as signals,
  'shop' as site
from numbers({from:UInt64}, {count:UInt64})
settings max_insert_threads = 1, max_partitions_per_insert_block = 100
"""


def signals() -> list[str]:
    """Give what visitors said: strings of the framework, sections, choices of a banner, GPC."""
    tcf, gpp = (
        [
            line.split(" ")[0]
            for line in gzip.decompress((CASES / name).read_bytes()).decode().splitlines()
        ]
        for name in ("tcf_vectors.txt.gz", "gpp_vectors.txt.gz")
    )
    found = [Signals(tcf=text, gdpr=True) for text in tcf[:STRINGS]]
    found += [Signals(gpp=text, gpp_sid=(7,)) for text in gpp[: STRINGS // 6]]
    for mask in range(16):
        explicit = {key: bool(mask >> bit & 1) for bit, key in enumerate(ANSWERS)}
        found += [Signals(explicit=explicit), Signals(explicit=explicit, gpc=True)]
    return [encode_signals(each) for each in found]


def fill(client: Any) -> None:
    """Store ten million visitors' answers, and a second one of every tenth."""
    said = signals()
    # Why in pieces: a partition is a month, and one insert must stay small.
    total, piece = VISITORS + VISITORS // 10, min(1_000_000, VISITORS // 10)
    for start in range(0, total, piece):
        client.command(
            FILL,
            parameters={
                "now_ms": NOW_MS,
                "first": VISITOR_FIRST,
                "visitors": VISITORS,
                "signals": said,
                # Why fewer: who answers again meets the question of a few recent weeks.
                "size": len(said) if start < VISITORS else AGAIN,
                "from": start,
                "count": min(piece, total - start),
            },
        )


def decides(given: Signals, use: Use, partner: PartnerConsent | None, _: str) -> Decision:
    """Decide as the engine does for a site that denies the silent."""
    return decide(
        given,
        use,
        default="deny",
        partner=partner,
        vendor_lists=LISTS,
        as_of_ms=NOW_MS,
    )


def answer_again(store: ConsentStore, chunk: int) -> None:
    """Store one answer each of visitors from everywhere, as a tick that loads them does."""
    said, size = signals(), NEW_ANSWERS
    places = np.random.default_rng(chunk).choice(VISITORS, size, replace=False)
    store.insert(
        ConsentColumns(
            chunk=[chunk] * size,
            row=range(size),
            received_at_ms=[NOW_MS + chunk] * size,
            visitor=(places + VISITOR_FIRST).tolist(),
            signals=[said[at % len(said)] for at in range(size)],
            site=["shop"] * size,
        )
    )


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Do something and give the CPU seconds that it took."""
    before = time.process_time()
    return work(), time.process_time() - before


def decided(classes: ConsentClasses) -> tuple[list[float], list[int]]:
    """Decide for partners of the list; give CPU seconds and how many visitors each may have."""
    everyone = BitMap(range(VISITOR_FIRST, VISITOR_FIRST + VISITORS))
    took, kept = [], []
    for number in (1, 5, 12, 55, 233):
        ask = partial(
            allowed_visitors,
            classes,
            PartnerConsent(gvl_id=number),
            Use.EXPORT,
            decides,
            visitors=everyone,
            default_site="shop",
        )
        allowed, seconds = timed(ask)
        took.append(seconds)
        kept.append(len(allowed))
    return took, kept


def rss_mib() -> float:
    """Give how much memory this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    """Fill, read everybody, read a tick's changes, decide for several partners, print."""
    with tempfile.TemporaryDirectory() as folder:
        clickhouse = ClickHouse(Path(folder))
        migrate(clickhouse.client())
        fill(clickhouse.client())
        store = ConsentStore(clickhouse.client())
        held_mib = rss_mib()
        classes, read_s = timed(store.classes)
        held_mib = rss_mib() - held_mib
        changes = []
        for chunk in TICKS:
            answer_again(store, chunk)
            classes, seconds = timed(store.classes)
            changes.append(seconds)
        changed_s = statistics.median(changes)
        took, kept = decided(classes)
        clickhouse.close()
    median = statistics.median(took)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figure = (
        f"{VISITORS:,} visitors in {len(classes):,} classes: {median:.2f} CPU s a partner (first "
        f"{took[0]:.2f}, {statistics.median(kept):,.0f} allowed), {changed_s:.2f} CPU s to take in "
        f"{NEW_ANSWERS:,} new answers; reading everybody at the start {read_s:.1f} CPU s, "
        f"{held_mib:,.0f} MiB more afterwards, RSS at most {peak:,.0f} MiB"
    )
    print(figure)
    if "--row" in sys.argv:
        write_row(__file__, figure)
    if max(took) > SECONDS_MAX:
        raise SystemExit(f"the bar is missed: {SECONDS_MAX} s a partner")


if __name__ == "__main__":
    main()
