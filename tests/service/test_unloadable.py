"""One record that cannot be loaded costs itself alone: neither its chunk nor an erasure."""

import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from hypothesis import given
from hypothesis import strategies as st

from audiences.calendar_days import CalendarDays
from matching.partners import load_partners
from matching.people import Limits
from service.engine.engine import Engine, LoadFailed
from service.engine.erasure import erase
from service.engine.loader import Loader
from service.engine.spool_reader import SpoolReader
from service.engine.stores import Stores
from service.engine.tombstones import Tombstones
from service.engine.unloadable import CULPRITS_MAX, find_unloadable
from service.metrics import Balance
from service.tag.record import Kind, Meta, Record, write_record
from service.tag.spool import Spool, SpoolSettings, writer_name
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Keys

NOW_US = time.time_ns() // 1000
KEYS = Keys({1: bytes(32)})
SITE = Site(key="shop", write_key="w", consent_default="allow")
EXAMPLE = Path(__file__).parents[2] / "service" / "example_config"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


def record(row: int) -> Record:
    meta = Meta(site="shop")
    return Record(row=row, kind=Kind.OFFER, received_us=1, visitor=bytes(16), meta=meta, body=b"")


@given(st.sets(st.integers(0, 40), max_size=CULPRITS_MAX), st.integers(0, 41))
def test_the_culprits_are_found_and_no_others(culprits: set[int], count: int) -> None:
    """Whatever rows fail, exactly these are found."""
    records = [record(row) for row in range(count)]
    found = find_unloadable(
        records, lambda some: "bad" if culprits & {each.row for each in some} else ""
    )
    assert found == dict.fromkeys(culprits & set(range(count)), "bad")


def test_a_flood_of_culprits_ends() -> None:
    """A chunk full of culprits is given up after some, instead of being tried for hours."""
    trials: list[int] = []

    def trial(some: Sequence[Record]) -> str:
        trials.append(len(some))
        return "bad" if any(each.row >= 5 for each in some) else ""

    found = find_unloadable([record(row) for row in range(1_000)], trial)
    assert sorted(found) == list(range(5, 1_000))
    assert len(trials) < CULPRITS_MAX * 24
    trials.clear()
    ill = find_unloadable([record(row + 9) for row in range(1_000)], trial, may_be_ill=True)
    assert len(ill) == 1_000
    assert len(trials) < 15


def spools(root: Path, records: Sequence[bytes]) -> None:
    settings = SpoolSettings(reserve_bytes=0)
    spool = Spool(root, writer=writer_name(0), settings=settings, clock=time.monotonic)
    spool.append(records)
    spool.close()


def message(number: int, *, server: bool = False, **body: Any) -> bytes:
    meta = Meta(site="shop", type="page", agent=AGENT, server=server)
    raw = json.dumps({"messageId": f"m{number}", **body}).encode()
    return write_record(Kind.MESSAGE, NOW_US + number, number.to_bytes(16, "big"), meta, raw)


def poison() -> bytes:
    """Give a click whose link has a number that no column takes."""
    meta = Meta(site="shop", proved="123456", method="click", nonce=-1)
    return write_record(Kind.CLICK, NOW_US, (99).to_bytes(16, "big"), meta, b"")


@pytest.fixture
def loader(database: Any, tmp_path: Path) -> Loader:
    """Give a loader with an empty spool."""
    state = TagState(published_s=0, sites=(SITE,), partners=tuple(load_partners(EXAMPLE)))
    balance = Balance()
    balance.received(kept=4, dropped=Counter())
    return Loader(
        stores=Stores(database, days=CalendarDays("UTC"), limits=Limits()),
        reader=SpoolReader(tmp_path / "spool", next_number=1),
        state=lambda: state,
        tombstones=Tombstones(tmp_path / "tombstones.log", KEYS),
        balance=balance,
        seed=KEYS.derive("message"),
        clock_ms=lambda: NOW_US // 1000,
    )


def rows(database: Any, query: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = database.client().query(query).result_rows
    return found


@pytest.mark.clickhouse
def test_a_record_that_cannot_be_loaded_is_set_aside_at_the_second_failure(
    database: Any, loader: Loader, tmp_path: Path
) -> None:
    """The chunk fails once as it is; the next pass loads the rest, each message once."""
    root = tmp_path / "spool"
    spools(root, [message(1), message(1), poison(), message(2)])
    with pytest.raises(Exception, match=r".+"):
        loader.load_all()
    spools(root, [message(3)])
    first, second = loader.load_all()
    assert (first.stored, first.bad, first.dropped["duplicate"]) == (2, 1, 1)
    assert second.stored == 1
    assert rows(database, "select row, reason from bad_records") == [(2, "unloadable")]
    assert rows(database, "select chunk, row from events order by chunk, row") == [
        (1, 0),
        (1, 3),
        (2, 0),
    ]
    assert loader.load_all() == []


@pytest.mark.clickhouse
def test_a_database_that_takes_nothing_sets_nothing_aside(
    database: Any, loader: Loader, tmp_path: Path
) -> None:
    """While the database itself is ill every record waits, however often loading fails."""
    spools(tmp_path / "spool", [message(1), message(2)])
    client = database.client()
    client.command("alter table events add constraint closed check 0")
    for _ in range(3):
        with pytest.raises(DatabaseError):
            loader.load_all()
    client.command("alter table events drop constraint closed")
    assert [each.stored for each in loader.load_all()] == [2]
    assert rows(database, "select count() from bad_records") == [(0,)]
    assert rows(database, "select count() from events") == [(2,)]


@pytest.mark.clickhouse
@pytest.mark.parametrize(
    "at",
    ["9999-12-31T23:59:59.999-23:59", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59Z"],
    ids=["the last moment", "the first moment", "before 1970"],
)
def test_a_server_time_out_of_range_is_a_bad_record(
    database: Any, loader: Loader, tmp_path: Path, at: str
) -> None:
    """A record with a time that no calendar of ours has is set aside, its neighbours are kept."""
    spools(tmp_path / "spool", [message(1), message(2, server=True, timestamp=at)])
    (loaded,) = loader.load_all()
    assert (loaded.stored, loaded.bad) == (1, 1)
    assert rows(database, "select reason from bad_records") == [("time_out_of_range",)]


@pytest.mark.clickhouse
def test_a_spool_that_cannot_be_loaded_holds_up_no_erasure(
    database: Any, engine: Engine, tmp_path: Path
) -> None:
    """The tick does all else and says so; an erased person's waiting messages never arrive."""
    body = {"type": "identify", "userId": "123456"}
    meta = Meta(site="demo", type="identify", proved="123456", method="server", server=True)
    known = [
        write_record(
            Kind.MESSAGE, NOW_US, bytes(16), meta, json.dumps(body | {"messageId": each}).encode()
        )
        for each in ("one", "two")
    ]
    spools(tmp_path / "spool", known[:1])
    engine.tick()
    client = database.client()
    client.command("alter table events add constraint closed check 0")
    spools(tmp_path / "spool", known[1:])
    published = engine.state.published_s
    with pytest.raises(LoadFailed):
        engine.tick(must_rebuild=True)
    assert engine.state.published_s >= published
    subject = engine.subjects.find("123456")
    assert subject is not None
    receipt = erase(
        subject,
        subjects=engine.subjects,
        stores=engine.stores,
        reader=engine.reader,
        tombstones=engine.tombstones,
        actor="test",
    )
    assert receipt.customers == 1
    client.command("alter table events drop constraint closed")
    engine.tick(must_rebuild=True)
    assert rows(database, "select count() from events") == [(0,)]
    assert engine.subjects.find("123456") is None
