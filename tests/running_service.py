"""The real service as a child process, on a free port and a data directory of its own.

It is forked from a process that has imported it, on a copy of a database without rows, unless a
test asks for a cold start: then it is the command that an operator types, on an empty folder.
"""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from random import randrange
from typing import Any

import httpx
from warm_program import WarmChild, make_database, start_warm

Child = WarmChild | subprocess.Popen[bytes]

ADMIN_KEY = "jk_the-admin-of-these-tests"
SERVER_KEY = "the shop's secret server key"
SECRET = "the identify secret of the shop, 32 bytes"
WAIT_S = 180


class RunningService:
    """A running service: where it listens, where its data lies, and its API."""

    def __init__(self, url: str, data: Path, child: Child, environment: dict[str, str]) -> None:
        self.url = url
        self.data = data
        self.environment = environment
        self.server_key = SERVER_KEY
        self.identify_secret = SECRET
        self._child = child
        self.api = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}, timeout=60
        )

    def close(self) -> None:
        """Stop calling the API."""
        self.api.close()

    def call(self, method: str, path: str, **more: Any) -> Any:
        """Call the API and give what it answered."""
        answer = self.api.request(method, path, **more)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def runs(self, path: str, **more: Any) -> int:
        """Begin a run by a POST, and wait until it has ended well."""
        begun = self.call("POST", path, **more)
        run: int = begun.get("run") or begun["id"]
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            (job,) = self.call("GET", f"/api/jobs?run={run}")["jobs"]
            if job["status"] in {"ok", "failed"}:
                assert job["status"] == "ok", job["detail"]
                return run
            time.sleep(0.05)
        raise AssertionError(f"run {run} did not end within {WAIT_S} s")

    def loads(self) -> None:
        """Load everything that was acknowledged so far."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            self.runs("/api/jobs/load/run")
            if not self.balance()["in_spool"]:
                return
            time.sleep(0.2)
        raise AssertionError(f"the spool was not emptied: {self.balance()}")

    def balance(self) -> dict[str, Any]:
        """Give what `/readyz` says of every record."""
        found: dict[str, Any] = self.call("GET", "/readyz")
        assert found["balance_holds"], found
        return found

    def event_counts(self) -> dict[str, int]:
        """Give how many events of each name are stored."""
        found = self.call("GET", "/api/events/catalogue")["events"]
        return {each["event"]: each["count"] for each in found}

    def stop(self) -> None:
        """End the service as an operator does, and wait until it let its data go."""
        self._child.terminate()
        assert self._child.wait(timeout=30) == 0


@contextmanager
def serving(
    folder: Path,
    configure: Callable[[Path], None] = lambda _: None,
    *,
    port: int = 0,
    cold: bool = False,
) -> Iterator[RunningService]:
    """Serve a folder until the end of the block; `configure` changes the example first."""
    data, log, port = folder / "data", folder / "log", port or free_port()
    _write_config(data / "config")
    configure(data / "config")
    environment = os.environ | {
        "JUMELLE_DATA": str(data),
        "JUMELLE_ADMIN_KEY": ADMIN_KEY,
        "JUMELLE_DEMO_SERVER_KEY": SERVER_KEY,
        "JUMELLE_DEMO_IDENTIFY_SECRET": SECRET,
    }
    words = ["serve", "--port", str(port)]
    if cold:
        child: Child = start_cold(words, environment, stderr=log)
    else:
        shutil.copytree(_database_without_rows(), data / "clickhouse", symlinks=True)
        child = start_warm(words, environment, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, child, log)
        with closing(RunningService(url, data, child, environment)) as running:
            yield running
    finally:
        if child.poll() is None:
            child.terminate()
        assert child.wait(timeout=30) == 0, log.read_text()


def start_cold(
    words: list[str], environment: dict[str, str], *, stderr: Path
) -> "subprocess.Popen[bytes]":
    """Start `jumelle` as an operator does; it loads everything anew."""
    with stderr.open("ab") as file:
        command = [sys.executable, "-m", "service.cli", *words]
        return subprocess.Popen(command, env=environment, stderr=file)


@cache
def _database_without_rows() -> Path:
    """Give the embedded engine's folder as migrations leave it; copied, it needs none of them."""
    data = Path(tempfile.mkdtemp(prefix="jumelle-empty-"))
    atexit.register(shutil.rmtree, data, ignore_errors=True)
    make_database(data)
    return data / "clickhouse"


def free_port() -> int:
    """Find a port that nobody listens on and that no outgoing connection is given meanwhile."""
    while True:
        port = randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _write_config(folder: Path) -> None:
    """Copy the example configuration; nothing happens by itself, so that tests say when."""
    with as_file(files("service").joinpath("example_config")) as example:
        shutil.copytree(example, folder)
    service = folder / "service.toml"
    service.write_text(service.read_text().replace("tick_seconds = 3.0", "tick_seconds = 600.0"))


def wait_until_ready(url: str, child: Child, log: Path) -> None:
    """Wait until a service answers that it is ready, or say what its log tells."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        assert child.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/readyz").status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError(f"the service did not answer: {log.read_text()}")
