"""Our own tag process under load, and a reader that counts and deletes what it kept.

The data directory gets the example configuration and a published tag-state, as an engine leaves
them. Every answered message must be in the spool, or the script ends.
"""

import os
import sys
import threading
import time
from pathlib import Path
from typing import Final, Literal

import httpx
import msgspec

from beacons.append_times import TOLD_WITHIN_S, AppendTimes, read_append_times
from beacons.pinned import AGENT, ORIGIN
from beacons.server import Server, free_port
from service.config import load_config, prepare_config
from service.engine.publish_tag_state import publish
from service.tag.record import Record, read_records
from service.tag.spool import count_records
from service.tag.tokens import Keys

LOOK_EVERY_S: Final = 0.2
SETTLE_S: Final = 10
SMALL_CHUNK_BYTES: Final = 2 * 1024 * 1024
"""Chunks up to this size are read record by record, the first and the last of each load."""
TIMING_APPEND: Final = Path(__file__).with_name("serve_timing_append.py")


class Jumelle(Server):
    """`serve --role tag` on a data directory of its own."""

    def __init__(self, name: str, folder: Path, *, core: int, http: str = "") -> None:
        super().__init__(name, folder, port=free_port(), core=core)
        self.data = folder / "data"
        self.data.mkdir(mode=0o700)
        self.keys = Keys.load_or_create(self.data / "keys.toml")
        self._http = http
        self._times = folder / "append-times"
        self._stored = self._stored_before = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def serve(self, *, ack: Literal["write", "fsync"] = "write", timed: bool = False) -> None:
        """Start it; with `timed` a clock stands at the spool's append."""
        self._configure(ack)
        program = "beacons.serve_timing_append" if timed else "service.cli"
        command = [sys.executable, "-m", program, "serve", "--role", "tag"]
        command += ["--tag-port", str(self.port), *(["--http", self._http] if self._http else [])]
        told = {"JUMELLE_DATA": str(self.data), "APPEND_TIMES": str(self._times)}
        self.start(command, os.environ | told | _places())
        self._reader.start()

    def append_times(self) -> AppendTimes:
        """Tell what appending has cost so far; only a timed one knows."""
        time.sleep(TOLD_WITHIN_S)
        return read_append_times(self._times)

    def note(self, *, requests: int, messages: int, in_flight: int) -> None:
        """See that every answered message was kept, and not one more than was sent."""
        deadline = time.monotonic() + SETTLE_S
        received = self._received()
        while self._count() != received and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S / 4)
            received = self._received()
        new, self._stored_before = self._stored - self._stored_before, self._stored
        answered = requests * messages
        most = answered + in_flight * messages
        if self._stored != received:
            raise SystemExit(f"{self.name} counts {received} messages, {self._stored} were kept")
        if not answered <= new <= most:
            raise SystemExit(
                f"{self.name} acknowledged {answered} messages and kept {new}, "
                f"which is not from {answered} to {most}"
            )

    def stop(self) -> None:
        """End it, and the reader of its chunks."""
        self._stopped.set()
        if self._reader.is_alive():
            self._reader.join()
        super().stop()

    def _configure(self, ack: str) -> None:
        folder = prepare_config(self.data)
        site = folder / "sites" / "demo.toml"
        site.write_text(site.read_text().replace("origins = [", f'origins = ["{ORIGIN}", '))
        service = folder / "service.toml"
        service.write_text(service.read_text().replace('ack = "write"', f'ack = "{ack}"'))
        config = load_config(folder)
        now_s = int(time.time())
        publish(self.data / "tag-state", config, suppressed=(), now_s=now_s)

    def _received(self) -> int:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=10)
        found: int = answer.json()["received"]
        return found

    def _read(self) -> None:
        # Why: at full speed a disk would be full within minutes; the loader does this elsewhere.
        while not self._stopped.wait(LOOK_EVERY_S):
            self._count()

    def _count(self) -> int:
        with self._lock:
            for path in sorted((self.data / "spool").glob("w*/*.chunk")):
                self._stored += count_records(path)
                if path.stat().st_size < SMALL_CHUNK_BYTES:
                    _see_that_all_is_there(path)
                path.unlink()
            return self._stored


def _places() -> dict[str, str]:
    """Let the child import what this process does, wherever it was started."""
    return {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}


class _Named(msgspec.Struct, rename="camel"):
    message_id: str = ""


def _see_that_all_is_there(path: Path) -> None:
    records = list(read_records(path.read_bytes()))
    assert len(records) == count_records(path), path
    names = {msgspec.json.decode(each.body, type=_Named).message_id for each in records}
    assert len(names) == len(records), f"{len(records)} records carry {len(names)} messageIds"
    for each in records:
        _see_that_it_is_whole(each)


def _see_that_it_is_whole(record: Record) -> None:
    meta = record.meta
    assert any(record.visitor), "a record names no visitor"
    assert meta.agent == AGENT, meta
    assert meta.ip == "127.0.0.0", meta
    assert b"explicit" not in record.body or "store" in meta.signals, meta
