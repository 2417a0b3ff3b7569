"""The engine: one owner of the database, one tick that makes everything new.

A tick loads chunks, links people, computes traits, rebuilds audiences and publishes the tag's
state. Everything that changes people's data happens under `changing`.
"""

import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Final

import msgspec
from litestar import Litestar
from pyroaring import BitMap

from audiences.build import Builder, BuildReport
from audiences.calendar_days import CalendarDays
from matching.consent.decide import Decision, PartnerConsent, Signals, Use
from matching.partner_facts import Partner
from service.config import Config, Environment
from service.engine.clickhouse import ClickHouse
from service.engine.jobs import Jobs
from service.engine.load_log import audit, tell
from service.engine.loader import Loaded, Loader
from service.engine.migrate import migrate
from service.engine.partner_upkeep import PartnerUpkeep
from service.engine.publish_tag_state import publish
from service.engine.renewal import Renewal
from service.engine.seat_reach import SeatReaches
from service.engine.spool_reader import SpoolReader
from service.engine.stores import Stores
from service.engine.subjects import Subjects, suppressed_people
from service.engine.ticking import ticking
from service.engine.tombstones import Tombstones
from service.engine.twins import Twins
from service.metrics import TICK_SECONDS, Balance
from service.tag.spool import Spool
from service.tag.tag_state import TagState
from service.tag.tokens import Keys

LOAD_S_MAX: Final = 20.0
"""So long a tick loads at most, so that a long backlog delays no audience and no tag's state."""
BUILDS_WRITTEN_EVERY_MS: Final = 5 * 60_000
"""So often at most the members of an audience are written that change at each tick."""
BUILDS_KEPT: Final = 100
"""So many builds of each audience tell how it grew."""

log: Final = logging.getLogger("jumelle.engine")


class LoadFailed(Exception):
    """Not everything that waits in the spool could be loaded; all else of the tick was done."""


