"""How long does an export take, beside streaming its partner's id column? Printed, not asserted.

Everybody is sent to a Xandr seat, text in gzip, with ledger and manifest; then a hundredth changes.
The reference reads the whole id column and puts it through the same compression into one file: CPU
seconds of both, alternated, each size in a process of its own whose memory is told.
With `--formats` the first size goes to a seat of each format instead, in gzip where the format
leaves that to the file. Run: `uv run python loadtests/THIS [IDS]...`; `--row` writes its row into
README.md.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from pyroaring import BitMap
from readme_row import write_row

import service
from audiences.exports.export_store import ExportStore
from audiences.exports.formats.parts import GZIP
from audiences.exports.report import ExportReport, ExportStatus
from audiences.exports.run import export_seat
from audiences.exports.seat import Seat
from audiences.exports.seat_state import Activation
from audiences.exports.seats import load_seats, read_seats
from audiences.exports.wanted import Who
from matching.ids import VISITOR_FIRST
from matching.partner_ids_store import DAY_MS, CarriedIds, PartnerIdsStore
from matching.people import Identity, People
from service.engine.clickhouse import ClickHouse
from service.engine.migrate import migrate
from service.engine.reach_facts import are_carried_by_few

SIZES: Final = [int(each) for each in sys.argv[1:] if each.isdigit()] or [1_000_000, 10_000_000]
TIMES: Final = 3
LIVES_DAYS: Final = 30
NOW_MS: Final = 1_795_348_800_000
LEVEL: Final = 6
BLOCK_BYTES: Final = 1 << 20
FILL: Final = """
insert into partner_ids
select 1 as chunk, toUInt32(number) as row,
  fromUnixTimestamp64Milli({now_ms:Int64} - toInt64(rand(number) % 1000000000)) as at,
  'xandr' as partner, 'xandr' as id_space, 'stored' as action, '' as why, number + 1 as nonce,
  toUInt32({first:UInt32} + number) as visitor, toString(sipHash64(number) % 9000000000000000000)
  as id, toUInt32(1 + number) as id_ordinal, 'sync' as source, 'chrome' as browser
from numbers({count:UInt64})
settings max_insert_threads = 2
"""
COLUMN: Final = "select id from partner_ids where id_space = 'xandr' and action = 'stored'"


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What one size took, in CPU seconds and MiB."""

    ids: int
    reference_s: float
    export_s: float
    gathering_s: float
    """Of the export: reading the live ids."""
    delta_s: float
    before_mib: float
    peak_mib: float


def main() -> None:
    """Fill and measure each size, print all."""
    if "--formats" in sys.argv:
        print(_in_another_process(SIZES[0], "formats"))
        return
    found = [
        msgspec.json.decode(_in_another_process(size, "measure"), type=Measured) for size in SIZES
    ]
    figure = "; ".join(map(_told, found))
    if len(found) > 1:
        grown = found[-1].peak_mib - found[0].peak_mib
        figure += (
            f"; memory grows by {grown:.0f} MiB from {found[0].ids:,} to {found[-1].ids:,} ids"
        )
    print(figure)
    if "--row" in sys.argv:
        write_row(__file__, figure)


def _told(found: Measured) -> str:
    return (
        f"{found.ids:,} ids: {found.export_s:.1f} CPU s, "
        f"{found.export_s / found.reference_s:.2f} of the id column's {found.reference_s:.1f} "
        f"(reading the live ids {found.gathering_s:.1f}, all else "
        f"{(found.export_s - found.gathering_s) / found.reference_s:.2f}), a delta of 1 % "
        f"{found.delta_s:.1f} s; RSS {found.before_mib:.0f} MiB before, at most "
        f"{found.peak_mib:.0f} MiB"
    )


