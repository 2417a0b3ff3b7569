"""A database server on loopback that can be slow, silent, gone, or lose the answer to an insert.

The server is the tests' stand-in for ClickHouse over HTTP; what is between it and the engine is a
proxy of ours, which a fault closes or slows down.
"""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from faults.house import ROOT, Violation

PIECE_BYTES: Final = 1 << 16


class Proxy:
    """Passes bytes between the engine and the server; its port stays when the server is gone."""

    def __init__(self, target: int) -> None:
        self.delay_s = 0.0
        """By so much every piece of an answer comes later."""
        self._target = target
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._is_down = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def goes_down(self) -> None:
        """Cut every connection, in the middle of whatever it carries, and refuse new ones."""
        with self._lock:
            self._is_down = True
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def comes_back(self) -> None:
        """Take connections again."""
        with self._lock:
            self._is_down = False

    def close(self) -> None:
        """Stop for good."""
        self.goes_down()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with self._lock:
                    if self._is_down:
                        client.close()
                        continue
                    server = socket.create_connection(("127.0.0.1", self._target))
                    self._open |= {client, server}
                for source, sink, is_answer in ((client, server, False), (server, client, True)):
                    words = (source, sink, is_answer)
                    threading.Thread(target=self._pass, args=words, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(PIECE_BYTES):
                if is_answer and self.delay_s:
                    time.sleep(self.delay_s)
                sink.sendall(piece)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= {source, sink}


@contextmanager
def database_server(folder: Path) -> Iterator[tuple[str, Proxy, "subprocess.Popen[bytes]"]]:
    """Serve a database on a folder; give its URL through the proxy, the proxy and the process."""
    folder.mkdir(parents=True)
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "clickhouse_stand_in.py"), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
    )
    assert child.stdout is not None
    port = child.stdout.readline().decode().strip()
    if not port:
        raise Violation("the database server did not start")
    proxy = Proxy(int(port))
    try:
        yield f"http://127.0.0.1:{proxy.port}", proxy, child
    finally:
        proxy.close()
        child.kill()
        child.communicate()
