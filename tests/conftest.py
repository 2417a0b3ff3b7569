"""Fixtures that every package's tests share: the database, embedded and as a server over HTTP."""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import HealthCheck, settings

from service.engine.clickhouse import EMBEDDED_CONFIG
from service.engine.clickhouse_http import open_http
from service.engine.migrate import migrate

sys.path.insert(0, str(Path(__file__).parent))
from clickhouse_stand_in import StandIn

# Why: every HTTP client reads the authorities of the whole web, 50 ms of work, and no test needs
# one; the services and commands that tests start are spared it too.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)  # a folder without any

# Why: a busy machine may take longer than the five seconds of httpx, and nothing is wrong then.
DEFAULT_TIMEOUT_CONFIG.read = DEFAULT_TIMEOUT_CONFIG.connect = 60.0

# Why: what is imported and collected stays to the end, and looking through it for garbage again and
# again is one part in twenty of all work.
gc.set_threshold(50_000, 20, 50)

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

SYNCED = ("visitors", "customers", "chunks")
SCHEMA = """
select name, create_table_query, ifNull(total_rows, 1) > 0
from system.tables where database = 'jumelle' order by name
"""


class Database:
    """A database of this test process: clients of it, and its tables."""

    def __init__(self, open_client: Callable[[str], Client]) -> None:
        self._open_client = open_client
        first = open_client("default")
        first.command("create database if not exists jumelle engine=Atomic")
        first.close()
        self._own = open_client("jumelle")
        self._given: list[Client] = []
        self._free: list[Client] = []
        self._schema: list[tuple[str, str]] = []

    def client(self) -> Client:
        """Give one more client on the database; until the next test it is nobody else's."""
        client = self._free.pop() if self._free else self._open_client("jumelle")
        self._given.append(client)
        return client

    def make_tables(self) -> None:
        """Empty every table, or make all of them when these are not the packages' own."""
        self._free += self._given
        self._given = []
        rows = self._own.query(SCHEMA).result_rows
        if not rows or [(name, made) for name, made, _ in rows] != self._schema:
            self._make_anew([name for name, _, _ in rows])
            return
        for name, _, filled in rows:
            # Why not the migrations: an engine that opens here finds all of them done.
            if filled and name != "migrations":
                self._own.command(f"truncate table {name}")

    @property
    def problems(self) -> list[str]:
        """Say nothing: nobody watches the disk of a test."""
        return []

    def recover(self) -> bool:
        """Recover from nothing."""
        return False

    def close(self) -> None:
        """Close every client that was opened."""
        for client in [self._own, *self._given, *self._free]:
            client.close()

    def _make_anew(self, there: list[str]) -> None:
        for name in there:
            self._own.command(f"drop table {name} sync")
        migrate(self._own)
        for name in SYNCED:  # Why: no test cuts the power, and each waits for the disk
            self._own.command(f"alter table {name} modify setting fsync_after_insert = 0")
            self._own.command(f"alter table {name} modify setting fsync_part_directory = 0")
        rows = self._own.query(SCHEMA).result_rows
        self._schema = [(name, made) for name, made, _ in rows]


@pytest.fixture(scope="session")
def engine_path() -> Iterator[Path]:
    """Give the one folder that this process may open the embedded engine on."""
    path = Path(tempfile.mkdtemp(prefix="jumelle-test-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def clickhouse_server() -> Iterator[StandIn]:
    """Start the process that stands in for a ClickHouse server."""
    path = Path(tempfile.mkdtemp(prefix="jumelle-server-"))
    started = StandIn(path)
    yield started
    started.stop()
    shutil.rmtree(path, ignore_errors=True)


def open_embedded(path: Path, database: str) -> Client:
    """Open the engine on the one folder of this process as the service does."""
    return clickhouse_connect.get_client(
        interface="chdb",
        path=str(path / "clickhouse"),
        database=database,
        chdb_options={"config-file": str(EMBEDDED_CONFIG)},
    )


@pytest.fixture
def opens_embedded(engine_path: Path) -> Callable[[str], Client]:
    """Give what opens a database of the embedded engine."""
    return lambda name: open_embedded(engine_path, name)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests of meaning on the embedded engine alone; the driver is the stores' and loader's."""
    items[:] = [
        item
        for item in items
        if item.get_closest_marker("embedded") is None
        or getattr(item, "callspec", None) is None
        or item.callspec.params.get("shared_database") != "http"  # type: ignore[attr-defined]
    ]
    # Why: a file is one process's work, and a slow one that begins last is waited for by all.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Leave what was collected out of every later search for garbage."""
    gc.freeze()


@pytest.fixture(scope="session", params=["embedded", "http"])
def shared_database(request: pytest.FixtureRequest, engine_path: Path) -> Iterator[Database]:
    """Open the database once for all tests of this process: embedded, then over HTTP."""
    if request.param == "embedded":
        database = Database(lambda name: open_embedded(engine_path, name))
    else:
        url = request.getfixturevalue("clickhouse_server").url
        database = Database(lambda name: open_http(url, database=name, settings={}))
    yield database
    database.close()


@pytest.fixture
def database(shared_database: Database) -> Database:
    """Give the database with all tables, empty."""
    shared_database.make_tables()
    return shared_database