class Engine:
    """Everything behind the API, wired once."""

    def __init__(
        self,
        *,
        environment: Environment,
        config: Config,
        clickhouse: ClickHouse,
        keys: Keys,
        balance: Balance,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.environment = environment
        self.config = config
        self.keys = keys
        self.balance = balance
        self.clickhouse = clickhouse
        self.changing = threading.RLock()
        self._clock = clock
        self._must_renew = False
        self._imported = False
        self._loaded_until_ms = self.now_ms()
        self._day = -1
        self._failed_ticks = 0
        self.days = CalendarDays(str(environment.timezone))
        self.tombstones = Tombstones(environment.data / "tombstones.log", keys)
        self.applied = migrate(clickhouse.client())
        self.stores = Stores(clickhouse, days=self.days, limits=config.service.people)
        self.subjects = Subjects(self.stores, keys, config.customers.aliases)
        self.jobs = Jobs(self.stores.operation)
        self.suppressed = BitMap()

    def open(self) -> None:
        """Fill every cache, finish what an earlier process left, publish the state."""
        self.state = self._publish(self.config.partners)
        self._open_loader()
        self.refresh_suppressed()
        self._renewal = Renewal(
            stores=self.stores,
            clickhouse=self.clickhouse,
            days=self.days,
            config=self.config,
            decide=self.decide,
            built=self._built,
            now_ms=self.now_ms,
            loaded_until_ms=lambda: self._loaded_until_ms,
        )
        self.criteria = self._renewal.open()
        self.twins = Twins(
            stores=self.stores,
            criteria=lambda: self.criteria,
            members=self._built,
            suppressed=lambda: self.suppressed,
            denied=lambda: self.stores.consents.denied(Use.LOOKALIKES, self.decide),
        )
        self.builder = Builder(
            audiences=self.stores.audiences,
            bitmaps=self.stores.bitmaps,
            criteria=lambda: self.criteria,
            twins=self.twins,
        )
        self.builder.open()
        self.reaches = SeatReaches(
            config=self.config,
            stores=self.stores,
            decide=self.decide,
            suppressed=lambda: self.suppressed,
            now_ms=self.now_ms,
            bots=lambda: self._renewal.bots,
        )
        self.partner_upkeep = PartnerUpkeep(
            config=self.config,
            stores=self.stores,
            builder=self.builder,
            criteria=lambda: self.criteria,
            reaches=self.reaches,
            now_ms=self.now_ms,
            time_zone=str(self.environment.timezone),
        )
        try:
            # Why nothing yet: however much waits, who asks is answered and what comes is taken.
            self.tick(must_rebuild=True, load_s_max=0)
        except LoadFailed:
            self._failed_ticks += 1
            log.exception("the database could not be written at start; it is tried again")

    def _open_loader(self) -> None:
        self.reader = SpoolReader(
            self.environment.data / "spool",
            next_number=self.stores.operation.next_chunk(),
            found=self.balance.found,
        )
        self.loader = Loader(
            stores=self.stores,
            reader=self.reader,
            state=lambda: self.state,
            tombstones=self.tombstones,
            balance=self.balance,
            seed=self.keys.derive("message"),
            clock_ms=self.now_ms,
        )

    def counts_at_door(self, spool: Spool) -> None:
        """Take this process's own writer, whose records are counted when they are received."""
        self.reader.counts_at_door(spool)

    @property
    def problems(self) -> list[str]:
        """Say what an operator has to look at."""
        found = self.clickhouse.problems
        if self._failed_ticks:
            found.append(f"the last {self._failed_ticks} ticks failed; the log says why")
        damaged = self.reader.quarantined()
        if damaged:
            found.append(f"{damaged} damaged chunks; their bytes are in spool/quarantine")
        return found + self.partner_upkeep.problems()

    def now_ms(self) -> int:
        """Give the time."""
        return int(self._clock() * 1000)

    def close(self) -> None:
        """Close the database."""
        self.clickhouse.close()

    @asynccontextmanager
    async def running(self, _: Litestar) -> AsyncIterator[None]:
        """Tick in a thread while the application serves."""
        try:
            async with ticking(self._tick_and_pause):
                yield
        finally:
            self.jobs.stop()

    def _tick_and_pause(self) -> float:
        try:
            self.tick(load_s_max=LOAD_S_MAX)
        except Exception:
            self._failed_ticks += 1
            log.exception("a tick failed; it is tried again")
            return self.config.service.tick_seconds
        return 0.0 if self.reader.claimed() else self.config.service.tick_seconds

    def tick(self, *, must_rebuild: bool = False, load_s_max: float = inf) -> int:
        """Make everything new and give the number of records that were loaded.

        After `load_s_max` seconds no other chunk is begun. When loading fails all else is done none
        the less, and then LoadFailed is raised.
        """
        begin, begin_ms = time.perf_counter(), self.now_ms()
        with self.changing:
            loaded: list[Loaded] = []
            failure = self._load(loaded, load_s_max)
            tell(loaded)
            today = self.days.day(self.now_ms())
            imported = must_rebuild or self._must_renew or self._imported
            if imported:
                # Why not at each tick: only imports bring contacts.
                asked = {space for seat in self.config.seats for space in seat.id_spaces}
                self.stores.contact_ids.complete(at_ms=self.now_ms(), spaces=asked)
            if loaded or imported or today != self._day:
                self.renew(everything=must_rebuild or self._must_renew)
            if today != self._day:
                self._day = today
                self.stores.bitmaps.forget_old(keep=BUILDS_KEPT)
                self.reader.forget_quarantine(self._clock())
            self.state = self._publish(self.partner_upkeep.weighted())
            audit(self.reader, self.balance)
        self.partner_upkeep.look()
        if failure is not None:
            raise LoadFailed(f"the spool could not be loaded: {failure}") from failure
        self._failed_ticks = 0
        if not self.reader.claimed():
            self._loaded_until_ms = begin_ms
        TICK_SECONDS.set(time.perf_counter() - begin)
        return sum(each.records for each in loaded)

    def _load(self, loaded: list[Loaded], seconds_max: float) -> Exception | None:
        try:
            if self.clickhouse.recover():
                # What was read while parts were broken may be wrong.
                self._must_renew = True
                self.stores.people.read_again_whole()
            self.loader.load_all(loaded, seconds_max=seconds_max)
        except Exception as problem:  # noqa: BLE001 - raised again at the end of the tick
            return problem
        return None

    def renew(self, *, everything: bool = True) -> None:
        """Rebuild what follows from the tables: people, computed traits, audiences, reach.

        Without `everything`, only loads and imports may have changed what is in them.
        """
        with self.changing:
            imported, self._must_renew, self._imported = self._imported, False, False
            try:
                self.criteria = self._renewal.renew(
                    self.criteria, everything=everything, traits=imported
                )
                self.reaches.forget()
                self.builder.build_all(self.now_ms(), write_every_ms=BUILDS_WRITTEN_EVERY_MS)
            except BaseException:
                self._must_renew = True
                raise

    def define(self) -> None:
        """Take over changed definitions of audiences; people and data stay as they are."""
        with self.changing:
            self.criteria = self._renewal.define(self.criteria)

    def build(self, key: str) -> BuildReport:
        """Build one audience now, a lookalike anew."""
        with self.changing:
            self.twins.forget(key)
            return self.builder.build(key, self.now_ms())

    def changed(self) -> None:
        """Note that something changed, nobody says what; the next tick rebuilds everything."""
        self._must_renew = True

    def imported(self) -> None:
        """Note that customers or traits were imported; the next tick asks for all traits anew."""
        self._imported = True

    def decide(
        self, signals: Signals, use: Use, partner: PartnerConsent | None, site: str
    ) -> Decision:
        """Decide one use under a site's default; an unknown site follows the first one."""
        known = self.config.site(site) or self.config.default_site
        return self.state.decide(signals, use, known, partner)

    def refresh_suppressed(self) -> None:
        """Find the ordinals of everybody whom a tombstone suppresses."""
        self.suppressed = suppressed_people(self.tombstones, self.stores.customers)

    def _built(self, key: str) -> BitMap:
        return self.builder.members(key)

    def _publish(self, partners: tuple[Partner, ...]) -> TagState:
        return publish(
            self.environment.data / "tag-state",
            msgspec.structs.replace(self.config, partners=partners),
            suppressed=self.tombstones.suppressed,
            now_s=int(self._clock()),
        )
