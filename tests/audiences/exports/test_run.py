"""One export of one seat, from activations to the files a partner applies, crashes included."""

import datetime as dt
import hashlib
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.exports.export_store import ExportStore
from audiences.exports.formats.choose import writer_of
from audiences.exports.manifest import STAGING, manifest_name, read_manifest
from audiences.exports.reach import reach
from audiences.exports.report import ExportReport, ExportStatus, SegmentStatus
from audiences.exports.run import export_seat
from audiences.exports.seat import Mode, Removal
from audiences.exports.seat_state import Activation, ExportRow, IdText
from audiences.exports.seats import Seat
from matching.ids import VISITOR_FIRST
from matching.partner_ids_store import PartnerIdColumns, PartnerIdsStore
from matching.people import Identity, People

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]

AT_MS = 1_795_219_200_000
DAY_MS = 86_400_000
VISITORS = 20


class Killed(Exception):
    """The process was killed here."""


class DyingStore(ExportStore):
    """A store whose process is killed before or after it writes."""

    die_at = ""

    def put_held(self, *values: Any) -> None:
        """Die before or after the state is written."""
        self._die("before held")
        super().put_held(*values)
        self._die("after held")

    def put_export(self, row: ExportRow) -> None:
        """Die before or after a status is noted."""
        self._die(f"before {row.status}")
        super().put_export(row)
        self._die(f"after {row.status}")

    def _die(self, place: str) -> None:
        if place == self.die_at:
            self.die_at = ""
            raise Killed(place)


class World:
    """Visitors who carry ids, audiences of them, and one seat that applies the files it gets."""

    def __init__(self, store: ExportStore, seat: Seat, out_dir: Path, make_live: Any) -> None:
        self.store = store
        self.seat = seat
        self.out_dir = out_dir
        self.carried: dict[int, str] = {each: f"id{each}" for each in range(VISITORS)}
        self.ordinals: dict[str, int] = {}
        self.allowed = set(range(VISITORS))
        self.suppressed: set[int] = set()
        self.members: dict[str, set[int]] = {}
        self.activations: list[Activation] = []
        self.erased: set[int] = set()
        self._make_live = make_live

    def activate(self, audience: str, segment: str, members: set[int], days: int = 0) -> None:
        """Put an audience of visitors on the seat, in place of what it was."""
        self.members[audience] = members
        self.activations = [each for each in self.activations if each.audience != audience]
        self.activations.append(
            Activation(seat=self.seat.key, audience=audience, segment=segment, expires_days=days)
        )

    def export(self, run: int, *, day: int = 0, dry_run: bool = False) -> ExportReport:
        """Run the export on the given day."""
        return export_seat(
            self.seat,
            activations=self.activations,
            members=self._members_of,
            live=[self.live()],
            allowed=visitors(self.allowed),
            suppressed=visitors(self.suppressed),
            texts=self._texts,
            store=self.store,
            out_dir=self.out_dir,
            run=run,
            now_ms=AT_MS + day * DAY_MS,
            dry_run=dry_run,
        )

    def live(self) -> Any:
        """Give the live ids, each with its own ordinal."""
        for text in self.carried.values():
            self.ordinals.setdefault(text, len(self.ordinals) + 1)
        return self._make_live(list(self.carried.items()), self.ordinals)

    def people(self) -> People:
        """Give people who are one visitor each."""
        return People(
            identity=Identity.LAST_AUTHENTICATED,
            version=1,
            customer_of=np.zeros(VISITORS, dtype=np.uint32),
        )

    def wanted(self) -> set[tuple[str, str]]:
        """Say what the seat should hold, the slow way."""
        denied = {
            text
            for number, text in self.carried.items()
            if number not in self.allowed - self.suppressed
        }
        return {
            (text, each.segment)
            for each in self.activations
            for number, text in self.carried.items()
            if number in self.members[each.audience] and text not in denied
        }

    def content(self) -> set[tuple[str, str]]:
        """Apply the files of every manifest in turn, as the partner would."""
        found: set[tuple[str, str]] = set()
        for manifest in sorted(map(read_manifest, self.manifests()), key=lambda each: each.run):
            data = [plain(self.folder / part.name) for part in manifest.files]
            if self.seat.membership.removal is Removal.REPLACE:
                found.clear()
            for row in writer_of(self.seat).read(data, self.seat):
                found -= {(row.id, segment) for segment in row.removes}
                found |= {(row.id, segment) for segment, _ in row.adds}
        return found

    def held(self) -> set[tuple[str, str]]:
        """Say what the ledger believes the seat to hold."""
        texts = {ordinal: text for text, ordinal in self.ordinals.items()}
        return {
            (texts[ordinal], segment)
            for segment, days in self.store.held(self.seat.key).days.items()
            for ids in days.values()
            for ordinal in ids
        }

    @property
    def folder(self) -> Path:
        """Give the seat's folder."""
        return self.out_dir / self.seat.key

    def manifests(self) -> list[Path]:
        """List the manifests that are visible."""
        return sorted(self.folder.glob("*.manifest.json"))

    def visible(self) -> set[str]:
        """List the data files that a reader of the folder sees."""
        names = {each.name for each in self.folder.glob("*") if each.is_file()}
        return names - {each.name for each in self.manifests()}

    def announced(self) -> set[str]:
        """List the data files that manifests name."""
        return {part.name for path in self.manifests() for part in read_manifest(path).files}

    def _members_of(self, audience: str) -> tuple[People, BitMap] | None:
        members = self.members.get(audience)
        return None if members is None else (self.people(), visitors(members))

    def _texts(self, ids: BitMap) -> dict[int, tuple[str, str]]:
        space = self.seat.id_spaces[0]
        return {
            ordinal: (space, text)
            for text, ordinal in self.ordinals.items()
            if ordinal in ids and ordinal not in self.erased
        }


