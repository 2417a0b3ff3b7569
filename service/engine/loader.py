"""A chunk goes in, rows come out in every table exactly once.

Order: ordinals (visitors and customers, acknowledged), partner ids, identifications, consents,
events twice, bad records, the ledger row, and only then the chunk is let go. After any doubt each
table is asked which rows of the chunk it has, and only what is missing is inserted.
"""

import gc
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from matching.consent_store import ConsentColumns
from matching.identification import IdentificationColumns
from matching.partner_facts import Partner
from matching.partner_ids_store import Offer, PartnerIdColumns
from service.engine.chunk_columns import (
    ChunkOrdinals,
    event_columns,
    insert_missing,
    partner_columns,
    transposed,
)
from service.engine.chunk_rows import ChunkRows, EventRow, Flag, rows_of
from service.engine.seen_messages import WINDOW_MS, SeenMessages
from service.engine.spool_reader import Claimed, SpoolReader
from service.engine.stores import Stores
from service.engine.tombstones import Tombstones
from service.metrics import Balance
from service.tag.record import Kind, Record
from service.tag.tag_state import Site, TagState
from service.tag.tokens import CALLBACK_LIVES_S

CLICK_WINDOW_MS: Final = 30 * 60_000
ROWS_AN_INSERT: Final = 200_000
SIGNALS_REMEMBERED: Final = 2_000_000


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
        self.open()

    def open(self) -> None:
        """Rebuild every cache from the tables; also after a failure, when memory may be ahead."""
        self._doubtful = {each.number for each in self._reader.claimed()}
        stores, now = self._stores, self._clock_ms()
        stores.customers.open()
        stores.partner_ids.open()
        self._seen = SeenMessages(seed=self._seed)
        first = min(self._doubtful, default=None)
        self._seen.load(stores.events.message_hashes(now - WINDOW_MS, before_chunk=first))
        self._offers = stores.partner_ids.open_offers(since_ms=now - CALLBACK_LIVES_S * 1000)
        self._clicks = stores.people.recent_clicks(since_ms=now - CLICK_WINDOW_MS)
        self._signals: dict[int, str] = {}

    def load_all(self) -> list[Loaded]:
        """Load every chunk that waits, in order."""
        done = []
        for chunk in self._reader.claim():
            gc.disable()
            try:
                done.append(self._load(chunk))
            except BaseException:
                self.open()
                raise
            finally:
                gc.enable()
        return done

    def _load(self, chunk: Claimed) -> Loaded:
        content = self._reader.read(chunk)
        doubtful = chunk.number in self._doubtful
        if doubtful and self._stores.operation.is_loaded(chunk.number):
            self._reader.let_go(chunk)
            return Loaded(chunk=chunk.number, records=0, stored=0, bad=0, dropped={})
        rows = rows_of(
            content.records, site=self._site, seen=self._seen, tombstones=self._tombstones
        )
        stored = self._store(chunk.number, rows, doubtful=doubtful)
        self._stores.operation.put_bad(chunk.number, rows.bad)
        self._stores.operation.put_chunk(
            chunk.number,
            name=chunk.path.name,
            records=len(content.records),
            stored=stored,
            dropped=rows.dropped,
            bad=len(rows.bad),
        )
        self._reader.let_go(chunk)
        self._doubtful.discard(chunk.number)
        dropped = dict(rows.dropped)
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
        for columns, store in (
            (self._partner_ids(chunk, rows.others, people), self._stores.partner_ids),
            (self._identifications(chunk, rows, people), self._stores.people),
            (self._consents(chunk, rows, people), self._stores.consents),
        ):
            there = store.rows_of_chunk(chunk) if doubtful else None
            insert_missing(columns, there, store.insert)
        self._store_events(chunk, rows.events, people, doubtful=doubtful)
        return len(rows.events) + len(rows.others)

    def _store_events(
        self, chunk: int, events: Sequence[EventRow], people: ChunkOrdinals, *, doubtful: bool
    ) -> None:
        columns = event_columns(chunk, events, people)
        store = self._stores.events
        there = store.rows_of_chunk(chunk) if doubtful else None
        insert_missing(columns, there, store.insert)
        owners = store.rows_of_chunk_by_visitor(chunk) if doubtful else None
        insert_missing(
            columns, None, lambda piece: store.insert_by_visitor(piece, except_rows=owners)
        )

    def _partner_ids(
        self, chunk: int, others: Sequence[Record], people: ChunkOrdinals
    ) -> PartnerIdColumns:
        rows: list[tuple[Any, ...]] = []
        for record in others:
            partner = self._state().partner(record.meta.partner)
            if partner is None:
                continue
            if record.kind is Kind.OFFER:
                rows.append(self._offer_row(record, partner, people.visitor(record.visitor)))
            elif record.kind is Kind.PARTNER_ID:
                rows.append(self._returned_row(record, partner))
        return partner_columns(chunk, rows)

    def _offer_row(self, record: Record, partner: Partner, visitor: int) -> tuple[Any, ...]:
        at_ms, nonce = record.received_us // 1000, record.meta.nonce
        self._offers[nonce] = Offer(nonce=nonce, partner=partner.key, visitor=visitor, at_ms=at_ms)
        return (
            record.row,
            at_ms,
            partner.key,
            partner.id_space,
            "offered",
            "",
            nonce,
            visitor,
            "",
            0,
        )

    def _returned_row(self, record: Record, partner: Partner) -> tuple[Any, ...]:
        offer = self._offers.get(record.meta.nonce)
        visitor, uid = offer.visitor if offer else 0, record.meta.uid
        if offer is None or offer.partner != partner.key:
            # Why no visitor: without an open offer nothing proves whose id this is.
            action, reason, visitor, uid = "refused", "no_offer", 0, ""
        elif record.meta.reason:
            action, reason = "refused", record.meta.reason
        elif not uid:
            action, reason = "deleted", ""
        else:
            action, reason = "stored", ""
            del self._offers[record.meta.nonce]
        ordinal = 0
        if uid:
            ordinal = int(self._stores.partner_ids.id_ordinals(partner.id_space, [uid])[0])
        at_ms = record.received_us // 1000
        return (
            record.row,
            at_ms,
            partner.key,
            partner.id_space,
            action,
            reason,
            record.meta.nonce,
            visitor,
            uid,
            ordinal,
        )

    def _identifications(
        self, chunk: int, rows: ChunkRows, people: ChunkOrdinals
    ) -> IdentificationColumns:
        observed: list[tuple[Any, ...]] = []
        for record in rows.others:
            if record.kind is Kind.CLICK:
                visitor = people.visitor(record.visitor)
                customer = people.customer(record.meta.proved)
                at_ms = record.received_us // 1000
                self._clicks[visitor] = max(at_ms, self._clicks.get(visitor, 0))
                observed.append(
                    (record.row, at_ms, at_ms, visitor, customer, "click", False, record.meta.site)
                )
        for event in rows.events:
            visitor = people.visitor(event.visitor)
            if not visitor or event.flags & Flag.BOT:
                continue
            if event.proved:
                customer, method, claimed = people.customer(event.proved), event.method, False
            elif event.claimed and (customer := people.claimed(event.claimed)):
                method, claimed = "form", True
            elif event.type == "page" and self._clicked_before(visitor, event.received_ms):
                customer, method, claimed = 0, "page", False
            else:
                continue
            received_ms = event.received_ms
            # Why: a click is dated by receipt, so what confirms it must be dated by the same clock.
            at_ms = received_ms if method == "page" else event.at_ms
            observed.append(
                (event.row, received_ms, at_ms, visitor, customer, method, claimed, event.site)
            )
        row, received, at, visitors, customers, methods, claims, sites = transposed(observed, 8)
        return IdentificationColumns(
            chunk=[chunk] * len(observed),
            row=row,
            received_at_ms=received,
            at_ms=at,
            visitor=visitors,
            customer=customers,
            method=methods,
            claimed=claims,
            site=sites,
        )

    def _clicked_before(self, visitor: int, at_ms: int) -> bool:
        clicked = self._clicks.get(visitor)
        return clicked is not None and clicked <= at_ms <= clicked + CLICK_WINDOW_MS

    def _consents(self, chunk: int, rows: ChunkRows, people: ChunkOrdinals) -> ConsentColumns:
        changed: list[tuple[Any, ...]] = []
        told = [
            (each.row, each.received_ms, each.visitor, each.signals, each.site)
            for each in rows.events
        ]
        told += [
            (each.row, each.received_us // 1000, each.visitor, each.meta.signals, each.meta.site)
            for each in rows.others
            if each.kind is not Kind.PARTNER_ID
        ]
        for number, received_ms, name, signals, site in sorted(told):
            visitor = people.visitor(name)
            if not visitor or not signals or self._signals.get(visitor) == signals:
                continue
            self._signals[visitor] = signals
            changed.append((number, received_ms, visitor, signals, site))
        if len(self._signals) > SIGNALS_REMEMBERED:
            self._signals.clear()
        row, received, visitors, texts, sites = transposed(changed, 5)
        return ConsentColumns(
            chunk=[chunk] * len(changed),
            row=row,
            received_at_ms=received,
            visitor=visitors,
            signals=texts,
            site=sites,
        )
