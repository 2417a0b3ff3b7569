"""Events as the columns that are stored, and whom they touch.

In go lists or arrays of loaded events, out come typed columns for the native format. Nothing here
stores them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiences.native_block import (
    MOMENT,
    NAME,
    TEXT,
    CodedTexts,
    Column,
    PackedTexts,
    coded_texts,
    pack_texts,
)
from audiences.world import Arrived, Touched
from matching.bitmaps import bitmap_of
from matching.ids import NOBODY

FLAG_BOT: Final = 2
"""Bit of `flags`: judged to come from a bot; such events count for nobody."""

PAIRS_MARKED_MAX: Final = 1_000_000
"""So many pairs of name and day are found by marking them; more are sorted."""

Ints = Sequence[int] | NDArray[Any]


class EventColumns(msgspec.Struct, frozen=True, kw_only=True):
    """Events to be stored: one list or array per column, all of one length."""

    chunk: Ints
    row: Ints
    received_at_ms: Ints
    at_ms: Ints
    event: Sequence[str] | CodedTexts
    site: Sequence[str] | CodedTexts
    visitor: Ints
    customer: Ints
    message_hash: Ints
    flags: Ints
    properties: Sequence[str] | PackedTexts


def columns_of(columns: EventColumns) -> dict[str, Column]:
    """Give every stored column but the day."""
    texts = columns.properties
    if not isinstance(texts, PackedTexts):
        texts = pack_texts([each.encode() for each in texts])
    return {
        "chunk": _numbers("UInt64", columns.chunk),
        "row": _numbers("UInt32", columns.row),
        "received_at": Column(type=MOMENT, values=np.asarray(columns.received_at_ms, np.int64)),
        "at": Column(type=MOMENT, values=np.asarray(columns.at_ms, np.int64)),
        "event": _names(columns.event),
        "site": _names(columns.site),
        "visitor": _numbers("UInt32", columns.visitor),
        "customer": _numbers("UInt32", columns.customer),
        "message_hash": _numbers("UInt64", columns.message_hash),
        "flags": _numbers("UInt8", columns.flags),
        "properties": Column(type=TEXT, values=texts),
    }


def touched_by(columns: Mapping[str, Column], day: NDArray[np.int64], number: int) -> Touched:
    """Note the events of an insert, which visitors are bots, and the names and days."""
    visitor, event, site = (columns[name].values for name in ("visitor", "event", "site"))
    is_bot = columns["flags"].values & FLAG_BOT != 0
    bots = bitmap_of(visitor[is_bot])
    bots.discard(NOBODY)
    arrived = Arrived(
        number=number,
        events=event.names,
        event=event.codes[~is_bot],
        sites=site.names,
        site=site.codes[~is_bot],
        visitor=visitor[~is_bot],
        customer=columns["customer"].values[~is_bot],
        day=day[~is_bot],
    )
    return Touched(arrived=(arrived,), bots=bots, days=_days_of(event, day))


def _days_of(event: CodedTexts, day: NDArray[np.int64]) -> frozenset[tuple[str, int]]:
    """Give the pairs of name and day that there are."""
    if not day.size:
        return frozenset()
    first, span = int(day.min()), int(day.max() - day.min()) + 1
    pairs = event.codes.astype(np.int64) * span + (day - first)
    if len(event.names) * span <= PAIRS_MARKED_MAX:
        marked = np.zeros(len(event.names) * span, dtype=np.bool_)
        marked[pairs] = True
        pairs = np.flatnonzero(marked)
    return frozenset(
        (event.names[pair // span], first + pair % span) for pair in np.unique(pairs).tolist()
    )


def taken(column: Column, places: NDArray[np.intp]) -> Column:
    """Keep these places of a column."""
    return Column(type=column.type, values=column.values.take(places))


def _numbers(kind: str, values: Ints) -> Column:
    return Column(type=kind, values=np.asarray(values, dtype=kind.lower()))


def _names(texts: Sequence[str] | CodedTexts) -> Column:
    values = texts if isinstance(texts, CodedTexts) else coded_texts(texts)
    return Column(type=NAME, values=values)
