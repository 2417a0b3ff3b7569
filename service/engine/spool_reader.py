"""Closed chunk files come in from every writer's folder, numbered chunks go out to the loader.

A chunk gets its number once, when it is claimed, and carries it in its file name before the first
insert. The newest file of a dead writer may be torn: its tail is cut. Damage anywhere else is set
aside, never skipped in silence, and what is whole behind it is read.
"""

import fcntl
import mmap
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from service.engine.chunk_records import ChunkRecords, columns_of, records_of
from service.tag.record import Damage, Record, find_record, read_records
from service.tag.spool import Spool, count_records, sync_folder

CLAIMED: Final = "claimed"
QUARANTINE: Final = "quarantine"
QUARANTINE_LIVES_S: Final = 30 * 86_400
CLAIMED_NAME: Final = re.compile(r"\d{12}-")
_AT_ONCE: Final = mmap.MAP_PRIVATE | getattr(mmap, "MAP_POPULATE", 0)
"""Linux can map all pages in one go, which is far cheaper than one by one."""


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that is the loader's; `may_be_torn` says that its writer died."""

    number: int
    path: Path
    may_be_torn: bool


class ChunkContent(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk's readable records, and what was set aside."""

    records: ChunkRecords
    damage: str = ""


class SpoolReader:
    """Claims chunks in the order in which they were closed.

    `found` hears of records that nobody in this process counted at the door: those of an earlier
    boot and of other processes.
    """

    def __init__(
        self, root: Path, *, next_number: int, found: Callable[[int], None] = lambda _: None
    ) -> None:
        self._root = root
        self._found = found
        self._own: Spool | None = None
        self._counted: set[int] = set()
        for name in (CLAIMED, QUARANTINE):
            (root / name).mkdir(parents=True, exist_ok=True)
        taken = [each.number for each in self.claimed()]
        self._next = max([next_number, *(number + 1 for number in taken)])

    def counts_at_door(self, spool: Spool) -> None:
        """Take this process's own writer, whose records are counted when they are received."""
        self._own = spool

    def claimed(self) -> list[Claimed]:
        """List what is claimed and not let go yet, in order."""
        return [
            Claimed(number=int(path.name[:12]), path=path, may_be_torn=path.suffix == ".torn")
            for path in sorted(_closed(self._root / CLAIMED))
            if CLAIMED_NAME.match(path.name)
        ]

    def count_left_over(self) -> None:
        """Count the claimed chunks that an earlier boot left; called once, at start."""
        for chunk in self.claimed():
            self._count(chunk.number, chunk.path, own=False)

    def is_counted(self, chunk: Claimed) -> bool:
        """Tell whether a chunk's records count as received in this boot."""
        return chunk.number in self._counted

    def claim(self) -> list[Claimed]:
        """Claim every closed chunk, and what dead writers left open."""
        for folder in self._writers():
            self._recover(folder)
        closed = [path for folder in self._writers() for path in _closed(folder)]
        for path in sorted(closed, key=lambda each: (each.stat().st_mtime_ns, each.name)):
            target = self._root / CLAIMED / f"{self._next:012d}-{path.parent.name}-{path.name}"
            path.rename(target)
            own = self._own is not None and path.parent == self._own.folder
            self._count(self._next, target, own=own)
            self._next += 1
        if closed:
            sync_folder(self._root / CLAIMED)
        return self.claimed()

    def read(self, chunk: Claimed) -> ChunkContent:
        """Read a chunk; keep bytes that are no record in quarantine."""
        try:
            return ChunkContent(records=records_of(_mapped(chunk.path)))
        except Damage:
            return self._read_damaged(chunk, chunk.path.read_bytes())

    def let_go(self, chunk: Claimed) -> None:
        """Delete a chunk that is wholly in the database."""
        chunk.path.unlink()
        self._counted.discard(chunk.number)

    def records_waiting(self) -> int:
        """Count the records of the files that are there: claimed ones and the own writer's."""
        own = self._own
        mine = 0 if own is None else own.open_records
        paths = [] if own is None else own.closed()
        return mine + sum(map(count_records, [*paths, *(each.path for each in self.claimed())]))

    def oldest_ms(self) -> int | None:
        """Tell when the oldest waiting chunk was written last."""
        times = []
        for folder in (self._root / CLAIMED, *self._writers()):
            for path in (*_closed(folder), *folder.glob("*.open")):
                with suppress(FileNotFoundError):  # its writer may be closing it just now
                    times.append(path.stat().st_mtime_ns // 1_000_000)
        return min(times, default=None)

    def quarantined(self) -> int:
        """Count the damaged chunks of which bytes are set aside."""
        return sum(1 for _ in (self._root / QUARANTINE).iterdir())

    def forget_quarantined(self, naming: re.Pattern[bytes]) -> int:
        """Delete the quarantined files that hold such bytes, and count them."""
        gone = [
            path for path in (self._root / QUARANTINE).iterdir() if naming.search(path.read_bytes())
        ]
        for path in gone:
            path.unlink()
        return len(gone)

    def forget_quarantine(self, now_s: float) -> None:
        """Delete what was set aside more than 30 days ago."""
        for path in (self._root / QUARANTINE).iterdir():
            if path.stat().st_mtime < now_s - QUARANTINE_LIVES_S:
                path.unlink()

    def _read_damaged(self, chunk: Claimed, content: bytes) -> ChunkContent:
        """Read record by record what is whole before, between and behind the damage."""
        records: list[Record] = []
        holes: list[bytes] = []
        damage: list[str] = []
        start = 0
        while True:
            try:
                for record in read_records(content, start=start, row=len(records)):
                    records.append(record)  # noqa: PERF402 - what came before damage must stay
                break
            except Damage as problem:
                start = find_record(content, problem.offset + 1)
                if start == len(content) and problem.torn and chunk.may_be_torn:
                    break
                holes.append(content[problem.offset : start])
                damage.append(str(problem))
                if start == len(content):
                    break
        if holes:
            target = self._root / QUARANTINE / chunk.path.name
            target.touch(mode=0o600)
            target.write_bytes(b"".join(holes))
        return ChunkContent(records=columns_of(records), damage="; ".join(damage))

    def _count(self, number: int, path: Path, *, own: bool) -> None:
        self._counted.add(number)
        if not own:
            self._found(count_records(path))

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
                if list(folder.iterdir()) == [lock]:  # a file that is not ours is left where it is
                    lock.unlink()
                    folder.rmdir()
        except FileNotFoundError:
            return  # a writer that is just being born has no lock yet
        except BlockingIOError:
            return


def _mapped(path: Path) -> bytes | mmap.mmap:
    """Give a file's bytes where the system holds them already, uncopied."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b""  # nothing cannot be mapped
        return mmap.mmap(file.fileno(), 0, flags=_AT_ONCE, prot=mmap.PROT_READ)


def _closed(folder: Path) -> Iterator[Path]:
    """Give a folder's closed chunks; what only bears such a name, a folder or a link, is none."""
    for path in (*folder.glob("*.chunk"), *folder.glob("*.torn")):
        if path.is_file() and not path.is_symlink():
            yield path
