"""What a script about the tag endpoint may be told on its command line."""

import argparse
import os
from pathlib import Path
from typing import Final

import msgspec

ROUNDS_MIN: Final = 5


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to measure."""

    rounds: int
    seconds: int
    connections: int
    http: str
    """What is handed to `serve --http`; empty: nothing, so the service's own choice stands."""
    folder: Path | None
    """Where the data directories lie; none: a temporary folder."""
    peers: Path | None
    """A virtual environment with the peers in it; none: a new one, thrown away at the end."""
    write: bool
    server_core: int
    load_core: int


def read_options(doc: str | None) -> Options:
    """Read the command line; servers get the first core that we may use and the load the last."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS_MIN)
    parser.add_argument("--seconds", type=int, default=2, help="of load, each server and round")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--http", default="", help="handed to `serve --http`")
    parser.add_argument("--folder", type=Path, help="on a real disk, for the data directories")
    parser.add_argument("--peers", type=Path, help="a virtual environment to keep and use again")
    parser.add_argument("--write", action="store_true", help="write the row into README.md")
    given = vars(parser.parse_args())
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("this needs two cores: one for the server, one for the load")
    return Options(**given, server_core=cores[0], load_core=cores[-1])
