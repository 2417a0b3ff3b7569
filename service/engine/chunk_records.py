"""The records of one chunk as columns: bytes come in, heads as arrays and metas once each go out.

Bodies stay where they lie. A record of its own is only made of what is asked for one by one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from mmap import mmap
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.tag.record import (
    FIXED,
    HEAD,
    MAGIC,
    Damage,
    Kind,
    Meta,
    Record,
    bytes_of,
    meta_of,
    record_places,
)

Content = bytes | mmap

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

    def __init__(self, content: Content, places: Sequence[int]) -> None:
        begin = np.array(places, dtype=np.int64)
        heads = _heads(content, begin)
        self.content = content
        self.row: NDArray[np.uint32] = np.arange(begin.size, dtype=np.uint32)
        self.kind: NDArray[np.uint8] = heads["kind"].copy()
        self.received_us: NDArray[np.uint64] = heads["received_us"].copy()
        self.visitor: NDArray[np.uint64] = heads["visitor"].astype(np.uint64)
        begin += FIXED.size
        self.end: NDArray[np.int64] = np.append(begin[1:] - FIXED.size - HEAD.size, len(content))
        self.end = self.end[: begin.size]
        self.begin: NDArray[np.int64] = np.minimum(begin + heads["meta_bytes"], self.end)
        self.meta, self.metas = _coded(content, begin, self.begin)
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
    records = ChunkRecords(content, record_places(content))
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


class _Codes(dict[bytes, int]):
    """Numbers distinct metas in the order in which they are met."""

    def __init__(self) -> None:
        super().__init__()
        self.metas: list[Meta] = []

    def __missing__(self, packed: bytes) -> int:
        try:
            meta = meta_of(packed)
        except (msgspec.MsgspecError, ValueError) as problem:
            why = f"a record of an unknown version ({problem})"
            raise Damage(len(MAGIC), why, torn=False) from problem
        code = self[packed] = len(self.metas)
        self.metas.append(meta)
        return code


_SHARED: Final = attrgetter("site", "type", "server", "agent", "signals", "method", "sent_at")


def _told_apart(metas: Sequence[Meta]) -> tuple[NDArray[np.intp], list[Meta]]:
    codes: dict[tuple[Any, ...], int] = {}
    found = [codes.setdefault(_SHARED(each), len(codes)) for each in metas]
    code = np.array(found, dtype=np.intp)
    first = np.unique(code, return_index=True)[1]
    return code, [metas[place] for place in first.tolist()]


def _coded(
    content: Content, begin: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.intp], list[Meta]]:
    codes = _Codes()
    found = [
        codes[content[first:last]] for first, last in zip(begin.tolist(), end.tolist(), strict=True)
    ]
    return np.array(found, dtype=np.intp), codes.metas
