"""A loader with its database and spool, in a folder of its own, as one process has them.

Visitors that are known come in as a number; chunk files are handed to it one by one.
"""

import os
import re
import shutil
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from clickhouse_connect.driver.client import Client

from audiences.calendar_days import CalendarDays
from loading.chunks import visitor_keys
from matching.people import Limits
from service.engine.clickhouse import ClickHouse
from service.engine.loader import Loader
from service.engine.migrate import migrate, schema_files
from service.engine.spool_reader import SpoolReader
from service.engine.stores import Stores
from service.engine.tombstones import Tombstones
from service.metrics import Balance
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Keys

STEP: Final = 500_000

EVENT_TABLES: Final = ("events", "events_by_visitor")


class Workshop:
    """One loader at work."""

    def __init__(self, folder: Path, *, known: int, must_merge: bool) -> None:
        self.folder = folder
        self.clickhouse = ClickHouse(folder / "data")
        self.client: Client = self.clickhouse.client()
        migrate(self.client)
        self.make_twins()
        if not must_merge:
            self.client.command("system stop merges")
        self.stores = Stores(self.clickhouse, days=CalendarDays("UTC"), limits=Limits())
        for begin in range(0, known, STEP):
            numbers = np.arange(begin, min(begin + STEP, known), dtype=np.uint64)
            self.stores.customers.visitor_ordinals_of(visitor_keys(numbers), 0)
        self.reader = SpoolReader(folder / "spool", next_number=1)
        self.writer = folder / "spool" / "w0-load"
        self.writer.mkdir()
        site = Site(key="shop", write_key="shop", consent_default="allow")
        self.loader = Loader(
            stores=self.stores,
            reader=self.reader,
            state=lambda: TagState(published_s=0, sites=(site,), partners=()),
            tombstones=Tombstones(folder / "tombstones.log", Keys({1: bytes(32)})),
            balance=Balance(),
            seed=b"a seed of this load test",
            clock_ms=lambda: time.time_ns() // 1_000_000,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.clickhouse.close()
        shutil.rmtree(self.folder)

    def load(self, chunk: Path) -> tuple[int, float]:
        """Load one chunk file and give its records and the CPU seconds of the whole process."""
        os.link(chunk, self.writer / chunk.name)
        begin = time.process_time()
        (loaded,) = self.loader.load_all()
        spent = time.process_time() - begin
        assert loaded.bad == 0, loaded
        assert loaded.stored == loaded.records, loaded
        return loaded.records, spent

    def memory_mib(self) -> int:
        """Tell this process's resident memory."""
        found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
        return int(found[1]) // 1024 if found else 0

    def make_twins(self) -> None:
        """Make tables like those of events, for inserts that nothing else is done for."""
        for _, _, text in schema_files():
            for table in EVENT_TABLES:
                if re.search(rf"create table {table} \(", text):
                    self.client.command(text.replace(f"table {table} (", f"table {table}_twin ("))

    def columns_of(self, table: str) -> list[str]:
        """List a table's columns that are stored."""
        found = self.client.query(
            "select name from system.columns where database = currentDatabase() "
            "and table = {t:String} and default_kind != 'EPHEMERAL' order by position",
            parameters={"t": table},
        )
        return [name for (name,) in found.result_rows]

    def one(self, query: str, **parameters: Any) -> Any:
        """Ask for one value."""
        return self.client.query(query, parameters=parameters).result_rows[0][0]
