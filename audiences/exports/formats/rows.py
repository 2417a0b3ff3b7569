"""What every format writes and reads back: one row for each id with what changes for it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

WRITTEN_AS_THEY_ARE: Final = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+/=_.-"
"""What stands in an id that no format of text quotes or escapes."""


class IdRow(msgspec.Struct, frozen=True, kw_only=True):
    """One id of a partner, the segments it enters or stays in, and those it leaves."""

    id: str
    id_space: str
    adds: list[tuple[str, int]]
    """Segment and lifetime in minutes; 0 where the seat knows no lifetimes."""
    removes: list[str]
    others: list[tuple[str, str]] = []
    """Id space and id of what else says the same person, where a format takes several in one."""


Change = tuple[list[tuple[str, int]], list[str]]
"""What an id enters or stays in, with the lifetime, and what it leaves, as in a row."""


class IdBlock(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one id space, column by column: many ids share few changes."""

    id_space: str
    ids: Any
    """The texts, as an Arrow array of strings."""
    codes: NDArray[np.int32]
    """In parallel to `ids`: which of `changes` is the id's."""
    changes: Sequence[Change]

    def rows(self) -> Iterator[IdRow]:
        """Give the rows one by one."""
        for text, code in zip(self.ids.to_pylist(), self.codes.tolist(), strict=True):
            adds, removes = self.changes[code]
            yield IdRow(id=text, id_space=self.id_space, adds=adds, removes=removes)


def block_of(
    id_space: str, ids: Sequence[str], codes: Sequence[int], changes: Sequence[Change]
) -> IdBlock:
    """Make a block of Python's own values."""
    return IdBlock(
        id_space=id_space,
        ids=pa.array(ids, type=pa.string()),
        codes=np.array(codes, dtype=np.int32),
        changes=changes,
    )


def bytes_of(ids: Any) -> bytes:
    """Give the texts of an Arrow array of strings end to end, in UTF-8."""
    _, offsets, data = ids.buffers()
    if data is None or not len(ids):
        return b""
    ends = np.frombuffer(offsets, dtype=np.int32)
    first, last = int(ends[ids.offset]), int(ends[ids.offset + len(ids)])
    return memoryview(data)[first:last].tobytes()


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: lines of the files, additions, removals and distinct ids.

    An id counts where it first stands, so that the counts of an export's files add up.
    """

    rows: int = 0
    adds: int = 0
    removes: int = 0
    ids: int = 0


class UnwritableRow(Exception):
    """A row cannot be said in the seat's format; the whole export stops before it is published."""


def real_lifetime(minutes: int, row: IdRow, key: str) -> int:
    """Give a lifetime that a partner could not take for a removal or for its own maximum."""
    if minutes <= 0:
        raise UnwritableRow(
            f"seat {key}: an id of {row.id_space} would stay {minutes} minutes, which would not "
            "add it; give the seat or the activation a lifetime"
        )
    return minutes


def joined(pieces: Iterable[IdRow]) -> list[IdRow]:
    """Join what several lines, files or requests say of one id; ordered by id space and id."""
    found: dict[tuple[str, str], IdRow] = {}
    for piece in pieces:
        row = found.setdefault(
            (piece.id_space, piece.id),
            IdRow(id=piece.id, id_space=piece.id_space, adds=[], removes=[], others=piece.others),
        )
        row.adds.extend(piece.adds)
        row.removes.extend(piece.removes)
    return [found[key] for key in sorted(found)]
