"""Failing disks and jumping clocks: a small library that is loaded into our processes before libc.

It is compiled by this machine's C compiler into the experiment's folder; what it does can be
changed while the process runs.
"""

import mmap
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final

import msgspec
from faults.verdict import Skipped

LAYOUT: Final = struct.Struct("<qqiiii480s")


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong; nothing unless told."""

    clock_ahead_s: int = 0
    clock_frozen_s: int = 0
    """Where the clock stands still; 0 lets it run."""
    write_errno: int = 0
    write_bytes_max: int = 0
    sync_errno: int = 0
    sync_ms: int = 0


class Shim:
    """The compiled library, and the file by which it is told what to do."""

    def __init__(self, folder: Path, *, spool: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise Skipped("no C compiler on this machine")
        folder.mkdir(parents=True, exist_ok=True)
        self.library = folder / "shim.so"
        source = Path(__file__).with_name("shim.c")
        command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror"]
        subprocess.run([*command, "-o", self.library, source, "-ldl"], check=True)
        self._spool = str(spool).encode()
        path = folder / "orders"
        path.write_bytes(bytes(LAYOUT.size))
        self.variables = {"JUMELLE_FAULTS": str(path)}
        with path.open("r+b") as file:
            self._mapped = mmap.mmap(file.fileno(), LAYOUT.size)
        self.orders(Orders())

    def orders(self, orders: Orders) -> None:
        """Let this go wrong from now on."""
        values = msgspec.structs.astuple(orders)
        LAYOUT.pack_into(self._mapped, 0, *values, self._spool)
