"""A server under load: a child process on one core and one port of loopback.

Comes in: a command. Goes out: a server that listens, is measured by its pid and stopped by it.
"""

import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

LOG_SHOWN: Final = 2_000
WAIT_S: Final = 30


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One running server."""

    def __init__(self, name: str, folder: Path, *, port: int, core: int) -> None:
        self.name = name
        self.folder = folder
        self.port = port
        self._core = core
        self._child: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        """The child that was started; its children count as it."""
        assert self._child is not None, f"{self.name} was not started"
        return self._child.pid

    def start(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Start it on its core and wait until it listens."""
        pinned = ["taskset", "-c", str(self._core), *command]
        with (self.folder / "log").open("wb") as log:
            self._child = subprocess.Popen(pinned, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline and self._child.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise SystemExit(f"{self.name} does not listen; {self.log()}")

    def log(self) -> str:
        """Give the end of what it said."""
        said = (self.folder / "log").read_text()[-LOG_SHOWN:]
        return f"its log ends with: {said}" if said else "its log is empty"

    def note(self, *, requests: int, messages: int, in_flight: int) -> None:
        """Hear what was answered; a server that keeps something checks it here."""

    def stop(self) -> None:
        """End it."""
        if self._child is not None:
            self._child.terminate()
            self._child.wait(30)
