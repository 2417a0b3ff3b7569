"""What holds an export back or makes it send more: hold-outs, alarms, holds, releases, resends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap
from seat_world import VISITORS, World, freeze, plain, visitors

from audiences.exports.alarm import alarms
from audiences.exports.holdout import held_out
from audiences.exports.ledger import Changes
from audiences.exports.report import ExportStatus, SegmentReport
from audiences.exports.seat import Mode
from audiences.exports.waterfall import STAGE_OF, StageName, waterfall

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]

MakeWorld = Callable[..., World]
EVERYBODY = set(range(VISITORS))


def hold_out(world: World, percent: int) -> set[int]:
    """Give the only activation a control group, and the visitors in it."""
    world.activations[0] = msgspec.structs.replace(world.activations[0], holdout_percent=percent)
    apart = held_out(
        visitors(EVERYBODY), percent=percent, key=bytes(16), audience=world.activations[0].audience
    )
    return {each for each in EVERYBODY if visitors({each}) <= apart}


def people_left(segment: SegmentReport) -> dict[str, int]:
    """Give the people left after each stage."""
    return {each.stage.value: each.people for each in segment.waterfall}


def test_the_held_out_are_never_on_the_segment(make_world: MakeWorld) -> None:
    """The control group is not sent, stays the same run after run, and the waterfall counts it."""
    world = make_world()
    world.activate("champions", "10", EVERYBODY)
    apart = hold_out(world, 30)
    report = world.export(1)
    sent = {(f"id{each}", "10") for each in EVERYBODY - apart}
    assert world.content() == world.held() == sent
    (segment,) = report.segments
    assert segment.people == segment.ids == segment.held == VISITORS - len(apart)
    assert people_left(segment)["suppression"] == VISITORS
    assert people_left(segment)["hold_out"] == people_left(segment)["sent"] == segment.people
    assert world.export(2, day=5).status is ExportStatus.NOTHING_TO_SEND


def test_a_larger_control_group_takes_more_off(make_world: MakeWorld) -> None:
    """Raising the percentage removes the newly held out, and lowering it adds them again."""
    world = make_world(alarm_percent=0)
    world.activate("champions", "10", EVERYBODY)
    for run, percent in enumerate((0, 20, 50, 20), 1):
        apart = hold_out(world, percent)
        world.export(run)
        assert world.content() == {(f"id{each}", "10") for each in EVERYBODY - apart}


def test_an_id_shared_with_somebody_held_out_is_not_sent(make_world: MakeWorld) -> None:
    """An id that a held-out person carries too would put that person on the segment."""
    world = make_world()
    world.activate("champions", "10", EVERYBODY)
    apart = hold_out(world, 30)
    one, other = min(apart), min(EVERYBODY - apart)
    world.carried[other] = world.carried[one]
    report = world.export(1)
    assert world.content() == {(f"id{each}", "10") for each in EVERYBODY - apart - {other}}
    assert report.segments[0].people == report.segments[0].ids


def test_a_control_group_may_bring_an_audience_below_the_minimum(make_world: MakeWorld) -> None:
    """The minimum is of those who are sent."""
    world = make_world()
    world.activate("champions", "10", {0, 1})
    pair = next(
        {one, other} for one in hold_out(world, 50) for other in EVERYBODY - hold_out(world, 50)
    )
    world.activate("champions", "10", pair)
    hold_out(world, 50)
    report = world.export(1)
    assert report.status is ExportStatus.BELOW_MINIMUM
    (segment,) = report.segments
    assert (segment.people, people_left(segment)["sent"]) == (1, 0)


def test_the_waterfall_loses_everybody_once(world: World) -> None:
    """Each lost person counts at one stage by one answer of the card."""
    world.activate("champions", "10", set(range(10)))
    world.allowed -= {1, 2}
    world.suppressed = {3}
    del world.carried[4]
    report = world.export(2)
    (segment,) = report.segments
    assert people_left(segment) == {
        "members": 10,
        "browsers": 10,
        "live_ids": 9,
        "consent": 7,
        "suppression": 6,
        "hold_out": 6,
        "sent": 6,
    }
    lost = {each.reason: each.people for stage in segment.waterfall for each in stage.lost}
    assert lost == {"never_offered": 1, "no_consent": 2, "suppressed": 1}


ANSWERS = sorted({*STAGE_OF, "addressable"} - {"held_out", "below_minimum"})
who_has_it = st.builds(BitMap, st.sets(st.integers(1, 30)))


@given(
    persons=who_has_it,
    answers=st.dictionaries(st.sampled_from(ANSWERS), who_has_it),
    is_below=st.booleans(),
)
def test_stages_add_up(persons: BitMap, answers: dict[str, BitMap], *, is_below: bool) -> None:
    """Whatever the answers, each stage is the one before less what was lost at it."""
    seen = BitMap()
    for who in answers.values():
        who.difference_update(seen)
        seen |= who
    reached = len(answers.get("addressable", BitMap()) & persons)
    stages = waterfall(persons, answers, sent=reached // 2, is_below=is_below)
    assert [each.stage for each in stages] == list(StageName)
    left = len(persons)
    for each in stages:
        left -= sum(lost.people for lost in each.lost)
        assert each.people == left
    assert left == (0 if is_below else reached // 2)


def changes_of(adds: int, removes: int) -> Changes:
    """Make changes of so many ids of segment 10."""
    return Changes(
        adds={"10": BitMap(range(10_000, 10_000 + adds))},
        removes={"10": BitMap(range(1, removes + 1))},
        refreshes={},
        next_held={},
    )


@pytest.mark.parametrize(
    ("before", "adds", "removes", "percent", "waits"),
    [
        pytest.param(0, 9000, 0, 50, False, id="the first fill"),
        pytest.param(4000, 2000, 0, 50, False, id="half more"),
        pytest.param(4000, 2001, 0, 50, True, id="one more than half"),
        pytest.param(4000, 0, 2001, 50, True, id="one fewer than half"),
        pytest.param(4000, 4000, 4000, 50, True, id="all exchanged"),
        pytest.param(4000, 4000, 4000, 0, False, id="no alarm wanted"),
        pytest.param(4000, 1500, 0, 10, True, id="a smaller share"),
        pytest.param(100, 1000, 0, 50, False, id="a thousand ids"),
        pytest.param(100, 1001, 0, 50, True, id="more than a thousand ids"),
    ],
)
def test_when_a_run_waits(
    seats: Any, before: int, adds: int, removes: int, percent: int, *, waits: bool
) -> None:
    """More than the seat's share of the held ids, and more than its number of ids, must change."""
    seat = msgspec.structs.replace(seats["xandr_958"], alarm_percent=percent)
    held = {"10": {None: BitMap(range(1, before + 1))}}
    found = alarms(seat, changes_of(adds, removes), held, filled=["10"])  # type: ignore[arg-type]
    assert bool(found) is waits
    assert all(f"{before} ids" in each for each in found)


