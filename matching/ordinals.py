"""Gives each 128-bit key one dense ordinal, once: a cache of what a table holds for good.

Keys come in as (n, 2) arrays of halves, ordinals go out as uint32; the all-zero key is nobody's.
Nothing here does I/O: the caller stores new pairs and takes back with `forget_from` those whose
insert was not acknowledged.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from matching.ids import NOBODY

KEY_BYTES: Final = 16
NO_KEY: Final = bytes(KEY_BYTES)
SLOTS_MIN: Final = 1 << 10
FILL_MAX: Final = 0.6
"""Above this share of used slots the slot array doubles."""

Keys = NDArray[np.uint64]


class OrdinalsExhaustedError(Exception):
    """A range of ordinals has none left to give."""


class Assigned(msgspec.Struct, frozen=True, kw_only=True):
    """The ordinal of every key, and the rows (first occurrences) whose key was new."""

    ordinals: NDArray[np.uint32]
    new: NDArray[np.intp]


class Ordinals:
    """Open addressing with full 128-bit compare; a slot holds index + 1, 0 is empty."""

    def __init__(self, *, first: int, last: int, seed: bytes) -> None:
        self.first = first
        self.last = last
        self.next_ordinal = first
        self._count = 0
        self._slots = np.zeros(SLOTS_MIN, dtype=np.uint32)
        self._keys = np.zeros((SLOTS_MIN, 2), dtype=np.uint64)
        # Why: ids come from clients; without a secret a forger could pile keys on one slot.
        secret = np.frombuffer(blake2b(seed, digest_size=32).digest(), dtype="<u8")
        self._add = secret[:2].astype(np.uint64)
        self._multiply = secret[2:].astype(np.uint64) | np.uint64(1)

    def __len__(self) -> int:
        return self._count

    def assign(self, keys: Keys) -> Assigned:
        """Find every key, giving the next ordinals, in order of occurrence, to unknown ones."""
        heads, group = self._distinct(keys)
        firsts = keys[heads]
        ordinals = self.find(firsts)
        unknown = np.flatnonzero((ordinals == NOBODY) & firsts.any(axis=1))
        self._check_room(unknown.size)
        given = self.next_ordinal + np.arange(unknown.size, dtype=np.int64)
        self._put(given - self.first, firsts[unknown])
        ordinals[unknown] = given.astype(np.uint32)
        return Assigned(ordinals=ordinals[group], new=heads[unknown])

    def find(self, keys: Keys) -> NDArray[np.uint32]:
        """Give the ordinal of every key, 0 for unknown ones."""
        indexes, _ = self._locate(keys)
        return np.where(indexes < 0, NOBODY, indexes + self.first).astype(np.uint32)

    def load(self, ordinals: NDArray[np.uint32], keys: Keys) -> None:
        """Take pairs over from the authority; of a key's two ordinals the higher one wins.

        An erased pair, with its all-zero key, only keeps its ordinal from being given again.
        """
        indexes = np.asarray(ordinals, dtype=np.int64) - self.first
        if indexes.size == 0:
            return
        self._check_range(int(indexes.min()), int(indexes.max()))
        self.reserve_through(int(indexes.max()) + self.first)
        live = keys.any(axis=1)
        indexes, keys = indexes[live], keys[live]
        order = np.argsort(indexes, kind="stable")[::-1]
        indexes, keys = indexes[order], keys[order]
        heads, _ = self._distinct(keys)
        if heads.size < len(keys):
            indexes, keys = indexes[heads], keys[heads]
        self._check_single(indexes, keys)
        known, slots = self._locate(keys)
        newer = (known >= 0) & (indexes > known)
        self._move(slots[newer], known[newer], indexes[newer], keys[newer])
        self._put(indexes[known < 0], keys[known < 0])

    def expect(self, count: int) -> None:
        """Make room for so many keys at once: growing to them takes longer than entering them."""
        self._make_room_for_keys(count)
        wanted = 1 << int(count / FILL_MAX).bit_length()
        if wanted > self._slots.size:
            self._rebuild(self._slots[self._slots != 0].astype(np.int64) - 1, wanted)

    def forget(self, ordinals: Sequence[int]) -> None:
        """Drop the keys of these ordinals; the ordinals are never given again."""
        for ordinal in ordinals:
            index = ordinal - self.first
            if not 0 <= index < self.next_ordinal - self.first:
                continue
            found, slot = self._locate(self._keys[index : index + 1])
            if int(found[0]) == index:
                self._empty(int(slot[0]))
                self._count -= 1
            self._keys[index] = 0

    def forget_from(self, ordinal: int) -> None:
        """Drop the tail from this ordinal on, whose insert was not acknowledged."""
        limit = max(ordinal, self.first) - self.first
        used = self._slots[self._slots != 0].astype(np.int64) - 1
        kept = used[used < limit]
        self._keys[limit : self.next_ordinal - self.first] = 0
        self.next_ordinal = min(self.next_ordinal, self.first + limit)
        self._rebuild(kept, self._slots.size)
        self._count = kept.size

    def reserve_through(self, ordinal: int) -> None:
        """Never give this ordinal or a lower one again, whether its key is known or erased."""
        self.next_ordinal = max(self.next_ordinal, ordinal + 1)

    def keys_of(self, ordinals: NDArray[np.uint32]) -> Keys:
        """Give the key of every ordinal, zero for those not given or forgotten."""
        indexes = np.asarray(ordinals, dtype=np.int64) - self.first
        given = (indexes >= 0) & (indexes < min(self.next_ordinal - self.first, len(self._keys)))
        keys = np.zeros((indexes.size, 2), dtype=np.uint64)
        keys[given] = self._keys[indexes[given]]
        return keys

    def _check_room(self, wanted: int) -> None:
        left = self.last + 1 - self.next_ordinal
        if wanted > left:
            raise OrdinalsExhaustedError(
                f"No ordinal left in {self.first}..{self.last}: {wanted} new keys, {left} free; "
                "move to a new installation with wider ranges."
            )

    def _check_range(self, lowest: int, highest: int) -> None:
        if lowest < 0 or highest + self.first > self.last:
            raise ValueError(
                f"Ordinals {lowest + self.first}..{highest + self.first} lie outside "
                f"{self.first}..{self.last}: the table belongs to another range."
            )

    def _check_single(self, indexes: NDArray[np.int64], keys: Keys) -> None:
        """Refuse an ordinal that would stand for two keys: a stranger would share its audiences."""
        held = np.zeros_like(keys)
        inside = indexes < len(self._keys)
        held[inside] = self._keys[indexes[inside]]
        clash = (held != keys).any(axis=1) & held.any(axis=1)
        clash[1:] |= np.diff(indexes) == 0  # the caller sorted them, highest first
        if clash.any():
            raise ValueError(
                f"Ordinal {int(indexes[clash][0]) + self.first} stands for two keys: the table is "
                "damaged; restore it before loading goes on."
            )

    def _mix(self, keys: Keys) -> NDArray[np.uint64]:
        """Mix both halves with the secret into 64 bits, the high ones mixed best."""
        mixed: NDArray[np.uint64] = (keys[:, 0] ^ self._add[0]) * self._multiply[0]
        mixed ^= mixed >> np.uint64(29)
        mixed += keys[:, 1] ^ self._add[1]
        mixed *= self._multiply[1]
        mixed ^= mixed >> np.uint64(31)
        mixed *= self._multiply[0]
        return mixed

    def _home(self, keys: Keys, slots: int) -> NDArray[np.int64]:
        return (self._mix(keys) >> np.uint64(65 - slots.bit_length())).astype(np.int64)

    def _distinct(self, keys: Keys) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Give the first row of each distinct key, by occurrence, and each row's number therein."""
        # Why mixes: equal keys mix equally, and one number is sorted far sooner than two halves.
        mixed = self._mix(keys)
        order = np.argsort(mixed)
        begins = np.ones(len(keys), dtype=np.bool_)
        begins[1:] = np.diff(mixed[order]) != 0
        if begins.all():
            rows = np.arange(len(keys))
            return rows, rows
        ordered = keys[order]
        if (begins[1:] != (ordered[1:] != ordered[:-1]).any(axis=1)).any():
            order = np.lexsort((keys[:, 1], keys[:, 0]))
            ordered = keys[order]
            begins[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        return _by_occurrence(order, begins)

    def _locate(self, keys: Keys) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give index (-1 = unknown) and slot of every key, walking all chains side by side."""
        slots = self._home(keys, self._slots.size)
        found = self._slots[slots].astype(np.int64) - 1
        same = self._are_at(found, keys)
        indexes = np.where(same, found, -1)
        waiting = np.flatnonzero(~same & (found >= 0))
        while waiting.size:
            places = (slots[waiting] + 1) & (self._slots.size - 1)
            found = self._slots[places].astype(np.int64) - 1
            slots[waiting] = places
            same = self._are_at(found, keys[waiting])
            indexes[waiting[same]] = found[same]
            waiting = waiting[~same & (found >= 0)]
        return indexes, slots

    def _are_at(self, indexes: NDArray[np.int64], keys: Keys) -> NDArray[np.bool_]:
        """Tell which of the keys stand at these indexes; none stands at -1."""
        halves: NDArray[np.bool_] = self._keys[indexes] == keys
        return np.logical_and(halves[:, 0], halves[:, 1]) & (indexes >= 0)

    def _put(self, indexes: NDArray[np.int64], keys: Keys) -> None:
        """Enter distinct, unknown keys under their indexes."""
        if indexes.size == 0:
            return
        highest = int(indexes.max())
        self._make_room_for_keys(highest + 1)
        self._keys[indexes] = keys
        self._count += indexes.size
        self.reserve_through(highest + self.first)
        if self._count > FILL_MAX * self._slots.size:
            used = self._slots[self._slots != 0].astype(np.int64) - 1
            wanted = 1 << int(self._count / FILL_MAX).bit_length()
            self._rebuild(np.concatenate([used, indexes]), wanted)
        else:
            self._enter(indexes)

    def _make_room_for_keys(self, wanted: int) -> None:
        if wanted > len(self._keys):
            # Why refcheck=False: memory is grown in place and nobody keeps a view of the keys.
            self._keys.resize((wanted + wanted // 4, 2), refcheck=False)

    def _rebuild(self, indexes: NDArray[np.int64], slots: int) -> None:
        self._slots = np.zeros(slots, dtype=np.uint32)
        for begin in range(0, indexes.size, 1 << 20):
            self._enter(indexes[begin : begin + (1 << 20)])

    def _enter(self, indexes: NDArray[np.int64]) -> None:
        """Write indexes into the first free slots of their chains; of rivals one wins a slot."""
        places = self._home(self._keys[indexes], self._slots.size)
        values = (indexes + 1).astype(np.uint32)
        while values.size:
            free = self._slots[places] == 0
            self._slots[places[free]] = values[free]
            lost = self._slots[places] != values
            places, values = (places[lost] + 1) & (self._slots.size - 1), values[lost]

    def _move(
        self, slots: NDArray[np.int64], old: NDArray[np.int64], new: NDArray[np.int64], keys: Keys
    ) -> None:
        """Let known keys stand for higher ordinals; their slots stay where they are."""
        if new.size == 0:
            return
        self._make_room_for_keys(int(new.max()) + 1)
        self._keys[old] = 0
        self._keys[new] = keys
        self._slots[slots] = (new + 1).astype(np.uint32)
        self.reserve_through(int(new.max()) + self.first)

    def _empty(self, slot: int) -> None:
        """Free a slot and enter again what stands behind it, so that no chain has a hole."""
        self._slots[slot] = 0
        following: list[int] = []
        slot = (slot + 1) & (self._slots.size - 1)
        while self._slots[slot]:
            following.append(int(self._slots[slot]) - 1)
            self._slots[slot] = 0
            slot = (slot + 1) & (self._slots.size - 1)
        self._enter(np.array(following, dtype=np.int64))


def keys_of_bytes(ids: Sequence[bytes]) -> Keys:
    """Make keys of 16-byte ids."""
    if wrong := set(map(len, ids)) - {KEY_BYTES}:
        raise ValueError(f"An id must have {KEY_BYTES} bytes, found one of {min(wrong)}.")
    return np.frombuffer(b"".join(ids), dtype="<u8").reshape(-1, 2).astype(np.uint64, copy=False)


def keys_of_text(texts: Sequence[str]) -> Keys:
    """Make keys of texts by blake2b-128; the empty text names nobody."""
    digests = [blake2b(text.encode(), digest_size=KEY_BYTES).digest() for text in texts]
    pairs = zip(texts, digests, strict=True)
    return keys_of_bytes([digest if text else NO_KEY for text, digest in pairs])


def bytes_of_keys(keys: Keys) -> list[bytes]:
    """Turn keys back into 16-byte ids."""
    # Why V16: numpy's S16 would cut ids that end with zero bytes.
    packed: Any = np.ascontiguousarray(keys).view("V16").reshape(-1)
    return [bytes(each) for each in packed.tolist()]


def _by_occurrence(
    order: NDArray[np.intp], begins: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Give numbers to groups of equal keys, by their first rows.

    `order` puts equal ones side by side.
    """
    heads = np.minimum.reduceat(order, np.flatnonzero(begins))
    rank = np.empty(heads.size, dtype=np.intp)
    rank[np.argsort(heads)] = np.arange(heads.size)
    group = np.empty(order.size, dtype=np.intp)
    group[order] = rank[np.cumsum(begins) - 1]
    return np.sort(heads), group
