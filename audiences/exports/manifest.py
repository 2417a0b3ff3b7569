"""Publishing one export: all files or none, told by a manifest that appears last.

Files are written in a hidden folder beside the visible ones, synced, renamed, and only then the
manifest is. A reader who goes by manifests never sees half an export.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from audiences.exports.formats.parts import Part
from audiences.exports.formats.rows import Counts
from audiences.exports.run_steps import OnStep, RunStep
from audiences.exports.seat import Mode, Seat

STAGING: Final = ".staging"


class SegmentLine(msgspec.Struct, frozen=True, kw_only=True):
    """What the files do to one segment."""

    segment: str
    adds: int
    removes: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The facts about one published export, for whoever delivers or receives it."""

    seat: str
    partner: str
    account: str
    id_spaces: tuple[str, ...]
    run: int
    previous_run: int
    """The run whose state this one starts from; 0 = the first."""
    mode: Mode
    at_ms: int
    total: Counts
    files: list[Part]
    segments: list[SegmentLine]


class Staging:
    """The hidden folder in which one run writes its files."""

    def __init__(self, folder: Path, run: int) -> None:
        self._folder = folder
        self._staged = folder / STAGING / str(run)

    def begin(self) -> None:
        """Start empty, whatever an earlier attempt of the run left."""
        self.drop()
        self._staged.mkdir(parents=True)

    def open_file(self, name: str) -> BinaryIO:
        """Open one file of the run."""
        return (self._staged / name).open("xb")

    def sync(self, parts: Sequence[Part]) -> None:
        """Make the written files survive a power loss; none may stand in another's place."""
        for part in parts:
            if (self._folder / part.name).exists():
                raise FileExistsError(
                    f"{self._folder / part.name} is there already, of another run: names by "
                    "{epoch_s} need a second between runs; run again"
                )
            _sync(self._staged / part.name)
        _sync(self._staged)

    def publish(self, manifest: Manifest, on_step: OnStep) -> Path:
        """Rename the files into sight, the manifest last, and give its path."""
        staged = self._staged / manifest_name(manifest.seat, manifest.run)
        staged.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
        _sync(staged)
        on_step(RunStep.MANIFEST_STAGED)
        for part in manifest.files:
            (self._staged / part.name).replace(self._folder / part.name)
            on_step(RunStep.FILE_VISIBLE)
        _sync(self._folder)
        target = staged.replace(self._folder / staged.name)
        _sync(self._folder)
        self.drop()
        return target

    def drop(self) -> None:
        """Remove what is staged."""
        shutil.rmtree(self._staged, ignore_errors=True)


def manifest_name(seat: str, run: int) -> str:
    """Name the manifest of a run."""
    return f"{seat}_{run}.manifest.json"


def drop_unpublished(folder: Path, seat: Seat, run: int, names: Sequence[str]) -> None:
    """Remove files that a crash left visible before their manifest was."""
    if not (folder / manifest_name(seat.key, run)).exists():
        for name in names:
            Path(name).unlink(missing_ok=True)


def drop_staged(folder: Path) -> None:
    """Remove what earlier runs left unfinished: it names people."""
    shutil.rmtree(folder / STAGING, ignore_errors=True)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest back."""
    return msgspec.json.decode(path.read_bytes(), type=Manifest)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
