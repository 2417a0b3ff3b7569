"""A data directory and the real processes on it: started, asked, stopped, killed.

Everything listens on loopback. What a process logs is appended to a file beside the data.
"""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx

from matching.ids import VisitorId
from service.config import load_config
from service.engine.publish_tag_state import publish
from service.tag.tokens import Keys
from service.tag.visitor_cookie import write_cookie

ROOT: Final = Path(__file__).resolve().parents[2]
ADMIN_KEY: Final = "jk_the-admin-of-the-fault-lab"
SERVER_KEY: Final = "the fault lab's secret server key"
HEAD: Final = {"Authorization": f"Bearer {ADMIN_KEY}"}
WAIT_S: Final = 90.0
WAITING: Final = {".open", ".chunk", ".torn"}

Child = subprocess.Popen[bytes]


class Violation(Exception):
    """What must hold did not."""


class House:
    """One data directory; `settings` replace lines of `service.toml`."""

    def __init__(
        self,
        folder: Path,
        *,
        settings: Mapping[str, object] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.data = folder / "data"
        self.spool = self.data / "spool"
        self.port = free_port()
        self.environment = os.environ | {
            "JUMELLE_DATA": str(self.data),
            "JUMELLE_ADMIN_KEY": ADMIN_KEY,
            "JUMELLE_DEMO_SERVER_KEY": SERVER_KEY,
            "PYTHONDONTWRITEBYTECODE": "",
            **(variables or {}),
        }
        self._children: list[Child] = []
        self._configure({"tick_seconds": 0.5, "chunk_seconds_max": 0.5, **(settings or {})})

    @property
    def url(self) -> str:
        """Where the engine answers."""
        return f"http://127.0.0.1:{self.port}"

    def starts_engine(self, *, role: str = "engine", preload: Path | None = None) -> Child:
        """Start the process that owns the database."""
        return self._starts(role, "--port", self.port, preload=preload)

    def starts_tag(self, port: int, *, preload: Path | None = None, files_max: int = 0) -> Child:
        """Start a tag process on a port of its own, perhaps with few file descriptors."""
        return self._starts("tag", "--tag-port", port, preload=preload, files_max=files_max)

    def is_ready(self, port: int) -> bool:
        """Tell whether a process takes records."""
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=10).status_code == 200
        except httpx.HTTPError:
            return False

    def waits_ready(self, port: int, child: Child, *, s: float = WAIT_S) -> None:
        """Wait until a process takes records."""
        self.waits(lambda: self.is_ready(port), f"readiness on port {port}", child, s=s)

    def waits(
        self, holds: Callable[[], bool], what: str, child: Child | None = None, *, s: float = WAIT_S
    ) -> float:
        """Wait until something holds and give the seconds that took."""
        begin = time.monotonic()
        while not holds():
            if child is not None and child.poll() is not None:
                raise Violation(f"a process ended with {child.returncode} before {what}")
            if time.monotonic() - begin > s:
                raise Violation(f"no {what} within {s:.0f} s; logs in {self.folder}")
            time.sleep(0.03)
        return time.monotonic() - begin

    def waits_acknowledged(self, names: Collection[str], more: int, *, s: float) -> float:
        """Wait until so many more messages are acknowledged and give the seconds that took."""
        enough = len(names) + more
        return self.waits(lambda: len(names) >= enough, f"{more} acknowledgements", s=s)

    def ready(self) -> dict[str, Any]:
        """Ask the engine how it is."""
        found: dict[str, Any] = httpx.get(f"{self.url}/readyz", timeout=60).json()
        return found

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Call the engine's API as its admin."""
        return httpx.request(method, f"{self.url}{path}", headers=HEAD, timeout=60, **more)

    def drains(self, *, s: float = WAIT_S) -> tuple[dict[str, Any], float]:
        """Wait until every chunk is loaded; give the engine's balance and the seconds it took."""
        seconds = self.waits(lambda: not self.waiting(), "empty spool", s=s)
        self.waits(lambda: self.is_ready(self.port), "engine that answers")
        done = self.call("POST", "/api/jobs/load/run").json()["id"]  # audits the balance

        def has_ended() -> bool:
            (job,) = self.call("GET", f"/api/jobs?run={done}").json()["jobs"]
            return job["status"] in {"ok", "failed"}

        self.waits(has_ended, "end of the last load")
        return self.ready(), seconds

    def waiting(self) -> list[Path]:
        """List the files that the loader has still to take or to let go."""
        found: list[Path] = []
        for folder in self.spool.iterdir():
            if folder.name == "quarantine" or not folder.is_dir():
                continue
            with suppress(FileNotFoundError):  # the folder of a dead writer, taken away just now
                found += [path for path in folder.iterdir() if path.suffix in WAITING]
        return [path for path in found if path.is_file() and not path.is_symlink()]

    def waits_closed(self, *, s: float) -> None:
        """Wait until the chunks that are open now are closed."""
        are_open = [path for path in self.waiting() if path.suffix == ".open"]
        self.waits(lambda: not any(map(Path.exists, are_open)), "closing of open chunks", s=s)

    def quarantined(self) -> list[Path]:
        """List the files of bytes that were set aside."""
        return sorted(self.spool.glob("quarantine/*"))

    def ends(self, child: Child, *, s: float = 30) -> float:
        """Stop a process as an operator does; give the seconds that took."""
        begin = time.monotonic()
        child.send_signal(signal.SIGCONT)
        child.terminate()
        code = child.wait(s)
        if code:
            raise Violation(f"a process ended with {code} after SIGTERM; logs in {self.folder}")
        return time.monotonic() - begin

    def cookies(self) -> list[str]:
        """Give the cookies of a hundred browsers that are known here."""
        keys, now_s = Keys.load_or_create(self.data / "keys.toml"), int(time.time())
        visitors = [VisitorId(number.to_bytes(16, "big")) for number in range(1, 101)]
        return [f"jml={write_cookie(keys, each, now_s=now_s)}" for each in visitors]

    def log(self, role: str) -> str:
        """Give all that the processes of a role logged."""
        return (self.folder / f"{role}.log").read_text(errors="replace")

    def close(self) -> None:
        """Kill what still runs."""
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.wait()

    def _starts(
        self, role: str, flag: str, port: int, *, preload: Path | None, files_max: int = 0
    ) -> Child:
        command = [sys.executable, "-m", "service.cli", "serve", "--role", role, flag, str(port)]
        environment = self.environment | ({"LD_PRELOAD": str(preload)} if preload else {})
        with (self.folder / f"{role}.log").open("ab") as log:
            child = subprocess.Popen(
                command, cwd=ROOT, env=environment, stderr=log, start_new_session=True
            )
        if files_max:
            resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (files_max, files_max))
        self._children.append(child)
        return child

    def _configure(self, settings: Mapping[str, object]) -> None:
        config = self.data / "config"
        shutil.copytree(ROOT / "service" / "example_config", config)
        lines = (config / "service.toml").read_text().splitlines()
        names = [line.partition(" = ")[0] for line in lines]
        for name, value in settings.items():
            text = f'"{value}"' if isinstance(value, str) else str(value)
            lines[names.index(name)] = f"{name} = {text}"
        (config / "service.toml").write_text("\n".join(lines) + "\n")
        # Why: a tag process must be able to start before the first engine has.
        loaded = load_config(config)
        publish(self.data / "tag-state", loaded, suppressed=(), now_s=int(time.time()))


def kill(*children: Child) -> None:
    """Kill processes as a power failure of theirs would: at once, without a word."""
    for child in children:
        child.kill()
    for child in children:
        child.wait()


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def memory_mib(child: Child) -> float:
    """Tell a process's resident memory."""
    pages = int(Path(f"/proc/{child.pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20
