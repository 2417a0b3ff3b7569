"""Fixtures of the seat files' tests: the example seats and a small table of correspondence."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import service
from audiences.exports.export_store import ExportStore
from audiences.exports.seats import Seat, load_seats, read_seats
from matching.ids import VISITOR_FIRST
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

    def make(carried: Sequence[tuple[int, str]], ordinals: Mapping[str, int]) -> LiveIds:
        rows = sorted(carried, key=lambda row: (row[1], row[0]))
        return LiveIds(
            visitors=np.array([VISITOR_FIRST + number for number, _ in rows], dtype=np.uint32),
            id_ordinals=np.array([ordinals[text] for _, text in rows], dtype=np.uint32),
            ids=[text for _, text in rows],
        )

    return make


@pytest.fixture(scope="module")
def client(shared_database: Any) -> Any:
    """Give a client on tables that were made once for the module."""
    shared_database.make_tables()
    return shared_database.client()


@pytest.fixture
def store(client: Any) -> ExportStore:
    """Give a store on its own three tables, empty."""
    for table in ("activations", "exports", "ledger"):
        client.command(f"truncate table {table}")
    return ExportStore(client)
