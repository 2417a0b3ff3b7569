"""Every template's seat, exported three times: its partner ends up with what it should hold."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from pyroaring import BitMap
from seat_world import Named
from written_files import AT_MS, changed

import service
from audiences.exports.export_store import ExportStore
from audiences.exports.formats.choose import writer_of
from audiences.exports.formats.parts import Group
from audiences.exports.id_shapes import shape_of
from audiences.exports.manifest import manifest_name, read_manifest
from audiences.exports.report import ExportReport, ExportStatus
from audiences.exports.run import export_seat
from audiences.exports.seat import Removal
from audiences.exports.seat_state import Activation
from audiences.exports.seats import Seat
from audiences.exports.wanted import Who
from matching.ids import VISITOR_FIRST
from matching.people import Identity, People

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]

FOLDER = Path(service.__file__).parent / "example_config" / "seat_templates"
KEYS = sorted(path.stem for path in FOLDER.glob("*.toml"))
VISITORS = 12
HOUR_MS = 3_600_000
SEGMENTS = {"buyers": "10", "lookers": "11"}
Content = dict[str, set[tuple[str, str]]]


class World:
    """Visitors who carry one id each, and a seat that applies the files it gets."""

    def __init__(self, store: ExportStore, seat: Seat, out_dir: Path, make_live: Any) -> None:
        self.seat = seat
        self.folder = out_dir / seat.key
        self.partner: Content = {segment: set() for segment in SEGMENTS.values()}
        self._store = store
        self._out_dir = out_dir
        self._make_live = make_live
        spaces = seat.id_spaces
        self._ids = {
            number: (
                spaces[number % len(spaces)],
                _text(spaces[number % len(spaces)], number, seat),
            )
            for number in range(VISITORS)
        }

    def export(self, run: int, members: Mapping[str, set[int]]) -> ExportReport:
        """Export the audiences with these members."""
        people = People(
            identity=Identity.LAST_AUTHENTICATED,
            version=1,
            customer_of=np.zeros(VISITORS, np.uint32),
        )
        everyone = BitMap(VISITOR_FIRST + each for each in range(VISITORS))
        return export_seat(
            self.seat,
            activations=[
                Activation(seat=self.seat.key, audience=audience, segment=segment)
                for audience, segment in SEGMENTS.items()
            ],
            who=Who(
                members=lambda key: (people, BitMap(VISITOR_FIRST + each for each in members[key])),
                answers=lambda _: {"addressable": everyone},
                live=[self._live(space) for space in self.seat.id_spaces],
                allowed=everyone,
                suppressed=BitMap(),
                holdout_key=bytes(16),
            ),
            texts=Named({number + 1: named for number, named in self._ids.items()}),
            store=self._store,
            out_dir=self._out_dir,
            run=run,
            now_ms=AT_MS + run * HOUR_MS,
        )

    def apply(self, run: int) -> None:
        """Read the files of a run as the partner would."""
        manifest = read_manifest(self.folder / manifest_name(self.seat.key, run))
        if self.seat.membership.removal is Removal.REPLACE:
            for part in manifest.files:
                self.partner[part.segment].clear()
        groups = [Group(part.segment, part.action, part.id_space) for part in manifest.files]
        data = [_plain(self.folder / part.name) for part in manifest.files]
        for row in writer_of(self.seat).read(data, self.seat, groups):
            for segment in row.removes:
                self.partner[segment].discard((row.id_space, row.id))
            for segment, _ in row.adds:
                self.partner[segment].add((row.id_space, row.id))

    def wanted(self, members: Mapping[str, set[int]]) -> Content:
        """Say what the partner should hold, the slow way."""
        return {
            segment: {self._ids[each] for each in members[audience]}
            for audience, segment in SEGMENTS.items()
        }

    def _live(self, space: str) -> Any:
        carried = [(number, text) for number, (other, text) in self._ids.items() if other == space]
        return self._make_live(carried, {text: number + 1 for number, text in carried})


def _text(space: str, number: int, seat: Seat) -> str:
    match shape_of(space, seat):
        case "uuid_upper":
            return str(UUID(int=number + (0xABCDEF << 104))).upper()
        case "uuid" | "uuid_lower":
            return str(UUID(int=number + (0xABCDEF << 104)))
        case "sha256_hex":
            return f"{number:064x}"
        case "sha256_base64":
            return f"{number:043}="
        case _:
            return str(1000 + number)


def _plain(path: Path) -> bytes:
    data = path.read_bytes()
    return zlib.decompress(data, 31) if path.suffix == ".gz" else data


@pytest.mark.parametrize("key", KEYS)
def test_a_partner_holds_what_it_should(
    store: ExportStore, templates: dict[str, Seat], tmp_path: Path, make_live: Any, key: str
) -> None:
    """After each run the partner's content is the audiences', or more where nothing removes."""
    seat = changed(templates[key], {"min_size": 1, "partner_min_size": 0})
    world = World(store, seat, tmp_path, make_live)
    steps = [
        {"buyers": set(range(8)), "lookers": set(range(4, 10))},
        {"buyers": set(range(2, 12)), "lookers": set(range(4, 6))},
        {"buyers": set(range(2, 12)), "lookers": set(range(5, 11))},
    ]
    for run, members in enumerate(steps, 1):
        report = world.export(run, members)
        assert (report.status, report.refused_ids) == (ExportStatus.PUBLISHED, 0), report.reason
        world.apply(run)
        wanted = world.wanted(members)
        if seat.membership.removal is Removal.NONE:
            assert all(wanted[each] <= world.partner[each] for each in wanted)
        else:
            assert world.partner == wanted
        assert world.export(run, members) == report


def test_files_of_a_run_are_told_apart(
    store: ExportStore, templates: dict[str, Seat], tmp_path: Path, make_live: Any
) -> None:
    """The manifest says of each file which operation, kind of id or audience it is for."""
    world = World(
        store,
        changed(templates["meta"], {"min_size": 1, "partner_min_size": 0}),
        tmp_path,
        make_live,
    )
    world.export(1, {"buyers": {0, 1}, "lookers": {1}})
    world.export(2, {"buyers": {1}, "lookers": {1}})
    manifest = read_manifest(world.folder / manifest_name("meta", 2))
    assert [(each.segment, each.action, each.id_space) for each in manifest.files] == [
        ("10", "remove", "")
    ]


@pytest.mark.parametrize("key", ["adform", "ttd_crm"])
def test_removals_that_no_file_says_are_told(
    store: ExportStore, templates: dict[str, Seat], tmp_path: Path, make_live: Any, key: str
) -> None:
    """A run of nothing but removals, on a seat without them, is published without a file."""
    seat = changed(templates[key], {"min_size": 0, "partner_min_size": 0})
    world = World(store, seat, tmp_path, make_live)
    world.export(1, {"buyers": {0, 1}, "lookers": set()})
    report = world.export(2, {"buyers": set(), "lookers": set()})
    assert (report.status, report.removes) == (ExportStatus.PUBLISHED, 2)
    assert (report.path, report.files) == ("", [])
    assert ("cannot be said" in report.reason) is (key == "adform")
    assert read_manifest(world.folder / manifest_name(key, 2)).files == []


def test_ids_are_judged_by_their_own_space(
    store: ExportStore, templates: dict[str, Seat], tmp_path: Path, make_live: Any
) -> None:
    """On a seat of several id spaces, an id that fits only another one's shape is refused."""
    seat = changed(
        templates["adobe_audience_manager"],
        {"min_size": 1, "ids.validate": {"adobe": "md5_hex"}},
    )
    world = World(store, seat, tmp_path, make_live)
    report = world.export(1, {"buyers": set(range(VISITORS)), "lookers": set()})
    assert report.refused_ids == VISITORS // 3
