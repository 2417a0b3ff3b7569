"""Files in the spool that nobody of ours put there: they hold up nothing and are not taken away."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from service.engine.spool_reader import SpoolReader
from service.tag.record import MAGIC, Kind, Meta, write_record

RECORD = write_record(Kind.MESSAGE, 1, bytes(16), Meta(site="s"), b"good")


def holds(path: Path, content: bytes = b"not ours") -> None:
    """Put a file there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


FOREIGN: dict[str, Callable[[Path], None]] = {
    "a file beside the writers": lambda root: holds(root / "README"),
    "a text beside the chunks": lambda root: holds(root / "w0" / "notes.txt"),
    "a folder named as a chunk": lambda root: (root / "w0" / "a.chunk").mkdir(),
    "a link to nowhere": lambda root: (root / "w0" / "b.chunk").symlink_to(root / "nowhere"),
    "a folder of another program": lambda root: (root / "lost+found").mkdir(),
    "a text among the claimed": lambda root: holds(root / "claimed" / "notes.txt"),
    "a hidden file among the claimed": lambda root: holds(root / "claimed" / ".nfs00000beef"),
    "a chunk without a number": lambda root: holds(root / "claimed" / "holiday.chunk"),
}
DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "a photo": bytes.fromhex("ffd8ffe0") + bytes(range(256)),
    "zeros": bytes(4096),
    "one byte": b"x",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a spool where a dead writer left one good chunk."""
    holds(tmp_path / "w0" / "lock", b"")
    holds(tmp_path / "w0" / "00000001.1.chunk", MAGIC + RECORD)
    return tmp_path


def read_all(root: Path) -> list[bytes]:
    """Load as an engine does: claim, read and let go, twice over."""
    found = []
    for number in (1, 100):
        reader = SpoolReader(root, next_number=number)
        reader.count_left_over()
        for chunk in reader.claim():
            found += [each.body for each in reader.read(chunk).records]
            reader.let_go(chunk)
        assert reader.records_waiting() == 0
    return found


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_not_ours_is_left_where_it_is(root: Path, what: str) -> None:
    """Chunks are loaded beside it, and it is still there afterwards."""
    FOREIGN[what](root)
    before = {path for path in root.rglob("*") if path.name not in {"lock", "00000001.1.chunk"}}
    assert read_all(root) == [b"good"]
    assert before - {root / "w0"} <= set(root.rglob("*"))


@pytest.mark.parametrize("what", DAMAGED)
def test_a_closed_chunk_that_is_none_is_set_aside(root: Path, what: str) -> None:
    """What bears a chunk's name and holds nothing of ours is kept in quarantine."""
    holds(root / "w0" / "00000002.0.chunk", DAMAGED[what])
    assert read_all(root) == [b"good"]
    (aside,) = (root / "quarantine").iterdir()
    assert aside.read_bytes() == DAMAGED[what]


def test_an_old_text_makes_no_chunk_older(root: Path) -> None:
    """How far back the loader looks is told by chunks alone."""
    holds(root / "w0" / "notes.txt")
    os.utime(root / "w0" / "notes.txt", (0, 0))
    oldest = SpoolReader(root, next_number=1).oldest_ms()
    assert oldest is not None
    assert oldest > 0
