"""Loads one server with wrk as fast as it answers, and counts what its CPU paid for it.

Out come requests, seconds and CPU time; any answer but the expected one ends the script.
"""

import json
import shutil
import subprocess
from http.client import HTTPException, HTTPResponse
from itertools import count
from pathlib import Path
from socket import create_connection
from typing import Final

import msgspec

from beacons.cpu_clock import cpu_ns
from beacons.options import Options
from beacons.pinned import MARK, Load
from beacons.server import Server

SEPARATOR: Final = "\0"
SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_seeds: Final = count(1)
"""No two runs of one script send the same messageId."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one load of one server came to."""

    requests: int
    seconds: float
    cpu_us: float

    @property
    def each_us(self) -> float:
        """CPU microseconds of a request."""
        return self.cpu_us / self.requests

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: its status and headers."""

    status: int
    headers: tuple[tuple[str, str], ...]


def ask_once(server: Server, load: Load) -> Answer:
    """Send one request and see that it is answered as it should be."""
    try:
        answer, body = _answer(server.port, load.texts[0].replace(MARK, f"{next(_seeds):030x}"))
    except (OSError, HTTPException) as problem:
        raise SystemExit(f"{server.name} gives no answer: {problem}; {server.log()}") from problem
    if answer.status != load.status:
        why = f"answers {answer.status} instead of {load.status}: {body!r}"
        raise SystemExit(f"{server.name} {why}")
    server.note(requests=1, messages=load.messages, in_flight=0)
    return answer


def load_once(server: Server, load: Load, options: Options, *, seconds: int = 0) -> Run:
    """Load a server for some seconds; fail on any error, or when what was sent was not kept."""
    pinned = server.folder / "request"
    pinned.write_text(SEPARATOR.join(load.texts), newline="")
    ask_once(server, load)
    before = cpu_ns(server.pid)
    said = subprocess.run(
        _command(server, pinned, options, seconds), check=True, stdout=subprocess.PIPE
    ).stdout
    spent = cpu_ns(server.pid) - before
    found = json.loads(said.splitlines()[-1])
    if found["wrong"] or not found["requests"]:
        raise SystemExit(f"{server.name}: not every request was answered: {found}")
    # Why in flight: wrk hangs up at the end, and what it sent last is kept without being counted.
    server.note(requests=found["requests"], messages=load.messages, in_flight=options.connections)
    return Run(requests=found["requests"], seconds=found["microseconds"] / 1e6, cpu_us=spent / 1000)


def _answer(port: int, text: str) -> tuple[Answer, bytes]:
    with create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(text.encode())
        response = HTTPResponse(line)
        response.begin()
        body = response.read()
    return Answer(status=response.status, headers=tuple(response.getheaders())), body


def _command(server: Server, pinned: Path, options: Options, seconds: int) -> list[str]:
    if not shutil.which("wrk"):
        raise SystemExit("wrk is missing: install the package `wrk` (apt-get install wrk)")
    command = ["taskset", "-c", str(options.load_core), "wrk", "-t1", f"-c{options.connections}"]
    command += [f"-d{seconds or options.seconds}s", "-s", str(SCRIPT)]
    return [*command, f"http://127.0.0.1:{server.port}", "--", str(pinned), str(next(_seeds))]
