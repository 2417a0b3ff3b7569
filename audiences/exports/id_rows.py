"""The rows of an export, sorted, in blocks of columns: every changed id with its text.

In go the changes and a source of texts, out come `IdBlock`s ordered by id space and id. Memory
holds some bytes for each ordinal, the texts of the erased and one run of ids, never all rows.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.exports.formats.rows import Change, IdBlock, block_of
from audiences.exports.ledger import Changes
from audiences.exports.seat import MINUTES_PER_DAY, Seat
from audiences.exports.sorted_texts import in_order
from matching.bitmaps import ordinals_of
from matching.id_texts_store import IdTexts

BLOCK_IDS: Final = 65_536
STATES: Final = 3
"""An id enters a segment, leaves it, or neither."""
ADDED, REMOVED = 1, 2
SEGMENTS_AT_ONCE: Final = 39
"""So many digits of base 3 fit into 63 bits."""

Opened = Callable[[str, Any], Any]
"""Writes the ids of a space, an Arrow array of strings, as the partner knows them, where they rest
otherwise."""


class Texts(Protocol):
    """What ids are called, as `IdTextsStore` knows."""

    def pieces(self, id_space: str, id_ordinals: BitMap) -> Iterator[IdTexts]:
        """Give these ids' texts, those that the id space has, in any order, some twice."""

    def odd(self, id_space: str, id_ordinals: BitMap) -> Iterator[IdTexts]:
        """Give of these ids at least those that hold more than letters and digits of ASCII."""

    def named(self, id_spaces: Sequence[str], id_ordinals: BitMap) -> BitMap:
        """Give those of these ids that have a text in any of these id spaces."""

    def ordinals_of(self, id_space: str, ids: Sequence[str]) -> BitMap:
        """Give the ordinals of the texts that are ids of this id space."""


def as_they_rest(_id_space: str, ids: Any) -> Any:
    """Write ids as they are."""
    return ids


def id_blocks(
    seat: Seat,
    *,
    changes: Changes,
    texts: Texts,
    expires_days: Mapping[str, int],
    removed_texts: Mapping[int, tuple[str, str]],
    opened: Opened = as_they_rest,
) -> Iterator[IdBlock]:
    """Join what is added and removed under each id; `removed_texts` name those of no table."""
    codes = _Codes(changes, expires_days)
    kinds = (changes.adds, changes.refreshes, changes.removes)
    changed = BitMap.union(BitMap(), *(ids for kind in kinds for ids in kind.values()))
    for id_space in sorted(seat.id_spaces):
        pieces = (
            IdTexts(id_ordinals=each.id_ordinals, ids=opened(id_space, each.ids))
            for each in texts.pieces(id_space, changed)
        )
        named = {
            ordinal: text
            for ordinal, (space, text) in removed_texts.items()
            if space == id_space and ordinal in changed
        }
        said = opened(id_space, pa.array(named.values(), type=pa.string())).to_pylist()
        gone = sorted(zip(said, named, strict=True))
        for ids in _of_space(in_order(pieces), gone):
            yield codes.block(id_space, ids, may_repeat=bool(gone))


def _of_space(ordered: Iterator[IdTexts], gone: list[tuple[str, int]]) -> Iterator[IdTexts]:
    """Put the ids of no table among the others, by text."""
    done = 0
    for many in ordered:
        for first in range(0, len(many.ids), BLOCK_IDS):
            some = IdTexts(
                id_ordinals=many.id_ordinals[first : first + BLOCK_IDS],
                ids=many.ids[first : first + BLOCK_IDS],
            )
            until, last = done, some.ids[-1].as_py() if gone else ""
            while until < len(gone) and gone[until][0] <= last:
                until += 1
            yield _merged(some, gone[done:until]) if until > done else some
            done = until
    for first in range(done, len(gone), BLOCK_IDS):
        yield _merged(None, gone[first : first + BLOCK_IDS])


def _merged(some: IdTexts | None, gone: list[tuple[str, int]]) -> IdTexts:
    both = list(gone)
    if some is not None:
        both += zip(some.ids.to_pylist(), some.id_ordinals.tolist(), strict=True)
    texts, ordinals = zip(*sorted(set(both)), strict=True)
    return IdTexts(
        id_ordinals=np.array(ordinals, dtype=np.uint32), ids=pa.array(texts, type=pa.string())
    )


