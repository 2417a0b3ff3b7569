"""Which messages of the last seven days were already taken: a cache of hashes, rebuilt at start.

The authority is `events.message_hash`; the same (site, visitor, messageId) counts once.
"""

from collections.abc import Sequence
from typing import Final

import mmh3
import numpy as np
from numpy.typing import NDArray

from matching.ordinals import Ordinals

WINDOW_MS: Final = 7 * 86_400_000


class SeenMessages:
    """A growing set of 64-bit hashes."""

    def __init__(self, *, seed: bytes) -> None:
        self._seed = int.from_bytes(seed[:4], "little")
        self._set = Ordinals(first=1, last=(1 << 32) - 2, seed=seed)

    def hash_of(self, site: str, visitor: bytes, message_id: str) -> int:
        """Hash what names a message; unsigned 64 bits."""
        text = site.encode() + b"\0" + visitor + message_id.encode()
        return int(mmh3.hash64(text, self._seed, signed=False)[0])

    def load(self, hashes: NDArray[np.uint64]) -> None:
        """Take hashes that are already in the table."""
        self._set.assign(_keys(hashes))

    def first_times(self, hashes: Sequence[int]) -> NDArray[np.bool_]:
        """Tell for each hash, in order, whether it is met for the first time; remember all."""
        array = np.array(hashes, dtype=np.uint64)
        first = np.zeros(len(array), dtype=np.bool_)
        first[self._set.assign(_keys(array)).new] = True
        return first


def _keys(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    # Why a second column: the cache compares 128 bits; one is enough here, zero stands for it.
    return np.stack([hashes, np.full_like(hashes, 1)], axis=1)
