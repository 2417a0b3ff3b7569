"""How fast is the loader, from a closed chunk to committed rows? Beside inserts alone.

Ten million visitors are known, merges are stopped, chunks are what a tag process closes at 64 MiB.
After each chunk its rows are inserted into twin tables with every column ready made: as bytes that
the database only has to take (in the order of receipt), and as columns for the driver. Both and the
loader are measured in CPU seconds of this process, in turns. Then ordinals, deduplication and the
ledger alone. Run: `uv run python loadtests/THIS [--chunks 8] [--known 10000000] [--signals]`.
"""

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from loading.chunks import Mix, write_chunk
from loading.workshop import EVENT_TABLES, Workshop
from readme_row import write_row

from service.engine.chunk_records import records_of
from service.engine.operation_store import LedgerRow

BARS: Final = {"ordinals": 0.3, "deduplication": 0.25, "ledger": 0.05}
"""Microseconds of CPU a record."""
RATIO_BAR: Final = 0.35
PER_SECOND_BAR: Final = 200_000
_MOMENTS: Final = ("received_at", "at")


def main() -> None:
    """Measure and print."""
    options = _options()
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        Workshop(Path(folder) / "box", known=options.known, must_merge=False) as workshop,
    ):
        chunks = Path(folder) / "chunks"
        chunks.mkdir()
        mix = Mix(known=options.known, received_ms=_now_ms(), must_signal=options.signals)
        spent: dict[str, list[float]] = {"loader": [], "bytes ready": [], "columns ready": []}
        for number in range(1, options.chunks + 1):
            write_chunk(chunks, number, mix)
            (path,) = chunks.glob(f"{number:08d}.*.chunk")
            records, seconds = workshop.load(path)
            spent["loader"].append(seconds / records * 1e6)
            spent["bytes ready"].append(_bare(workshop, number, _insert_bytes) / records * 1e6)
            spent["columns ready"].append(_bare(workshop, number, _insert_columns) / records * 1e6)
            line = ", ".join(f"{name} {each[-1]:.2f}" for name, each in spent.items())
            print(f"chunk {number}: {records} records; us a record: {line}", flush=True)
        parts = _parts(workshop, path)
        scan = _scan_us(path)
    figure = _tell({name: statistics.median(each) for name, each in spent.items()}, parts, scan)
    if options.write:
        write_row(__file__, figure)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", type=int, default=8)
    parser.add_argument("--known", type=int, default=10_000_000)
    parser.add_argument("--signals", action="store_true", help="every browser sends its choice")
    parser.add_argument("--folder", default=None, help="where the database lies; any disk")
    parser.add_argument("--write", action="store_true", help="write the row into README.md")
    return parser.parse_args()


def _bare(workshop: Workshop, chunk: int, insert: Callable[[Workshop, str, int], float]) -> float:
    """Insert a loaded chunk's rows once more, into the twins, and give the CPU seconds."""
    return sum(insert(workshop, table, chunk) for table in EVENT_TABLES)


def _insert_bytes(workshop: Workshop, table: str, chunk: int) -> float:
    names = workshop.columns_of(table)
    block = workshop.client.raw_query(_all_of(table, names), {"chunk": chunk}, fmt="Native")
    begin = time.process_time()
    workshop.client.raw_insert(f"{table}_twin", names, block, fmt="Native")
    return time.process_time() - begin


def _insert_columns(workshop: Workshop, table: str, chunk: int) -> float:
    names = workshop.columns_of(table)
    told = [f"toUnixTimestamp64Milli({name})" if name in _MOMENTS else name for name in names]
    found = workshop.client.query(
        _all_of(table, told), parameters={"chunk": chunk}, column_oriented=True
    ).result_columns
    columns = [list(column) for column in found]
    begin = time.process_time()
    workshop.client.insert(f"{table}_twin", columns, column_names=names, column_oriented=True)
    return time.process_time() - begin


def _all_of(table: str, columns: list[str]) -> str:
    told = ", ".join(f"`{each}`" if "." in each else each for each in columns)
    return f"select {told} from {table} where chunk = {{chunk:UInt64}} order by row"  # noqa: S608


def _parts(workshop: Workshop, chunk: Path) -> dict[str, float]:
    """Measure what is done for every record beside reading and inserting it."""
    records = records_of(chunk.read_bytes())
    stores, count = workshop.stores, len(records)
    seen: Any = workshop.loader._seen  # noqa: SLF001 - the very set that the chunks filled
    random = np.random.default_rng(1)
    spent: dict[str, list[float]] = {name: [] for name in BARS}
    for number in range(7):
        hashes = random.integers(0, 1 << 64, count, dtype=np.uint64)
        hashes[: count // 100] = hashes[-(count // 100) :]
        keys = records.visitor
        for name, work in (
            ("ordinals", lambda keys=keys: stores.customers.visitor_ordinals_of(keys, 0)),
            ("deduplication", lambda hashes=hashes: seen.first_times(hashes)),
            ("ledger", lambda number=number: _put_ledger(workshop, 10_000 + number, count)),
        ):
            begin = time.process_time()
            work()
            spent[name].append((time.process_time() - begin) / count * 1e6)
    return {name: statistics.median(each) for name, each in spent.items()}


def _put_ledger(workshop: Workshop, chunk: int, count: int) -> None:
    row = LedgerRow(stored=count, bad=0, dropped=Counter())
    workshop.stores.operation.put_chunk(chunk, name="none", records=count, row=row)


def _scan_us(chunk: Path) -> float:
    """Measure the machine: how long it takes to skip through the JSON of a body."""
    records = records_of(chunk.read_bytes())
    bodies = [records.record(place).body for place in range(0, len(records), 50)]
    skip, spent = msgspec.json.Decoder(msgspec.Raw).decode, []
    for _ in range(9):
        begin = time.process_time()
        for body in bodies:
            skip(body)
        spent.append((time.process_time() - begin) / len(bodies) * 1e6)
    return min(spent)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _tell(us: dict[str, float], parts: dict[str, float], scan_us: float) -> str:
    """Print every figure beside its bar, and give them in one line."""
    per_second = 1e6 / us["loader"]
    ratios = {name: us[name] / us["loader"] for name in ("bytes ready", "columns ready")}
    print(
        f"\nmedian: {us['loader']:.2f} us, {per_second:,.0f} a core-second (bar {PER_SECOND_BAR:,})"
    )
    for name, ratio in ratios.items():
        print(f"a bare insert with {name}: {us[name]:.2f} us, ratio {ratio:.2f} (bar {RATIO_BAR})")
    for name, each in parts.items():
        print(f"{name}: {each:.3f} us a record (bar {BARS[name]})")
    print(f"this machine skips through the JSON of a body in {scan_us:.2f} us")
    return (
        f"{per_second:,.0f} records a core-second with {us['loader']:.1f} us each; "
        f"{ratios['bytes ready']:.2f} of a bare insert of ready bytes, "
        f"{ratios['columns ready']:.2f} of one of ready columns; "
        + ", ".join(f"{name} {each:.2f} us" for name, each in parts.items())
    )


if __name__ == "__main__":
    main()