def test_who_takes_an_audience_off_raises_no_alarm(seats: Any) -> None:
    """A segment that no audience fills any more was taken off by somebody."""
    held = {"10": {None: BitMap(range(1, 5001))}}
    assert alarms(seats["xandr_958"], changes_of(0, 5000), held, filled=[]) == []  # type: ignore[arg-type]


@pytest.fixture
def alarmed(make_world: MakeWorld) -> World:
    """Give a world whose segment of five lost two and gained ten, more than its seat allows."""
    world = make_world(alarm_ids=2)
    world.activate("champions", "10", set(range(5)))
    world.export(1)
    world.activate("champions", "10", {0, *range(5, 15)})
    return world


def test_a_sudden_change_waits_for_release(alarmed: World) -> None:
    """Nothing goes out until the run is released, and then everything does."""
    report = alarmed.export(2)
    assert (report.status, report.files) == (ExportStatus.HELD, [])
    assert "gain 10 and lose 4" in report.reason
    assert alarmed.content() == {(f"id{each}", "10") for each in range(5)}
    released = alarmed.export(3, release=True)
    assert (released.status, released.adds, released.removes) == (ExportStatus.PUBLISHED, 10, 4)
    assert alarmed.content() == alarmed.held() == alarmed.wanted()


def test_a_held_run_still_removes_the_erased_and_the_unwilling(alarmed: World) -> None:
    """Erasure and withdrawn consent wait for nobody."""
    freeze(alarmed, 1)
    alarmed.allowed -= {2}
    alarmed.suppressed = {3}
    report = alarmed.export(2)
    assert (report.status, report.adds, report.removes) == (ExportStatus.HELD, 0, 3)
    assert alarmed.content() == alarmed.held() == {("id0", "10"), ("id4", "10")}
    assert alarmed.store.frozen_removals("xandr_958") == []
    alarmed.export(3, release=True)
    assert alarmed.content() == alarmed.held() == alarmed.wanted()


