"""Who must never come back: an append-only file outside the database and its backups.

It holds times and keyed hashes only. What was received or dated before a person's tombstone is
refused at load, at import and at replay.
"""

import os
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec

from service.tag.door import SUPPRESSED_PURPOSE
from service.tag.tokens import Keys


class Act(StrEnum):
    """What was asked for a person."""

    ERASE = "erase"
    SUPPRESS = "suppress"
    LIFT = "lift"


class Tombstone(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the file: when, what, and whom as keyed hashes."""

    act: Act
    at_ms: int
    receipt: str
    hashes: tuple[str, ...]


class Tombstones:
    """The file, held in memory by hash."""

    def __init__(self, path: Path, keys: Keys) -> None:
        self._path = path
        self._keys = keys
        self._erased: dict[str, int] = {}
        self._refused: set[str] = set()
        self._suppressed: set[str] = set()
        self.lines: list[Tombstone] = []
        for line in path.read_bytes().splitlines() if path.exists() else []:
            self._remember(msgspec.json.decode(line, type=Tombstone))

    def hash_of(self, kind: str, name: str | bytes) -> str:
        """Hash one name of a person, such as ("crm_id", "123456") or ("visitor", 16 bytes)."""
        raw = name.encode() if isinstance(name, str) else name
        return self._keys.keyed_hash(SUPPRESSED_PURPOSE, kind.encode(), raw).hex()

    def add(self, tombstone: Tombstone) -> None:
        """Write the line and bring it to the disk before anything else happens."""
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, msgspec.json.encode(tombstone) + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        self._remember(tombstone)

    @property
    def forbid_nothing(self) -> bool:
        """Whether no record can be refused, so that nobody's names need to be hashed."""
        return not self._erased and not self._suppressed

    def forbids(self, names: Iterable[tuple[str, str | bytes]], *, oldest_ms: int) -> bool:
        """Tell whether a record that names these, received or dated at `oldest_ms`, is refused."""
        if self.forbid_nothing:
            return False
        hashes = [self.hash_of(kind, name) for kind, name in names if name]
        return any(
            each in self._suppressed or oldest_ms <= self._erased.get(each, -1) for each in hashes
        )

    def refuses_import(self, kind: str, name: str | bytes) -> bool:
        """Tell whether an import of this name is refused until it is lifted."""
        if not self._refused:
            return False
        return self.hash_of(kind, name) in self._refused

    def together(self, names: Iterable[tuple[str, str | bytes]]) -> set[str]:
        """Give every hash that was erased or suppressed together with one of these names."""
        asked = {self.hash_of(kind, name) for kind, name in names if name}
        return {
            each
            for line in self.lines
            if line.act is not Act.LIFT and asked & set(line.hashes)
            for each in line.hashes
        }

    @property
    def suppressed(self) -> tuple[str, ...]:
        """The hashes that tag processes must refuse at the door."""
        return tuple(sorted(self._suppressed))

    def is_suppressed(self, names: Sequence[tuple[str, str | bytes]]) -> bool:
        """Tell whether one of these names is suppressed now."""
        if not self._suppressed:
            return False
        return any(self.hash_of(kind, name) in self._suppressed for kind, name in names)

    def _remember(self, tombstone: Tombstone) -> None:
        self.lines.append(tombstone)
        for each in tombstone.hashes:
            if tombstone.act is Act.LIFT:
                self._refused.discard(each)
                self._suppressed.discard(each)
                continue
            self._refused.add(each)
            if tombstone.act is Act.ERASE:
                self._erased[each] = max(tombstone.at_ms, self._erased.get(each, -1))
            else:
                self._suppressed.add(each)
