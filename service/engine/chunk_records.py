"""The records of one chunk as columns: bytes come in, heads as arrays and metas once each go out.

Bodies stay where they lie. A record of its own is only made of what is asked for one by one.
"""

import struct
import zlib
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from mmap import mmap
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.tag.record import (
    FIXED,
    HEAD,
    MAGIC,
    RECORD_BYTES_MAX,
    Damage,
    Kind,
    Meta,
    Record,
    bytes_of,
    meta_of,
    record_places,
)

Content = bytes | mmap

_HEADS: Final = struct.Struct(f"{HEAD.format}{FIXED.size - 2}xH")
"""Of a record: its length, its checksum and the size of its meta."""
_FIXED: Final = np.dtype(
    [
        ("kind", "u1"),
        ("flags", "u1"),
        ("received_us", "<u8"),
        ("visitor", "<u8", (2,)),
        ("meta_bytes", "<u2"),
    ]
)


class ChunkRecords:
    """Records side by side, every array with one item for each.

    `visitor` holds the id's two halves, `metas` every distinct meta and `meta` which one a record
    has. `senders` are the metas told apart only by what many messages share, which is all but
    address and proof; `sender` says which. A body lies in `content` from `begin` to `end`.
    """

    def __init__(self, content: Content, found: "_Found") -> None:
        begin = _integers(found.places)
        heads = _heads(content, begin)
        self.content = content
        self.row: NDArray[np.uint32] = np.arange(begin.size, dtype=np.uint32)
        self.kind: NDArray[np.uint8] = heads["kind"].copy()
        self.received_us: NDArray[np.uint64] = heads["received_us"].copy()
        self.visitor: NDArray[np.uint64] = heads["visitor"].astype(np.uint64)
        self.end: NDArray[np.int64] = np.append(begin[1:] - HEAD.size, len(content))[: begin.size]
        self.begin: NDArray[np.int64] = begin + FIXED.size + heads["meta_bytes"]
        self.meta, self.metas = _integers(found.codes), found.metas
        sender, self.senders = _told_apart(self.metas)
        self.sender = sender[self.meta]

    def __len__(self) -> int:
        return self.row.size

    def __iter__(self) -> Iterator[Record]:
        return map(self.record, range(len(self)))

    @property
    def received_ms(self) -> NDArray[np.int64]:
        """When each was received."""
        return (self.received_us // np.uint64(1000)).astype(np.int64)

    def of_sender(self, tell: Callable[[Meta], Any], dtype: Any) -> NDArray[Any]:
        """Give of every record what its sender tells; each is asked once."""
        return np.array([tell(each) for each in self.senders], dtype=dtype)[self.sender]

    def record(self, place: int) -> Record:
        """Make one record."""
        return Record(
            row=int(self.row[place]),
            kind=Kind(int(self.kind[place])),
            received_us=int(self.received_us[place]),
            visitor=self.visitor[place].astype("<u8").tobytes(),
            meta=self.metas[self.meta[place]],
            body=self.content[self.begin[place] : self.end[place]],
        )

    def take(self, places: NDArray[Any]) -> "ChunkRecords":
        """Keep the records at these places."""
        taken = object.__new__(ChunkRecords)
        taken.content, taken.metas, taken.senders = self.content, self.metas, self.senders
        for name in ("row", "kind", "received_us", "visitor", "begin", "end", "meta", "sender"):
            setattr(taken, name, getattr(self, name)[places])
        return taken

    def without(self, rows: Collection[int]) -> "ChunkRecords":
        """Leave out the records of these rows."""
        if not rows:
            return self
        return self.take(~np.isin(self.row, np.array(sorted(rows), dtype=np.uint32)))

    def tried_again(self) -> list[Record]:
        """Make the records of which each is a bad one that is tried again."""
        again = np.array([bool(each.again) for each in self.metas], dtype=np.bool_)[self.meta]
        return [self.record(place) for place in np.flatnonzero(again).tolist()]


def records_of(content: Content) -> ChunkRecords:
    """Read a chunk that is whole; raise Damage when any of it is not."""
    records = ChunkRecords(content, _found_in(content))
    if len(records) and not np.isin(records.kind, list(Kind)).all():
        raise Damage(len(MAGIC), "a record of an unknown kind", torn=False)
    return records


def columns_of(records: Iterable[Record]) -> ChunkRecords:
    """Put records that were read one by one side by side."""
    given = list(records)
    columns = records_of(MAGIC + b"".join(map(bytes_of, given)))
    columns.row = np.array([each.row for each in given], dtype=np.uint32)
    return columns


def _heads(content: Content, places: NDArray[np.int64]) -> NDArray[Any]:
    if places.size == 0:
        return np.zeros(0, dtype=_FIXED)
    whole = np.frombuffer(content, dtype=np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(whole, FIXED.size)
    heads: NDArray[Any] = windows[places].view(_FIXED).reshape(-1)
    return heads


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """Where every record begins behind its head, every distinct meta and which one a record has."""

    places: list[int]
    codes: list[int]
    metas: list[Meta]


def _found_in(content: Content) -> _Found:
    """Find all records; raise Damage when anything else is there."""
    found = _Found(places=[], codes=[], metas=[])
    known: dict[bytes, int] = {}
    # Why all in one loop, with names of its own: it runs once for every record that there is.
    put, note, metas, code_of = found.places.append, found.codes.append, found.metas, known.get
    head_at, checksum_of, head, fixed = _HEADS.unpack_from, zlib.crc32, HEAD.size, FIXED.size
    at, end = len(MAGIC), len(content)
    try:
        while at < end:
            length, crc, size = head_at(content, at)
            place = at + head
            at = place + length
            begin = place + fixed
            body = begin + size
            if checksum_of(content[place:at]) != crc or body > at:
                at = -1
                break
            code = code_of(packed := content[begin:body])
            if code is None:
                code = known[packed] = len(metas)
                metas.append(_meta_of(packed))
            put(place)
            note(code)
    except struct.error:
        at = -1  # the last head is cut off
    if at != end or content[: len(MAGIC)] != MAGIC or _any_too_long(found.places, end):
        record_places(content)  # this says what is wrong, and where
        raise Damage(len(MAGIC), "a record whose meta is cut off", torn=False)
    return found


def _told_apart(metas: Sequence[Meta]) -> tuple[NDArray[np.intp], list[Meta]]:
    codes: dict[tuple[Any, ...], int] = {}
    shared = [(m.site, m.type, m.server, m.agent, m.signals, m.method, m.sent_at) for m in metas]
    found = _integers([codes.setdefault(each, len(codes)) for each in shared])
    first = np.zeros(len(codes), dtype=np.intp)
    first[found[::-1]] = np.arange(len(metas))[::-1]  # of equal ones the last that is written stays
    return found, [metas[place] for place in first.tolist()]


def _meta_of(packed: bytes) -> Meta:
    try:
        return meta_of(packed)
    except (msgspec.MsgspecError, ValueError) as problem:
        why = f"a record of an unknown version ({problem})"
        raise Damage(len(MAGIC), why, torn=False) from problem


def _any_too_long(places: Sequence[int], end: int) -> bool:
    begins = _integers([*places, end + HEAD.size])
    return int(np.diff(begins).max(initial=0)) > RECORD_BYTES_MAX + HEAD.size


def _integers(values: Sequence[int]) -> NDArray[np.int64]:
    # Why not at once: numpy looks at the type of every value.
    return np.frombuffer(array("q", values), dtype=np.int64)