class _Codes:
    """A number for each ordinal that says what changes: a digit of base 3 for each segment."""

    def __init__(self, changes: Changes, expires_days: Mapping[str, int]) -> None:
        names = list(changes.adds)
        self._names = names
        self._expires_days = expires_days
        self._parts = [
            _digits(changes, names[first : first + SEGMENTS_AT_ONCE])
            for first in range(0, len(names), SEGMENTS_AT_ONCE)
        ]
        self._known: dict[tuple[int, ...], Change] = {}

    def block(self, id_space: str, some: IdTexts, *, may_repeat: bool) -> IdBlock:
        """Give the block of some ids in their order; two ordinals may have one text there.

        Why so seldom: only where somebody who was erased had it before.
        """
        codes, said = self._dense(some.id_ordinals)
        changes = [self._change(each) for each in said]
        block = IdBlock(id_space=id_space, ids=some.ids, codes=codes, changes=changes)
        return self._joined(block) if may_repeat else block

    def _dense(
        self, ordinals: NDArray[np.uint32]
    ) -> tuple[NDArray[np.int32], list[tuple[int, ...]]]:
        """Give the number of each ordinal's code and the codes, one number for each part of it."""
        codes: NDArray[np.int64] = np.zeros(ordinals.size, dtype=np.int64)
        said: list[tuple[int, ...]] = [()]
        for part in self._parts:
            values, places = _distinct(_taken(part, ordinals))
            pairs, codes = _distinct(codes * values.size + places)
            found = [divmod(pair, values.size) for pair in pairs.tolist()]
            said = [(*said[before], int(values[place])) for before, place in found]
        return codes.astype(np.int32), said

    def _change(self, code: tuple[int, ...]) -> Change:
        if code not in self._known:
            self._known[code] = self._read(code)
        return self._known[code]

    def _read(self, code: tuple[int, ...]) -> Change:
        adds, removes = [], []
        for place, name in enumerate(self._names):
            part, digit = divmod(place, SEGMENTS_AT_ONCE)
            state = code[part] // STATES**digit % STATES
            if state == ADDED:
                adds.append((name, self._expires_days[name] * MINUTES_PER_DAY))
            elif state == REMOVED:
                removes.append(name)
        return adds, removes

    def _joined(self, block: IdBlock) -> IdBlock:
        """Join what two ordinals of one text say: what is removed beats what is added."""
        ids: list[str] = []
        codes: list[int] = []
        changes = list(block.changes)
        for text, code in zip(block.ids.to_pylist(), block.codes.tolist(), strict=True):
            if ids and ids[-1] == text:
                changes.append(self._both(changes[codes[-1]], changes[code]))
                codes[-1] = len(changes) - 1
            else:
                ids.append(text)
                codes.append(code)
        return block_of(block.id_space, ids, codes, changes)

    def _both(self, one: Change, two: Change) -> Change:
        removes = {*one[1], *two[1]}
        adds = dict((*one[0], *two[0]))
        return (
            [(name, adds[name]) for name in self._names if name in adds and name not in removes],
            [name for name in self._names if name in removes],
        )


def _digits(changes: Changes, names: Sequence[str]) -> NDArray[np.int64]:
    kinds = (changes.adds, changes.refreshes, changes.removes)
    ends = [ids.max() for kind in kinds for name in names if (ids := kind[name])]
    size = max(ends, default=0) + 1
    smallest = np.min_scalar_type(STATES ** len(names) - 1)
    codes = np.zeros(size, dtype=smallest)
    for place, name in enumerate(names):
        one = codes.dtype.type(STATES**place)
        codes[ordinals_of(_sent(changes, name))] += one * codes.dtype.type(ADDED)
        codes[ordinals_of(changes.removes[name])] += one * codes.dtype.type(REMOVED)
    return codes


def _sent(changes: Changes, name: str) -> BitMap:
    return changes.adds[name] | changes.refreshes[name]


def _taken(codes: NDArray[np.int64], ordinals: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Give the codes of these ordinals, 0 beyond the last."""
    last = codes.size - 1
    if not ordinals.size or ordinals.max() <= last:
        return codes[ordinals]
    found: NDArray[np.int64] = codes[np.minimum(ordinals, np.uint32(last))]
    return np.where(ordinals > last, codes.dtype.type(0), found)


def _distinct(codes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Give the different codes and which of them each is; most often all are one."""
    if not codes.size or codes.min() == codes.max():
        return codes[:1], np.zeros(codes.size, dtype=np.int64)
    values, places = np.unique(codes, return_inverse=True)
    return values, places.astype(np.int64, copy=False)
