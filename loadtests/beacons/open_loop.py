"""Asks one server at a constant rate and tells how late it answers, whatever it is busy with.

The generator is `open_loop.c`, compiled when it is first wanted: at 75,000 requests a second a
Python one would measure itself.
"""

import json
import shutil
import subprocess
from itertools import count
from pathlib import Path
from typing import Final

import msgspec

from beacons.closed_loop import ask_once
from beacons.options import Options
from beacons.pinned import Load
from beacons.server import Server

SOURCE: Final = Path(__file__).with_name("open_loop.c")
_seeds: Final = count(1 << 32)
"""Above those of the closed loop, so that no messageId comes twice."""


class Lateness(msgspec.Struct, frozen=True, kw_only=True):
    """How late answers were, counted from when their requests were due, in microseconds."""

    rate: float
    p50_us: float
    p99_us: float
    most_us: float
    held_p99_us: float
    """How late requests were sent: no connection was free, or the generator was held up."""


def compile_open_loop(folder: Path) -> Path:
    """Give the generator's program."""
    if not shutil.which("cc"):
        raise SystemExit("a C compiler is missing: install the package `gcc` (apt-get install gcc)")
    program = folder / "open_loop"
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(SOURCE)]
    subprocess.run(command, check=True)
    return program


def ask_at(rate: float, server: Server, load: Load, options: Options, *, program: Path) -> Lateness:
    """Ask at this rate; fail when an answer is missing or was not kept, to the last one."""
    pinned = server.folder / "request"
    pinned.write_text(load.texts[0], newline="")
    ask_once(server, load)
    command = ["taskset", "-c", str(options.load_core), str(program), str(server.port)]
    command += [str(options.connections), f"{rate:.3f}", str(options.seconds), str(next(_seeds))]
    command += [str(load.status), str(pinned)]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    server.note(requests=said["requests"], messages=load.messages, in_flight=0)
    names = (name for name in Lateness.__struct_fields__ if name != "rate")
    return Lateness(rate=said["requests"] / said["seconds"], **{name: said[name] for name in names})