def visitors(numbers: set[int]) -> BitMap:
    """Give the ordinals of the visitors of these numbers."""
    return BitMap(VISITOR_FIRST + number for number in numbers)


def plain(path: Path) -> bytes:
    """Read a file without its compression."""
    data = path.read_bytes()
    return zlib.decompress(data, 31) if path.suffix == ".gz" else data


@pytest.fixture
def make_world(client: Any, store: ExportStore, seats: Any, tmp_path: Path, make_live: Any) -> Any:
    """Give a maker of worlds around a seat, with a minimum of two people."""

    def make(key: str = "xandr_958", **changes: Any) -> World:
        seat = msgspec.structs.replace(seats[key], min_size=2, **changes)
        return World(DyingStore(client), seat, tmp_path, make_live)

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Give a world whose three champions were sent to the Xandr seat by run 1."""
    world = make_world()
    world.activate("champions", "10", {0, 1, 2})
    assert world.export(1).status is ExportStatus.PUBLISHED
    return world


def withdraw_everything(world: World) -> None:
    """Empty the seat, so that nothing is active and nothing held."""
    world.activations = []
    world.export(2)


SITUATIONS: dict[ExportStatus, Callable[[World], None]] = {
    ExportStatus.PUBLISHED: lambda world: world.activate("champions", "10", {0, 1, 2, 3}),
    ExportStatus.DRY_RUN: lambda world: world.activate("champions", "10", {0, 1, 2, 3}),
    ExportStatus.NOTHING_TO_SEND: lambda _world: None,
    ExportStatus.BELOW_MINIMUM: lambda world: world.activate("few", "11", {4}),
    ExportStatus.NO_ACTIVATIONS: withdraw_everything,
    ExportStatus.FAILED: lambda world: world.activate("cyclists", "cycling", {4, 5}),
}


@pytest.mark.parametrize("status", ExportStatus)
def test_every_status_is_reached_and_noted(world: World, status: ExportStatus) -> None:
    """Each way that an export can end is reported and can be read back from its run."""
    SITUATIONS[status](world)
    report = world.export(3, dry_run=status is ExportStatus.DRY_RUN)
    assert report.status is status
    (row,) = world.store.exports(run=3)
    assert msgspec.json.decode(row.report, type=ExportReport) == report
    assert world.content() == world.held()
    published = status is ExportStatus.PUBLISHED
    assert (world.folder / manifest_name("xandr_958", 3)).exists() is published


def test_the_first_file_is_full_and_the_next_a_change(world: World) -> None:
    """The second file holds only what changed since the first."""
    world.activate("champions", "10", {1, 2, 3})
    report = world.export(2)
    manifests = [read_manifest(path) for path in world.manifests()]
    assert [(each.mode, each.previous_run) for each in manifests] == [
        (Mode.FULL, 0),
        (Mode.DELTA, 1),
    ]
    assert (report.rows, report.adds, report.removes, report.ids) == (2, 1, 1, 2)
    assert plain(Path(report.path)) == b"id0,10:-1\nid3,10:43200\n"
    assert world.content() == world.held() == world.wanted()


def test_a_new_id_of_a_visitor_replaces_the_old(world: World) -> None:
    """When id0 of a visitor becomes X9, the file removes the one and adds the other."""
    world.carried[0] = "X9"
    assert world.export(2).adds == 1
    assert world.content() == {("X9", "10"), ("id1", "10"), ("id2", "10")}


def test_the_manifest_tells_the_truth(world: World) -> None:
    """Name, size and hash of each file are those on disk; counts are the report's."""
    (path,) = world.manifests()
    manifest = read_manifest(path)
    for part in manifest.files:
        data = (world.folder / part.name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (part.bytes, part.sha256)
    assert (manifest.total.adds, manifest.total.ids, manifest.run) == (3, 3, 1)
    assert json.loads(path.read_text())["segments"] == [{"segment": "10", "adds": 3, "removes": 0}]


def test_withdrawn_consent_removes(world: World) -> None:
    """Who may no longer be sent is taken out, and so is an id that a denied browser carries."""
    world.allowed -= {0, 9}
    world.carried[9] = "id1"
    report = world.export(2)
    assert report.removes == 2
    assert world.content() == {("id2", "10")}
    assert report.segments[0].status is SegmentStatus.BELOW_MINIMUM


def test_below_the_minimum_only_removals_go_out(world: World) -> None:
    """A segment that shrinks below the minimum loses ids, gains none, and the run says why."""
    world.activate("champions", "10", {2, 3})
    world.suppressed = {3}
    report = world.export(2, day=29)
    assert (report.status, report.adds, report.removes) == (ExportStatus.PUBLISHED, 0, 2)
    assert report.refreshes == 0
    assert "champions" in report.reason
    assert world.content() == {("id2", "10")}


def test_a_deactivated_audience_leaves_the_seat(world: World) -> None:
    """Everything of a segment that no audience fills any more is removed."""
    world.activations.clear()
    report = world.export(2)
    assert (report.status, report.segments[0].status) == (
        ExportStatus.PUBLISHED,
        SegmentStatus.WITHDRAWN,
    )
    assert world.content() == set()


@pytest.mark.parametrize(("day", "refreshed"), [(22, 0), (23, 3), (40, 3)])
def test_ids_are_sent_again_before_they_expire(world: World, day: int, refreshed: int) -> None:
    """A week before the 30 days of the seat end, ids are sent once more."""
    report = world.export(2, day=day)
    assert (report.refreshes, report.adds) == (refreshed, 0)
    assert report.rows == refreshed


def test_a_new_lifetime_reaches_the_seat(world: World) -> None:
    """A changed lifetime sends everyone again, once."""
    world.activate("champions", "10", {0, 1, 2}, days=60)
    report = world.export(2)
    assert report.refreshes == 3
    assert b":86400\n" in plain(Path(report.path))
    assert world.export(3).status is ExportStatus.NOTHING_TO_SEND


def test_an_audience_before_its_first_build_keeps_the_seat(world: World) -> None:
    """Members that are not known yet remove nobody who may still be sent."""
    world.activate("cyclists", "11", {4, 5})
    world.export(2)
    world.activations[0] = Activation(seat="xandr_958", audience="unbuilt", segment="10")
    report = world.export(3)
    assert report.segments[0].status is SegmentStatus.NOT_BUILT
    assert ("id0", "10") in world.content()


def test_ids_that_the_format_cannot_say_are_left_out(world: World) -> None:
    """An id with a separator inside is counted, not sent, and not believed to be held."""
    world.carried[5] = "a;b"
    world.activate("champions", "10", {0, 1, 2, 5})
    report = world.export(2)
    assert (report.refused_ids, report.status) == (1, ExportStatus.NOTHING_TO_SEND)
    assert world.held() == world.content()


def test_the_erased_leave_even_without_their_text(world: World) -> None:
    """A frozen removal goes out below the minimum; its text is wiped once it was sent."""
    freeze(world, 0)
    world.activate("champions", "10", {1})
    report = world.export(2)
    assert (report.status, report.unnamed_ids) == (ExportStatus.PUBLISHED, 0)
    assert b"id0,10:-1\n" in plain(Path(report.path))
    assert world.content() == world.held() == {("id1", "10")}
    assert world.store.frozen_removals("xandr_958") == []


def test_an_erased_id_that_comes_back_waits_for_the_next_run(world: World) -> None:
    """One file never removes and adds one id; a new visitor with the old id is added later."""
    freeze(world, 0)
    world.carried[7] = "id0"
    world.activate("champions", "10", {1, 2, 7})
    world.export(2)
    assert world.content() == {("id1", "10"), ("id2", "10")}
    world.export(3)
    assert world.content() == world.wanted()


def freeze(world: World, number: int) -> None:
    """Erase a visitor as erasure does: removals first, then the text is gone."""
    text = world.carried.pop(number)
    ordinal = world.ordinals.pop(text)
    for held in world.store.held_ids_of([ordinal]):
        ids = [IdText(id_space="xandr", id=text, id_ordinal=ordinal)]
        world.store.freeze_removals(held.seat, held.segment, ids)
    world.erased.add(ordinal)
    world.ordinals["(erased)"] = ordinal


def test_what_cannot_be_named_is_told_and_stays(world: World) -> None:
    """An id whose text is gone without being frozen stays in the ledger, and the run says so."""
    world.erased.add(world.ordinals["id0"])
    world.activate("champions", "10", {1, 2})
    report = world.export(2)
    assert (report.unnamed_ids, report.removes) == (1, 0)
    assert "no text" in report.reason
    assert ("id0", "10") in world.held()


def test_a_dry_run_is_the_preview_and_changes_nothing(world: World) -> None:
    """The numbers of a dry run are those of reach, and the real run's."""
    world.activate("champions", "10", {2, 3, 4})
    before = (world.visible(), world.held())
    dry = world.export(2, dry_run=True)
    assert (world.visible(), world.held(), dry.path) == (*before, "")
    reached = reach(
        visitors({2, 3, 4}),
        people=world.people(),
        live=[world.live()],
        allowed=visitors(world.allowed),
        suppressed=BitMap(),
    )
    (segment,) = dry.segments
    assert (segment.people, segment.ids) == (reached.people, len(reached.ids))
    assert segment.waterfall == reached.waterfall
    real = world.export(3)
    same = ("rows", "adds", "removes", "ids", "segments")
    assert [getattr(dry, name) for name in same] == [getattr(real, name) for name in same]


def test_a_published_run_stands(world: World) -> None:
    """The same run again changes nothing and gives the same report; an older one is refused."""
    world.activate("champions", "10", {5, 6})
    report = world.export(4)
    world.activate("champions", "10", {7, 8})
    assert world.export(4) == report
    assert world.export(3).status is ExportStatus.FAILED
    assert world.content() == {("id5", "10"), ("id6", "10")}


CRASHES = [
    ("before held", False),
    ("after held", True),
    ("after held", False),
    ("before prepared", False),
    ("after prepared", True),
    ("after prepared", False),
    ("before published", True),
    ("before published", False),
    ("after published", True),
]


@pytest.mark.parametrize(("place", "same_run"), CRASHES)
def test_a_crash_leaves_the_old_state_or_the_new(
    world: World, place: str, *, same_run: bool
) -> None:
    """Wherever the process dies, no half file is seen and the next run brings the seat right."""
    world.activate("champions", "10", {1, 2, 3})
    old, new = world.content(), world.wanted()
    assert isinstance(world.store, DyingStore)
    world.store.die_at = place
    with pytest.raises(Killed):
        world.export(2)
    assert world.visible() == world.announced()
    assert world.content() in (old, new)
    if not same_run:
        world.activate("champions", "10", {1, 4, 5})
    world.export(2 if same_run else 3)
    assert world.visible() == world.announced()
    assert world.content() == world.held() == world.wanted()
    assert not (world.folder / STAGING).exists() or not any((world.folder / STAGING).iterdir())


def test_files_without_a_manifest_are_taken_back(world: World) -> None:
    """Data files that a crash left visible before their manifest are removed by the next run."""
    world.activate("champions", "10", {1, 2, 3})
    assert isinstance(world.store, DyingStore)
    world.store.die_at = "after prepared"
    with pytest.raises(Killed):
        world.export(2)
    for path in (world.folder / STAGING / "2").iterdir():
        path.rename(world.folder / path.name)
    assert world.visible() != world.announced()
    world.activate("champions", "10", {1, 4, 5})
    world.export(3)
    assert world.visible() == world.announced()
    assert world.content() == world.held() == world.wanted()


def test_a_retry_gives_the_same_bytes(world: World) -> None:
    """The files of a retried run are those that the killed attempt had written."""
    world.activate("champions", "10", set(range(2, 12)))
    assert isinstance(world.store, DyingStore)
    world.store.die_at = "after prepared"
    with pytest.raises(Killed):
        world.export(2)
    (staged,) = (world.folder / STAGING / "2").iterdir()
    written = staged.read_bytes()
    assert Path(world.export(2).path).read_bytes() == written


def test_a_full_disk_fails_and_leaves_the_seat(world: World) -> None:
    """An export that cannot write says so; the state stays."""
    world.activate("champions", "10", {1, 2, 3})
    staging = world.folder / STAGING
    staging.rmdir()
    staging.write_text("in the way")
    report = world.export(2)
    assert report.status is ExportStatus.FAILED
    assert world.held() == world.content() == {("id0", "10"), ("id1", "10"), ("id2", "10")}
    staging.unlink()
    world.export(3)
    assert world.content() == world.wanted()


some_visitors = st.sets(st.integers(0, 7))
steps = st.fixed_dictionaries(
    {
        "champions": some_visitors,
        "cyclists": st.none() | some_visitors,
        "denied": st.sets(st.integers(0, 7), max_size=2),
        "renamed": st.none() | st.integers(0, 7),
        "days": st.integers(0, 20),
    }
)


@pytest.mark.parametrize("key", ["xandr_958", "ttd_demo", "pixel_csv"])
@settings(max_examples=2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(steps, min_size=2, max_size=3))
def test_the_seat_follows_whatever_happens(
    make_world: Callable[..., World], tmp_path_factory: Any, key: str, story: list[Any]
) -> None:
    """After every run the seat holds exactly what the ledger says and the audiences want."""
    world = make_world(key)
    world.seat = msgspec.structs.replace(world.seat, min_size=0)
    world.out_dir = tmp_path_factory.mktemp("exports")
    run = max([row.run for row in world.store.exports()], default=0)
    world.store.put_export(ExportRow(run=run + 1, seat=key, status="published", report="{}"))
    day = 0
    for number, step in enumerate(story, start=run + 2):
        day += step["days"]
        world.activations.clear()
        world.activate("champions", "10", step["champions"])
        if step["cyclists"] is not None:
            world.activate("cyclists", "11", step["cyclists"])
        world.allowed = set(range(VISITORS)) - step["denied"]
        if step["renamed"] is not None:
            world.carried[step["renamed"]] = f"new{number}"
        world.export(number, day=day)
        assert world.content() == world.held() == world.wanted()


def test_ids_come_from_the_table_of_correspondence(
    make_world: Callable[..., World], client: Any
) -> None:
    """Live ids and the names of removed ones are those that the real table gives."""
    client.command("truncate table partner_ids")
    table = PartnerIdsStore(client)
    table.open()
    world = make_world()
    world.activate("champions", "10", {0, 1})
    for run, (number, text) in enumerate([(0, "X7"), (1, "X8"), (0, "X9")], start=1):
        store_id(table, run, VISITOR_FIRST + number, text)
        export_seat(
            world.seat,
            activations=world.activations,
            members=world._members_of,
            live=[table.live("xandr", as_of_ms=AT_MS + run, lives_days=30)],
            allowed=visitors(world.allowed),
            suppressed=BitMap(),
            texts=lambda ordinals: table.ids_of(list(ordinals)),
            store=world.store,
            out_dir=world.out_dir,
            run=run,
            now_ms=AT_MS,
        )
    assert plain(world.folder / "xandr_958_3_0001.txt.gz") == b"X7,10:-1\nX9,10:43200\n"
    assert world.content() == {("X8", "10"), ("X9", "10")}


def store_id(table: PartnerIdsStore, row: int, visitor: int, text: str) -> None:
    """Store one id of a visitor, as the loader does."""
    columns = PartnerIdColumns(
        chunk=[1],
        row=[row],
        received_at_ms=[AT_MS + row],
        partner=["xandr"],
        id_space=["xandr"],
        action=["stored"],
        reason=[""],
        nonce=[row],
        visitor=[visitor],
        id=[text],
        id_ordinal=table.id_ordinals("xandr", [text]),
        source=["sync"],
    )
    table.insert(columns)


def test_days_are_those_of_the_time_zone(make_world: Callable[..., World]) -> None:
    """The ledger's day of sending is the calendar day where the service lives."""
    world = make_world()
    world.activate("champions", "10", {0, 1})
    export_seat(
        world.seat,
        activations=world.activations,
        members=world._members_of,
        live=[world.live()],
        allowed=visitors(world.allowed),
        suppressed=BitMap(),
        texts=world._texts,
        store=world.store,
        out_dir=world.out_dir,
        run=1,
        now_ms=AT_MS,
        time_zone=dt.timezone(dt.timedelta(hours=-5)),
    )
    assert list(world.store.held("xandr_958").days["10"]) == [dt.date(2026, 11, 20)]
