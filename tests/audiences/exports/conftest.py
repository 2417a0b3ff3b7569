"""Fixtures of the seat files' tests: the example seats and a small table of correspondence."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from seat_world import World, live_ids

import service
from audiences.exports.export_store import ExportStore
from audiences.exports.report import ExportStatus
from audiences.exports.seats import Seat, load_seats, read_seats
from matching.partner_ids_store import LiveIds

MakeLive = Callable[[Sequence[tuple[int, str]], Mapping[str, int]], LiveIds]


@pytest.fixture(scope="session")
def example_config() -> Path:
    """Give the folder of the example configuration."""
    return Path(service.__file__).parent / "example_config"


@pytest.fixture(scope="session")
def seats(example_config: Path) -> dict[str, Seat]:
    """Give the example seats by key."""
    return {seat.key: seat for seat in load_seats(example_config)}


@pytest.fixture(scope="session")
def templates(example_config: Path) -> dict[str, Seat]:
    """Give the seats that ship as templates, by key."""
    return {seat.key: seat for seat in read_seats(example_config / "seat_templates")}


@pytest.fixture(scope="session")
def every_seat(seats: dict[str, Seat], templates: dict[str, Seat]) -> dict[str, Seat]:
    """Give the example seats and the templates by key."""
    return seats | templates


@pytest.fixture(scope="session")
def make_live() -> MakeLive:
    """Give a maker of live ids from (visitor number, id) pairs and the ids' ordinals."""
    return live_ids


@pytest.fixture(scope="module")
def client(shared_database: Any) -> Any:
    """Give a client on tables that were made once for the module."""
    shared_database.make_tables()
    return shared_database.client()


@pytest.fixture
def store(client: Any) -> ExportStore:
    """Give a store on its own tables, empty."""
    for table in ("activations", "exports", "ledger", "seat_holds"):
        client.command(f"truncate table {table}")
    return ExportStore(client)


@pytest.fixture
def make_world(
    client: Any, store: ExportStore, every_seat: Any, tmp_path: Path, make_live: Any
) -> Any:
    """Give a maker of worlds around a seat, with a minimum of two people."""

    def make(key: str = "xandr_958", **changes: Any) -> World:
        changes = {"min_size": 2, "partner_min_size": 0, **changes}
        seat = msgspec.structs.replace(every_seat[key], **changes)
        return World(store, seat, tmp_path, make_live)

    return make


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Give a world whose three champions were sent to the Xandr seat by run 1."""
    world = make_world()
    world.activate("champions", "10", {0, 1, 2})
    assert world.export(1).status is ExportStatus.PUBLISHED
    return world
