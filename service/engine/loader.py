"""A chunk goes in, rows come out in every table exactly once.

Order: ordinals (visitors and customers, acknowledged), partner ids, identifications, consents,
events twice, bad records, the ledger row, and only then the chunk is let go. After any doubt each
table is asked which rows of the chunk it has, and only what is missing is inserted.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Final

import msgspec
import numpy as np

from audiences.event_store import EventColumns
from matching.bitmaps import bitmap_of, ordinals_of
from matching.consent.decide import decode_signals
from matching.partner_ids_store import PartnerIdColumns
from service.engine.callbacks import LIVES_MS, Callbacks
from service.engine.chunk_columns import (
    ChunkOrdinals,
    event_columns,
    insert_missing,
    partner_columns,
)
from service.engine.chunk_links import CLICK_WINDOW_MS, ChunkLinks, SignalsTold, signals_told
from service.engine.chunk_records import ChunkRecords
from service.engine.chunk_rows import ChunkRows, rows_of, set_aside
from service.engine.operation_store import LedgerRow
from service.engine.other_ids import OtherIds
from service.engine.partner_row import PartnerRow
from service.engine.seen_messages import WINDOW_MS, SeenMessages
from service.engine.spool_reader import Claimed, SpoolReader
from service.engine.stores import Stores
from service.engine.sync_consents import SyncConsents
from service.engine.tombstones import Tombstones
from service.engine.unloadable import (
    find_unloadable,
    may_be_the_database,
    may_be_the_records,
    told_of,
)
from service.metrics import Balance
from service.tag.record import Kind, Record
from service.tag.tag_state import Site, TagState

SLACK_MS: Final = 10 * 60_000
NONE: Final[Mapping[int, str]] = {}


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one chunk."""

    chunk: int
    records: int
    stored: int
    bad: int
    dropped: dict[str, int]
    damage: str = ""


