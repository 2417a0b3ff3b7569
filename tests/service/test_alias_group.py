"""`alias` and `group` are facts like any other: stored as events, and they make nobody one."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from audiences.calendar_days import CalendarDays
from matching.people import Limits
from service.engine.loader import Loader
from service.engine.spool_reader import SpoolReader
from service.engine.stores import Stores
from service.engine.tombstones import Tombstones
from service.metrics import Balance
from service.tag.collect import Collector
from service.tag.request import Caller, TagRequest
from service.tag.routes import handle
from service.tag.spool import Spool, SpoolSettings, writer_name
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Keys

pytestmark = pytest.mark.clickhouse

KEYS = Keys({1: bytes(32)})
SERVER_KEY = "the server key"
STATE = TagState(
    published_s=0,
    sites=(
        Site(
            key="shop",
            write_key="w",
            server_key_env="TEST_SERVER_KEY",
            consent_default="allow",
        ),
    ),
)
MESSAGES = (
    {"type": "alias", "messageId": "1", "previousId": "a1", "userId": "123456"},
    {"type": "alias", "messageId": "2", "previousId": "654321", "userId": "123456"},
    {"type": "alias", "messageId": "3", "previousId": "a1", "anonymousId": "a2"},
    {"type": "group", "messageId": "4", "groupId": "club", "anonymousId": "a1"},
    {"type": "group", "messageId": "5", "groupId": "club", "userId": "123456"},
    {"type": "group", "messageId": "6", "groupId": "b", "userId": "123456", "anonymousId": "a1"},
)


@pytest.mark.parametrize("key", ["w", SERVER_KEY], ids=["write key", "server key"])
def test_they_are_stored_and_merge_nobody(
    database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """Each is an event of whoever sent it; no visitor and no customer becomes another's."""
    monkeypatch.setenv("TEST_SERVER_KEY", SERVER_KEY)
    request = TagRequest(
        method="POST",
        path="/v1/batch",
        query=f"key={key}".replace(" ", "%20"),
        caller=Caller(headers={}),
        body=json.dumps({"batch": MESSAGES}).encode(),
        received_us=time.time_ns() // 1000,
    )
    outcome = handle(Collector(state=lambda: STATE, keys=KEYS), request)
    _load(database, tmp_path, outcome.records)
    client = database.client()
    stored = client.query("select event, customer != 0 from events").result_rows
    proved = key == SERVER_KEY
    assert Counter(stored) == Counter(
        [
            *[("alias", proved)] * 2,
            ("group", proved),
            ("group", proved),
            ("alias", False),
            ("group", False),
        ]
    )
    facts = client.query("select event, properties from events order by row").result_rows
    assert facts[0] == ("alias", '{"previous_id":"a1"}')
    assert facts[3] == ("group", '{"group_id":"club"}')
    assert client.query("select count() from identifications").result_rows == [(0,)]
    customers = client.query("select value from customers where kind = 'crm_id'").result_rows
    assert [name for (name,) in customers] == (["123456"] if proved else [])


def _load(database: Any, folder: Path, records: tuple[bytes, ...]) -> None:
    spool = Spool(
        folder / "spool",
        writer=writer_name(0),
        settings=SpoolSettings(reserve_bytes=0),
        clock=time.monotonic,
    )
    spool.append(records)
    spool.close()
    balance = Balance()
    balance.received(kept=len(records), dropped=Counter())
    stores = Stores(database, days=CalendarDays("UTC"), limits=Limits())
    loader = Loader(
        stores=stores,
        reader=SpoolReader(folder / "spool", next_number=stores.operation.next_chunk()),
        state=lambda: STATE,
        tombstones=Tombstones(folder / "tombstones.log", KEYS),
        balance=balance,
        seed=KEYS.derive("message"),
        clock_ms=lambda: time.time_ns() // 1_000_000,
    )
    loader.load_all()
