"""Remembers what the trait store said of customers' traits, until one was imported.

In go a trait and a test, out come those who pass; computed traits are asked each time, for they
change with events.
"""

from threading import Lock

import msgspec
from pyroaring import BitMap

from audiences.conditions import Op, Value
from audiences.trait_store import TraitStore, TraitValue


class TraitMemory:
    """Answers of the trait store, for several threads; bitmaps must not be changed."""

    def __init__(self, traits: TraitStore) -> None:
        self._traits = traits
        self._lock = Lock()
        self.forget()

    def forget(self) -> None:
        """Drop everything: traits were imported or erased."""
        with self._lock:
            self._holders: dict[bytes, BitMap] = {}
            self._said: dict[bytes, BitMap] = {}
            self._values: dict[str, list[TraitValue]] = {}
            self._names: frozenset[str] | None = None

    def is_computed(self, trait: str) -> bool:
        """Tell whether events yield this trait."""
        return self._traits.is_computed(trait)

    def holders(self, trait: str, op: Op, value: Value) -> BitMap:
        """Give the ordinals that have the trait with a value that passes."""
        if self._traits.is_computed(trait):
            return self._traits.holders(trait, op, value)
        key, holders = msgspec.json.encode((trait, op, value)), self._holders
        found = holders.get(key)
        if found is None:
            # Why into the dictionary of before: what was forgotten meanwhile stays forgotten.
            found = holders[key] = self._traits.holders(trait, op, value)
        return found

    def said(self, trait: str, op: Op, value: Value) -> BitMap:
        """Give the ordinals of whom a third party says what passes; computed traits are ours."""
        if self._traits.is_computed(trait):
            return BitMap()
        key, said = msgspec.json.encode((trait, op, value)), self._said
        found = said.get(key)
        if found is None:
            found = said[key] = self._traits.third_party.holders(trait, op, value)
        return found

    def values_said(self, trait: str) -> list[tuple[str, BitMap]]:
        """Give the most frequent values that third parties give a trait, each with its ordinals."""
        return [] if self._traits.is_computed(trait) else self._traits.third_party.values(trait)

    def values(self, trait: str) -> list[TraitValue]:
        """Give the most frequent values of a trait, each with those who have it."""
        if self._traits.is_computed(trait):
            return self._traits.values(trait)
        known = self._values
        if trait not in known:
            known[trait] = self._traits.values(trait)
        return known[trait]

    def knows(self, trait: str) -> bool:
        """Tell whether somebody has the trait."""
        if self._traits.is_computed(trait):
            return True
        if self._names is None:
            own = frozenset(each.trait for each in self._traits.traits())
            said = frozenset(each.trait for each in self._traits.third_party.traits())
            self._names = own | said
        return trait in self._names
