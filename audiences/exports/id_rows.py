"""The rows of an export, sorted, in blocks of columns: every changed id with its text.

In go the changes and where texts stand, out come `IdBlock`s ordered by id space and id. Memory
holds a number for each id, the texts of ids removed for good and one block, never all rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.exports.formats.rows import Change, IdBlock
from audiences.exports.ledger import Changes
from audiences.exports.seat import MINUTES_PER_DAY, Seat
from matching.bitmaps import ordinals_of
from matching.partner_ids_store import LiveIds

BLOCK_IDS: Final = 65_536
STATES: Final = 3
"""An id enters a segment, leaves it, or neither."""
ADDED, REMOVED = 1, 2
SEGMENTS_AT_ONCE: Final = 39
"""So many digits of base 3 fit into 63 bits."""
AT_ONCE: Final = STATES**SEGMENTS_AT_ONCE

Coded = tuple[str, int]
"""An id and the code of its change."""


def id_blocks(
    seat: Seat,
    *,
    changes: Changes,
    live: Sequence[LiveIds],
    expires_days: Mapping[str, int],
    removed_texts: Mapping[int, tuple[str, str]],
) -> Iterator[IdBlock]:
    """Join what is added and removed under each id; `removed_texts` name those not live."""
    codes = _Codes(changes)
    table = _Table(changes, expires_days)
    for id_space, each in sorted(zip(seat.id_spaces, live, strict=True), key=lambda pair: pair[0]):
        gone = sorted(
            (text, code)
            for ordinal, (space, text) in removed_texts.items()
            for code in codes.of(np.array([ordinal], dtype=np.uint32))
            if space == id_space and code
        )
        for coded in _of_space(each, codes, gone):
            ids, found = coded
            yield IdBlock(id_space=id_space, ids=ids, codes=found, changes=table)


class _Codes:
    """A number for each ordinal that says what changes: a digit of base 3 for each segment."""

    def __init__(self, changes: Changes) -> None:
        names = list(changes.adds)
        self._parts = [
            _digits(changes, names[first : first + SEGMENTS_AT_ONCE])
            for first in range(0, len(names), SEGMENTS_AT_ONCE)
        ]

    def changed(self, ordinals: NDArray[np.uint32]) -> NDArray[np.intp]:
        """Give the places of those for which anything changes."""
        is_changed = np.zeros(ordinals.size, dtype=np.bool_)
        for part in self._parts:
            is_changed |= _taken(part, ordinals) != 0
        return np.flatnonzero(is_changed)

    def of(self, ordinals: NDArray[np.uint32]) -> list[int]:
        """Give the codes of these ordinals."""
        if not self._parts:
            return [0] * ordinals.size
        found: list[int] = _taken(self._parts[0], ordinals).tolist()
        for place, part in enumerate(self._parts[1:], 1):
            more = _taken(part, ordinals).tolist()
            found = [one + two * AT_ONCE**place for one, two in zip(found, more, strict=True)]
        return found


class _Table(dict[int, Change]):
    """What the codes say, found when it is asked for the first time."""

    def __init__(self, changes: Changes, expires_days: Mapping[str, int]) -> None:
        super().__init__()
        self._names = list(changes.adds)
        self._expires_days = expires_days

    def __missing__(self, code: int) -> Change:
        adds, removes, left = [], [], code
        for name in self._names:
            left, state = divmod(left, STATES)
            if state == ADDED:
                adds.append((name, self._expires_days[name] * MINUTES_PER_DAY))
            elif state == REMOVED:
                removes.append(name)
        self[code] = (adds, removes)
        return self[code]


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
    found: NDArray[np.int64] = codes[np.minimum(ordinals, np.uint32(last))]
    return np.where(ordinals > last, codes.dtype.type(0), found)


def _of_space(
    live: LiveIds, codes: _Codes, gone: list[Coded]
) -> Iterator[tuple[list[str], list[int]]]:
    rows = _distinct(live, codes.changed(live.id_ordinals))
    done = 0
    for first in range(0, rows.size, BLOCK_IDS):
        some = rows[first : first + BLOCK_IDS]
        ids = texts_at(live, some)
        found = codes.of(live.id_ordinals[some])
        until = done
        while until < len(gone) and gone[until][0] <= ids[-1]:
            until += 1
        if until > done:
            ids, found = _merged([*zip(ids, found, strict=True), *gone[done:until]])
        done = until
        yield ids, found
    for first in range(done, len(gone), BLOCK_IDS):
        yield _merged(gone[first : first + BLOCK_IDS])


def texts_at(live: LiveIds, rows: NDArray[np.intp]) -> list[str]:
    """Give the texts of rows, which ascend."""
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == rows.size:
        return live.ids[first : last + 1]
    return [live.ids[row] for row in rows.tolist()]


def _distinct(live: LiveIds, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Leave out an id that stands there for one more of its browsers."""
    ordinals = live.id_ordinals[rows]
    is_new = np.ones(rows.size, dtype=np.bool_)
    is_new[1:] = ordinals[1:] != ordinals[:-1]
    found: NDArray[np.intp] = rows[is_new]
    return found


def _merged(coded: list[Coded]) -> tuple[list[str], list[int]]:
    """Sort, and join what two ordinals of one text say: what is removed beats what is added."""
    ids: list[str] = []
    codes: list[int] = []
    for text, code in sorted(coded):
        if ids and ids[-1] == text:
            codes[-1] = _joined(codes[-1], code)
        else:
            ids.append(text)
            codes.append(code)
    return ids, codes


def _joined(one: int, two: int) -> int:
    found, place = 0, 1
    while one or two:
        one, first = divmod(one, STATES)
        two, second = divmod(two, STATES)
        found += max(first, second) * place
        place *= STATES
    return found
