"""The demo's service as a child process: starts it, hears that it is ready, and stops it.

Its log goes to a temporary file; the last lines are shown when it ends unasked.
"""

import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Final, Self

import msgspec

from service.demo.connections import DemoError

READY_SECONDS_MAX: Final = 120.0
STOP_SECONDS_MAX: Final = 60.0
LOG_LINES_SHOWN: Final = 20


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What the service says of itself when it answers requests."""

    url: str
    admin_key: str
    server_key: str
    identify_secret: str
    stand_in: str


class ServiceProcess:
    """The running service; use it in a `with`, which stops it at the end."""

    def __init__(self, *, data: Path, port: int) -> None:
        self._log = tempfile.TemporaryFile("w+b")  # noqa: SIM115  # Why: closed by `stop`
        command = [sys.executable, "-m", "service.demo.server"]
        self._child = subprocess.Popen(  # noqa: S603  # Why: our own module, our own arguments
            [*command, "--data", str(data), "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=self._log,
            # Why: Ctrl-C is for the demo, which then asks the service to end in good order.
            start_new_session=True,
        )
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_ready(self) -> Ready:
        """Wait for the line `{"ready": {...}}` on its stdout."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                break
            if line is None:
                raise DemoError(f"The service ended before it was ready.\n{self.last_words()}")
            ready = _ready_in(line)
            if ready is not None:
                return ready
        raise DemoError(f"The service is not ready in {READY_SECONDS_MAX:.0f} s")

    def wait(self) -> None:
        """Wait until the service ends by itself."""
        self._child.wait()
        raise DemoError(f"The service ended.\n{self.last_words()}")

    def last_words(self) -> str:
        """Give the last lines of its log."""
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-LOG_LINES_SHOWN:])

    def stop(self) -> None:
        """Ask it to end and wait; kill it when it does not."""
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        self._reader.join()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._log.close()

    def _read(self) -> None:
        # Why to the end: a child blocks once nobody reads what it prints.
        if self._child.stdout is not None:
            for line in self._child.stdout:
                self._lines.put(line)
        self._lines.put(None)


class _ReadyLine(msgspec.Struct):
    ready: Ready


def _ready_in(line: bytes) -> Ready | None:
    if not line.startswith(b"{"):
        return None
    try:
        return msgspec.json.decode(line, type=_ReadyLine).ready
    except msgspec.DecodeError:
        return None
