"""Ids in the order of their texts, however many: pieces in no order come in, sorted ones go out.

What one run of ids holds is sorted in memory; several runs wait in a file without a name, which no
crash leaves behind, and are merged chunk by chunk. An id that comes twice goes out once.
"""

import os
import tempfile
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from matching.id_texts_store import IdTexts

RUN_IDS: Final = 1 << 19
CHUNK_IDS: Final = 1 << 14
KEY_BYTES: Final = 8
SCHEMA: Final = pa.schema([("id_ordinal", pa.uint32()), ("id", pa.string())])


def in_order(
    pieces: Iterable[IdTexts], *, run_ids: int = RUN_IDS, chunk_ids: int = CHUNK_IDS
) -> Iterator[IdTexts]:
    """Sort by text; blocks come out, each beginning behind the last one's end."""
    with tempfile.TemporaryFile() as file:
        runs: list[_Run] = []
        held: list[IdTexts] = []
        for piece in pieces:
            held.append(piece)
            if sum(len(each.ids) for each in held) >= run_ids:
                runs.append(_Run(sorted_texts(held), file, chunk_ids))
                held = []
        if not runs:
            if held:
                yield sorted_texts(held)
            return
        if held:
            runs.append(_Run(sorted_texts(held), file, chunk_ids))
        file.flush()
        yield from _merged(runs)


def sorted_texts(pieces: list[IdTexts]) -> IdTexts:
    """Sort the ids of some pieces by text, each once."""
    found = _together(pieces)
    order = order_of(found.ids)
    ordinals = found.id_ordinals[order]
    is_new = np.ones(order.size, dtype=np.bool_)
    is_new[1:] = ordinals[1:] != ordinals[:-1]
    return found.rows(order if is_new.all() else order[is_new])


def order_of(ids: Any) -> NDArray[np.intp]:
    """Give the places of texts in their order, that of their bytes in UTF-8.

    Numbers of eight bytes are compared, the next eight only where the first are the same.
    """
    texts = _Bytes(ids)
    keys = texts.keys(np.arange(len(ids)), 0)
    order = np.argsort(keys)
    same = _equal_neighbours(keys[order])
    at = KEY_BYTES
    while at < texts.longest and same.any():
        tied = np.zeros(order.size, dtype=np.bool_)
        tied[1:] |= same
        tied[:-1] |= same
        places = np.flatnonzero(tied)
        # Why: who is not like the one before begins a group; only within groups is there doubt.
        group = np.cumsum(np.concatenate([[True], ~same]))[places]
        more = texts.keys(order[places], at)
        inner = np.lexsort((more, group))
        order[places] = order[places[inner]]
        same[places[:-1]] &= _equal_neighbours(more[inner])
        at += KEY_BYTES
    return order


class _Bytes:
    """The bytes of texts, read eight at a time as numbers whose order is that of the bytes."""

    def __init__(self, ids: Any) -> None:
        _, offsets, data = ids.buffers()
        ends = np.frombuffer(offsets, dtype=np.int32)[ids.offset : ids.offset + len(ids) + 1]
        self._begins, self._sizes = ends[:-1], np.diff(ends)
        raw = np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, np.uint8)
        padded = np.concatenate([raw, np.zeros(KEY_BYTES, np.uint8)])
        self._numbers: NDArray[np.uint64] = np.ndarray(
            (padded.size - KEY_BYTES + 1,), dtype=">u8", buffer=padded, strides=(1,)
        )
        self.longest = int(self._sizes.max(initial=0))

    def keys(self, rows: NDArray[np.intp], at: int) -> NDArray[np.uint64]:
        """Give the eight bytes of each row from `at` on, zeros behind its end."""
        left = np.clip(self._sizes[rows] - at, 0, KEY_BYTES)
        begins = np.minimum(self._begins[rows] + at, self._numbers.size - 1)
        found = self._numbers[begins].astype(np.uint64)
        if (left < KEY_BYTES).any():
            found &= KEPT[left]
        return found


KEPT: Final = np.array(
    [((1 << 64) - 1) ^ ((1 << 8 * (KEY_BYTES - size)) - 1) for size in range(KEY_BYTES + 1)],
    dtype=np.uint64,
)
"""What is left of a number of which so many bytes count."""


class _Run:
    """Sorted ids that wait in the file, and the chunk of them that is read."""

    def __init__(self, sorted_ids: IdTexts, file: BinaryIO, chunk_ids: int) -> None:
        self._descriptor = file.fileno()
        self._waiting: deque[tuple[int, int]] = deque()
        for begin in range(0, len(sorted_ids.ids), chunk_ids):
            columns = [
                pa.array(sorted_ids.id_ordinals[begin : begin + chunk_ids]),
                sorted_ids.ids[begin : begin + chunk_ids],
            ]
            data = pa.RecordBatch.from_arrays(columns, schema=SCHEMA).serialize()
            self._waiting.append((file.tell(), file.write(data)))
        self.head: IdTexts | None = None

    @property
    def has_more(self) -> bool:
        """Whether chunks behind the one that is read wait."""
        return bool(self._waiting)

    def read(self) -> bool:
        """Read the next chunk where the last one is used up, and say whether there is any."""
        if self.head is None and self._waiting:
            place, size = self._waiting.popleft()
            message = pa.py_buffer(os.pread(self._descriptor, size, place))
            ordinals, ids = pa.ipc.read_record_batch(message, SCHEMA).columns
            self.head = IdTexts(id_ordinals=ordinals.to_numpy(), ids=ids)
        return self.head is not None

    def take(self, bound: str | None) -> IdTexts | None:
        """Take what is read and not behind `bound`, everything without one."""
        if (head := self.head) is None:
            return None
        size = len(head.ids)
        cut = size if bound is None else bisect_right(range(size), bound, key=_text_at(head.ids))
        self.head = _rows(head, cut, size) if cut < size else None
        return _rows(head, 0, cut) if cut else None


def _merged(runs: list[_Run]) -> Iterator[IdTexts]:
    while runs := [run for run in runs if run.read()]:
        ends = [run.head.ids[-1].as_py() for run in runs if run.head is not None and run.has_more]
        # Why the least: behind it a run may hold texts that nobody has read.
        taken = [run.take(min(ends, default=None)) for run in runs]
        yield sorted_texts([each for each in taken if each is not None])


def _rows(ids: IdTexts, begin: int, end: int) -> IdTexts:
    return IdTexts(id_ordinals=ids.id_ordinals[begin:end], ids=ids.ids[begin:end])


def _text_at(ids: Any) -> Any:
    return lambda place: ids[place].as_py()


def _together(pieces: list[IdTexts]) -> IdTexts:
    return IdTexts(
        id_ordinals=np.concatenate([each.id_ordinals for each in pieces]),
        ids=pa.concat_arrays([each.ids for each in pieces]),
    )


def _equal_neighbours(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = keys[1:] == keys[:-1]
    return same