class Loader:
    """The one writer of what the tag collected."""

    def __init__(
        self,
        *,
        stores: Stores,
        reader: SpoolReader,
        state: Callable[[], TagState],
        tombstones: Tombstones,
        balance: Balance,
        seed: bytes,
        clock_ms: Callable[[], int],
    ) -> None:
        self._stores = stores
        self._reader = reader
        self._state = state
        self._tombstones = tombstones
        self._balance = balance
        self._seed = seed
        self._clock_ms = clock_ms
        self._failures: dict[int, str] = {}
        self._is_ahead = False
        """Whether memory may hold what the tables do not: since a load began and until it ended."""
        self.open()
        reader.count_left_over()

    def open(self) -> None:
        """Rebuild every cache from the tables; also after a failure, when memory may be ahead.

        Every cache is as it was before the first chunk in doubt, so that chunks which are read
        again meet what they met the first time.
        """
        self._let_go_of_loaded()
        self._doubtful = {each.number for each in self._reader.claimed()}
        stores, first = self._stores, min(self._doubtful, default=None)
        # Why not now: what waits may be older than this start, when the engine was away.
        since_ms = min(self._clock_ms(), self._reader.oldest_ms() or self._clock_ms()) - SLACK_MS
        stores.customers.open()
        stores.partner_ids.open()
        self._seen = SeenMessages(seed=self._seed)
        self._seen.forget_old(self._clock_ms())
        self._seen.load(stores.events.message_hashes(since_ms - WINDOW_MS, before_chunk=first))
        self._callbacks = Callbacks(
            stores.partner_ids,
            since_ms=since_ms - LIVES_MS,
            before_chunk=first,
            forbids=lambda visitor, at_ms: self._tombstones.forbids(
                [("visitor", visitor)], oldest_ms=at_ms
            ),
        )
        self._other_ids = OtherIds(stores.partner_ids, since_ms=since_ms, before_chunk=first)
        clicks = stores.people.recent_clicks(since_ms=since_ms - CLICK_WINDOW_MS)
        self._links = ChunkLinks(clicks)
        self._opted_out = stores.consents.opted_out()

    def load_all(
        self, done: list[Loaded] | None = None, *, seconds_max: float = inf
    ) -> list[Loaded]:
        """Load the chunks that wait, in order; those before a failure are in `done` too.

        After so many seconds no other is begun.
        """
        done, until = [] if done is None else done, time.monotonic() + seconds_max
        if self._is_ahead:  # the last failure was one of the database too, so memory stayed so
            self.open()
        for chunk in self._reader.claim():
            if time.monotonic() >= until:
                break
            gc.disable()
            self._is_ahead = True
            try:
                done.append(self._load(chunk))
            except BaseException as problem:  # noqa: BLE001 - raised again unless told otherwise
                self.open()
                done.append(self._load_without_culprits(chunk, problem))
            finally:
                gc.enable()
            self._is_ahead = False
        if done:
            self._callbacks.forget_old(self._clock_ms())
            self._other_ids.forget_old(self._clock_ms())
        return done

    def _let_go_of_loaded(self) -> None:
        """Let go of chunks whose ledger row stands: only their files were left."""
        for chunk in self._reader.claimed():
            row = self._stores.operation.ledger_row(chunk.number)
            if row is None:
                continue
            if self._reader.is_counted(chunk):
                self._balance.loaded(stored=row.stored, bad=row.bad, dropped=row.dropped)
            self._reader.let_go(chunk)

    def _load_without_culprits(self, chunk: Claimed, problem: BaseException) -> Loaded:
        """Load a chunk that failed twice alike without the records that make it fail."""
        told, before = told_of(problem), self._failures.get(chunk.number)
        if not may_be_the_records(problem):
            raise problem
        self._failures[chunk.number] = told
        if told != before:
            raise problem
        records, may_be_ill = list(self._reader.read(chunk).records), may_be_the_database(problem)
        found = find_unloadable(
            records, lambda some: self._trial(chunk, some), may_be_ill=may_be_ill
        )
        if len(found) == len(records) and may_be_ill:
            del self._failures[chunk.number]
            raise problem  # a database that takes nothing is ill itself
        self.open()
        return self._load(chunk, unloadable=found)

    def _trial(self, chunk: Claimed, records: Sequence[Record]) -> str:
        """Load some records of a chunk and say why they do not load; a later load adds the rest."""
        self.open()
        try:
            tries = self._stores.operation.untried(chunk.number, list(records))
            self._store(chunk.number, self._rows_of(tries.records), doubtful=True)
        except Exception as problem:
            if not may_be_the_records(problem):
                raise
            return str(problem)[:500] or told_of(problem)
        return ""

    def _rows_of(self, records: ChunkRecords | Sequence[Record]) -> ChunkRows:
        return rows_of(records, site=self._site, seen=self._seen, tombstones=self._tombstones)

    def _untried(self, chunk: int, records: ChunkRecords) -> tuple[ChunkRecords, dict[str, int]]:
        """Leave out the bad records that were tried again before."""
        again = records.tried_again()
        if not again:
            return records, {}
        tries = self._stores.operation.untried(chunk, again)
        before = {each.row for each in again} - {each.row for each in tries.records}
        return records.without(before), tries.again

    def _load(self, chunk: Claimed, unloadable: Mapping[int, str] = NONE) -> Loaded:
        content = self._reader.read(chunk)
        doubtful = chunk.number in self._doubtful
        operation = self._stores.operation
        self._seen.forget_old(self._clock_ms())
        records, again = self._untried(chunk.number, content.records)
        rows = self._rows_of(records.without(unloadable))
        for each in records if unloadable else ():
            if each.row in unloadable:
                why = unloadable[each.row]
                set_aside(each, rows, self._tombstones, reason="unloadable", detail=why)
        rows.dropped["duplicate"] += len(content.records) - len(records)
        stored = self._store(chunk.number, rows, doubtful=doubtful)
        operation.put_bad(chunk.number, rows.bad)
        operation.put_replayed(chunk.number, again, doubtful=doubtful)
        row = LedgerRow(stored=stored, bad=len(rows.bad), dropped=rows.dropped)
        operation.put_chunk(
            chunk.number, name=chunk.path.name, records=len(content.records), row=row
        )
        dropped = dict(rows.dropped)
        self._reader.let_go(chunk)
        self._doubtful.discard(chunk.number)
        self._failures.pop(chunk.number, None)
        self._balance.loaded(stored=stored, bad=len(rows.bad), dropped=rows.dropped)
        return Loaded(
            chunk=chunk.number,
            records=len(content.records),
            stored=stored,
            bad=len(rows.bad),
            dropped=dropped,
            damage=content.damage,
        )

    def _site(self, key: str) -> Site | None:
        return next((each for each in self._state().sites if each.key == key), None)

    def _store(self, chunk: int, rows: ChunkRows, *, doubtful: bool) -> int:
        people = ChunkOrdinals(self._stores, chunk, rows, now_ms=self._clock_ms())
        self._drop_unwanted(rows, people)
        told = signals_told(rows, people)
        for columns, store in (
            (self._partner_ids(chunk, rows, people, told), self._stores.partner_ids),
            (self._links.identifications(chunk, rows, people), self._stores.people),
            (self._links.consents(chunk, told), self._stores.consents),
        ):
            there = store.rows_of_chunk(chunk) if doubtful else None
            insert_missing(columns, there, store.insert)
        self._store_events(event_columns(chunk, rows.events, people), chunk, doubtful=doubtful)
        return len(rows.events) + len(rows.others) - rows.dropped["partner_off"]

    def _drop_unwanted(self, rows: ChunkRows, people: ChunkOrdinals) -> None:
        """Leave out withdrawals of nobody known, and what is said of visitors who opted out.

        A server may still name a browser whose cookie is gone. Opt-outs of the same chunk count
        first, so that a chunk which is read again loses the same events.
        """
        known: list[Record] = []
        for each in rows.others:
            visitor = people.visitor(each.visitor)
            if each.kind is Kind.CONSENT and not visitor:
                rows.dropped["unknown_visitor"] += 1
                continue
            known.append(each)
            if each.kind is Kind.CONSENT and decode_signals(each.meta.signals).opted_out:
                self._opted_out.add(visitor)
        rows.others = known
        visitors = people.visitors(rows.events)
        gone = ordinals_of(self._opted_out & bitmap_of(visitors)) if self._opted_out else ()
        if len(gone):
            unwanted = np.isin(visitors, gone)
            rows.dropped["opted_out"] += int(unwanted.sum())
            rows.events = rows.events.take(~unwanted)

    def _store_events(self, columns: EventColumns, chunk: int, *, doubtful: bool) -> None:
        store = self._stores.events
        there = store.rows_of_chunk(chunk) if doubtful else None
        insert_missing(columns, there, store.insert)
        owners = store.rows_of_chunk_by_visitor(chunk) if doubtful else None
        insert_missing(
            columns, None, lambda piece: store.insert_by_visitor(piece, except_rows=owners)
        )

    def _partner_ids(
        self, chunk: int, rows: ChunkRows, people: ChunkOrdinals, told: Sequence[SignalsTold]
    ) -> PartnerIdColumns:
        found: list[PartnerRow] = []
        state, visitors = self._state(), self._callbacks.awaited(rows.others, people.visitor)
        allow = SyncConsents(state, self._stores.consents, chunk, told, visitors=visitors).allow
        for record in rows.others:
            visitor, partner = people.visitor(record.visitor), state.partner(record.meta.partner)
            if record.kind is Kind.OTHER_ID and visitor not in self._opted_out:
                found += self._other_ids.named(record, visitor)
            elif record.kind not in {Kind.OFFER, Kind.PARTNER_ID}:
                continue
            elif partner is None:
                rows.dropped["partner_off"] += 1
            elif record.kind is Kind.OFFER:
                found += self._callbacks.offered(record, partner, visitor, allow)
            else:
                found.append(self._callbacks.returned(record, partner, allow))
        return partner_columns(chunk, found)
