"""Fixtures that every package's tests share: the embedded database, opened once per process."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, settings

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

PACKAGES = ("matching", "audiences", "service.engine")


class Database:
    """The embedded engine of this test process: one path, its own Atomic database."""

    def __init__(self, path: Path) -> None:
        self.path = path
        first = clickhouse_connect.get_client(interface="chdb", path=str(path))
        first.command("create database if not exists jumelle engine=Atomic")
        first.close()
        self._clients: list[Client] = []

    def client(self) -> Client:
        """Open one more client on the database."""
        client = clickhouse_connect.get_client(
            interface="chdb", path=str(self.path), database="jumelle"
        )
        self._clients.append(client)
        return client

    def make_tables(self) -> None:
        """Drop every table and create all again from the packages' `tables/`."""
        client = self.client()
        rows = client.query("select name from system.tables where database = 'jumelle'").result_rows
        for (name,) in rows:
            client.command(f"drop table {name} sync")
        for package in PACKAGES:
            folder = files(package).joinpath("tables")
            for file in sorted(folder.iterdir(), key=lambda each: each.name):
                client.command(file.read_text(encoding="utf-8"))

    def close(self) -> None:
        """Close every client that was opened."""
        for client in self._clients:
            client.close()


@pytest.fixture(scope="session")
def engine_path() -> Iterator[Path]:
    """Give the one folder that this process may open the embedded engine on."""
    path = Path(tempfile.mkdtemp(prefix="jumelle-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_database(engine_path: Path) -> Iterator[Database]:
    """Open the embedded engine once for all tests of this process."""
    database = Database(engine_path / "clickhouse")
    yield database
    database.close()


@pytest.fixture
def database(shared_database: Database) -> Database:
    """Give the embedded database with all tables, empty."""
    shared_database.make_tables()
    return shared_database
