"""One export of one seat, from activations to the files a partner applies, crashes included."""

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pyroaring import BitMap
from seat_world import AT_MS, World, freeze, plain, visitors

from audiences.exports.manifest import STAGING, manifest_name, read_manifest
from audiences.exports.reach import reach
from audiences.exports.report import ExportReport, ExportStatus, SegmentStatus
from audiences.exports.run import export_seat
from audiences.exports.seat import Mode
from audiences.exports.seat_state import Activation
from audiences.exports.waterfall import Stage, StageName
from matching.ids import VISITOR_FIRST
from matching.partner_ids_store import PartnerIdColumns, PartnerIdsStore

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]


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
    ExportStatus.HELD: lambda world: world.store.put_hold("xandr_958", "the partner moves"),
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


def test_what_cannot_be_named_is_told_and_stays(world: World) -> None:
    """An id whose text is gone without being frozen stays in the ledger, and the run says so."""
    world.erased.add(world.ordinals["id0"])
    del world.carried[0]
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
    assert segment.waterfall[-1] == Stage(stage=StageName.SENT, people=reached.people)
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
            who=world.who(table.live("xandr", as_of_ms=AT_MS + run, lives_days=30)),
            texts=table.texts,
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
        who=world.who(world.live()),
        texts=world.texts(),
        store=world.store,
        out_dir=world.out_dir,
        run=1,
        now_ms=AT_MS,
        time_zone=dt.timezone(dt.timedelta(hours=-5)),
    )
    assert list(world.store.held("xandr_958").days["10"]) == [dt.date(2026, 11, 20)]


def test_no_run_takes_the_place_of_another(make_world: Callable[..., World]) -> None:
    """Two runs whose names are of one second do not overwrite each other's files."""
    world = make_world("adobe_audience_manager")
    world.activate("champions", "10", {0, 1})
    path = world.folder / world.export(1).files[0]
    later = path.with_name(path.name.replace(".overwrite.", ".sync."))
    (world.folder / later.name.replace("1795219201", "1795219202")).write_bytes(b"sent")
    world.activate("champions", "10", {0, 1, 2})
    report = world.export(2)
    assert report.status is ExportStatus.FAILED
    assert "already" in report.reason
    assert world.export(3).status is ExportStatus.PUBLISHED
