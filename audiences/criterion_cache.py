"""Keeps the bitmaps of criteria by all that they depend on; the longest unused one goes first.

In go criteria with their people, out they come again. Whether a bitmap still holds, the caller
says.
"""

from collections.abc import Iterable
from threading import Lock
from typing import Final, TypeAlias

import msgspec
from pyroaring import BitMap

from audiences.rule import Criterion
from matching.people import Identity

CRITERIA_CACHED_MAX: Final = 2_000

CacheKey: TypeAlias = tuple[bytes, Identity, int, int, int]
"""Canonical form, identity, version of its people, data version, day."""


class Cached(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A criterion and its people at some moment; the bitmap is shared and must not be changed."""

    criterion: Criterion
    members: BitMap


class CriterionCache:
    """The bitmaps of criteria, for several threads."""

    def __init__(self, *, criteria_max: int = CRITERIA_CACHED_MAX) -> None:
        self._criteria_max = criteria_max
        self._bitmaps: dict[CacheKey, Cached] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._bitmaps)

    def get(self, key: CacheKey) -> BitMap | None:
        """Give the bitmap of this key and count it as used."""
        with self._lock:
            found = self._bitmaps.pop(key, None)
            if found is None:
                return None
            self._bitmaps[key] = found
            return found.members

    def put(self, key: CacheKey, cached: Cached) -> None:
        """Keep a bitmap."""
        self.put_all([(key, cached)])

    def put_all(self, entries: Iterable[tuple[CacheKey, Cached]]) -> None:
        """Keep bitmaps, the least used first."""
        with self._lock:
            for key, cached in entries:
                self._bitmaps[key] = cached
            while len(self._bitmaps) > self._criteria_max:
                del self._bitmaps[next(iter(self._bitmaps))]

    def entries(self, data_version: int) -> list[tuple[CacheKey, Cached]]:
        """List what one version of the data gave, the least used first."""
        with self._lock:
            return [(key, each) for key, each in self._bitmaps.items() if key[3] == data_version]

    def forget_older(self, data_version: int) -> None:
        """Drop what older data gave."""
        with self._lock:
            self._bitmaps = {k: v for k, v in self._bitmaps.items() if k[3] >= data_version}
