"""The peers: other people's servers that answer the same requests and keep nothing.

They are installed into a virtual environment of their own, never into the project's.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from beacons.server import Server, free_port

APPS: Final = Path(__file__).parent / "peer_apps"
PACKAGES: Final = (
    "blacksheep==2.6.4",
    "fastapi==0.165.0",
    "httptools==0.9.0",
    "msgspec==0.22.0",
    "uvicorn==0.54.0",
    "uvloop==0.23.0",
)
PEERS: Final = {
    "raw ASGI on uvicorn": "raw_asgi:app",
    "BlackSheep": "blacksheep_app:app",
    "FastAPI": "fastapi_app:app",
    "Node": "node_app.mjs",
}


@contextmanager
def peers_python(kept: Path | None) -> Iterator[Path]:
    """Give the interpreter that has the peers, installed now unless `kept` has them already."""
    if kept is not None:
        yield _installed(kept)
        return
    with TemporaryDirectory(prefix="peers-") as folder:
        yield _installed(Path(folder))


def peer_versions() -> list[str]:
    """Name the packages of the peers with their versions."""
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return [*(package.replace("==", " ") for package in PACKAGES), f"node {said.stdout.strip()}"]


def start_peer(name: str, python: Path, folder: Path, core: int) -> Server:
    """Serve one of `PEERS` with uvicorn, uvloop and httptools, without any log; Node by itself."""
    server = Server(name, folder, port=free_port(), core=core)
    if PEERS[name].endswith(".mjs"):
        server.start(["node", str(APPS / PEERS[name]), str(server.port)])
        return server
    command = [str(python), "-m", "uvicorn", "--app-dir", str(APPS), PEERS[name]]
    command += ["--port", str(server.port), "--loop", "uvloop", "--http", "httptools"]
    command += ["--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "65"]
    command += ["--no-server-header", "--no-date-header", "--ws", "none"]
    server.start(command, os.environ | {"PYTHONPATH": ""})
    return server


def _installed(folder: Path) -> Path:
    python = folder / "bin" / "python"
    if not python.exists():
        # Why the same interpreter: another version of Python would be another contest.
        make = ["uv", "venv", "-q", "--allow-existing", "--python", sys.executable, str(folder)]
        subprocess.run(make, check=True)
    install = ["uv", "pip", "install", "-q", "--python", str(python), *PACKAGES]
    subprocess.run(install, check=True)
    return python
