"""How long does the loader keep its speed? Millions of records are loaded while parts are merged.

Every body is different; chunks are written ahead by a process of its own, whose work is not
counted. Every five million records: the speed since the last line, merges included, the memory of
the process and what of it the caches of visitors and messages hold, the parts. At the end every
row is counted and the tables are weighed. The bars: 120,000 records a core-second, memory beside
the caches flat after the first line. Run: `uv run python loadtests/THIS [--records 20000000]`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec
from loading.chunks import Mix
from loading.workshop import EVENT_TABLES, Workshop
from readme_row import write_row

BAR: Final = 120_000
RECORDS_A_CHUNK: Final = 110_000
"""About so many of these records are in a chunk of 64 MiB."""
MERGED_WITHIN_S: Final = 20


def main() -> None:
    """Load, print as it goes, count at the end."""
    options = _options()
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        Workshop(Path(folder) / "box", known=options.known, must_merge=True) as workshop,
    ):
        chunks = Path(folder) / "chunks"
        chunks.mkdir()
        count = -(-options.records // RECORDS_A_CHUNK)
        mix = Mix(
            known=options.known, received_ms=time.time_ns() // 10**6, must_signal=options.signals
        )
        command = [sys.executable, "-m", "loading.chunks", str(chunks), str(count)]
        command.append(msgspec.json.encode(mix).decode())
        writer = subprocess.Popen(command, cwd=Path(__file__).parent)
        try:
            figure = _run(workshop, chunks, count, every=options.every)
        finally:
            writer.terminate()
            writer.wait()
    print(figure)
    if options.write:
        write_row(__file__, figure)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000_000)
    parser.add_argument("--every", type=int, default=5_000_000, help="records between lines")
    parser.add_argument("--known", type=int, default=1_000_000)
    parser.add_argument("--signals", action="store_true", help="every browser sends its choice")
    parser.add_argument("--folder", default=None, help="where the database lies; any disk")
    parser.add_argument("--write", action="store_true", help="write the row into README.md")
    return parser.parse_args()


def _run(workshop: Workshop, chunks: Path, count: int, *, every: int) -> str:
    done, told_at, cpu_at, wall_at = 0, 0, time.process_time(), time.monotonic()
    begin_cpu, waited, memory = cpu_at, 0.0, []
    for number in range(1, count + 1):
        path, pause = _next(chunks, number)
        waited += pause
        done += workshop.load(path)[0]
        path.unlink()
        if done - told_at >= every or number == count:
            cpu, wall = time.process_time(), time.monotonic()
            memory.append(_tell(workshop, done, (done - told_at) / (cpu - cpu_at)))
            busy = wall - wall_at - waited
            print(f"    {(done - told_at) / busy:,.0f} a second, waits for the writer left out")
            told_at, cpu_at, wall_at, waited = done, cpu, wall, 0.0
    per_second = done / (time.process_time() - begin_cpu)
    begin_cpu = time.process_time()
    time.sleep(MERGED_WITHIN_S)
    late = time.process_time() - begin_cpu
    print(f"{MERGED_WITHIN_S} s later merges had cost {late:.1f} CPU seconds more")
    per_event = _weigh(workshop, done)
    return (
        f"{done:,} records: {per_second:,.0f} a core-second with merges (bar {BAR:,}); memory "
        f"beside the caches {memory[0]:,} MiB at the first line, {memory[-1]:,} MiB at the last; "
        f"{per_event}"
    )


def _next(chunks: Path, number: int) -> tuple[Path, float]:
    begin = time.monotonic()
    while not (found := list(chunks.glob(f"{number:08d}.*.chunk"))):
        time.sleep(0.01)
    return found[0], time.monotonic() - begin


def _tell(workshop: Workshop, done: int, per_second: float) -> int:
    """Print a line, and give the memory that is not that of caches which must grow."""
    memory, seen = workshop.memory_mib(), workshop.loader._seen.bytes >> 20  # noqa: SLF001
    caches = workshop.stores.customers._caches.values()  # noqa: SLF001
    ordinals = sum(each._slots.nbytes + each._keys.nbytes for each in caches) >> 20  # noqa: SLF001
    parts = workshop.one(
        "select count() from system.parts where active and table in {t:Array(String)}",
        t=list(EVENT_TABLES),
    )
    print(
        f"{done / 1e6:.1f} M: {per_second:,.0f} a core-second; RSS {memory:,} MiB, of which "
        f"{seen:,} for messages seen and {ordinals:,} for ordinals; {parts} parts",
        flush=True,
    )
    return memory - seen - ordinals


def _weigh(workshop: Workshop, done: int) -> str:
    """Check that every record is there once, and say what one weighs."""
    distinct = workshop.one("select uniqExact(chunk, row) from events")
    hashes = workshop.one("select uniqExact(message_hash) from events")
    rows = workshop.one("select count() from events")
    assert rows == distinct == hashes == done, (rows, distinct, hashes, done)
    sizes = {
        table: workshop.one(
            "select sum(bytes_on_disk) from system.parts where active and table = {t:String}",
            t=table,
        )
        / done
        for table in EVENT_TABLES
    }
    return " and ".join(f"{size:.1f} bytes an event in {name}" for name, size in sizes.items())


if __name__ == "__main__":
    main()
