"""A database that fails in the middle of a chunk: the loader says so, and ends exactly once."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, Error

from audiences.calendar_days import CalendarDays
from matching.partners import load_partners
from matching.people import Limits
from service.engine.loader import Loader
from service.engine.spool_reader import SpoolReader
from service.engine.stores import Stores
from service.engine.tombstones import Tombstones
from service.engine.unloadable import may_be_the_records
from service.metrics import Balance
from service.tag.record import Kind, Meta, write_record
from service.tag.spool import Spool, SpoolSettings, writer_name
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Keys

pytestmark = pytest.mark.clickhouse

NOW_US = time.time_ns() // 1000
KEYS = Keys({1: bytes(32)})
SITE = Site(key="shop", write_key="w", consent_default="allow", identify="proved")
EXAMPLE = Path(__file__).parents[2] / "service" / "example_config"
VISITOR = (1).to_bytes(16, "big")
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"

EXPECTED = {
    "visitors": 1,
    "customers": 1,
    "partner_ids": 1,
    "identifications": 2,
    "consents": 1,
    "events": 2,
    "events_by_visitor": 4,
    "bad_records": 1,
    "chunks": 1,
}


def records() -> list[bytes]:
    """Give a chunk that has rows for every table."""
    signals = json.dumps({"us_privacy": "1YNN"})
    meta = Meta(
        site="shop",
        type="track",
        agent=AGENT,
        proved="123456",
        method="purchase",
        signals=signals,
    )
    offer = Meta(site="shop", partner="xandr", nonce=7)
    bodies = [json.dumps({"messageId": f"m{n}", "event": "Order Completed"}) for n in range(2)]
    return [
        *(write_record(Kind.MESSAGE, NOW_US, VISITOR, meta, each.encode()) for each in bodies),
        write_record(Kind.OFFER, NOW_US, VISITOR, offer, b""),
        write_record(Kind.MESSAGE, NOW_US, VISITOR, meta, b"{broken"),
    ]


@pytest.fixture
def loader(database: Any, tmp_path: Path) -> Loader:
    """Give a loader with one chunk waiting."""
    spool = Spool(
        tmp_path / "spool",
        writer=writer_name(0),
        settings=SpoolSettings(reserve_bytes=0),
        clock=time.monotonic,
    )
    spool.append(records())
    spool.close()
    balance = Balance()
    balance.received(kept=4, dropped=Counter())
    state = TagState(published_s=0, sites=(SITE,), partners=tuple(load_partners(EXAMPLE)))
    return Loader(
        stores=Stores(database, days=CalendarDays("UTC"), limits=Limits()),
        reader=SpoolReader(tmp_path / "spool", next_number=1),
        state=lambda: state,
        tombstones=Tombstones(tmp_path / "tombstones.log", KEYS),
        balance=balance,
        seed=KEYS.derive("message"),
        clock_ms=lambda: NOW_US // 1000,
    )


def counts(database: Any) -> dict[str, int]:
    """Count the rows of every table that a chunk fills."""
    client, query = database.client(), "select count() from {t:Identifier}"
    return {table: client.query(query, parameters={"t": table}).first_row[0] for table in EXPECTED}


@contextmanager
def refusing(database: Any, table: str) -> Iterator[None]:
    """Let the database refuse every insert into this table for a while."""
    client, names = database.client(), {"t": table}
    change = "alter table {t:Identifier} add constraint closed check 0"
    client.command(change, parameters=names)
    yield
    client.command("alter table {t:Identifier} drop constraint closed", parameters=names)


# Why once over HTTP: there each table's insert fails below, where its answer is lost.
@pytest.mark.parametrize(
    "table",
    [
        pytest.param(table, marks=() if table == "events" else pytest.mark.embedded)
        for table in EXPECTED
    ],
)
def test_a_refused_insert_is_made_up_for(database: Any, loader: Loader, table: str) -> None:
    """When any one insert fails the loader raises, and the next pass brings each row once."""
    with refusing(database, table), pytest.raises(DatabaseError) as refused:
        loader.load_all()
    assert refused.value.code == 469
    assert counts(database)["chunks"] == 0
    loader.load_all()
    assert counts(database) == EXPECTED
    assert loader.load_all() == []


@pytest.mark.parametrize("shared_database", ["http"], indirect=True)
@pytest.mark.parametrize("table", EXPECTED)
def test_an_insert_without_an_answer_is_not_done_twice(
    database: Any, loader: Loader, clickhouse_server: Any, table: str
) -> None:
    """When the server did an insert and its answer was lost, each row is there once."""
    clickhouse_server.lose_next_answer(f"insert into {table} ")
    with pytest.raises(Error):
        loader.load_all()
    loader.load_all()
    assert counts(database) == EXPECTED
    assert loader.load_all() == []


def test_a_database_that_fails_twice_loses_nothing(database: Any, loader: Loader) -> None:
    """When memory cannot be put right after a failed insert, it is before the next one."""
    client = database.client()
    with refusing(database, "events"):
        client.command("rename table chunks to chunks_away")
        with pytest.raises(DatabaseError):
            loader.load_all()
        client.command("rename table chunks_away to chunks")
    loader.load_all()
    assert counts(database) == EXPECTED


@pytest.mark.parametrize("code", [74, 75, 76, 173, 241, 243, 252, 516])
def test_a_full_or_busy_machine_is_no_records_fault(code: int) -> None:
    """Errors of the machine are never blamed on a record, however often they come."""
    assert not may_be_the_records(DatabaseError("no space", code=code))
    assert may_be_the_records(DatabaseError("cannot parse", code=6))
