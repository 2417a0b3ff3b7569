"""The program `jumelle` as processes of their own that need not load it: they are forked.

One process per test process has imported everything once (and opened nothing); each start forks
from there, so that it does what `python -m service.cli` does, but for the second of imports.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

# Why not the database engine: a process that has loaded it may not fork any more.
PRELOADED: Final = ["service.cli", "service.local_commands", "service.app"]
_FORKS: Final = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(PRELOADED)


class WarmChild:
    """A started program, to be waited for and stopped like a `subprocess.Popen`."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.pid = process.pid or 0

    @property
    def returncode(self) -> int | None:
        """The exit code once it has ended; minus the signal that killed it."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Give the exit code when it has ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and give the exit code."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send_signal(signal.SIGKILL)


def start_warm(
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    stderr: Path,
    stdout: Path | None = None,
) -> WarmChild:
    """Start `jumelle` with these words; what it writes is appended to the files."""
    files = (str(stdout or os.devnull), str(stderr))
    stderr.touch()
    # Why a daemon: a test that fails to stop it must not hold up the end of all tests.
    process = _FORKS.Process(
        target=_be_the_program, args=(list(words), dict(environment), files), daemon=True
    )
    process.start()
    return WarmChild(process)


def run_warm(
    words: Sequence[str], environment: Mapping[str, str], *, timeout_s: float = 60
) -> "subprocess.CompletedProcess[str]":
    """Run `jumelle` with these words to its end and give what it wrote."""
    with TemporaryDirectory(prefix="jumelle-warm-") as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        child = start_warm(words, environment, stdout=out, stderr=err)
        try:
            code = child.wait(timeout=timeout_s)
        finally:
            child.kill()
        return subprocess.CompletedProcess(list(words), code, out.read_text(), err.read_text())


def make_database(data: Path) -> None:
    """Make the tables of an installation, without a row; this process opens no engine for it."""
    process = _FORKS.Process(target=_migrate, args=(data,))
    process.start()
    process.join()
    assert process.exitcode == 0


def _migrate(data: Path) -> None:
    # Why here: a test process that starts services need not load the database.
    from service.engine.clickhouse import ClickHouse  # noqa: PLC0415
    from service.engine.migrate import migrate  # noqa: PLC0415

    os.umask(0o077)  # as the service itself does
    database = ClickHouse(data)
    migrate(database.client())
    database.close()


def _be_the_program(words: list[str], environment: dict[str, str], files: tuple[str, str]) -> None:
    """Become `python -m service.cli WORDS`, which ends with SystemExit."""
    for path, number in zip(files, (1, 2), strict=True):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = ["jumelle", *words]
    from service.cli import main  # noqa: PLC0415 - a test process does without it

    main()
