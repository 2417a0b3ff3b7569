"""A chunk's records become rows: times judged, bots flagged, duplicates and the erased left out.

Pure but for the lookups that it is given; which rows are already in the database is the loader's
affair.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntFlag
from typing import Final

import msgspec

from service.engine.seen_messages import SeenMessages
from service.engine.tombstones import Tombstones
from service.tag.bots import is_bot
from service.tag.messages import Message
from service.tag.record import Kind, Record
from service.tag.steps import NO_VISITOR
from service.tag.tag_state import Site

LATE_MS_MAX: Final = 35 * 86_400_000
EARLY_MS_MAX: Final = 5 * 60_000
EPOCH_MS: Final = 0


class Flag(IntFlag):
    """What an event's row says about how far its message is trusted."""

    CLOCK_CORRECTED = 1
    BOT = 2
    SERVER = 4


class EventRow(msgspec.Struct, kw_only=True):
    """One message that will be an event."""

    row: int
    received_ms: int
    at_ms: int
    event: str
    type: str
    site: str
    visitor: bytes
    proved: str
    claimed: str
    method: str
    message_hash: int
    flags: int
    properties: bytes
    signals: str


class BadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A record that cannot be loaded."""

    row: int
    received_ms: int
    reason: str
    detail: str
    bytes: bytes


class ChunkRows(msgspec.Struct, kw_only=True):
    """What a chunk holds, by destination."""

    events: list[EventRow]
    others: list[Record]
    bad: list[BadRow]
    dropped: Counter[str]


_decoder: Final = msgspec.json.Decoder(Message)


def rows_of(
    records: list[Record],
    *,
    site: Callable[[str], Site | None],
    seen: SeenMessages,
    tombstones: Tombstones,
) -> ChunkRows:
    """Sort a chunk's records into events, other observations, bad ones and dropped ones."""
    rows = ChunkRows(events=[], others=[], bad=[], dropped=Counter())
    for record in records:
        if record.kind is not Kind.MESSAGE:
            _sort_other(record, rows, tombstones)
            continue
        try:
            message = _decoder.decode(record.body)
            event = _event_of(record, message, site(record.meta.site), seen)
        except (msgspec.MsgspecError, ValueError) as problem:
            rows.bad.append(_bad_of(record, str(problem)))
            continue
        names = _names_of(record, message)
        if tombstones.forbids(names, oldest_ms=min(event.at_ms, event.received_ms)):
            rows.dropped["suppressed"] += 1
            continue
        rows.events.append(event)
    _drop_duplicates(rows, seen)
    return rows


def _sort_other(record: Record, rows: ChunkRows, tombstones: Tombstones) -> None:
    names: list[tuple[str, str | bytes]] = [
        ("visitor", record.visitor),
        ("crm_id", record.meta.proved),
    ]
    if tombstones.forbids(names, oldest_ms=record.received_us // 1000):
        rows.dropped["suppressed"] += 1
    else:
        rows.others.append(record)


def _drop_duplicates(rows: ChunkRows, seen: SeenMessages) -> None:
    first = seen.first_times([event.message_hash for event in rows.events])
    rows.dropped["duplicate"] += len(rows.events) - int(first.sum())
    rows.events = [event for event, kept in zip(rows.events, first, strict=True) if kept]


def _names_of(record: Record, message: Message) -> list[tuple[str, str | bytes]]:
    visitor = b"" if record.visitor == NO_VISITOR else record.visitor
    return [("visitor", visitor), ("crm_id", record.meta.proved or message.customer)]


def _event_of(record: Record, message: Message, site: Site | None, seen: SeenMessages) -> EventRow:
    received_ms = record.received_us // 1000
    at_ms, flags = _time_of(record, message, received_ms)
    if record.meta.server:
        flags |= Flag.SERVER
    elif is_bot(record.meta.agent, _library(message)):
        flags |= Flag.BOT
    claimed = "" if record.meta.proved else message.customer
    opened = bool(claimed) and site is not None and site.identify == "open"
    named = message.message_id or f"{record.received_us}:{record.row}"
    properties = message.traits if message.type == "identify" else message.properties
    raw = bytes(properties)
    return EventRow(
        row=record.row,
        received_ms=received_ms,
        at_ms=at_ms,
        event=message.event if record.meta.type == "track" else record.meta.type,
        type=record.meta.type,
        site=record.meta.site,
        visitor=record.visitor,
        proved=claimed if opened else record.meta.proved,
        claimed="" if opened else claimed,
        method="form" if opened else record.meta.method,
        message_hash=seen.hash_of(record.meta.site, record.visitor, named),
        flags=flags,
        properties=raw if raw[:1] == b"{" else b"{}",
        signals=record.meta.signals,
    )


def _library(message: Message) -> str:
    library = message.context.library if message.context else None
    return library.name if library else ""


def _time_of(record: Record, message: Message, received_ms: int) -> tuple[int, int]:
    """Give the event's time and whether the client's clock had to be corrected (decision 10)."""
    if not message.timestamp:
        return received_ms, 0
    at_ms = read_time_ms(message.timestamp)
    if record.meta.server:
        return max(at_ms, EPOCH_MS), 0
    sent_at = message.sent_at or record.meta.sent_at
    if sent_at:
        at_ms += received_ms - read_time_ms(sent_at)
    if received_ms - LATE_MS_MAX <= at_ms <= received_ms + EARLY_MS_MAX:
        return at_ms, 0
    return received_ms, Flag.CLOCK_CORRECTED


def read_time_ms(text: str) -> int:
    """Read an ISO 8601 time as milliseconds since the epoch; without a zone it is UTC."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _bad_of(record: Record, detail: str) -> BadRow:
    return BadRow(
        row=record.row,
        received_ms=record.received_us // 1000,
        reason="malformed",
        detail=detail,
        bytes=record.body,
    )