def test_a_dry_run_shows_what_waits(alarmed: World) -> None:
    """A dry run counts what a released run would change, and says that it would wait."""
    dry = alarmed.export(2, dry_run=True)
    assert (dry.status, dry.adds, dry.removes) == (ExportStatus.DRY_RUN, 10, 4)
    assert "held" in dry.reason
    assert (dry.segments[0].adds, dry.segments[0].removes, dry.segments[0].held) == (10, 4, 11)


def test_the_first_fill_raises_no_alarm(make_world: MakeWorld) -> None:
    """A segment that held nothing is filled however many come."""
    world = make_world(alarm_ids=0, alarm_percent=1)
    world.activate("champions", "10", EVERYBODY)
    assert world.export(1).status is ExportStatus.PUBLISHED


@pytest.mark.parametrize("key", ["xandr_958", "pixel_csv", "liveramp", "google_customer_match"])
def test_a_seat_on_hold_only_loses(make_world: MakeWorld, key: str) -> None:
    """On hold, who left leaves and nobody enters; lifted, the seat holds what it should."""
    world = make_world(key)
    world.activate("champions", "10", {0, 1, 2, 3})
    world.export(1)
    before = world.content()
    world.store.put_hold(key, "the partner moves")
    world.activate("champions", "10", {2, 3, 4, 5})
    report = world.export(2)
    assert report.status is ExportStatus.HELD
    assert "the partner moves" in report.reason
    assert world.content() == world.held() == before & world.wanted()
    assert world.export(3).files == []
    assert world.store.lift_hold(key)
    assert not world.store.lift_hold(key)
    assert world.export(4).status is ExportStatus.PUBLISHED
    assert world.content() == world.held() == world.wanted()


def test_release_goes_through_a_hold(world: World) -> None:
    """A released run sends everything although the seat is on hold."""
    world.store.put_hold("xandr_958", "by hand")
    world.activate("champions", "10", {1, 5, 6})
    assert world.export(2, release=True).status is ExportStatus.PUBLISHED
    assert world.content() == world.wanted()


@pytest.mark.parametrize("key", ["xandr_958", "pixel_csv", "adobe_audience_manager", "beeswax"])
def test_a_resent_seat_gets_everything(make_world: MakeWorld, key: str) -> None:
    """A partner who lost every file holds all that it should after one resent run."""
    world = make_world(key)
    world.activate("champions", "10", {0, 1, 2})
    world.activate("cyclists", "11", {2, 3})
    world.export(1)
    world.activate("cyclists", "11", {3})
    world.export(2)
    world.activate("champions", "10", {1, 2, 4})
    for path in world.manifests():
        path.unlink()
    report = world.export(3, resend=True)
    assert (report.mode, report.status) == (Mode.FULL, ExportStatus.PUBLISHED)
    assert (report.adds, report.refreshes) == (1, 2)
    assert world.content() == world.held() == {(world.carried[each], "10") for each in (1, 2, 4)}


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=st.lists(st.sets(st.integers(0, 9)), min_size=1, max_size=4),
    holds=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_holds_and_alarms_never_lose_the_state(
    make_world: MakeWorld,
    tmp_path_factory: Any,
    members: list[set[int]],
    holds: list[bool],
) -> None:
    """Whatever is held on the way, partner and ledger agree, and a released run makes all right."""
    world = make_world(alarm_ids=1, min_size=0)
    world.out_dir = tmp_path_factory.mktemp("exports")
    first = max([row.run for row in world.store.exports()], default=0) + 1
    world.export(first, release=True)
    for run, (group, is_held) in enumerate(zip(members, holds, strict=False), first + 1):
        if is_held:
            world.store.put_hold("xandr_958", "by hand")
        else:
            world.store.lift_hold("xandr_958")
        world.activate("champions", "10", group)
        world.export(run)
        assert world.content() == world.held()
    world.export(run + 1, release=True)
    assert world.content() == world.held() == world.wanted()


def test_files_of_a_hold_hold_no_addition(make_world: MakeWorld) -> None:
    """The file of a held seat says removals alone."""
    world = make_world()
    world.activate("champions", "10", {0, 1, 2, 3})
    world.export(1)
    world.store.put_hold("xandr_958", "by hand")
    world.activate("champions", "10", {2, 3, 4})
    (file,) = world.export(2, day=29).files
    assert plain(Path(file)) == b"id0,10:-1\nid1,10:-1\n"
