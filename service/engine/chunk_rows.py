"""A chunk's records become rows: times judged, bots flagged, duplicates and the erased left out.

Pure but for the lookups that it is given; which rows are already in the database is the loader's
affair. Events are columns, one item for each; all other records stay what they are.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.engine.chunk_records import ChunkRecords, columns_of
from service.engine.event_rows import EventRows, Flag
from service.engine.forbidden_events import forbidden
from service.engine.message_columns import MessageColumns, read_messages
from service.engine.seen_messages import SeenMessages
from service.engine.tombstones import Tombstones
from service.tag.bots import is_bot, is_crawler
from service.tag.messages import read_time_ms
from service.tag.record import Kind, Meta, Record, bytes_of
from service.tag.steps import NO_VISITOR
from service.tag.tag_state import Site

Name = tuple[str, str | bytes]


class BadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A record that cannot be loaded, whole, so that it can be tried again."""

    row: int
    received_ms: int
    reason: str
    detail: str
    bytes: bytes


class ChunkRows(msgspec.Struct, kw_only=True):
    """What a chunk holds, by destination."""

    events: EventRows
    others: list[Record]
    bad: list[BadRow]
    dropped: Counter[str]


class _Named(msgspec.Struct, rename="camel"):
    """Of a message that may be no message: whom it names."""

    user_id: str | int | None = None


class _Library(msgspec.Struct):
    name: str | None = None


class _Context(msgspec.Struct):
    library: _Library | None = None


class _Sent(msgspec.Struct):
    """Of a message: by which SDK it was sent."""

    context: _Context | None = None


_named_decoder: Final = msgspec.json.Decoder(_Named)
_sent_decoder: Final = msgspec.json.Decoder(_Sent)


def rows_of(
    records: ChunkRecords | Iterable[Record],
    *,
    site: Callable[[str], Site | None],
    seen: SeenMessages,
    tombstones: Tombstones,
) -> ChunkRows:
    """Sort a chunk's records into events, other observations, bad ones and dropped ones."""
    if not isinstance(records, ChunkRecords):
        records = columns_of(records)
    is_message = records.kind == Kind.MESSAGE
    told = read_messages(records, np.flatnonzero(is_message), seen)
    events = _events(records, told, site)
    rows = ChunkRows(events=events, others=[], bad=[], dropped=Counter())
    for place in np.flatnonzero(~is_message).tolist():
        _sort_other(records.record(place), rows, tombstones)
    for place, why in sorted(told.bad.items()):
        record = records.record(place)
        set_aside(record, rows, tombstones, reason=why.reason, detail=why.detail)
    if not tombstones.forbid_nothing:
        wanted = ~forbidden(events, told.named, tombstones)
        rows.dropped["suppressed"] += int((~wanted).sum())
        rows.events = events.take(wanted)
    _drop_duplicates(rows, seen)
    return rows


def set_aside(
    record: Record, rows: ChunkRows, tombstones: Tombstones, *, reason: str, detail: str
) -> None:
    """Keep a record that cannot be loaded, unless it names somebody who was erased."""
    received_ms = record.received_us // 1000
    visitor = b"" if record.visitor == NO_VISITOR else record.visitor
    names: list[Name] = [
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
    names: list[Name] = [("visitor", record.visitor), ("crm_id", record.meta.proved)]
    oldest_ms = record.received_us // 1000
    if record.kind is Kind.CLICK and record.meta.sent_at:
        # Why: a newsletter from before an erasure must not bring the person back.
        oldest_ms = min(oldest_ms, read_time_ms(record.meta.sent_at))
    if tombstones.forbids(names, oldest_ms=oldest_ms):
        rows.dropped["suppressed"] += 1
    else:
        rows.others.append(record)


def _events(
    records: ChunkRecords, told: MessageColumns, site: Callable[[str], Site | None]
) -> EventRows:
    place = told.place
    claimed, opened = _claims(records, told.named, site)
    proved, customers = _proved(records.metas)
    return EventRows(
        place=place,
        row=records.row[place],
        received_ms=records.received_ms[place],
        at_ms=told.at_ms,
        event=told.event,
        visitor=records.visitor[place],
        message_hash=told.message_hash,
        flags=_flags(records, told),
        properties=told.properties,
        proved=proved[records.meta[place]],
        customers=customers,
        sender=records.sender[place],
        senders=records.senders,
        opened=opened,
        claimed=claimed,
    )


def _proved(metas: Sequence[Meta]) -> tuple[NDArray[np.intp], list[str]]:
    codes = {"": 0}
    found = [codes.setdefault(each.proved, len(codes)) for each in metas]
    return np.array(found, dtype=np.intp), list(codes)


def _claims(
    records: ChunkRecords, named: dict[int, str], site: Callable[[str], Site | None]
) -> tuple[dict[int, str], dict[int, str]]:
    """Tell apart what messages claim from what a site that asks for no proof takes as true."""
    claimed: dict[int, str] = {}
    opened: dict[int, str] = {}
    is_open: dict[str, bool] = {}
    for place, name in named.items():
        meta = records.metas[records.meta[place]]
        if meta.proved:
            continue
        if meta.site not in is_open:
            found = site(meta.site)
            is_open[meta.site] = found is not None and found.identify == "open"
        (opened if is_open[meta.site] else claimed)[place] = name
    return claimed, opened


def _flags(records: ChunkRecords, told: MessageColumns) -> NDArray[np.uint8]:
    flags = np.where(told.corrected, Flag.CLOCK_CORRECTED, 0).astype(np.uint8)
    server = records.of_sender(lambda meta: meta.server, np.bool_)[told.place]
    flags[server] |= np.uint8(Flag.SERVER)
    crawler = records.of_sender(lambda meta: is_crawler(meta.agent), np.bool_)[told.place]
    for index in np.flatnonzero(crawler & ~server).tolist():
        record = records.record(told.place[index])
        if is_bot(record.meta.agent, _library_of(record)):
            flags[index] |= np.uint8(Flag.BOT)
    return flags


def _library_of(record: Record) -> str:
    """Give the SDK's name; empty when it gave none that can be read."""
    try:
        context = _sent_decoder.decode(record.body).context
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""
    library = context.library if context else None
    return (library.name or "") if library else ""


def _drop_duplicates(rows: ChunkRows, seen: SeenMessages) -> None:
    first = seen.first_times(rows.events.message_hash)
    rows.dropped["duplicate"] += int((~first).sum())
    rows.events = rows.events.take(first)
