"""Which messages of the last seven days were already taken: a cache of hashes, rebuilt at start.

The authority is `events.message_hash`; the same (site, visitor, messageId) counts once. A hash is
kept for seven days at least after it was loaded.
"""

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final

import mmh3
import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

DAY_MS: Final = 86_400_000
DAYS_KEPT: Final = 7
WINDOW_MS: Final = DAYS_KEPT * DAY_MS
SLOTS_MIN: Final = 1 << 14
FILL_MAX: Final = 0.6
"""Above this share of used slots the slots double."""
PIECE: Final = 1 << 20
_LOOK_BITS: Final = 16
_DAY_BITS: Final = np.uint64(7)
"""A slot's low bits hold the day, of which eight are told apart; the others are the hash's."""


class SeenMessages:
    """A growing set of 61 bits of each hash, with the day on which it was loaded."""

    def __init__(self, *, seed: bytes) -> None:
        self._seed = int.from_bytes(seed[:4], "little")
        # Why: ids come from clients; without a secret one could be made to hide another's message.
        secret = np.frombuffer(blake2b(seed, digest_size=48).digest(), dtype="<u8")
        self._secret = secret.astype(np.uint64) | np.uint64(1)
        self._slots = np.zeros(SLOTS_MIN, dtype=np.uint64)
        self._count = 0
        self._day = 0

    def __len__(self) -> int:
        return self._count

    @property
    def bytes(self) -> int:
        """How much memory the set takes."""
        return self._slots.nbytes

    def hashes_of(
        self, sites: Hashes, visitors: NDArray[np.uint64], message_ids: Sequence[str]
    ) -> Hashes:
        """Hash what names each message: its site's hash, its visitor's two halves and its id."""
        digests = b"".join([mmh3.hash_bytes(each, self._seed) for each in message_ids])
        halves = np.frombuffer(digests, dtype="<u8").reshape(-1, 2)
        mixed = np.zeros(len(halves), dtype=np.uint64)
        words = (visitors[:, 0], visitors[:, 1], sites, halves[:, 0], halves[:, 1])
        for word, factor in zip(words, self._secret, strict=False):
            mixed ^= word
            mixed *= factor
            mixed ^= mixed >> np.uint64(29)
        mixed *= self._secret[5]
        mixed ^= mixed >> np.uint64(32)
        return mixed

    def hash_of_site(self, site: str) -> int:
        """Hash a site's key."""
        return int.from_bytes(mmh3.hash_bytes(site, self._seed)[:8], "little")

    def load(self, hashes: Hashes) -> None:
        """Take hashes that are already in the table, as if they had been loaded today."""
        for begin in range(0, len(hashes), PIECE):
            self.first_times(hashes[begin : begin + PIECE])

    def first_times(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Tell for each hash, in order, whether it is met for the first time; remember all."""
        keys = _keys(hashes)
        first = _first_of_equals(keys)
        fresh = np.flatnonzero(first)
        known, places = self._locate(keys[fresh])
        first[fresh[known]] = False
        self._enter(keys[fresh[~known]], places[~known])
        return first

    def forget_old(self, now_ms: int) -> None:
        """Take the day; let go, once a day, of what was loaded more than seven days ago."""
        day = now_ms // DAY_MS
        if day <= self._day:
            return
        stale = day - self._day > DAYS_KEPT
        kept: list[Hashes] = []
        for begin in range(0, 0 if stale else len(self._slots), PIECE):
            held = self._slots[begin : begin + PIECE]
            age = (np.uint64(self._day & 7) - held) & _DAY_BITS
            kept.append(held[(held != 0) & (age + np.uint64(day - self._day) <= DAYS_KEPT)])
        self._day = day
        self._rebuild(kept, sum(map(len, kept)))

    def _locate(self, keys: Hashes) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Tell which keys are known, and where each is or would be."""
        places = self._home(keys)
        held = self._slots[places]
        known = held | _DAY_BITS == keys | _DAY_BITS
        waiting = np.flatnonzero(~known & (held != 0))
        while waiting.size:
            places[waiting] = (places[waiting] + 1) & (self._slots.size - 1)
            held = self._slots[places[waiting]]
            same = held | _DAY_BITS == keys[waiting] | _DAY_BITS
            known[waiting[same]] = True
            waiting = waiting[~same & (held != 0)]
        return known, places

    def _enter(self, keys: Hashes, places: NDArray[np.int64]) -> None:
        """Put distinct, unknown keys where they belong, as of today."""
        values = keys | np.uint64(self._day & 7)
        wanted = self._count + len(keys)
        if wanted > FILL_MAX * self._slots.size:
            held = self._slots
            pieces = [held[begin : begin + PIECE] for begin in range(0, len(held), PIECE)]
            self._rebuild([*(each[each != 0] for each in pieces), values], wanted)
            return
        self._count = wanted
        self._write(values, places)

    def _rebuild(self, values: Iterable[Hashes], count: int) -> None:
        size = max(SLOTS_MIN, 1 << int(count / FILL_MAX).bit_length())
        self._slots = np.zeros(size, dtype=np.uint64)
        self._count = count
        for piece in values:
            self._write(piece, self._home(piece))

    def _write(self, values: Hashes, places: NDArray[np.int64]) -> None:
        """Write values into the first free slots from their places on; of rivals one wins."""
        while values.size:
            free = self._slots[places] == 0
            self._slots[places[free]] = values[free]
            lost = self._slots[places] != values
            places, values = (places[lost] + 1) & (self._slots.size - 1), values[lost]

    def _home(self, keys: Hashes) -> NDArray[np.int64]:
        return (keys >> np.uint64(65 - self._slots.size.bit_length())).astype(np.int64)


def _keys(hashes: Hashes) -> Hashes:
    keys = hashes & ~_DAY_BITS
    return np.where(keys == 0, np.uint64(8), keys)  # a slot that is zero is free


def _first_of_equals(keys: Hashes) -> NDArray[np.bool_]:
    """Tell for each key whether none before it is equal."""
    first = np.ones(len(keys), dtype=np.bool_)
    ordered = np.sort(keys)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if repeated.size:  # these are few: only what looks like them is put in order with its places
        looks = np.zeros(1 << _LOOK_BITS, dtype=np.bool_)
        looks[_look(repeated)] = True
        alike = np.flatnonzero(looks[_look(keys)])
        first[alike] = False
        first[alike[np.unique(keys[alike], return_index=True)[1]]] = True
    return first


def _look(keys: Hashes) -> NDArray[np.intp]:
    return (keys >> np.uint64(64 - _LOOK_BITS)).astype(np.intp)
