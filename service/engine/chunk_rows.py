"""A chunk's records become rows: times judged, bots flagged, duplicates and the erased left out.

Pure but for the lookups that it is given; which rows are already in the database is the loader's
affair.
"""

from collections import Counter
from collections.abc import Callable
from enum import IntFlag
from typing import Final
from zlib import crc32

import msgspec

from service.engine.seen_messages import SeenMessages
from service.engine.tombstones import Tombstones
from service.tag.bots import is_bot
from service.tag.messages import Message, read_time_ms, server_time_fault
from service.tag.record import Kind, Record, bytes_of
from service.tag.steps import NO_VISITOR
from service.tag.tag_state import Site

LATE_MS_MAX: Final = 35 * 86_400_000
EARLY_MS_MAX: Final = 5 * 60_000


class Flag(IntFlag):
    """What an event's row says about how far its message is trusted."""

    CLOCK_CORRECTED = 1
    BOT = 2
    SERVER = 4


# Why plain numbers: operators of flags cost more than all else that is done with a flag.
CLOCK_CORRECTED: Final = int(Flag.CLOCK_CORRECTED)
BOT: Final = int(Flag.BOT)
SERVER: Final = int(Flag.SERVER)


class EventRow(msgspec.Struct, kw_only=True, gc=False):
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
    properties: str
    signals: str


class TimeOutOfRange(ValueError):
    """A server dates a message before 1970 or more than a year ahead."""


class BadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A record that cannot be loaded, whole, so that it can be tried again."""

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


class _Named(msgspec.Struct, rename="camel"):
    """Of a message that may be no message: whom it names."""

    user_id: str | int | None = None


_decoder: Final = msgspec.json.Decoder(Message)
_named_decoder: Final = msgspec.json.Decoder(_Named)


def rows_of(
    records: list[Record],
    *,
    site: Callable[[str], Site | None],
    seen: SeenMessages,
    tombstones: Tombstones,
) -> ChunkRows:
    """Sort a chunk's records into events, other observations, bad ones and dropped ones."""
    rows = ChunkRows(events=[], others=[], bad=[], dropped=Counter())
    may_forbid = not tombstones.forbid_nothing
    for record in records:
        if record.kind is not Kind.MESSAGE:
            _sort_other(record, rows, tombstones)
            continue
        try:
            message = _decoder.decode(record.body)
            event = _event_of(record, message, site, seen)
        except TimeOutOfRange as problem:
            set_aside(record, rows, tombstones, reason="time_out_of_range", detail=str(problem))
            continue
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as problem:
            set_aside(record, rows, tombstones, reason="malformed", detail=str(problem))
            continue
        if may_forbid:
            names = _names_of(record, message)
            if tombstones.forbids(names, oldest_ms=min(event.at_ms, event.received_ms)):
                rows.dropped["suppressed"] += 1
                continue
        rows.events.append(event)
    _drop_duplicates(rows, seen)
    return rows


def set_aside(
    record: Record, rows: ChunkRows, tombstones: Tombstones, *, reason: str, detail: str
) -> None:
    """Keep a record that cannot be loaded, unless it names somebody who was erased."""
    received_ms = record.received_us // 1000
    visitor = b"" if record.visitor == NO_VISITOR else record.visitor
    names: list[tuple[str, str | bytes]] = [
        ("visitor", visitor),
        ("crm_id", record.meta.proved),
        ("crm_id", _named_in(record)),
    ]
    if tombstones.forbids(names, oldest_ms=received_ms):
        rows.dropped["suppressed"] += 1
        return
    rows.bad.append(
        BadRow(
            row=record.row,
            received_ms=received_ms,
            reason=reason,
            detail=detail,
            bytes=bytes_of(record),
        )
    )


def _named_in(record: Record) -> str:
    try:
        user_id = _named_decoder.decode(record.body).user_id
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    return "" if user_id is None else str(user_id).strip()


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


def _event_of(
    record: Record, message: Message, site: Callable[[str], Site | None], seen: SeenMessages
) -> EventRow:
    meta = record.meta
    received_ms = record.received_us // 1000
    at_ms, flags = (received_ms, 0) if not message.timestamp else _time_of(record, message)
    if meta.server:
        flags |= SERVER
    elif is_bot(meta.agent, _library(message)):
        flags |= BOT
    claimed = "" if meta.proved or message.user_id is None else message.customer
    opened = bool(claimed) and _is_open(site(meta.site))
    # Why the bytes: two tag processes may take different messages in the same moment.
    named = message.message_id or f"{record.received_us}:{record.row}:{crc32(record.body)}"
    return EventRow(
        row=record.row,
        received_ms=received_ms,
        at_ms=at_ms,
        event=message.event if meta.type == "track" else meta.type,
        type=meta.type,
        site=meta.site,
        visitor=record.visitor,
        proved=claimed if opened else meta.proved,
        claimed="" if opened else claimed,
        method="form" if opened else meta.method,
        message_hash=seen.hash_of(meta.site, record.visitor, named),
        flags=flags,
        properties=message.facts(meta.type).decode(),
        signals=meta.signals,
    )


def _is_open(site: Site | None) -> bool:
    return site is not None and site.identify == "open"


def _library(message: Message) -> str:
    library = message.context.library if message.context else None
    return library.name if library else ""


def _time_of(record: Record, message: Message) -> tuple[int, int]:
    """Give the event's time and whether the client's clock had to be corrected (decision 10)."""
    received_ms = record.received_us // 1000
    at_ms = read_time_ms(message.timestamp or "")
    if record.meta.server:
        fault = server_time_fault(message, received_ms=received_ms)
        if fault:
            raise TimeOutOfRange(fault)
        return at_ms, 0
    sent_at = message.sent_at or record.meta.sent_at
    if sent_at:
        at_ms += received_ms - read_time_ms(sent_at)
    if received_ms - LATE_MS_MAX <= at_ms <= received_ms + EARLY_MS_MAX:
        return at_ms, 0
    return received_ms, CLOCK_CORRECTED
