"""Gives each id of each id space its dense ordinal, and knows which ids too many may carry.

Read back from the table of correspondence at start; rows stored since are told. The table is the
authority, all of this a cache of it.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any, Final

import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray

from matching.id_carriers import IdCarriers
from matching.ids import ORDINAL_LAST
from matching.ordinals import KEY_BYTES, NO_KEY, Keys, Ordinals, keys_of_bytes
from matching.rows_store import pieces_of_rows
from matching.sql import sql

ID_ORDINAL_FIRST: Final = 1
ID_ROW: Final = np.dtype([("ordinal", "<u4"), ("visitor", "<u4"), ("key", "<u8", 2)])
ROWS_AT_ONCE: Final = 1 << 22
"""Many pairs are entered in less time each than few; so many take half a GiB meanwhile."""


class IdOrdinalsStore:
    """The ordinals of all ids ever stored."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.RLock()
        self._carriers = IdCarriers()
        self._cache = Ordinals(first=ID_ORDINAL_FIRST, last=ORDINAL_LAST, seed=os.urandom(16))

    def open(self) -> None:
        """Fill from the table; ordinals given and not stored yet stay."""
        with self._lock:
            self._carriers = IdCarriers()
            last = self._client.query(sql("last_id_ordinal")).result_rows[0][0]
            seen = np.zeros(last + 1, dtype=np.bool_)
            rows = pieces_of_rows(self._client, sql("id_ordinal_rows"), ID_ROW)
            for some in _read_ahead(_some_at_once(rows)):
                self._take_over(some["ordinal"], some["key"].astype(np.uint64), seen)
                self._carriers.stored(some["ordinal"], some["visitor"])
            self._cache.reserve_through(last)

    def give(self, id_space: str, ids: Sequence[str]) -> NDArray[np.uint32]:
        """Give every id its ordinal; the empty one, which is nobody's, gets 0."""
        with self._lock:
            return self._cache.assign(_keys(id_space, ids)).ordinals

    def stored(self, id_ordinals: Any, visitors: Any) -> None:
        """Hear which rows were stored."""
        ids, carriers = (np.asarray(each, dtype=np.uint32) for each in (id_ordinals, visitors))
        with self._lock:
            self._carriers.stored(ids, carriers)

    def suspects(self) -> list[int]:
        """Give the ids that more visitors may carry than one id may have."""
        with self._lock:
            return self._carriers.suspects()

    def shared(self, id_ordinals: Sequence[int]) -> frozenset[int]:
        """Give those of these ids that more than one visitor may carry."""
        with self._lock:
            return self._carriers.shared(id_ordinals)

    def highest(self) -> int:
        """Give the highest ordinal that was ever given."""
        with self._lock:
            return self._cache.next_ordinal - 1

    def forget(self, id_ordinals: Sequence[int]) -> None:
        """Drop ids; their ordinals are never given again."""
        with self._lock:
            self._cache.forget(id_ordinals)

    def _take_over(self, ordinals: NDArray[np.uint32], keys: Keys, seen: NDArray[np.bool_]) -> None:
        """Enter pairs of the table, once each: an id is stored again whenever it is confirmed."""
        again = np.flatnonzero(seen[ordinals])
        seen[ordinals] = True
        if again.size:
            same = (self._cache.keys_of(ordinals[again]) == keys[again]).all(axis=1)
            new = np.ones(ordinals.size, dtype=np.bool_)
            new[again[same]] = False
            ordinals, keys = ordinals[new], keys[new]
        self._cache.load(ordinals, keys)


def _keys(id_space: str, ids: Sequence[str]) -> Keys:
    """Make a key of each id within its space, as the query does that reads them back."""
    return keys_of_bytes(
        [
            sha256(f"{id_space}\0{each}".encode()).digest()[:KEY_BYTES] if each else NO_KEY
            for each in ids
        ]
    )


def _some_at_once(pieces: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Put small pieces together."""
    some: list[NDArray[Any]] = []
    rows = 0
    for piece in pieces:
        some.append(piece)
        rows += len(piece)
        if rows >= ROWS_AT_ONCE:
            yield np.concatenate(some)
            some, rows = [], 0
    if some:
        yield np.concatenate(some)


def _read_ahead(pieces: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Read the next piece while the last one is worked on."""
    with ThreadPoolExecutor(max_workers=1) as reader:
        coming = reader.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = reader.submit(next, pieces, None)
            yield piece