def _in_another_process(size: int, do: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for step in ("fill", do):
            asked = [sys.executable, __file__, step, folder, str(size)]
            done = subprocess.run(asked, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def fill(folder: Path, size: int) -> None:
    """Store so many ids by the database itself."""
    clickhouse = ClickHouse(folder, url="", threads=2)
    client = clickhouse.client()
    migrate(client)
    parameters = {"now_ms": NOW_MS, "first": VISITOR_FIRST, "count": size}
    client.command(FILL, parameters=parameters)
    clickhouse.close()


def measure(folder: Path, size: int) -> Measured:
    """Stream the column and export everybody, in turns; then export a hundredth's change."""
    clickhouse = ClickHouse(folder, url="", threads=2)
    world = World(clickhouse.client(), folder, size)
    before = _rss_mib()
    _stream_column(clickhouse.client(), folder)
    _forget_peak()
    reference, export, gathering, peaks = [], [], [], []
    for number in range(TIMES if size <= 1_000_000 else 1):
        reference.append(_cpu_s(lambda: _stream_column(clickhouse.client(), folder)))
        _forget_peak()
        export.append(_cpu_s(lambda number=number: world.export(number, world.everybody)))
        gathering.append(world.gathering_s)
        peaks.append(_peak_mib())
    changed = world.everybody - BitMap(range(VISITOR_FIRST, VISITOR_FIRST + size // 100))
    delta = _cpu_s(lambda: world.export(0, changed))
    clickhouse.close()
    return Measured(
        ids=size,
        reference_s=statistics.median(reference),
        export_s=statistics.median(export),
        gathering_s=statistics.median(gathering),
        delta_s=delta,
        before_mib=before,
        peak_mib=max(peaks),
    )


def measure_formats(folder: Path, size: int) -> None:
    """Send everybody to a seat of each format and print its share of the reference."""
    clickhouse = ClickHouse(folder, url="", threads=2)
    world = World(clickhouse.client(), folder, size)
    reference = statistics.median(
        _cpu_s(lambda: _stream_column(clickhouse.client(), folder)) for _ in range(TIMES)
    )
    print(f"{size:,} ids; the id column {reference:.1f} CPU s")
    for number, (name, seat) in enumerate(seats_of_formats().items(), 100):
        world.seat = seat
        took = min(
            _cpu_s(lambda key=key: world.export(key, world.everybody))
            for key in (number, number + 100)
        )
        print(f"{name:24} {took:5.1f} CPU s {took / reference:5.2f}", flush=True)
    clickhouse.close()


def seats_of_formats() -> dict[str, Seat]:
    """Make a seat of each format that takes the ids of this test."""
    config = Path(service.__file__).parent / "example_config"
    known = {each.key: each for each in load_seats(config)}
    known |= {each.key: each for each in read_seats(config / "seat_templates")}
    own: dict[str, dict[str, Any]] = {
        "xandr_958": {},
        "xandr_avro": {"format.id_types": {"xandr": {"branch": "anid"}}},
        "ttd_first_party": {"format.id_keys": {"xandr": "TDID"}},
        "adobe_audience_manager": {},
        "beeswax": {},
        "ttd_crm": {},
        "pixel_csv": {},
        "google_bulk": {"format.id_types": {"xandr": "GOOGLE_USER_ID"}},
        "google_data_manager": {"format.members": {"xandr": "google_user_id"}},
        "criteo": {"format.id_types": {}},
    }
    found = {key: _loose(known[key], changes) for key, changes in own.items()}
    columns = msgspec.to_builtins(known["pixel_csv"].format)["columns"]
    for kind in ("ndjson", "parquet"):
        form = {"kind": kind, "columns": columns}
        plain = "none" if kind == "parquet" else "gzip"
        changes = {"format": form, "file.compression": plain, "file.max_bytes": 0}
        found[kind] = _loose(known["pixel_csv"], changes)
    return found


def _loose(seat: Seat, changes: dict[str, Any]) -> Seat:
    """Change values of a seat by their dotted places."""
    data = msgspec.to_builtins(seat)
    common = {"id_spaces": ("xandr",), "ids": {}, "file.id_space_names": {}, "min_size": 1}
    packed = {"file.compression": "gzip"}
    for place, value in (common | packed | changes).items():
        *way, last = place.split(".")
        target = data
        for name in way:
            target = target[name]
        target[last] = value
    return msgspec.convert(data, Seat)


class World:
    """Visitors who are all in one audience and carry an id each."""

    def __init__(self, client: Any, folder: Path, size: int) -> None:
        self.everybody = BitMap(range(VISITOR_FIRST, VISITOR_FIRST + size))
        self.gathering_s = 0.0
        self._ids = PartnerIdsStore(client)
        self._store = ExportStore(client)
        self._folder = folder
        self._run = 0
        self._people = People(
            identity=Identity.LAST_AUTHENTICATED,
            version=1,
            customer_of=np.zeros(size, dtype=np.uint32),
        )
        seats = load_seats(Path(service.__file__).parent / "example_config")
        self.seat = next(each for each in seats if each.key == "xandr_958")

    def export(self, number: int, members: BitMap) -> ExportReport:
        """Export these people to a seat of this number."""
        self._run += 1
        seat: Seat = msgspec.structs.replace(self.seat, key=f"xandr_{number}")
        began = time.process_time()
        live = self._carried()
        self.gathering_s = time.process_time() - began
        report = export_seat(
            seat,
            activations=[Activation(seat=seat.key, audience="everybody", segment="10")],
            who=Who(
                members=lambda _: (self._people, members),
                answers=lambda _: {"addressable": self.everybody},
                live=[live],
                allowed=self.everybody,
                suppressed=BitMap(),
                holdout_key=bytes(16),
            ),
            texts=self._ids.texts,
            store=self._store,
            out_dir=self._folder / "exports",
            run=self._run,
            now_ms=NOW_MS + self._run,
        )
        assert report.status is ExportStatus.PUBLISHED, report.reason
        return report

    def _carried(self) -> CarriedIds:
        """Read who carries which id, as the service does for previews and exports alike."""
        states = self._ids.states.read("xandr", as_of_ms=NOW_MS)
        is_live = states.is_stored & (states.at_ms >= NOW_MS - LIVES_DAYS * DAY_MS)
        is_live[is_live] = are_carried_by_few(states.id_ordinals[is_live])
        return CarriedIds(
            visitors=states.visitors[is_live], id_ordinals=states.id_ordinals[is_live]
        )


def _stream_column(client: Any, folder: Path) -> None:
    packed = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
    column = client.raw_query(COLUMN, fmt="TSV")
    with (folder / "column.gz").open("wb") as file:
        for first in range(0, len(column), BLOCK_BYTES):
            file.write(packed.compress(column[first : first + BLOCK_BYTES]))
        file.write(packed.flush())


def _cpu_s(do: Callable[[], object]) -> float:
    began = time.process_time()
    do()
    return time.process_time() - began


def _rss_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1024 / 1024


def _forget_peak() -> None:
    """Let the kernel begin anew: the reference's own memory is not the export's."""
    Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["fill"]:
        fill(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["formats"]:
        measure_formats(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["measure"]:
        print(msgspec.json.encode(measure(Path(sys.argv[2]), int(sys.argv[3]))).decode())
    else:
        main()
