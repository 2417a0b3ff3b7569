"""Closed chunk files come in from every writer's folder, numbered chunks go out to the loader.

A chunk gets its number once, when it is claimed, and carries it in its file name before the first
insert. The newest file of a dead writer may be torn: its tail is cut. Damage anywhere else is set
aside, never skipped in silence.
"""

import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from service.tag.record import Damage, Record, read_records
from service.tag.spool import sync_folder

CLAIMED: Final = "claimed"
QUARANTINE: Final = "quarantine"


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that is the loader's; `may_be_torn` says that its writer died."""

    number: int
    path: Path
    may_be_torn: bool


class ChunkContent(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk's readable records, and what was set aside."""

    records: list[Record]
    damage: str = ""


class SpoolReader:
    """Claims chunks in the order in which they were closed."""

    def __init__(self, root: Path, *, next_number: int) -> None:
        self._root = root
        for name in (CLAIMED, QUARANTINE):
            (root / name).mkdir(parents=True, exist_ok=True)
        taken = [each.number for each in self.claimed()]
        self._next = max([next_number, *(number + 1 for number in taken)])

    def claimed(self) -> list[Claimed]:
        """List what is claimed and not let go yet, in order."""
        return [
            Claimed(number=int(path.name[:12]), path=path, may_be_torn=path.suffix == ".torn")
            for path in sorted((self._root / CLAIMED).iterdir())
        ]

    def claim(self) -> list[Claimed]:
        """Claim every closed chunk, and what dead writers left open."""
        for folder in self._writers():
            self._recover(folder)
        closed = [path for folder in self._writers() for path in _closed(folder)]
        for path in sorted(closed, key=lambda each: (each.stat().st_mtime_ns, each.name)):
            name = f"{self._next:012d}-{path.parent.name}-{path.name}"
            path.rename(self._root / CLAIMED / name)
            self._next += 1
        if closed:
            sync_folder(self._root / CLAIMED)
        return self.claimed()

    def read(self, chunk: Claimed) -> ChunkContent:
        """Read a chunk; keep its bytes in quarantine when they are damaged."""
        content = chunk.path.read_bytes()
        records: list[Record] = []
        try:
            for record in read_records(content):
                records.append(record)  # noqa: PERF402 - what came before the damage must stay
        except Damage as problem:
            if problem.torn and chunk.may_be_torn:
                return ChunkContent(records=records)
            target = self._root / QUARANTINE / chunk.path.name
            target.write_bytes(content[problem.offset :])
            return ChunkContent(records=records, damage=str(problem))
        return ChunkContent(records=records)

    def let_go(self, chunk: Claimed) -> None:
        """Delete a chunk that is wholly in the database."""
        chunk.path.unlink()

    def _writers(self) -> list[Path]:
        known = {CLAIMED, QUARANTINE}
        return [
            path
            for path in self._root.iterdir()
            if path.is_dir() and path.name not in known and not path.name.startswith(".")
        ]

    def _recover(self, folder: Path) -> None:
        lock = folder / "lock"
        try:
            with lock.open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for path in folder.glob("*.open"):
                    path.rename(path.with_suffix(".torn"))
                if not any(_closed(folder)):
                    lock.unlink()
                    folder.rmdir()
        except FileNotFoundError:
            return  # a writer that is just being born has no lock yet
        except BlockingIOError:
            return


def _closed(folder: Path) -> Iterator[Path]:
    yield from folder.glob("*.chunk")
    yield from folder.glob("*.torn")
