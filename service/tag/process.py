"""What one process needs to collect: the published state, the keys and its own writer in the spool.

It keeps house while it runs: reads new states, closes old chunks.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from litestar import Litestar

from service.metrics import Balance
from service.tag.collect import Collector
from service.tag.endpoint import TagEndpoint
from service.tag.keeper import Keeper
from service.tag.spool import Spool, SpoolSettings, count_records, writer_name
from service.tag.tag_state import TagStateFile
from service.tag.tokens import Keys

HOUSEKEEPING_S: Final = 0.25


class TagProcess:
    """Collects for all sites of one data directory."""

    def __init__(
        self,
        data: Path,
        *,
        worker: int,
        settings: SpoolSettings,
        balance: Balance,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.state_file = TagStateFile(data / "tag-state")
        self.state_file.refresh()
        self.keys = Keys.load_or_create(data / "keys.toml")
        self.balance = balance
        self.trying_again: set[str] = set()
        """Bad records that wait in this process's spool to be tried again, by origin."""
        self.spool = Spool(
            data / "spool", writer=writer_name(worker), settings=settings, clock=time.monotonic
        )
        self.collector = Collector(state=lambda: self.state_file.state, keys=self.keys)
        self.endpoint = TagEndpoint(
            collector=self.collector,
            keeper=Keeper(
                spool=self.spool, balance=balance, waits_for_disk=settings.ack == "fsync"
            ),
            clock=clock,
        )

    def records_waiting(self) -> int:
        """Count what this process received and the loader has not claimed yet."""
        return self.spool.open_records + sum(map(count_records, self.spool.closed()))

    async def keep_house(self) -> None:
        """Close old chunks and read new states, for ever."""
        while True:
            self.state_file.refresh()
            self.spool.close_old_chunk()
            await asyncio.sleep(HOUSEKEEPING_S)

    @asynccontextmanager
    async def running(self, _: Litestar) -> AsyncIterator[None]:
        """Keep house while the application serves; close the open chunk at the end."""
        task = asyncio.create_task(self.keep_house())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self.spool.close()
