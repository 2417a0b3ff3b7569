"""A crash at any point of a run: the partner sees the old state or the new, and the next run ends.

The table says for each point what manifests announce after a crash there.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from seat_world import Killed, World, dies_at, live_ids

from audiences.exports.export_store import ExportStore
from audiences.exports.manifest import STAGING
from audiences.exports.run_steps import RunStep
from audiences.exports.seats import Seat
from service.engine.clickhouse_http import open_http
from service.engine.migrate import schema_files

pytestmark = pytest.mark.clickhouse

POINTS: Final = [
    (RunStep.PLANNED, 1, "old"),
    (RunStep.FILE_OPENED, 1, "old"),
    (RunStep.FILE_OPENED, 2, "old"),
    (RunStep.FILES_WRITTEN, 1, "old"),
    (RunStep.FILES_SYNCED, 1, "old"),
    (RunStep.STATE_WRITTEN, 1, "old"),
    (RunStep.PREPARED, 1, "old"),
    (RunStep.MANIFEST_STAGED, 1, "old"),
    (RunStep.FILE_VISIBLE, 1, "old"),
    (RunStep.FILE_VISIBLE, 2, "old"),
    (RunStep.FILE_VISIBLE, 3, "old"),
    (RunStep.MANIFEST_VISIBLE, 1, "new"),
    (RunStep.PUBLISHED, 1, "new"),
    (RunStep.PRUNED, 1, "new"),
]
IDS: Final = [f"{step}-{nth}-{sees}" for step, nth, sees in POINTS]
KILLED: Final = [
    RunStep.FILE_OPENED,
    RunStep.PREPARED,
    RunStep.FILE_VISIBLE,
    RunStep.MANIFEST_VISIBLE,
]
CHILD: Final = Path(__file__).parents[2] / "killed_export.py"


def test_every_point_is_tried() -> None:
    """A new point of a run must say what a crash there leaves."""
    assert {step for step, _, _ in POINTS} == set(RunStep)


@pytest.fixture
def in_three_files(make_world: Callable[..., World], seats: dict[str, Seat]) -> World:
    """Give a world whose second run writes three files of two rows."""
    file = msgspec.structs.replace(seats["xandr_958"].file, max_rows=2)
    world = make_world(file=file)
    begin(world)
    return world


def begin(world: World) -> None:
    """Publish run 1 and change the audience, so that run 2 has six rows to write."""
    world.activate("champions", "10", {0, 1, 2})
    world.export(1)
    world.activate("champions", "10", {2, 3, 4, 5, 6})


def files_of(world: World) -> dict[str, bytes]:
    """Give what stands in every file that a reader of the folder sees."""
    return {each.name: each.read_bytes() for each in world.folder.iterdir() if each.is_file()}


def check_whole(world: World, seen: dict[str, bytes], staged: dict[str, bytes]) -> None:
    """Check that nothing which was visible, or staged and whole, is changed by the run's retry."""
    now = files_of(world)
    assert {name: now[name] for name in seen} == seen
    assert {name: now[name] for name in staged} == staged
    assert world.visible() == world.announced()
    assert world.content() == world.held() == world.wanted()
    folder = world.folder / STAGING
    assert not folder.exists() or not any(folder.iterdir())


def staged_by(world: World, step: RunStep) -> dict[str, bytes]:
    """Give the staged files, once all of them are written."""
    if step in {RunStep.PLANNED, RunStep.FILE_OPENED}:
        return {}
    return {each.name: each.read_bytes() for each in (world.folder / STAGING).glob("2/*")}


@pytest.mark.embedded
@pytest.mark.parametrize(("step", "nth", "sees"), POINTS, ids=IDS)
def test_a_crash_leaves_the_old_state_or_the_new(
    in_three_files: World, step: RunStep, nth: int, sees: str
) -> None:
    """The run, tried again, completes with the very bytes that the crash left."""
    world = in_three_files
    old = world.content()
    with pytest.raises(Killed):
        world.export(2, on_step=dies_at(step, nth))
    assert world.content() == (old if sees == "old" else world.wanted())
    seen, staged = files_of(world), staged_by(world, step)
    report = world.export(2)
    assert len(report.files) == 3
    check_whole(world, seen, staged)


@pytest.mark.embedded
@pytest.mark.parametrize(("step", "nth", "sees"), POINTS, ids=IDS)
def test_the_run_after_a_crash_brings_the_seat_right(
    in_three_files: World, step: RunStep, nth: int, sees: str
) -> None:
    """Another run takes back what is not announced, and sends what the audiences want by then."""
    world = in_three_files
    with pytest.raises(Killed):
        world.export(2, on_step=dies_at(step, nth))
    world.activate("champions", "10", {1, 4, 5})
    report = world.export(3)
    assert report.previous_run == (2 if sees == "new" else 1)
    check_whole(world, {}, {})


@pytest.fixture
def on_a_server(clickhouse_server: Any, seats: Any, tmp_path: Path) -> Iterator[World]:
    """Give a world whose state is another process's, so that this one may be killed."""
    first = open_http(clickhouse_server.url, database="default", settings={})
    first.command("drop database if exists killed sync")
    first.command("create database killed engine=Atomic")
    client = open_http(clickhouse_server.url, database="killed", settings={})
    for package, _, text in schema_files():
        if package == "audiences":
            client.command(text)
    world = World(ExportStore(client), in_parts(seats["xandr_958"]), tmp_path, live_ids)
    begin(world)
    yield world
    first.close()
    client.close()


def in_parts(seat: Seat) -> Seat:
    """Give a seat that takes two rows a file."""
    file = msgspec.structs.replace(seat.file, max_rows=2)
    return msgspec.structs.replace(seat, min_size=2, file=file)


@pytest.mark.parametrize("step", KILLED)
def test_a_killed_process_leaves_the_old_state_or_the_new(
    on_a_server: World, clickhouse_server: Any, step: RunStep
) -> None:
    """The same holds when the process is killed, not only when it fails."""
    world = on_a_server
    old = world.content()
    asked = [sys.executable, str(CHILD), clickhouse_server.url, str(world.out_dir), step]
    child = subprocess.run(asked, check=False, capture_output=True, timeout=60)
    assert child.returncode == -9, child.stderr.decode()
    assert world.content() == (world.wanted() if step is RunStep.MANIFEST_VISIBLE else old)
    seen, staged = files_of(world), staged_by(world, step)
    world.export(2)
    check_whole(world, seen, staged)
