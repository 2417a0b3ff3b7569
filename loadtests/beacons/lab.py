"""Starts what a script asks for in a folder of its own, and ends it all afterwards."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from beacons.closed_loop import Answer
from beacons.jumelle import Jumelle
from beacons.nginx import start_nginx
from beacons.options import Options
from beacons.peers import peers_python, start_peer
from beacons.server import Server


class Lab:
    """The servers of one script."""

    def __init__(self, options: Options, folder: Path, ending: ExitStack) -> None:
        self._options = options
        self.folder = folder
        self._ending = ending
        self._python: Path | None = None

    def jumelle(
        self,
        name: str = "jumelle",
        *,
        ack: Literal["write", "fsync"] = "write",
        timed: bool = False,
    ) -> Jumelle:
        """Start a tag process of ours."""
        core, http = self._options.server_core, self._options.http
        server = Jumelle(name, self._room(name), core=core, http=http)
        self._ending.callback(server.stop)
        server.serve(ack=ack, timed=timed)
        return server

    def nginx(self, name: str, answers: Mapping[str, Answer]) -> Server:
        """Start nginx with these answers by path."""
        server = start_nginx(name, self._room(name), self._options.server_core, answers)
        self._ending.callback(server.stop)
        return server

    def peer(self, name: str) -> Server:
        """Start one of the Python peers."""
        if self._python is None:
            self._python = self._ending.enter_context(peers_python(self._options.peers))
        server = start_peer(name, self._python, self._room(name), self._options.server_core)
        self._ending.callback(server.stop)
        return server

    def _room(self, name: str) -> Path:
        folder = self.folder / name.replace(" ", "-")
        folder.mkdir()
        return folder


@contextmanager
def lab(options: Options) -> Iterator[Lab]:
    """Give a lab; this process itself stays on the load's core."""
    os.sched_setaffinity(0, {options.load_core})
    with TemporaryDirectory(dir=options.folder, prefix="beacons-") as folder, ExitStack() as ending:
        Path(folder).chmod(0o755)  # nginx drops its rights and must still find its folders
        yield Lab(options, Path(folder), ending)
